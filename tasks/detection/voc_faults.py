"""Every fault of a data set in VOC's form, among them what mmdet's VOCDataset drops silently."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from models.process.text import nearest, shown
from tasks.box_units import SIDES, are_sides, is_normalised, normalised
from tasks.detection.others import ADVICE, Others
from tasks.detection.voc_files import FORMS, ROOT, Pair, pairs
from tasks.detection.voc_xml import CORNERS, declared_size, only, read_xml
from tasks.faults import Fault, Reading, Size, path_fault
from tasks.images import ImageCheck, swapped, wrong_size


def voc_faults(
    root: Path,
    lists: Sequence[str],
    classes: Sequence[str],
    *,
    others: Others = "fault",
    look: ImageCheck | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Fault]:
    """All faults of one split.

    Args:
        root: `data_root`.
        lists: the entries whose images make the split together. "VOC2007/trainval" is the list
            `<root>/VOC2007/ImageSets/Main/trainval.txt`, its images are in
            `<root>/VOC2007/JPEGImages`, its XML in `<root>/VOC2007/Annotations`; "train" is a
            folder of images and XML, "images:annotations" are two folders, and
            "images:annotations:train.txt" the ids of a list in them.
        classes: the class names of the setting.
        others: objects of classes that `classes` lacks are a fault, or are left out.
        look: looks at the images: by their headers (with XML about 1 s for 3,000 images), or at the
            pixels too.
        progress: wraps the list of samples, as tqdm does.
    """
    look = look or ImageCheck(full=False)
    return list(_split_faults(Path(root).absolute(), lists, tuple(classes), others, look, progress))


def _split_faults(
    root: Path,
    lists: Sequence[str],
    classes: tuple[str, ...],
    others: Others,
    look: ImageCheck,
    progress: Callable[[Iterable], Iterable],
) -> Iterator[Fault]:
    fault = path_fault(root, "data_root", ROOT)
    if fault is None and not lists:
        fault = Fault(
            "list name",
            str(root),
            "the name of a list at least",
            shown(lists),
            f"write one of {FORMS}",
        )
    if fault is not None:
        yield fault
        return
    samples = []
    first: dict[Path, str] = {}
    for entry in lists:
        samples += yield from pairs(root, entry, first)
    for pair in progress(samples):
        yield from _sample_faults(pair, classes, others, look)
    yield from look.together()


def _sample_faults(
    pair: Pair, classes: tuple[str, ...], others: Others, look: ImageCheck
) -> Iterator[Fault]:
    path = pair.xml
    real = yield from look.size(pair.image, pair.no_image)
    tree = yield from read_xml(path, pair.no_xml)
    if tree is None:
        return
    declared = yield from declared_size(tree, str(path))
    if real and declared and real != declared:
        yield wrong_size(str(path), pair.image, real, declared, "<size>")
    size = real or declared
    if swapped(real, declared):  # one fault is enough: boxes are judged by the XML's size
        size = declared
    objects = tree.findall("object")
    yield from _stray_faults(tree, objects, str(path))
    # else it would count as an image without objects
    if not objects and tree.tag.lower() != "annotation":
        remedy = "export it as Pascal VOC's XML, without a namespace"
        yield Fault("no annotation", str(path), "<annotation> at the top", f"<{tree.tag}>", remedy)
    for number, item in enumerate(objects, 1):
        yield from _object_faults(item, f"{path}, object {number}", size, classes, others)


def _stray_faults(tree: ET.Element, objects: list[ET.Element], where: str) -> Iterator[Fault]:
    """Report objects and boxes at a place where mmdet does not look for them.

    The <part> of an <object> has boxes, too.
    """
    boxes = sum(1 for item in objects for _ in item.iter("bndbox"))
    for tag, parent, seen in (("object", tree.tag, len(objects)), ("bndbox", "object", boxes)):
        stray = sum(1 for _ in tree.iter(tag)) - seen
        if stray:
            yield Fault(
                "stray box",
                where,
                f"each <{tag}> in <{parent}>",
                f"{stray} elsewhere",
                "mend the tags around",
            )
            return


def _object_faults(
    item: ET.Element, where: str, size: Size | None, classes: tuple[str, ...], others: Others
) -> Iterator[Fault]:
    name = yield from only(item, "name", where)
    if name is not None and name.text not in classes:
        if others == "drop" and name.text:
            return
        remedy = f"{nearest(name.text or '', classes)} Or {ADVICE}"
        yield Fault(
            "unknown class", where, "a name of `classes` as <name>", shown(name.text), remedy
        )
    for difficult in item.findall("difficult"):  # may be missing: 0
        if (difficult.text or "").strip() not in ("0", "1"):
            yield Fault(
                "<difficult>", where, "<difficult> 0 or 1", shown(difficult.text), "write 0 or 1"
            )
    box = yield from only(item, "bndbox", where)
    if box is None:
        return
    corners = []
    for tag in CORNERS:
        corners.append((yield from _corner(box, tag, where)))
    x1, y1, x2, y2 = corners
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return
    if is_normalised(x1, y1, x2, y2):
        yield normalised(where, "corners", shown((x1, y1, x2, y2)))
    else:
        yield from _box_faults((int(x1), int(y1), int(x2), int(y2)), where, size)


def _corner(box: ET.Element, tag: str, where: str) -> Reading[float | None]:
    """A coordinate, which mmdet truncates towards 0."""
    element = yield from only(box, tag, where)
    if element is None:
        return None
    try:
        value = float(element.text or "")
        int(value)  # fails for one that is not finite
        return value
    except (ValueError, OverflowError):
        yield Fault(
            "coordinate",
            where,
            f"a finite number as <{tag}>",
            shown(element.text),
            "annotate the box anew",
        )
        return None


def _box_faults(box: tuple[int, int, int, int], where: str, size: Size | None) -> Iterator[Fault]:
    """Faults of a box with 1-based corners, both inside the box.

    0 is accepted, as mmdet subtracts 1 without a check.
    """
    x1, y1, x2, y2 = box
    width, height = size or (float("inf"), float("inf"))
    value = f"{shown(box)} (xmin, ymin, xmax, ymax, fractions cut off)"
    if x1 > x2 or y1 > y2:
        remedy = "swap the corners"
        if size is not None and are_sides(x1, y1, x2, y2, size):
            remedy += f"; {SIDES}"
        yield Fault("inverted box", where, "xmin < xmax and ymin < ymax", value, remedy)
    elif x1 == x2 or y1 == y2:
        yield Fault(
            "box of no area", where, "xmin < xmax and ymin < ymax", value, "widen or delete the box"
        )
    if min(x1, x2, y1, y2) < 0 or max(x1, x2) > width or max(y1, y2) > height:
        expected = f"a box inside the image of {size} (width, height)"
        yield Fault("box outside the image", where, expected, value, "correct or clip the box")
