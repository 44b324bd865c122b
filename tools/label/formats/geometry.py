"""Boxes and joints in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tools.label.labels import Box, Joint, LabelError, Shape

Point = tuple[float, float]
TURN = 1e-6  # degrees below which a box counts as not rotated


def is_rotated(degrees: float) -> bool:
    """Whether a box is rotated by more than rounding."""
    return abs((degrees + 180) % 360 - 180) > TURN


def enclosing(points: Iterable[Point]) -> Box:
    """The smallest upright box around points."""
    listed = list(points)
    left = min(x for x, _ in listed)
    top = min(y for _, y in listed)
    right = max(x for x, _ in listed)
    bottom = max(y for _, y in listed)
    return left, top, right - left, bottom - top


def rotated(box: Box, degrees: float, about: Point) -> Box:
    """The upright box around `box` rotated clockwise, as the eye sees it, about a point."""
    x, y, width, height = box
    cosine = math.cos(math.radians(degrees))
    sine = math.sin(math.radians(degrees))
    corners = []
    for corner_x, corner_y in (
        (x, y),
        (x + width, y),
        (x, y + height),
        (x + width, y + height),
    ):
        right = corner_x - about[0]
        down = corner_y - about[1]
        corners.append(
            (about[0] + right * cosine - down * sine, about[1] + right * sine + down * cosine)
        )
    return enclosing(corners)


def center(box: Box) -> Point:
    """The middle of a box."""
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def person_box(shape: Shape) -> Box:
    """The box of a person; where none is given that around the joints, a pixel a side at least.

    Raises:
        LabelError: if no joint is annotated either.
    """
    if shape.box is not None:
        return shape.box
    points = [(joint.x, joint.y) for joint in shape.joints if joint.visibility]
    if not points:
        raise LabelError(f"a {shape.label!r} has neither a box nor a joint: nothing can be drawn")
    x, y, width, height = enclosing(points)
    return x, y, max(width, 1.0), max(height, 1.0)


def joint(x: float, y: float, visibility: int) -> Joint:
    """A joint; one that is not annotated lies at (0, 0)."""
    if visibility == 0:
        return Joint(0.0, 0.0, 0)
    return Joint(x, y, visibility)


def all_finite(values: Sequence[float]) -> bool:
    """Whether no value is NaN or infinite, as a product of finite ones may be."""
    return all(math.isfinite(value) for value in values)
