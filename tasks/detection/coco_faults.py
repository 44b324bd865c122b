"""Every fault of a data set in COCO's json, among them what mmdet's CocoDataset and pycocotools silently get wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.faults import (
    Fault,
    Reading,
    Size,
    escapes,
    finite,
    misleads,
    nearest,
    path_fault,
    read_json,
    shown,
)
from tasks.images import ImageCheck, swapped, wrong_size

JSON_BYTES = 4 << 30
IDS = 10**15
OUTSIDE = 1.0  # pixels that a box may leave the image: COCO's own are rounded


def coco_faults(
    root: Path,
    lists: Sequence[str],
    classes: Sequence[str],
    *,
    full: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Fault]:
    """All faults of one split.

    Args:
        root: the data set's folder, `data_root`.
        lists: "<image folder>:<json>", both below root, such as "train2017:annotations/instances_train2017.json"; the
            folder may be "".
        classes: the class names of the setting.
        full: decode every image, too; without, headers are read.
        progress: wraps the list of image records of each json, as tqdm does.
    """
    return list(_split_faults(Path(root).absolute(), lists, tuple(classes), full, progress))


def _split_faults(
    root: Path, lists: Sequence[str], classes: tuple[str, ...], full: bool, progress: Callable[[Iterable], Iterable]
) -> Iterator[Fault]:
    form = "'<image folder>:<json>', both below data_root"
    fault = path_fault(root, "data_root", "data_root is the folder that holds the images' folder and the json")
    if fault is None and not lists:
        fault = Fault("list name", str(root), form, shown(lists), "name a json at least")
    if fault is not None:
        yield fault
        return
    look = ImageCheck(full)
    seen: dict[object, str] = {}  # image ids and files are unique over the split: they name the pool's samples
    for entry in lists:
        folder, colon, name = entry.partition(":")
        if not colon or not name or escapes(folder) or escapes(name):
            yield Fault("list name", str(root), form, shown(entry), "write 'train2017:annotations/train.json'")
            continue
        data = yield from _json(root / name, root)
        if data is not None:
            sizes = yield from _image_faults(root / name, root / folder, data["images"], seen, look, progress)
            names = yield from _category_names(root / name, data["categories"])
            yield from _class_faults(root / name, tuple(names.values()), classes)
            yield from _annotation_faults(root / name, data["annotations"], sizes, names, classes)
    yield from look.together()


def _json(path: Path, root: Path) -> Reading[dict[str, list] | None]:
    remedies = f"lists are relative to data_root, here {root}", "export it as COCO 'instances'"
    data = yield from read_json(path, dict, "an object at the top", remedies, JSON_BYTES)
    if data is None:
        return None
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(data.get(key), list)]
    for key in missing:
        yield Fault("broken json", str(path), f"a list as {key!r}", shown(data.get(key)), "export it as 'instances'")
    return None if missing else data


def _image_faults(
    path: Path, folder: Path, images: list, seen: dict, look: ImageCheck, progress: Callable[[Iterable], Iterable]
) -> Reading[dict[Any, Size | None]]:
    """Returns the size of each image id: the image's own, else the json's, else None."""
    if not images:
        yield Fault("no images", str(path), "an image at least", "none", "export the file anew")
    sizes: dict[Any, Size | None] = {}
    for index, image in enumerate(progress(images)):
        where = f"{path}, images[{index}]"
        if not isinstance(image, dict):
            yield Fault("broken image record", where, "an object", shown(image), "export the file anew")
            continue
        size = yield from _size(image, where, folder, look, seen)
        kind = str if isinstance(next(iter(sizes), image.get("id")), str) else int
        if (yield from _id(image, "image id", where, seen, kind)):
            sizes.setdefault(image["id"], size)
    return sizes


def _id(record: dict, what: str, where: str, seen: dict, kind: type) -> Reading[bool]:
    """Whether `record` has an id of type `kind` (pycocotools sorts ids, so they are all of one), new or not."""
    value = record.get("id")
    if type(value) is not kind or not _is_id(value):
        expected = f"an 'id' ({kind.__name__}, as in all records, of at most 15 digits)"
        yield Fault(what, where, expected, shown(value), "number the records")
        return False
    first = seen.setdefault((what, value), where)
    if first != where:
        yield Fault(what, where, "every id once in a split", f"{shown(value)} again", f"see {first}; number anew")
    return True


def _is_id(value: object) -> bool:
    """Whether pycocotools, which keeps ids as 64-bit floats, can tell this one from others."""
    return isinstance(value, str) or (type(value) is int and abs(value) < IDS)


def _size(image: dict, where: str, folder: Path, look: ImageCheck, seen: dict) -> Reading[Size | None]:
    sides: tuple[Any, Any] = image.get("width"), image.get("height")
    declared: Size | None = sides if all(finite(side) and side > 0 for side in sides) else None
    if declared is None:
        yield Fault("image size", where, "'width' and 'height' in pixels", shown(sides), "write the image's own")
    name = image.get("file_name")
    if not isinstance(name, str) or not name or misleads(name):
        yield Fault("file_name", where, f"a one-line path below {folder}", shown(name), "write the image's path")
        return declared
    first = seen.setdefault(folder / name, where)
    if first != where:
        yield Fault("file twice", where, "every image file once in a split", shown(name), f"see {first}; delete one")
        return declared
    real = yield from look.size(folder / name)
    if real and declared and real != declared:
        yield wrong_size(where, folder / name, real, declared, "the json's size")
    return declared if swapped(real, declared) else real or declared  # one fault tells it


def _category_names(path: Path, categories: list) -> Reading[dict[Any, str]]:
    """The name of each category id."""
    names: dict[Any, str] = {}
    taken = set()
    for index, category in enumerate(categories):
        record = category if isinstance(category, dict) else {}
        key, name = record.get("id"), record.get("name")
        if not _is_id(key) or not isinstance(name, str) or key in names or name in taken:
            expected = "a category with an 'id' and a 'name' that no other has"
            yield Fault("category", f"{path}, categories[{index}]", expected, shown(category), "correct or delete it")
        else:
            names[key] = name
            taken.add(name)
    return names


def _class_faults(path: Path, known: tuple[str, ...], classes: tuple[str, ...]) -> Iterator[Fault]:
    for name in classes:
        if name not in known:
            remedy = f"{nearest(name, known)} Correct `classes` or the json"
            yield Fault("missing category", str(path), f"a category for {name!r} of `classes`", "none", remedy)
    came, order = [n for n in known if n in classes], [n for n in classes if n in known]
    if came != order:  # mmdet numbers the labels in the json's order and names them in that of `classes`
        remedy = "put `classes` (or the json's categories) in the same order"
        yield Fault("category order", str(path), f"categories in the order of `classes`, {order}", str(came), remedy)


def _annotation_faults(
    path: Path, annotations: list, sizes: dict[Any, Size | None], names: dict[Any, str], classes: tuple[str, ...]
) -> Iterator[Fault]:
    seen: dict[object, str] = {}
    used: Counter[str] = Counter()
    for index, annotation in enumerate(annotations):
        where = f"{path}, annotations[{index}]"
        if not isinstance(annotation, dict):
            yield Fault("broken annotation", where, "an object", shown(annotation), "export the file anew")
            continue
        image = yield from _known(annotation, "image", where, sizes)
        category = yield from _known(annotation, "category", where, names)
        used.update([names[category]] if category in names else [])
        yield from _field_faults(annotation, where, seen)
        yield from _box_faults(annotation.get("bbox"), where, sizes.get(image))
    for name in sorted(set(used) - set(classes)):  # dropped silently
        came, remedy = f"{used[name]} of {name!r}", f"{nearest(name, classes)} Or add it to `classes`"
        yield Fault("category not in classes", str(path), "annotations of `classes` alone", came, remedy)


def _known(annotation: dict, what: str, where: str, ids: dict) -> Reading[Any]:
    """The id that the annotation gives as `<what>_id` where `ids` has it, else None."""
    value = annotation.get(f"{what}_id")
    if _is_id(value) and value in ids:
        return value
    yield Fault(f"unknown {what}", where, f"a '{what}_id' that the json has", shown(value), "correct or delete it")
    return None


def _field_faults(annotation: dict, where: str, seen: dict[object, str]) -> Iterator[Fault]:
    if (yield from _id(annotation, "annotation id", where, seen, int)) and annotation["id"] == 0:
        # pycocotools marks a detection with the id of the box that it matches, and 0 means that it matches none
        yield Fault("annotation id", where, "an 'id' other than 0", "0 (counted as missed)", "count from 1")
    if annotation.get("iscrowd") not in (0, 1):  # pycocotools stops without
        yield Fault("iscrowd", where, "'iscrowd' 0 or 1", shown(annotation.get("iscrowd")), "write 0")
    area: Any = annotation.get("area")
    if not finite(area) or area <= 0:  # dropped silently
        yield Fault("area", where, "a number above 0 as 'area'", shown(area), "write the box's width times height")


def _box_faults(box: object, where: str, size: Size | None) -> Iterator[Fault]:
    if not isinstance(box, list) or len(box) != 4 or not all(finite(value) for value in box):
        yield Fault("bbox", where, "'bbox' as four finite numbers x, y, width, height", shown(box), "annotate it anew")
        return
    x, y, w, h = box
    if w < 1 or h < 1:  # dropped silently
        yield Fault("box of no area", where, "a 'bbox' of 1 pixel or more a side", shown(box), "widen or delete it")
    width, height = size or (math.inf, math.inf)
    if min(x, y) < -OUTSIDE or x + w > width + OUTSIDE or y + h > height + OUTSIDE:
        expected = f"a 'bbox' (x, y, width, height) inside the image of {size} (width, height)"
        yield Fault("box outside the image", where, expected, shown(box), "correct or clip it")
