"""The records of one COCO json that are of keypoints: the category with its joints, and persons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.process.text import nearest, one_line, shown
from tasks import coco_records as records
from tasks.coco_records import Id, Json, Record, whole
from tasks.faults import Fault, Reading, finite

NUMBERS = 3  # of a joint: x, y, v
VISIBILITY = (0, 1, 2)  # not annotated, annotated and hidden, annotated and seen
ROOM = 0.5  # of the box's longer side: how far outside of it joints of a person may lie
# What is odd and taken all the same, with the number of records that are.
COUNTS = "{} persons have no right 'num_keypoints': counted anew, as joints with v of 1 or 2"
BARE = "{} persons have no annotated joint: not trained on; in evaluation they do not count"
REGIONS = "{} crowds: not trained on; in evaluation what is found there does not count"
OTHER_CATEGORIES = "{} annotations of other categories are not looked at"


@dataclass(frozen=True)
class Category:
    """The category whose annotations are persons.

    Args:
        id: in its json.
        names: of all categories of the json.
        joints: their names in the order of the numbers.
        bones: pairs of joints, counted from 0, between which a line is drawn.
    """

    id: Id
    names: Mapping[Id, str]
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]


def category(json: Json, wanted: str | None) -> Reading[Category | None]:
    """The one category that has names of joints, or the one that is called `wanted`."""
    names = yield from records.category_names(json)
    entries = [entry for entry in json.data["categories"] if isinstance(entry, dict)]
    named = {key: entry for entry in entries if (key := whole(entry.get("id"))) in names}
    with_joints = {key: entry for key, entry in named.items() if entry.get("keypoints")}
    if wanted is not None:
        with_joints = {key: entry for key, entry in named.items() if names[key] == wanted}
    there = tuple(sorted(names.values()))
    where = f"{json.path}, categories"
    if len(with_joints) > 1:
        several = sorted(names[key] for key in with_joints)
        expected = "one category with names of joints as 'keypoints'"
        remedy = f"say which are the persons: task.category={several[0]!r}"
        yield Fault("several categories", where, expected, shown(several), remedy)
        return None
    if not with_joints and wanted is not None:
        expected = f"the category {wanted!r} of task.category"
        remedy = f"{nearest(wanted, there)} Correct it"
        yield Fault("missing category", where, expected, shown(there), remedy)
        return None
    if not with_joints:
        expected = "a category with names of joints as 'keypoints'"
        remedy = "export as 'COCO Keypoints', or write ['nose', 'left_eye', ...] there"
        yield Fault("no names of joints", where, expected, f"none in {shown(there)}", remedy)
        return None
    key, entry = next(iter(with_joints.items()))
    joints = yield from _joint_names(entry, f"{where}, {names[key]!r}")
    return None if joints is None else Category(key, names, joints, _bones(entry, len(joints)))


def _joint_names(entry: Record, where: str) -> Reading[tuple[str, ...] | None]:
    given = entry.get("keypoints")
    texts = isinstance(given, list) and all(isinstance(n, str) and one_line(n) for n in given)
    if given and isinstance(given, list) and texts and len(set(given)) == len(given):
        return tuple(given)
    expected = "different names of joints, of one line each, as 'keypoints'"
    yield Fault("names of joints", where, expected, shown(given), "name every joint once")
    return None


def _bones(entry: Record, joints: int) -> tuple[tuple[int, int], ...]:
    """The 'skeleton', whose joints count from 1; for pictures alone, so what is no pair is none."""
    given = entry.get("skeleton")
    pairs = given if isinstance(given, list) else []
    return tuple(
        (pair[0] - 1, pair[1] - 1)
        for pair in pairs
        if isinstance(pair, list)
        and len(pair) == 2
        and all(type(end) is int and 1 <= end <= joints for end in pair)
    )


def person(
    json: Json, index: int, images: Mapping[Id, Record], category: Category
) -> Reading[Record | None]:
    """An annotation in COCO's form, but for its `id` and `category_id`.

    None if it is at fault, or nothing can be learned from it or judged by it.
    """
    record = json.data["annotations"][index]
    where = f"{json.path}, annotations[{index}]"
    joints = len(category.joints)
    crowd = isinstance(record, dict) and record.get("iscrowd") in (1, "1")
    points = None
    if isinstance(record, dict) and not crowd:
        points = yield from _points(record, where, joints)
        if points is not None and not points[:, 2].any() and _no_box(record):
            json.odd[BARE] += 1
            return None
    result = yield from records.annotation(json, index, images, category.names)
    if result is None:
        return None
    area: Any = record.get("area")
    if finite(area) and area > 0:
        result["area"] = float(area)
    if result["iscrowd"] or points is None:
        points = np.zeros((joints, NUMBERS))
    count = int((points[:, 2] > 0).sum())
    result |= {"keypoints": points.reshape(-1).tolist(), "num_keypoints": count}
    json.odd[REGIONS] += result["iscrowd"]
    if not result["iscrowd"]:
        json.odd[COUNTS] += record.get("num_keypoints") != count
        json.odd[BARE] += count == 0
    return None if min(result["bbox"][2:]) < 1 else result  # counted by `records.annotation`


def _no_box(record: Record) -> bool:
    """Whether there is no box, or none with an area: who has no joint has none in CVAT's export."""
    box = record.get("bbox")
    if not box:
        return True
    return isinstance(box, list) and len(box) == 4 and box[2:] == [0, 0]


def _points(record: Record, where: str, joints: int) -> Reading[NDArray[np.float64] | None]:
    """(joints, 3): x and y in pixels, and v."""
    length = NUMBERS * joints
    form = f"'keypoints' as {length} numbers x, y, v of {joints} joints"
    values = record.get("keypoints")
    if not isinstance(values, list):
        remedy = "annotate them, or delete the annotation"
        yield Fault("no keypoints", where, form, shown(values), remedy)
        return None
    if len(values) != length:
        remedy = "annotate the person anew; a joint that is not annotated has 0, 0, 0"
        yield Fault("number of keypoints", where, form, str(len(values)), remedy)
        return None
    odd = [k for k, value in enumerate(values) if not finite(value)]
    if odd:
        came = f"{shown(values[odd[0]])} as keypoints[{odd[0]}] ({len(odd)} such)"
        yield Fault("keypoints", where, "finite numbers in 'keypoints'", came, "annotate it anew")
        return None
    points = np.array(values, dtype=np.float64).reshape(joints, NUMBERS)
    unknown = [k for k, v in enumerate(points[:, 2].tolist()) if v not in VISIBILITY]
    if unknown:
        place = NUMBERS * unknown[0] + 2
        came = f"{shown(values[place])} as keypoints[{place}] ({len(unknown)} such)"
        expected = "v as 0 (not annotated), 1 (hidden) or 2 (seen), every third of 'keypoints'"
        yield Fault("visibility", where, expected, came, "write one of them")
        return None
    return points


def outside(annotation: Record, where: str) -> Iterator[Fault]:
    """Annotated joints most of which are far from the person's box.

    One of the two is in another unit, or of another person.
    """
    points = np.array(annotation["keypoints"]).reshape(-1, NUMBERS)
    spots = points[points[:, 2] > 0, :2]
    x, y, width, height = annotation["bbox"]
    room = ROOM * max(width, height)
    low, high = np.array([x, y]) - room, np.array([x + width, y + height]) + room
    out = ((spots < low) | (spots > high)).any(axis=1)
    if out.sum() <= len(spots) / 2:
        return
    came = f"{int(out.sum())} of {len(spots)} elsewhere, such as {shown(spots[out][0].tolist())}"
    expected = f"most of the annotated joints at the 'bbox' {shown(annotation['bbox'])}"
    remedy = "correct one of them; both are in pixels of the image"
    yield Fault("keypoints outside the box", where, expected, came, remedy)
