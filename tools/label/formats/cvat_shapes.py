"""The shapes of one <image> of CVAT's XML, in pixels."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from models.process.text import nearest, shown
from tasks.faults import Fault
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.cvat_labels import STATES
from tools.label.formats.geometry import center, is_rotated, joint, rotated
from tools.label.labels import Joint, Shape

FITTING = {"boxes": "box", "poses": "skeleton", "classes": "tag"}
CORNERS = ("xtl", "ytl", "xbr", "ybr")
AGAIN = "draw it anew"


class Image:
    """One <image>, read.

    Args:
        element: of the XML.
        where: its place.
        labeling: what was to be drawn.

    Attributes:
        name: of the image.
        size: (width, height) that it declares.
        shapes: that could be read.
        sources: of each shape who made it, as CVAT says it.
        faults: what is wrong.
    """

    def __init__(self, element: ET.Element, where: str, labeling: Labeling) -> None:
        self.name = element.get("name") or ""
        self.where = f"{where} {shown(self.name)}"
        self.labeling = labeling
        self.faults: list[Fault] = []
        self.shapes: list[Shape] = []
        self.sources: list[str] = []
        if not self.name:
            self.fault(kinds.NO_IMAGE, "a name of the image", "none", "export it anew")
        self.size = self._size(element)
        for place, drawn in enumerate(element):
            if drawn.tag == "tag" and drawn.get("label") in STATES:
                continue
            shape = self._shape(drawn, f"{self.where}, shape {place}")
            if shape is not None:
                self.shapes.append(shape)
                self.sources.append(drawn.get("source", "manual"))

    @property
    def drawn_by_hand(self) -> bool:
        """Whether a shape is not a draft as it went out."""
        return any(source not in ("auto", "file") for source in self.sources)

    def fault(self, kind: str, expected: str, came: str, remedy: str, where: str = "") -> None:
        """Add what is wrong."""
        self.faults.append(Fault(kind, where or self.where, expected, came, remedy))

    def _size(self, element: ET.Element) -> tuple[float, float] | None:
        texts = element.get("width"), element.get("height")
        if texts == (None, None):
            return None
        sides = [_number(text) for text in texts]
        if sides[0] is None or sides[1] is None:
            expected = "width and height in pixels"
            self.fault(kinds.WRONG_SIZE, expected, shown(texts), "export it anew")
            return None
        return sides[0], sides[1]

    def _shape(self, drawn: ET.Element, where: str) -> Shape | None:
        fitting = FITTING[self.labeling.kind]
        if drawn.tag != fitting:
            came = f"<{drawn.tag[:100]}>"
            self.fault(kinds.SHAPE, f"<{fitting}>", came, f"draw a {fitting} in its place", where)
            return None
        label = drawn.get("label")
        if not label:
            self.fault(kinds.NO_CLASS, "a label", shown(label), AGAIN, where)
            return None
        box: tuple[float, float, float, float] | None = None
        joints: tuple[Joint, ...] | None = ()
        if fitting == "box":
            box = self._box(drawn, where)
        elif fitting == "skeleton":
            joints = self._joints(drawn, where)
        if (fitting == "box" and box is None) or joints is None:
            return None
        kept = {one.get("name"): (one.text or "").strip() for one in drawn.findall("attribute")}
        score = None
        if drawn.get("source") in ("auto", "file"):
            score = _number(kept.get("score"))
        return Shape(label, box, joints, score, kept.get("draft", ""))

    def _box(self, drawn: ET.Element, where: str) -> tuple[float, float, float, float] | None:
        texts = {name: drawn.get(name) for name in CORNERS}
        corners = [value for value in map(_number, texts.values()) if value is not None]
        degrees = _number(drawn.get("rotation", "0"))
        if len(corners) < 4 or degrees is None:
            texts["rotation"] = drawn.get("rotation")
            self.fault(kinds.COORDINATE, "finite numbers as corners", shown(texts), AGAIN, where)
            return None
        left, top, right, bottom = corners
        box = left, top, right - left, bottom - top
        if is_rotated(degrees):
            came = f"rotation {shown(degrees)}"
            self.fault(kinds.ROTATED, "an upright box", came, "draw it upright", where)
            return rotated(box, degrees, center(box))
        return box

    def _joints(self, skeleton: ET.Element, where: str) -> tuple[Joint, ...] | None:
        found: dict[str, Joint] = {}
        for place, point in enumerate(skeleton):
            if point.tag == "attribute":
                continue
            one = f"{where}, point {place}"
            name = point.get("label", "")
            if point.tag != "points":
                came = f"<{point.tag[:100]}>"
                self.fault(kinds.SHAPE, "<points> in <skeleton>", came, AGAIN, one)
                return None
            if name not in self.labeling.joints:
                remedy = nearest(name, self.labeling.joints)
                self.fault(kinds.JOINT_NAME, "a joint's name", shown(name), remedy, one)
                return None
            if name in found:
                expected = "each joint once a skeleton"
                self.fault(kinds.JOINT_TWICE, expected, shown(name), "delete one", one)
                return None
            read = self._joint(point, one)
            if read is None:
                return None
            found[name] = read
        missing = [name for name in self.labeling.joints if name not in found]
        if missing:
            came = f"none of {shown(missing)}"
            self.fault(kinds.JOINT_COUNT, "every joint in a skeleton", came, AGAIN, where)
            return None
        return tuple(found[name] for name in self.labeling.joints)

    def _joint(self, point: ET.Element, where: str) -> Joint | None:
        flags = point.get("outside", "0"), point.get("occluded", "0")
        if not set(flags) <= {"0", "1"}:
            expected = "outside and occluded 0 or 1"
            self.fault(kinds.VISIBILITY, expected, shown(flags), AGAIN, where)
            return None
        text = point.get("points", "")
        values = [_number(part) for part in text.split(",")]
        if len(values) != 2 or values[0] is None or values[1] is None:
            self.fault(kinds.COORDINATE, "one point as 'x,y'", shown(text), AGAIN, where)
            return None
        visibility = 0 if flags[0] == "1" else 2 - int(flags[1])
        return joint(values[0], values[1], visibility)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
