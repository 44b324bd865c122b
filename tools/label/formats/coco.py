"""COCO's json: boxes, or persons with keypoints. Pixels count from 0."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.process.text import shown
from tasks.labelable import Kind, Labeling
from tools.label.formats import kinds
from tools.label.formats.coco_records import AS_COCO, Records
from tools.label.formats.geometry import person_box
from tools.label.formats.sources import Source, damaged, json_of, suits
from tools.label.formats.writing import begin, put_images, put_json
from tools.label.labels import Entry, Outgoing, Pick, PoolImage, Shape

KINDS: frozenset[Kind] = frozenset(("boxes", "poses"))
FILES = {"boxes": "instances_default.json", "poses": "person_keypoints_default.json"}
PREFIXES = {"boxes": "instances", "poses": "person_keypoints"}


def write(batch: Outgoing, folder: Path) -> list[str]:
    """Write the images and the json, which has the drafts with their scores."""
    begin(batch, folder, "COCO", KINDS)
    labeling = batch.labeling
    data = {
        "info": {"description": f"batch {batch.number}"},
        "images": [_image(place, pick) for place, pick in enumerate(batch.picks, 1)],
        "annotations": _annotations(batch),
        "categories": [
            _category(place, name, labeling) for place, name in enumerate(labeling.classes, 1)
        ],
    }
    path = folder / "annotations" / FILES[labeling.kind]
    put_images(batch, folder / "images")
    put_json(path, data)
    return [
        f"Open {folder / 'images'} and {path} in a tool that reads COCO. Drafts have `score`: an "
        "image of which every box still has one, or is where the draft was, counts as not labeled "
        "yet",
        "COCO cannot tell an image without objects from one that nobody saw: list the finished "
        "ones with --done, or all",
        "Export as COCO, and add that json",
    ]


def _image(place: int, pick: Pick) -> dict[str, Any]:
    width, height = pick.image.size
    return {"id": place, "file_name": pick.image.key, "width": width, "height": height}


def _category(place: int, name: str, labeling: Labeling) -> dict[str, Any]:
    category: dict[str, Any] = {"id": place, "name": name, "supercategory": ""}
    if labeling.kind == "poses":
        category["keypoints"] = list(labeling.joints)
        category["skeleton"] = [[first + 1, second + 1] for first, second in labeling.bones]
    return category


def _annotations(batch: Outgoing) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for place, pick in enumerate(batch.picks, 1):
        for shape in pick.drafts or ():
            records.append(_annotation(len(records) + 1, place, shape, batch.labeling))
    return records


def _annotation(number: int, image: int, shape: Shape, labeling: Labeling) -> dict[str, Any]:
    box = person_box(shape)
    record: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": labeling.classes.index(shape.label) + 1,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
        "segmentation": [],
    }
    if labeling.kind == "poses":
        flat: list[float] = []
        for joint in shape.joints:
            flat += [joint.x, joint.y, joint.visibility]
        record["keypoints"] = flat
        record["num_keypoints"] = sum(joint.visibility > 0 for joint in shape.joints)
    if shape.score is not None:
        record["score"] = shape.score
    if shape.id:
        record["draft"] = shape.id
    return record


def read(path: Path, labeling: Labeling, images: Mapping[str, PoolImage]) -> list[Entry]:
    """Read a json, or those of a folder or zip.

    Those that COCO's names say are of the other kind are left out, if there are others.
    """
    suits(path, "COCO", KINDS, labeling)
    entries: list[Entry] = []
    with Source(path) as source:
        names = list(source.names) if len(source.names) == 1 else source.ending(".json")
        other = PREFIXES["poses" if labeling.kind == "boxes" else "boxes"]
        fitting = [name for name in names if not name.rpartition("/")[2].startswith(other)]
        if not names:
            raise damaged(kinds.WRONG_FORM, str(path), "a json", "none in it", AS_COCO)
        for name in fitting or names:
            where = source.where(name)
            data = json_of(source.read(name), where)
            if not isinstance(data, dict):
                came = shown(data)
                if isinstance(data, list) and data and isinstance(data[0], dict):
                    came = f"a list of objects with {shown(sorted(data[0]))}"
                raise damaged(kinds.WRONG_FORM, where, "an object at the top", came, AS_COCO)
            entries += Records(data, where, labeling).entries()
    return entries
