"""The records of one COCO json: images, categories, annotations.

Each is taken, mended and counted, or a fault.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from models.process.text import shown
from tasks.box_units import CORNERS, are_corners, is_normalised, normalised
from tasks.faults import SEPARATORS, Fault, Reading, Size, finite, misleads, slashed
from tasks.images import ImageCheck, image_size, swapped, wrong_size

Id: TypeAlias = int | str
Record: TypeAlias = dict[str, Any]

OUTSIDE = 1.0  # pixels that a box may leave the image: COCO's own are rounded
TINY = 0.01  # share of a json's annotations whose box may be under a pixel: COCO's own has a few
# What is odd and taken all the same, with the number of records that are.
IDS = "{} annotations have as 'id' 0, none, no number or another's: numbered anew in memory"
TEXTS = "{} ids are texts or fractions, as '7' or 7.0: taken as the whole numbers"
AREAS = "{} annotations have no number above 0 as 'area': it is the box's width times height"
CROWDS = "{} annotations have no 'iscrowd': taken as 0"
IGNORED = "{} annotations have 'ignore' 1: taken as crowds, in training and in evaluation"
TINIES = "{} of {} annotations have a 'bbox' under 1 pixel a side ({}): left out, as mmdet does"
SIZES = "{} images have no 'width' and 'height' in pixels: taken from the image files"


class Json:
    """One json while it is read.

    Args:
        path: of the file.
        root: the data set's folder.
        folder: of the images, below root.
        data: what is in it.
        look: looks at every image; None if the json's word on its size is enough.
    """

    def __init__(
        self, path: Path, root: Path, folder: str, data: Record, look: ImageCheck | None
    ) -> None:
        self.path = path
        self.root = root
        self.folder = folder
        self.data = data
        self.look = look
        self.odd: Counter[str] = Counter()
        self.first: dict[Id, int] = {}  # annotation of each id
        self.tiny: list[Fault] = []  # boxes under a pixel

    def id(self, value: object) -> Id | None:
        """Return the id in its canonical form (`whole`); count those written in another."""
        key = whole(value)
        self.odd[TEXTS] += isinstance(key, int) and not isinstance(value, int)
        return key

    def notes(self) -> list[str]:
        """Return a line for each way in which records differ from COCO's own."""
        lines = [
            f"{self.path}: {text.format(f'{count:,}')}" for text, count in self.odd.items() if count
        ]
        if self.tiny:
            one = f"{self.tiny[0].where.rpartition(', ')[2]} {self.tiny[0].came}"
            text = TINIES.format(f"{len(self.tiny):,}", f"{len(self.data['annotations']):,}", one)
            lines.append(f"{self.path}: {text}")
        return lines

    def many_tiny(self) -> list[Fault]:
        """Return the faults of boxes under a pixel if there are more than a few.

        mmdet drops such boxes, and pycocotools would judge by them.
        """
        if len(self.tiny) > TINY * len(self.data["annotations"]):
            return self.tiny
        return []


def whole(value: object) -> Id | None:
    """Return an id in its canonical form, in which equal ids are equal.

    It is 7 for 7, 7.0 and "7"; other texts stay as they are; anything else is None.
    """
    if isinstance(value, str):
        return int(value) if re.fullmatch("0|-?[1-9][0-9]{0,17}", value) else value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if type(value) is int else None


def image(json: Json, where: str, record: Record, files: dict[Path, str]) -> Reading[Record]:
    """An image record in COCO's form with its own `id`.

    `width` and `height` are missing where neither the json nor the file gives them.
    """
    name = record.get("file_name")
    size = _sides(record)
    json.odd[SIZES] += size is None
    folder = json.root / json.folder
    if isinstance(name, str):
        written = name
        name = slashed(folder, name)
        json.odd[SEPARATORS] += name != written
    if not isinstance(name, str) or not name or misleads(name):
        yield Fault(
            "file_name",
            where,
            f"a one-line path below {folder}",
            shown(name),
            "write the image's path",
        )
    elif (first := files.setdefault(folder / name, where)) != where:
        yield Fault(
            "file twice",
            where,
            "every image file once in a split",
            shown(name),
            f"see {first}; delete one",
        )
    else:
        size = yield from _size(json, where, folder / name, size)
    result: Record = {"id": record.get("id"), "file_name": os.path.join(json.folder, str(name))}
    if size is not None:
        result["width"], result["height"] = size
    return result


def _sides(record: Record) -> Size | None:
    sides: tuple[Any, Any] = record.get("width"), record.get("height")
    return sides if all(finite(side) and side > 0 for side in sides) else None


def _size(json: Json, where: str, path: Path, declared: Size | None) -> Reading[Size | None]:
    """The image's own size where the image is read, else the json's."""
    if json.look is not None:
        real = yield from json.look.size(path)
    elif declared is not None:
        return declared
    else:
        real = yield from image_size(path, full=False)
    if real and declared and real != declared:
        yield wrong_size(where, path, real, declared, "the json's size")
    if swapped(real, declared):  # one fault is enough: boxes are judged by the json's size
        return declared
    return real or declared


def category_names(json: Json) -> Reading[dict[Id, str]]:
    """The name of each category id.

    Of two entries of one name, as of Roboflow's, one may have annotations.
    """
    names: dict[Id, str] = {}
    owners: dict[str, Id] = {}
    annotations = [record for record in json.data["annotations"] if isinstance(record, dict)]
    used = {whole(record.get("category_id")) for record in annotations} - {None}
    for index, category in enumerate(json.data["categories"]):
        record = category if isinstance(category, dict) else {}
        key = json.id(record.get("id"))
        name = record.get("name")
        taken = isinstance(name, str) and {key, owners.get(name)} <= used
        if key is None or key in names or not isinstance(name, str) or taken:
            expected = "a category with an 'id' and a 'name' that no other has"
            where = f"{json.path}, categories[{index}]"
            yield Fault("category", where, expected, shown(category), "correct or delete it")
        if key is None or key in names or not isinstance(name, str):
            continue
        names[key] = name
        if key in used or name not in owners:
            owners[name] = key
    return names


def annotation(
    json: Json, index: int, images: Mapping[Id, Record], names: Mapping[Id, str]
) -> Reading[Record | None]:
    """An annotation in COCO's form, but for its `id` and `category_id`.

    None if it is of no image or has no box.
    """
    record = json.data["annotations"][index]
    where = f"{json.path}, annotations[{index}]"
    if not isinstance(record, dict):
        yield Fault("broken annotation", where, "an object", shown(record), "export the file anew")
        return None
    key = yield from _known(json, record, "image", where, images)
    image = {} if key is None else images[key]
    yield from _known(json, record, "category", where, names)
    yield from _duplicate(json, index, where)
    crowd = yield from _crowd(json, record, where)
    box = yield from _box(json, record.get("bbox"), where, _sides(image))
    area: Any = record.get("area")
    json.odd[AREAS] += not finite(area) or area <= 0
    if key is None or box is None:
        return None
    return {"image_id": image["id"], "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}


def _known(
    json: Json, record: Record, what: str, where: str, ids: Mapping[Id, object]
) -> Reading[Id | None]:
    """The id that the annotation gives as `<what>_id` where `ids` has it, else None."""
    value = record.get(f"{what}_id")
    key = json.id(value)
    if key is not None and key in ids:
        return key
    yield Fault(
        f"unknown {what}",
        where,
        f"a '{what}_id' that the json has",
        shown(value),
        "correct or delete it",
    )
    return None


def _duplicate(json: Json, index: int, where: str) -> Reading[None]:
    """Count an id that another annotation has; with the same box too, it is a fault."""
    records = json.data["annotations"]
    key = whole(records[index].get("id"))
    first = index
    if key is not None:
        first = json.first.setdefault(key, index)
    # 0 marks a detection that pycocotools did not match
    if not isinstance(key, int) or key == 0 or first != index:
        json.odd[IDS] += 1
    fields = ("image_id", "category_id", "bbox")
    if first != index and all(
        records[first].get(name) == records[index].get(name) for name in fields
    ):
        value = f"{shown(key)} with the same box as annotations[{first}]"
        yield Fault("annotation twice", where, "every annotation once", value, "delete one")


def _crowd(json: Json, record: Record, where: str) -> Reading[int]:
    """1 for a region that counts neither as found nor as missed, else 0.

    It is COCO's `iscrowd` or `ignore`: mmdet drops annotations with `ignore`, and pycocotools
    counts them.
    """
    flags = {}
    for name in ("iscrowd", "ignore"):
        value = record.get(name)
        if value not in (None, 0, 1, "0", "1"):
            yield Fault(name, where, f"{name!r} 0 or 1", shown(value), "write 0")
            value = 0
        flags[name] = int(value or 0)
    json.odd[CROWDS] += record.get("iscrowd") is None
    json.odd[IGNORED] += flags["ignore"] > flags["iscrowd"]
    return max(flags.values())


def _box(json: Json, box: object, where: str, size: Size | None) -> Reading[list[float] | None]:
    if not isinstance(box, list) or len(box) != 4 or not all(finite(value) for value in box):
        yield Fault(
            "bbox",
            where,
            "'bbox' as four finite numbers x, y, width, height",
            shown(box),
            "annotate it anew",
        )
        return None
    x, y, w, h = box
    if w < 1 or h < 1:  # mmdet drops them silently
        fault = Fault(
            "box of no area",
            where,
            "a 'bbox' of 1 pixel or more a side",
            shown(box),
            "widen or delete it",
        )
        if is_normalised(x, y, x + w, y + h):
            yield normalised(where, "'bbox'", shown(box))
        elif min(w, h) >= 0:
            json.tiny.append(fault)
        else:
            yield fault
        return None
    width, height = size or (math.inf, math.inf)
    beside = min(x + w, y + h) <= 0 or x >= width or y >= height  # dropped silently
    if beside or min(x, y) < -OUTSIDE or x + w > width + OUTSIDE or y + h > height + OUTSIDE:
        expected = f"a 'bbox' (x, y, width, height) inside the image of {size} (width, height)"
        remedy = "correct or clip it"
        if size is not None and are_corners(x, y, w, h, size):
            remedy += f"; {CORNERS}"
        yield Fault("box outside the image", where, expected, shown(box), remedy)
    return box
