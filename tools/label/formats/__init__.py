"""The files of labeling tools: each module writes a batch and reads what comes back."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

from models.process.text import shown
from tasks.labelable import Kind
from tools.label.formats import kinds
from tools.label.formats.sources import Damaged, Source, damaged, json_of, xml_of
from tools.label.labels import Format

GIVE = "give Label Studio's JSON, CVAT's XML, COCO's json, a folder of YOLO or VOC, or a csv"
# formats in which a draft looks like a label once a tool has rewritten it without its score
UNTOLD = frozenset(("coco", "yolo", "voc"))
LOOKED = 3  # files of a kind that are opened to recognise an export


@dataclass(frozen=True)
class Known:
    """A format by its name.

    Args:
        name: as users write it.
        module: that writes and reads it.
        kinds: of labels that it holds.
    """

    name: str
    module: str
    kinds: frozenset[Kind]

    def load(self) -> Format:
        """The module's functions."""
        return cast(Format, importlib.import_module(f"{__name__}.{self.module}"))


def _known(name: str, module: str, *held: Kind) -> tuple[str, Known]:
    return name, Known(name, module, frozenset(held))


FORMATS: Mapping[str, Known] = MappingProxyType(
    dict(
        (
            _known("label-studio", "label_studio", "boxes", "poses", "classes"),
            _known("cvat", "cvat", "boxes", "poses", "classes"),
            _known("coco", "coco", "boxes", "poses"),
            _known("yolo", "yolo", "boxes", "poses"),
            _known("voc", "voc", "boxes"),
            _known("csv", "csv_classes", "classes"),
        )
    )
)


def recognised(path: Path) -> str:
    """The name of an export's format, by its content.

    Raises:
        Damaged: if it is of none, or of several, or cannot be read.
    """
    with Source(path) as source:
        if len(source.names) == 1:
            return _of_file(source, source.names[0])
        found = _of_folder(source)
    if not found:
        came = f"{len(source.names)} files: {shown(source.names[:4])}"
        raise damaged(kinds.UNKNOWN_FORMAT, str(path), "a labeling tool's export", came, GIVE)
    if len(found) > 1:
        came = " and ".join(f"{name} ({file})" for name, file in sorted(found.items()))
        remedy = "give the path of the one that is meant"
        raise damaged(kinds.SEVERAL_FORMATS, str(path), "an export of one format", came, remedy)
    return next(iter(found))


def _of_folder(source: Source) -> dict[str, str]:
    """The formats of the files of a folder or zip, with a file of each."""
    found: dict[str, str] = {}
    named = source.ending("classes.txt", "obj.names", "_darknet.labels")
    named += source.ending(".yaml", ".yml")
    if named and any(name not in named for name in source.ending(".txt")):
        return {"yolo": named[0]}
    wrong: Damaged | None = None
    for suffix in (".xml", ".json", ".csv"):
        for name in source.ending(suffix)[:LOOKED]:
            try:
                found.setdefault(_of_file(source, name), name)
            except Damaged as error:
                wrong = wrong or error
    if not found and wrong is not None:
        raise wrong
    return found


def _of_file(source: Source, name: str) -> str:
    where = source.where(name)
    content = source.read(name)
    start = content[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if start.startswith(b"<"):
        return _of_xml(xml_of(content, where).tag, where)
    if start.startswith((b"[", b"{")):
        return _of_json(json_of(content, where), where)
    header = [cell.strip(b"\"' ").lower() for cell in _cells(start)]
    if b"file" in header and b"class" in header:
        return "csv"
    if name.lower().endswith(".txt") and start[:1].isdigit():
        remedy = "give the folder that has it, with data.yaml or classes.txt"
        raise damaged(kinds.UNKNOWN_FORMAT, where, "a labeling tool's export", "a text", remedy)
    came = shown(content[:60])
    raise damaged(kinds.UNKNOWN_FORMAT, where, "a labeling tool's export", came, GIVE)


def _cells(start: bytes) -> list[bytes]:
    line = start.splitlines()[0] if start else b""
    for separator in (b";", b"\t"):
        line = line.replace(separator, b",")
    return line.split(b",")


def _of_xml(tag: str, where: str) -> str:
    if tag == "annotations":
        return "cvat"
    if tag == "annotation":
        return "voc"
    expected = "<annotations> of CVAT, or <annotation> of VOC"
    raise damaged(kinds.UNKNOWN_FORMAT, where, expected, f"<{tag[:100]}>", GIVE)


def _of_json(data: object, where: str) -> str:
    if isinstance(data, dict):
        if "images" in data and "annotations" in data:
            return "coco"
        if "data" in data:
            return "label-studio"
        came = f"an object with {shown(list(data)[:6])}"
    else:
        records = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
        if any("data" in one or "annotation_id" in one for one in records) or data == []:
            return "label-studio"
        came = f"a list with {shown(data)}"
        if any("image_id" in one and "category_id" in one for one in records):
            came = "a list of COCO's results, which name no images"
    expected = "Label Studio's tasks, or COCO's images and annotations"
    raise damaged(kinds.UNKNOWN_FORMAT, where, expected, came, GIVE)
