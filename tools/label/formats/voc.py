"""VOC's XML: boxes. Pixels count from 1, and as its readers do 1 is taken off every corner."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.process.text import shown
from tasks.faults import Fault
from tasks.labelable import Kind, Labeling
from tools.label.formats import kinds
from tools.label.formats.beside import below, unlabeled
from tools.label.formats.geometry import is_rotated, rotated
from tools.label.formats.names import Names, stem
from tools.label.formats.sources import Damaged, Source, damaged, suits, xml_of
from tools.label.formats.writing import begin, child, number, put_images, put_text, put_xml
from tools.label.labels import Box, Entry, LabelError, Outgoing, Pick, PoolImage, Shape, State

KINDS: frozenset[Kind] = frozenset(("boxes",))
LABEL_MAP = "labelmap.txt"  # without it CVAT and datumaro know the 20 classes of VOC alone
AS_VOC = "export as Pascal VOC"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
AGAIN = "draw it anew"


def write(batch: Outgoing, folder: Path) -> list[str]:
    """Write the images, an XML each, and the list of them, in VOC's folders."""
    begin(batch, folder, "VOC", KINDS, stems=True)
    trees = [(stem(pick.image.key), _tree(pick)) for pick in batch.picks]
    put_images(batch, folder / "JPEGImages")
    for name, tree in trees:
        put_xml(folder / "Annotations" / f"{name}.xml", tree)
    names = "".join(f"{name}\n" for name, _ in trees)
    put_text(folder / "ImageSets" / "Main" / "default.txt", names)
    if not any(":" in name or name.startswith("#") for name in batch.labeling.classes):
        put_text(folder / LABEL_MAP, _label_map(batch.labeling.classes))
    return [
        f"Open {folder / 'JPEGImages'} with the labels in {folder / 'Annotations'} in a tool that "
        "reads VOC. Drafts have a <score>: an image of which every object still has one, or is "
        "where the draft was, counts as not labeled yet",
        "VOC cannot tell an image without objects from one that nobody saw: list the finished "
        "ones with --done, or all",
        "Add the folder or a zip of it",
    ]


def _label_map(classes: Sequence[str]) -> str:
    """A line a class: its name, and a colour, parts and actions that it has not."""
    lines = [f"{name}:::" for name in classes]
    return "\n".join(["# label:color_rgb:parts:actions", "background:::", *lines]) + "\n"


def _tree(pick: Pick) -> ET.Element:
    root = ET.Element("annotation")
    child(root, "folder", "JPEGImages")
    child(root, "filename", pick.image.key)
    size = child(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*pick.image.size, 3), strict=True):
        child(size, tag, value)
    child(root, "segmented", 0)
    for shape in pick.drafts or ():
        if shape.box is None:
            raise LabelError(f"{pick.image.key}: a {shape.label!r} without a box")
        item = child(root, "object")
        child(item, "name", shape.label)
        child(item, "pose", "Unspecified")
        child(item, "truncated", 0)
        child(item, "difficult", 0)
        x, y, width, height = shape.box
        box = child(item, "bndbox")
        # the last pixel is the image's side: what ends at its edge ends in that pixel
        right, bottom = (
            min(start + side + 1, last)
            for start, side, last in zip((x, y), (width, height), pick.image.size, strict=True)
        )
        # and a box of that pixel alone begins in the one before it: readers refuse one of no width
        left, top = min(x + 1, right - 1), min(y + 1, bottom - 1)
        for tag, corner in zip(CORNERS, (left, top, right, bottom), strict=True):
            child(box, tag, number(corner))
        if shape.score is not None:
            child(item, "score", number(shape.score))
    return root


def read(path: Path, labeling: Labeling, images: Mapping[str, PoolImage]) -> list[Entry]:
    """Read an XML, or all of a folder or zip; a damaged one is a fault of its image."""
    suits(path, "VOC", KINDS, labeling)
    with Source(path) as source:
        names = list(source.names) if len(source.names) == 1 else source.ending(".xml")
        if not names:
            raise damaged(kinds.WRONG_FORM, str(path), "XML files", "none in it", AS_VOC)
        entries = [_entry(source, name) for name in names]
        return [*entries, *unlabeled(source, Names(images), entries, "JPEGImages")]


def _entry(source: Source, name: str) -> Entry:
    where = source.where(name)
    beside = below(name.rpartition(".")[0], "Annotations")
    try:
        root = xml_of(source.read(name), where)
        if root.tag != "annotation":
            came = f"<{root.tag[:100]}>"
            raise damaged(kinds.WRONG_FORM, where, "<annotation> at the top", came, AS_VOC)
    except Damaged as error:
        if len(source.names) == 1:
            raise
        return Entry(beside, where, None, faults=(error.fault,))
    faults: list[Fault] = []
    shapes: list[Shape] = []
    for place, item in enumerate(root.findall("object"), 1):
        shape = _shape(item, f"{where}, object {place}", faults)
        if shape is not None:
            shapes.append(shape)
    size = _size(root, where, faults)
    state: State | None = "labeled" if shapes or faults else None
    if shapes and all(shape.score is not None for shape in shapes):
        state = None  # drafts as they went out
    name = _name(root, beside)
    return Entry(name, where, state, tuple(shapes), size, faults=tuple(faults))


def _name(root: ET.Element, beside: str) -> str:
    """The image's name as <filename> says it, in the folder in which the XML is."""
    name = (root.findtext("filename") or "").strip().replace("\\", "/")
    if not name:
        return beside
    folder = beside.rpartition("/")[0]
    if "/" in name or not folder:
        return name
    return f"{folder}/{name}"


def _size(root: ET.Element, where: str, faults: list[Fault]) -> tuple[float, float] | None:
    texts = [root.findtext(f"size/{tag}") for tag in ("width", "height")]
    if not any((text or "").strip(" 0\n\t") for text in texts):
        return None  # as some tools write that they do not know it
    sides = [_number(text) for text in texts]
    if sides[0] is None or sides[1] is None:
        came = shown(texts)
        faults.append(Fault(kinds.WRONG_SIZE, where, "the image's <size>", came, "correct it"))
        return None
    return sides[0], sides[1]


def _shape(item: ET.Element, where: str, faults: list[Fault]) -> Shape | None:
    label = (item.findtext("name") or "").strip()
    if not label:
        faults.append(Fault(kinds.NO_CLASS, where, "a <name>", "none", AGAIN))
        return None
    difficult = (item.findtext("difficult") or "").strip()
    if difficult.lower() not in ("", "0", "false"):
        came = shown(difficult)
        remedy = "take the mark away, or delete the box"
        faults.append(Fault(kinds.CROWD, where, "<difficult> 0", came, remedy))
        return None
    box = item.find("bndbox")
    if box is None:
        others = [one.tag for one in item if len(one) and one.tag != "part"]
        came = f"<{others[0][:100]}>" if others else "none"
        remedy = "draw a box in its place"
        turned = item.find("robndbox")
        if turned is not None:
            came = "<robndbox>, a rotated one"
            faults.append(Fault(kinds.ROTATED, where, "an upright box", came, "draw it upright"))
            return _turned(label, turned)
        faults.append(Fault(kinds.SHAPE, where, "a <bndbox>", came, remedy))
        return None
    corners = [_number(box.findtext(tag)) for tag in CORNERS]
    values = [value for value in corners if value is not None]
    if len(values) < 4:
        texts = {tag: box.findtext(tag) for tag in CORNERS}
        expected = "finite numbers as corners"
        faults.append(Fault(kinds.COORDINATE, where, expected, shown(texts), AGAIN))
        return None
    left, top, right, bottom = values
    drawn: Box = left - 1, top - 1, right - left, bottom - top
    return Shape(label, drawn, score=_number(item.findtext("score")))


def _turned(label: str, turned: ET.Element) -> Shape | None:
    """The upright box around a rotated one, whose angle is in radians."""
    values = [_number(turned.findtext(tag)) for tag in ("cx", "cy", "w", "h", "angle")]
    known = [value for value in values if value is not None]
    if len(known) < 5:
        return None
    x, y, width, height, angle = known
    box = x - 1 - width / 2, y - 1 - height / 2, width, height
    degrees = math.degrees(angle)
    if not is_rotated(degrees):
        return Shape(label, box)
    return Shape(label, rotated(box, degrees, (x - 1, y - 1)))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
