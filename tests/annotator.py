"""A person who labels: reads a batch as it was exported, and gives back what the tool would.

The person knows the truth and starts from the predictions that the batch shows: one that lies on
an object is corrected and keeps its id, the others are deleted, what is missing is added.
"""

from __future__ import annotations

import csv
import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.labelable import Labeling
from tools.label import versions
from tools.label.batches import Batch, read
from tools.label.cost import overlap
from tools.label.formats import label_studio_regions
from tools.label.formats.cvat_labels import DONE, SKIPPED
from tools.label.formats.writing import number
from tools.label.labels import PoolImage, Shape
from tools.label.project import Project
from tools.label.project import read as read_project

Truth = Mapping[str, Sequence[Shape]]  # by the hash of an image's bytes
FITTING = 0.5  # overlap from which a prediction is taken for the object


@dataclass(frozen=True)
class Person:
    """What somebody does with a batch.

    Args:
        truth: shapes of each image, by the hash of its bytes.
        only: keys of the images that come back; None is all.
        skipped: keys of images that are skipped.
        empty: keys of images on which nothing is drawn.
        moved: pixels by which every box is moved to the right.
        seconds: per image, where the tool counts them.
        correct: whether predictions are looked at; else everything is drawn anew.
    """

    truth: Truth
    only: frozenset[str] | None = None
    skipped: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    moved: float = 0.0
    seconds: float | None = 5.0
    correct: bool = True
    drafts: Mapping[str, Sequence[Shape]] = field(default_factory=dict)

    def state(self, key: str) -> str:
        """What becomes of an image of which something comes back."""
        if key in self.skipped:
            return "skipped"
        return "empty" if key in self.empty else "labeled"

    def drawn(self, sha256: str, key: str, seen: Sequence[Shape]) -> list[Shape]:
        """The shapes that the person leaves."""
        if self.state(key) != "labeled":
            return []
        left = list(seen) if self.correct else []
        shapes = []
        for place, shape in enumerate(self.truth[sha256]):
            shape = self._shifted(shape)
            fitting = [one for one in left if overlap(one.box, shape.box) >= FITTING]
            if fitting:
                left.remove(fitting[0])
            name = fitting[0].id if fitting else f"new{place}"
            shapes.append(replace(shape, id=name, score=None))
        return shapes

    def _shifted(self, shape: Shape) -> Shape:
        if shape.box is None or not self.moved:
            return shape
        x, y, width, height = shape.box
        joints = tuple(
            replace(one, x=one.x + self.moved) if one.visibility else one for one in shape.joints
        )
        return replace(shape, box=(x + self.moved, y, width, height), joints=joints)


@dataclass(frozen=True)
class Done:
    """An image that comes back."""

    image: PoolImage
    state: str
    shapes: Sequence[Shape]


def newest(project: Path) -> Batch:
    """The newest batch."""
    return read(project)[-1]


def finished(project: Project, person: Person, batch: Batch | None = None) -> list[Done]:
    """What the person made of a batch, image by image."""
    batch = batch or project.batches[-1]
    done = []
    for one in batch.choices:
        if person.only is not None and one.key not in person.only:
            continue
        seen = () if one.blind else one.drafts
        image = replace(project.images[one.sha256], key=one.key)
        shapes = person.drawn(one.sha256, one.key, seen)
        state = person.state(one.key)
        if state == "labeled" and not shapes:
            state = "empty"
        done.append(Done(image, state, shapes))
    return done


def answer(
    folder: Path, person: Person, form: str, out: Path, batch: Batch | None = None
) -> list[str]:
    """Write what a tool exports when the person has labeled the newest batch of a project.

    Args:
        folder: of the project.
        person: who labels.
        form: of the export.
        out: the file, or the folder of yolo and voc.
        batch: another batch than the newest.

    Returns:
        What else is to be given to `add`.
    """
    project = read_project(folder)
    done = finished(project, person, batch)
    return FORMS[form](project, done, person, out, batch or project.batches[-1])


def _label_studio(
    project: Project, done: Sequence[Done], person: Person, out: Path, batch: Batch
) -> list[str]:
    """Own json: the tasks that were imported, each with a person's annotation."""
    path = project.path / "batches" / f"{batch.number:02d}" / "label-studio" / "tasks.json"
    tasks = json.loads(path.read_text(encoding="utf-8"))
    by_key = {one.image.key: one for one in done}
    exported = []
    for place, task in enumerate(tasks, 1):
        one = by_key.get(task["data"]["key"])
        kept = {"id": place, "data": task["data"], "predictions": task.get("predictions", [])}
        kept["annotations"] = []
        if one is not None:
            ids = [shape.id for shape in one.shapes]
            result = label_studio_regions.results(one.shapes, ids, one.image.size, project.labeling)
            kept["annotations"] = [
                {
                    "id": 1000 + place,
                    "completed_by": 7,
                    "result": result,
                    "was_cancelled": one.state == "skipped",
                    "lead_time": person.seconds,
                    "created_at": "2026-01-02T03:04:05.678901Z",
                    "updated_at": "2026-01-02T03:05:05.678901Z",
                }
            ]
        exported.append(kept)
    out.write_text(json.dumps(exported), encoding="utf-8")
    return []


def _cvat(
    project: Project, done: Sequence[Done], person: Person, out: Path, batch: Batch
) -> list[str]:
    """CVAT for images 1.1, with a tag for what shapes cannot say."""
    root = ET.Element("annotations")
    for place, one in enumerate(done):
        width, height = map(str, one.image.size)
        image = ET.SubElement(
            root, "image", id=str(place), name=one.image.key, width=width, height=height
        )
        for shape in one.shapes:
            _cvat_shape(image, shape, project.labeling)
        if one.state != "labeled":
            label = SKIPPED if one.state == "skipped" else DONE
            ET.SubElement(image, "tag", label=label, source="manual")
    ET.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)
    return []


def _cvat_shape(image: ET.Element, shape: Shape, labeling: Labeling) -> None:
    if labeling.kind == "classes":
        drawn = ET.SubElement(image, "tag", label=shape.label, source="manual")
    elif labeling.kind == "boxes":
        assert shape.box is not None
        x, y, w, h = shape.box
        corners = dict(xtl=number(x), ytl=number(y), xbr=number(x + w), ybr=number(y + h))
        drawn = ET.SubElement(image, "box", label=shape.label, source="manual", **corners)
    else:
        drawn = ET.SubElement(image, "skeleton", label=shape.label, source="manual")
        for name, joint in zip(labeling.joints, shape.joints, strict=True):
            flags = dict(
                outside=str(int(joint.visibility == 0)), occluded=str(int(joint.visibility == 1))
            )
            ET.SubElement(
                drawn, "points", label=name, points=f"{number(joint.x)},{number(joint.y)}", **flags
            )
    if not shape.id.startswith("new"):
        ET.SubElement(drawn, "attribute", name="draft").text = shape.id


def _coco(
    project: Project, done: Sequence[Done], person: Person, out: Path, batch: Batch
) -> list[str]:
    """COCO's json as its tools write it: no scores, no ids of drafts; skipped ones are left out."""
    labeling = project.labeling
    kept = [one for one in done if one.state != "skipped"]
    annotations: list[dict[str, Any]] = []
    for place, one in enumerate(kept, 1):
        for shape in one.shapes:
            box = list(shape.box or (0, 0, 1, 1))
            record = dict(id=len(annotations) + 1, image_id=place, bbox=box, iscrowd=0)
            record["category_id"] = labeling.classes.index(shape.label) + 1
            record["area"] = box[2] * box[3]
            if labeling.kind == "poses":
                record["keypoints"] = [v for j in shape.joints for v in (j.x, j.y, j.visibility)]
                record["num_keypoints"] = sum(j.visibility > 0 for j in shape.joints)
            annotations.append(record)
    categories: list[dict[str, Any]] = [
        {"id": k, "name": name} for k, name in enumerate(labeling.classes, 1)
    ]
    if labeling.kind == "poses":
        categories[0]["keypoints"] = list(labeling.joints)
    images = [
        dict(id=k, file_name=one.image.key, width=one.image.size[0], height=one.image.size[1])
        for k, one in enumerate(kept, 1)
    ]
    content = dict(images=images, annotations=annotations, categories=categories)
    out.write_text(json.dumps(content), encoding="utf-8")
    return ["--done", "all"]


def _yolo(
    project: Project, done: Sequence[Done], person: Person, out: Path, batch: Batch
) -> list[str]:
    """A folder of texts beside the data.yaml; an image without an object has an empty one."""
    labeling = project.labeling
    names = "".join(f"{name}\n" for name in labeling.classes)
    out.mkdir(parents=True)
    (out / "classes.txt").write_text(names, encoding="utf-8")
    for one in done:
        if one.state == "skipped":
            continue
        width, height = one.image.size
        lines = []
        for shape in one.shapes:
            assert shape.box is not None
            x, y, w, h = shape.box
            values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            for joint in shape.joints:
                values += [joint.x / width, joint.y / height, joint.visibility]
            place = labeling.classes.index(shape.label)
            lines.append(" ".join([str(place), *map(number, values)]) + "\n")
        path = (out / "labels" / one.image.key).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    return ["--done", "all"]


def _voc(
    project: Project, done: Sequence[Done], person: Person, out: Path, batch: Batch
) -> list[str]:
    """VOC's folder of XML, whose pixels count from 1."""
    for one in done:
        if one.state == "skipped":
            continue
        root = ET.Element("annotation")
        ET.SubElement(root, "filename").text = one.image.key
        size = ET.SubElement(root, "size")
        for tag, value in zip(("width", "height", "depth"), (*one.image.size, 3), strict=True):
            ET.SubElement(size, tag).text = str(value)
        for shape in one.shapes:
            assert shape.box is not None
            x, y, w, h = shape.box
            item = ET.SubElement(root, "object")
            ET.SubElement(item, "name").text = shape.label
            box = ET.SubElement(item, "bndbox")
            corners = dict(xmin=x + 1, ymin=y + 1, xmax=x + w + 1, ymax=y + h + 1)
            for tag, corner in corners.items():
                ET.SubElement(box, tag).text = number(corner)
        path = (out / "Annotations" / one.image.key).with_suffix(".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        ET.ElementTree(root).write(path, encoding="utf-8")
    return ["--done", "all"]


def _csv(
    project: Project, done: Sequence[Done], person: Person, out: Path, batch: Batch
) -> list[str]:
    """A table of classes."""
    with out.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "class", "seconds", "state"])
        for one in done:
            label = one.shapes[0].label if one.shapes else ""
            seconds = "" if person.seconds is None else person.seconds
            rows.writerow([one.image.key, label, seconds, one.state])
    return []


Writer = Callable[[Project, Sequence[Done], Person, Path, Batch], list[str]]
FORMS: Mapping[str, Writer] = {
    "label-studio": _label_studio,
    "cvat": _cvat,
    "coco": _coco,
    "yolo": _yolo,
    "voc": _voc,
    "csv": _csv,
}


def kept(folder: Path) -> dict[str, versions.Labeled]:
    """The newest labels by key."""
    return {one.answer.key: one for one in versions.read(folder).labels.values()}


def hashes(folder: Path) -> dict[str, str]:
    """The hash of each file of a folder by its path below."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = path.relative_to(folder).as_posix()
            found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
