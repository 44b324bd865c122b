"""The lines of YOLO's texts as shapes in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.process.text import shown
from tasks.faults import Fault
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.geometry import joint
from tools.label.formats.sources import damaged
from tools.label.labels import Joint, PoolImage, Shape

AGAIN = "draw it anew"
NAMED = "write `names`, `kpt_shape` and `kpt_names` as YOLO's pose data has them"


@dataclass(frozen=True)
class Layout:
    """What the numbers of a line mean.

    Args:
        names: of the classes, by their number.
        joints: in the order of the lines; none of boxes.
        numbers: for each joint: 3 with a visibility, or 2 without.
        order: for each joint of the labeling its place in a line.
    """

    names: dict[int, str]
    joints: int = 0
    numbers: int = 3
    order: tuple[int, ...] = ()

    @classmethod
    def of_names(cls, classes: Sequence[str], labeling: Labeling) -> Layout:
        """The layout where only the classes are named: joints are those of the labeling."""
        count = len(labeling.joints)
        return cls(dict(enumerate(classes)), count, 3, tuple(range(count)))

    @classmethod
    def of_yaml(cls, data: dict[object, object], where: str, labeling: Labeling) -> Layout:
        """The layout that data.yaml describes.

        Raises:
            Damaged: if it does not, or its joints are not those of the labeling.
        """
        names = _names(data["names"], where)
        if labeling.kind != "poses":
            return cls(names)
        count = len(labeling.joints)
        shape = data.get("kpt_shape")
        if shape is None:
            raise damaged(kinds.NO_NAMES, where, "kpt_shape of poses", "none", NAMED)
        if shape not in ([count, 2], [count, 3]):
            expected = f"kpt_shape [{count}, 3] or [{count}, 2]"
            raise damaged(kinds.JOINT_COUNT, where, expected, shown(shape), NAMED)
        joints = data.get("kpt_names")
        if isinstance(joints, dict) and joints:
            joints = next(iter(joints.values()))
        order = tuple(range(count))
        if joints is not None:
            if not isinstance(joints, list) or sorted(map(str, joints)) != sorted(labeling.joints):
                expected = f"kpt_names {shown(list(labeling.joints))} in any order"
                raise damaged(kinds.JOINT_NAME, where, expected, shown(joints), NAMED)
            order = tuple(joints.index(name) for name in labeling.joints)
        numbers = 2 if shape == [count, 2] else 3
        return cls(names, count, numbers, order)


def _names(value: object, where: str) -> dict[int, str]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    names: dict[int, str] = {}
    if isinstance(value, dict):
        for key, name in value.items():
            number = shown(key).strip("'")
            if number.isdecimal() and len(number) < 10:
                names[int(number)] = str(name)
    if not isinstance(value, dict) or not names or len(names) < len(value):
        expected = "`names` as a list, or by number"
        raise damaged(kinds.NO_NAMES, where, expected, shown(value), NAMED)
    return names


def read_lines(
    text: str, layout: Layout, image: PoolImage, where: str
) -> tuple[list[Shape], list[Fault]]:
    """The shapes of a text; blank lines are none."""
    shapes: list[Shape] = []
    faults: list[Fault] = []
    for place, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words:
            found = _shape(words, layout, image, f"{where}, line {place}")
            if isinstance(found, Fault):
                faults.append(found)
            else:
                shapes.append(found)
    return shapes, faults


def _shape(words: list[str], layout: Layout, image: PoolImage, where: str) -> Shape | Fault:
    fault = _count_fault(words, layout, where)
    if fault is not None:
        return fault
    values = [_number(word) for word in words]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Fault(kinds.COORDINATE, where, "finite numbers", shown(" ".join(words)), AGAIN)
    number = known[0]
    if number not in layout.names:
        expected = f"a class from 0 to {max(layout.names)}"
        remedy = "correct it, or the names of the export"
        return Fault(kinds.WRONG_CLASS, where, expected, shown(words[0]), remedy)
    box = known[1:5]
    fault = _scale_fault(box, image.size, where)
    if fault is not None:
        return fault
    width, height = image.size
    x, y, w, h = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    joints = _joints(known[5:], layout, image.size, where)
    if isinstance(joints, Fault):
        return joints
    return Shape(layout.names[int(number)], (x - w / 2, y - h / 2, w, h), joints)


def _count_fault(words: list[str], layout: Layout, where: str) -> Fault | None:
    expected = 5 + layout.joints * layout.numbers
    if len(words) == expected:
        return None
    came = f"{len(words)}: {shown(' '.join(words))}"
    if layout.joints:
        said = f"{expected} numbers: class, box, and {layout.joints} joints"
        return Fault(kinds.JOINT_COUNT, where, said, came, AGAIN)
    remedy = "draw a box in its place"
    if len(words) == 6:
        remedy = "that is a prediction with its confidence? People have to look at it first"
    elif len(words) == 9:
        remedy = f"that is a rotated box or a polygon? {remedy}"
    return Fault(kinds.SHAPE, where, "5 numbers: class, x, y, width, height", came, remedy)


def _scale_fault(values: Sequence[float], size: tuple[int, int], where: str) -> Fault | None:
    for value, side in zip(values, (*size, *size), strict=False):
        spare = 1 / side  # a pixel
        if not -spare <= value <= 1 + spare:
            expected = "shares of the image's sides, from 0 to 1"
            remedy = "draw it inside the image; or are these pixels?"
            return Fault(kinds.SCALE, where, expected, shown(value), remedy)
    return None


def _joints(
    values: list[float], layout: Layout, size: tuple[int, int], where: str
) -> tuple[Joint, ...] | Fault:
    found = []
    for place in range(layout.joints):
        part = values[place * layout.numbers : (place + 1) * layout.numbers]
        seen = part[2] if layout.numbers == 3 else 2.0 * any(part)
        if seen not in (0, 1, 2):
            expected = "a visibility 0, 1 or 2"
            return Fault(kinds.VISIBILITY, where, expected, shown(seen), AGAIN)
        if seen:
            fault = _scale_fault(part[:2], size, where)
            if fault is not None:
                return fault
        found.append(joint(part[0] * size[0], part[1] * size[1], int(seen)))
    return tuple(found[place] for place in layout.order)


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
