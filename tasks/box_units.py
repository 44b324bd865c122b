"""Find boxes in another unit or order than their format's.

The fault names the unit, so that one change mends all boxes.
"""

from __future__ import annotations

from tasks.faults import Fault, Size

ROUNDING = 0.01  # by which a normalised box may leave the image
CORNERS = "where these are corners (x1, y1, x2, y2), write x2 - x1 and y2 - y1 as width and height"
SIDES = (
    "where these are x, y, width and height, write x + width and y + height as the second corner"
)


def is_normalised(x1: float, y1: float, x2: float, y2: float) -> bool:
    """Whether a box's corners are fractions of the image's sides instead of pixels."""
    top = 1 + ROUNDING
    return (
        0 <= x1 < x2 <= top
        and 0 <= y1 < y2 <= top
        and not all(v in (0, 1) for v in (x1, y1, x2, y2))
    )


def normalised(where: str, what: str, value: str) -> Fault:
    """The fault of such a box; `what` has its numbers."""
    remedy = (
        "they look normalised: multiply those along x by the image's width, those along y by "
        "its height"
    )
    return Fault("normalised box", where, f"{what} in pixels", value, remedy)


def are_corners(x: float, y: float, w: float, h: float, size: Size) -> bool:
    """Whether x, y, width and height, taken as two corners, are a box inside the image."""
    return 0 <= x < w <= size[0] and 0 <= y < h <= size[1]


def are_sides(x1: float, y1: float, x2: float, y2: float, size: Size) -> bool:
    """Whether two corners, taken as x, y, width and height, are a box inside the image."""
    return min(x1, y1) >= 0 and min(x2, y2) > 0 and x1 + x2 <= size[0] and y1 + y2 <= size[1]
