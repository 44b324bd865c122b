"""What the formats share when they write a batch: its folder, its images, its texts."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from models.process.files import replacing
from models.process.text import shown
from tasks.labelable import Kind
from tools.label.formats.names import stem
from tools.label.labels import LabelError, Outgoing


def begin(
    batch: Outgoing, folder: Path, tool: str, kinds: frozenset[Kind], stems: bool = False
) -> None:
    """Check a batch before anything is written.

    Args:
        tool: its name, for messages.
        kinds: what the format can hold.
        stems: whether the tool takes two images for one if their names differ in the suffix alone.

    Raises:
        LabelError: if the format cannot hold the labels, the tool could not tell two images apart,
            or the folder has files.
    """
    kind = batch.labeling.kind
    if kind not in kinds:
        raise LabelError(f"{tool} holds {', '.join(sorted(kinds))}: it cannot hold {kind}")
    first: dict[str, str] = {}
    for pick in batch.picks:
        key = pick.image.key
        known = stem(key) if stems else key
        if known in first:
            raise LabelError(
                f"{tool} cannot tell {shown(first[known])} from {shown(key)}; rename one of them, "
                "or choose another format"
            )
        first[known] = key
    if folder.is_dir() and any(folder.iterdir()):
        raise LabelError(f"{folder} has files already; give the path of a new folder")


def put_images(batch: Outgoing, folder: Path) -> None:
    """Copy the images into `folder` by their keys: a link would let tools change the pool."""
    for pick in batch.picks:
        target = folder / pick.image.key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pick.image.path, target)


def put_text(path: Path, text: str) -> None:
    """Write a text whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def put_json(path: Path, value: object) -> None:
    """Write a json that any reader takes: no NaN."""
    put_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def put_xml(path: Path, root: ET.Element) -> None:
    """Write an XML."""
    ET.indent(root)
    with replacing(path) as beside:
        ET.ElementTree(root).write(beside, encoding="utf-8", xml_declaration=True)


def child(parent: ET.Element, tag: str, text: object = "", **attributes: object) -> ET.Element:
    """Add an element with a text and attributes."""
    element = ET.SubElement(parent, tag, {key: str(value) for key, value in attributes.items()})
    if text != "":
        element.text = str(text)
    return element


def number(value: float) -> str:
    """A number as texts hold it: it reads back as the same one."""
    if value == int(value):
        return str(int(value))
    return repr(float(value))


def distinct(wanted: list[str], made: Callable[[int], str]) -> list[str]:
    """Ids of which none is empty or twice: those wanted, or else made ones.

    Args:
        wanted: an id each, as the shapes have them.
        made: the id of a place, for those without one.
    """
    taken = set(wanted)
    seen: set[str] = set()
    ids = []
    for place, one in enumerate(wanted):
        name = one
        if not one or one in seen:
            name = made(place)
            while name in taken:
                name += "x"
            taken.add(name)
        seen.add(name)
        ids.append(name)
    return ids
