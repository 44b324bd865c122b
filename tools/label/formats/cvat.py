"""CVAT's XML 1.1 for images: boxes, skeletons, and tags of the image."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from tasks.labelable import Kind, Labeling
from tools.label.formats import kinds
from tools.label.formats.cvat_labels import DONE, SKIPPED, STATES, add_labels, raw_labels
from tools.label.formats.cvat_shapes import Image
from tools.label.formats.sources import Source, damaged, xml_of
from tools.label.formats.writing import begin, child, number, put_images, put_json, put_xml
from tools.label.labels import Entry, LabelError, Outgoing, Pick, PoolImage, Shape, State

KINDS: frozenset[Kind] = frozenset(("boxes", "poses", "classes"))
ANNOTATIONS = "annotations.xml"
LABELS = "labels.json"
AS_XML = "in CVAT, export as 'CVAT for images 1.1'"
UNTOUCHED = ("auto", "file")  # sources of shapes that nobody drew or moved


def write(batch: Outgoing, folder: Path) -> list[str]:
    """Write the images, the labels of the task, and the drafts as annotations to upload."""
    begin(batch, folder, "CVAT", KINDS, stems=True)
    taken = set(STATES) & {*batch.labeling.classes, *batch.labeling.joints}
    if taken:
        raise LabelError(f"the label {sorted(taken)[0]!r} is the tag that says what was done")
    root = ET.Element("annotations")
    child(root, "version", "1.1")
    task = child(child(root, "meta"), "task")
    child(task, "name", f"batch {batch.number}")
    child(task, "size", len(batch.picks))
    child(task, "mode", "annotation")
    add_labels(child(task, "labels"), batch.labeling)
    # CVAT's own order: where it does not find an image by its name, it goes by the id
    for place, pick in enumerate(sorted(batch.picks, key=lambda pick: pick.image.key)):
        _add_image(root, place, pick, batch.labeling)
    put_images(batch, folder / "images")
    put_json(folder / LABELS, raw_labels(batch.labeling))
    put_xml(folder / ANNOTATIONS, root)
    return [
        f"Make a task; in the label constructor under Raw paste {folder / LABELS}",
        f"Add a zip of what is in {folder / 'images'} as the task's files, so that the images keep "
        "their paths",
        f"Upload annotations: {folder / ANNOTATIONS} as CVAT 1.1. CVAT does not show a confidence; "
        "it is the attribute `score` of each shape",
        f"Tag an image {DONE!r} when it is right as it is, drafts or nothing on it, and "
        f"{SKIPPED!r} if it cannot be judged: CVAT cannot tell these from images that nobody saw",
        "Export as 'CVAT for images 1.1', and add that zip",
    ]


def _add_image(root: ET.Element, place: int, pick: Pick, labeling: Labeling) -> None:
    width, height = pick.image.size
    element = child(root, "image", id=place, name=pick.image.key, width=width, height=height)
    for shape in pick.drafts or ():
        source = "manual" if shape.score is None else "auto"
        if labeling.kind == "classes":
            drawn = child(element, "tag", label=shape.label, source=source)
        elif labeling.kind == "poses":
            drawn = child(element, "skeleton", label=shape.label, source=source, z_order=0)
            _add_joints(drawn, shape, labeling)
        else:
            drawn = child(element, "box", label=shape.label, source=source, occluded=0)
            if shape.box is None:
                raise LabelError(f"{pick.image.key}: a {shape.label!r} without a box")
            x, y, w, h = shape.box
            corners = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
            for name, value in corners.items():
                drawn.set(name, number(value))
            drawn.set("z_order", "0")
        if shape.score is not None:
            child(drawn, "attribute", number(shape.score), name="score")
        if shape.id:
            child(drawn, "attribute", shape.id, name="draft")


def _add_joints(skeleton: ET.Element, shape: Shape, labeling: Labeling) -> None:
    for name, joint in zip(labeling.joints, shape.joints, strict=True):
        child(
            skeleton,
            "points",
            label=name,
            source=skeleton.get("source"),
            outside=int(joint.visibility == 0),
            occluded=int(joint.visibility == 1),
            points=f"{number(joint.x)},{number(joint.y)}",
        )


def read(path: Path, labeling: Labeling, images: Mapping[str, PoolImage]) -> list[Entry]:
    """Read an XML, or the zip or folder that has it."""
    entries: list[Entry] = []
    with Source(path) as source:
        names = source.names if len(source.names) == 1 else source.ending(".xml")
        if not names:
            raise damaged(kinds.WRONG_FORM, str(path), ANNOTATIONS, "no XML in it", AS_XML)
        for name in names:
            where = source.where(name)
            root = xml_of(source.read(name), where)
            entries += _entries(root, where, labeling)
    return entries


def _entries(root: ET.Element, where: str, labeling: Labeling) -> list[Entry]:
    if root.tag != "annotations":
        came = f"<{root.tag[:100]}>"
        raise damaged(kinds.WRONG_FORM, where, "<annotations> at the top", came, AS_XML)
    if root.find("track") is not None:
        came = "tracks, of 'CVAT for video'"
        raise damaged(kinds.WRONG_FORM, where, "<image> with shapes", came, AS_XML)
    return [
        _entry(element, f"{where}, image {place}", labeling)
        for place, element in enumerate(root.findall("image"))
    ]


def _entry(element: ET.Element, where: str, labeling: Labeling) -> Entry:
    image = Image(element, where, labeling)
    states = {tag.get("label", "") for tag in element.findall("tag")} & set(STATES)
    shapes = tuple(image.shapes)
    state: State | None = "labeled" if shapes else None
    if shapes and all(drawn in UNTOUCHED for drawn in image.sources):
        state = None
    if image.faults and not shapes:
        state = "labeled"
    if states == {DONE}:
        state = "labeled" if shapes or image.faults else "empty"
    elif SKIPPED in states and (DONE in states or image.drawn_by_hand):
        image.fault(
            kinds.BAD_STATE,
            f"the tag {SKIPPED!r} alone",
            "labels beside it",
            "delete the tag or the labels",
        )
    elif SKIPPED in states:
        return Entry(image.name, where, "skipped", size=image.size, faults=tuple(image.faults))
    return Entry(image.name, where, state, shapes, image.size, faults=tuple(image.faults))
