"""Every fault of a data set in the layout of PASCAL VOC's devkit, among them what mmdet's VOCDataset drops silently."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from tasks.faults import (
    LIST_BYTES,
    Fault,
    Reading,
    Size,
    escapes,
    misleads,
    nearest,
    path_fault,
    read_file,
    reason,
    shown,
)
from tasks.images import ImageCheck, swapped, wrong_size

XML_BYTES = 4_000_000  # 15,000 boxes; parsed it takes at most a hundred times as much
CORNERS = ("xmin", "ymin", "xmax", "ymax")
ROOT = "data_root is the folder that holds VOC2007 and VOC2012"


def voc_faults(
    root: Path,
    lists: Sequence[str],
    classes: Sequence[str],
    *,
    full: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Fault]:
    """All faults of one split.

    Args:
        root: the devkit's folder, `data_root`.
        lists: the lists whose images make the split together; "VOC2007/trainval" is
            `<root>/VOC2007/ImageSets/Main/trainval.txt`, its images are in `<root>/VOC2007/JPEGImages`, its XML in
            `<root>/VOC2007/Annotations`.
        classes: the class names of the setting.
        full: decode every image, too; without, headers and XML are read (about 1 s for 3,000 images).
        progress: wraps the list of (folder, id) that is gone through, as tqdm does.
    """
    return list(_split_faults(Path(root).absolute(), lists, tuple(classes), full, progress))


def _split_faults(
    root: Path, lists: Sequence[str], classes: tuple[str, ...], full: bool, progress: Callable[[Iterable], Iterable]
) -> Iterator[Fault]:
    fault = path_fault(root, "data_root", ROOT)
    if fault is None and not lists:
        fault = Fault("list name", str(root), "the name of a list at least", shown(lists), "write 'VOC2007/trainval'")
    if fault is not None:
        yield fault
        return
    samples = []
    first: dict[str, str] = {}  # id -> where it came first
    for entry in lists:
        samples += yield from _list_samples(root, entry, first)
    look = ImageCheck(full)
    for folder, name in progress(samples):
        yield from _sample_faults(folder, name, classes, look)
    yield from look.together()


def _list_samples(root: Path, entry: str, first: dict[str, str]) -> Reading[list[tuple[Path, str]]]:
    """The (folder, id) of one list; ids are unique over all lists of the split, for they name the pool's samples."""
    folder, _, name = entry.rpartition("/")
    if not folder or not name or escapes(entry):
        yield Fault("list name", str(root), "a list such as 'VOC2007/trainval'", shown(entry), ROOT)
        return []
    path = root / folder / "ImageSets" / "Main" / f"{name}.txt"
    content = yield from read_file(path, "list", f"the list {entry!r} is this file; {ROOT}, here {root}", LIST_BYTES)
    lines = yield from _lines(path, content)
    samples = []
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        fault = _line_fault(where, line, root / folder / "JPEGImages", first)
        if fault is None:
            first[str(PurePath(line))] = where
            samples.append((root / folder, line))
        else:
            yield fault
    return samples


def _lines(path: Path, content: bytes | None) -> Reading[list[str]]:
    """The lines as mmengine splits them."""
    if content is None:
        return []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield Fault("unreadable list", str(path), "text in UTF-8", reason(error), "write one image id a line")
        return []
    if not text.strip():
        yield Fault("empty list", str(path), "one image id a line", f"{len(content)} bytes", "write the ids into it")
        return []
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def _line_fault(where: str, line: str, images: Path, first: dict[str, str]) -> Fault | None:
    if not line.strip():
        return Fault("list line", where, "an image id", f"the blank line {shown(line)}", "delete the line")
    if misleads(line):
        return Fault("list line", where, "a one-line path below the list's folder", shown(line), "move its files there")
    if line.strip() != line or (len(line.split()) > 1 and not os.path.exists(images / f"{line}.jpg")):
        remedy = "keep the first column alone (lists of one class, 'dog_train.txt', cannot be used)"
        return Fault("list line", where, "an image id and nothing else", shown(line), remedy)
    there = first.get(str(PurePath(line)))  # "./1" is 1
    if there is not None:
        return Fault("id twice", where, "every id once in a split", f"{shown(line)} again", f"see {there}")
    return None


def _sample_faults(folder: Path, name: str, classes: tuple[str, ...], look: ImageCheck) -> Iterator[Fault]:
    image, path = folder / "JPEGImages" / f"{name}.jpg", folder / "Annotations" / f"{name}.xml"
    real = yield from look.size(image)
    tree = yield from _tree(path)
    if tree is None:
        return
    declared = yield from _declared_size(tree, str(path))
    if real and declared and real != declared:
        yield wrong_size(str(path), image, real, declared, "<size>")
    size = declared if swapped(real, declared) else real or declared  # one fault tells it
    objects = tree.findall("object")
    yield from _stray_faults(tree, objects, str(path))
    for number, item in enumerate(objects, 1):
        yield from _object_faults(item, f"{path}, object {number}", size, classes)


def _stray_faults(tree: ET.Element, objects: list[ET.Element], where: str) -> Iterator[Fault]:
    """Objects and boxes at a place where mmdet does not look; the <part> of an <object> has boxes, too."""
    boxes = sum(1 for item in objects for _ in item.iter("bndbox"))
    for tag, parent, seen in (("object", tree.tag, len(objects)), ("bndbox", "object", boxes)):
        stray = sum(1 for _ in tree.iter(tag)) - seen
        if stray:
            yield Fault("stray box", where, f"each <{tag}> in <{parent}>", f"{stray} elsewhere", "mend the tags around")
            return


def _tree(path: Path) -> Reading[ET.Element | None]:
    content = yield from read_file(path, "XML", "put the annotation there, or take the id off the list", XML_BYTES)
    if content is None:
        return None
    plain = content.replace(b"\0", b"")  # UTF-16; the parser's other encodings write ASCII as ASCII
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:  # they can blow up, or read other files
        yield Fault("refused XML", str(path), "XML without DOCTYPE and ENTITY", "one that has them", "delete them")
        return None
    try:
        return ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError) as error:  # ValueError, LookupError: encodings
        yield Fault("broken XML", str(path), "XML that parses", reason(error), "mend the file or annotate anew")
        return None


def _only(parent: ET.Element, tag: str, where: str) -> Reading[ET.Element | None]:
    found = parent.findall(tag)
    if len(found) == 1:
        return found[0]
    yield Fault(f"<{tag}>", where, f"one <{tag}> in <{parent.tag}>", str(len(found) or "none"), "mend the annotation")
    return None


def _declared_size(tree: ET.Element, where: str) -> Reading[Size | None]:
    size = yield from _only(tree, "size", where)
    if size is None:
        return None
    numbers = []
    for tag in ("width", "height"):
        element = yield from _only(size, tag, where)
        try:
            numbers += [] if element is None else [int(element.text or "")]
        except ValueError:
            came = shown(None if element is None else element.text)
            yield Fault(f"<{tag}>", where, f"a whole number of pixels as <{tag}>", came, "write the image's own")
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _object_faults(item: ET.Element, where: str, size: Size | None, classes: tuple[str, ...]) -> Iterator[Fault]:
    name = yield from _only(item, "name", where)
    if name is not None and name.text not in classes:
        remedy = f"{nearest(name.text or '', classes)} Or add it to `classes`"
        yield Fault("unknown class", where, "a name of `classes` as <name>", shown(name.text), remedy)
    for difficult in item.findall("difficult"):  # may be missing: 0
        if (difficult.text or "").strip() not in ("0", "1"):
            yield Fault("<difficult>", where, "<difficult> 0 or 1", shown(difficult.text), "write 0 or 1")
    box = yield from _only(item, "bndbox", where)
    if box is None:
        return
    corners = []
    for tag in CORNERS:
        corners.append((yield from _corner(box, tag, where)))
    x1, y1, x2, y2 = corners
    if x1 is not None and y1 is not None and x2 is not None and y2 is not None:
        yield from _box_faults((x1, y1, x2, y2), where, size)


def _corner(box: ET.Element, tag: str, where: str) -> Reading[int | None]:
    """A coordinate as mmdet reads it: truncated towards 0."""
    element = yield from _only(box, tag, where)
    if element is None:
        return None
    try:
        return int(float(element.text or ""))
    except (ValueError, OverflowError):
        yield Fault("coordinate", where, f"a finite number as <{tag}>", shown(element.text), "annotate the box anew")
        return None


def _box_faults(box: tuple[int, int, int, int], where: str, size: Size | None) -> Iterator[Fault]:
    """`box` has 1-based corners that belong to it; 0 is let pass, for mmdet subtracts the 1 unseen."""
    (x1, y1, x2, y2), (width, height) = box, size or (float("inf"), float("inf"))
    came = f"{shown(box)} (xmin, ymin, xmax, ymax, fractions cut off)"
    if x1 > x2 or y1 > y2:
        yield Fault("inverted box", where, "xmin < xmax and ymin < ymax", came, "swap the corners")
    elif x1 == x2 or y1 == y2:
        yield Fault("box of no area", where, "xmin < xmax and ymin < ymax", came, "widen or delete the box")
    if min(x1, x2, y1, y2) < 0 or max(x1, x2) > width or max(y1, y2) > height:
        expected = f"a box inside the image of {size} (width, height)"
        yield Fault("box outside the image", where, expected, came, "correct or clip the box")
