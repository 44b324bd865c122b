"""What is in an XML of VOC's form: read alike for the check and for training."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from models.process.text import reason, shown
from tasks.faults import Fault, Reading, Size, read_file
from tasks.xml_text import RefusedXML, parsed

CORNERS = ("xmin", "ymin", "xmax", "ymax")
XML_BYTES = 4_000_000  # 15,000 boxes; parsed it takes at most a hundred times as much


def read_xml(path: Path, without: str) -> Reading[ET.Element | None]:
    """Read an annotation; blanks around class names, as of indented XML, are cut off.

    `without` is what a user does who has no XML to put there.
    """
    content = yield from read_file(
        path, "XML", f"put the annotation there, or {without}", XML_BYTES
    )
    if content is None:
        return None
    try:
        tree = parsed(content)
    except RefusedXML:
        yield Fault(
            "refused XML",
            str(path),
            "XML without DOCTYPE and ENTITY",
            "one that has them",
            "delete them",
        )
        return None
    except (ET.ParseError, ValueError, LookupError) as error:  # ValueError, LookupError: encodings
        remedy = "mend the file or annotate anew"
        if not _is_utf8(content):
            remedy += (
                "; save text that is not UTF-8 as such, or name its encoding in the first line"
            )
        yield Fault("broken XML", str(path), "XML that parses", reason(error), remedy)
        return None
    for name in tree.iter("name"):
        name.text = name.text and name.text.strip()
    return tree


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def only(parent: ET.Element, tag: str, where: str) -> Reading[ET.Element | None]:
    """Return the single child with this tag; none or several are a fault."""
    children = parent.findall(tag)
    if len(children) == 1:
        return children[0]
    value = str(len(children) or "none")
    if not children and tag == "bndbox":
        # <polygon>, <robndbox>
        others = [child.tag for child in parent if len(child) and child.tag != "part"]
        if others:
            value += f" (but <{others[0]}>)"
    yield Fault(f"<{tag}>", where, f"one <{tag}> in <{parent.tag}>", value, "mend the annotation")
    return None


def uneven(box: ET.Element) -> bool:
    """Whether a <bndbox> has a corner at 0 or a fraction.

    VOC's boxes are 1-based and in whole pixels; tools that count pixels from 0 write others.
    """
    values = [float(corner.text or "") for corner in box if corner.tag in CORNERS]
    return any(value != int(value) or value == 0 for value in values)


def declared_size(tree: ET.Element, where: str) -> Reading[Size | None]:
    """(width, height) as <size> declares it.

    None if it declares none: it is missing, empty or 0, as some tools write it.
    """
    if tree.find("size") is None:
        return None
    size = yield from only(tree, "size", where)
    if size is None or not any((size.findtext(tag) or "").strip() for tag in ("width", "height")):
        return None
    numbers = []
    for tag in ("width", "height"):
        element = yield from only(size, tag, where)
        if element is None:
            continue
        try:
            numbers.append(_whole(element.text or ""))
        except (ValueError, OverflowError):
            value = shown(element.text)
            yield Fault(
                f"<{tag}>",
                where,
                f"a whole number of pixels as <{tag}>",
                value,
                "write the image's own",
            )
    if len(numbers) != 2 or not any(numbers):
        return None
    return numbers[0], numbers[1]


def _whole(text: str) -> int:
    number = float(text)
    if int(number) != number:
        raise ValueError(text)
    return int(number)
