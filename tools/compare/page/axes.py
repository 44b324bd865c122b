"""The frame of a chart in SVG: its axes, and where values lie in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.ticker import MaxNLocator

TICKS = 4  # least number on an axis
# room for bands above and below the curves, as a share of the curves' height: bands of two seeds
# are many times as high
ROOM = 0.6


@dataclass(frozen=True)
class Frame:
    """A chart's size and the room between its plot and its edges, in pixels."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


class Scale:
    """From values to pixels; `ticks` are round numbers between the ends."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        pad = 0.04 * (high - low) or 0.05 * abs(low) or 1.0
        self.low = low - pad
        self.high = high + pad
        self.start = start
        self.end = end

    def __call__(self, value: float) -> float:
        """Return the place of a value, at an end where it lies beyond."""
        value = min(max(value, self.low), self.high)
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values for the axis' labels, from low to high."""
        ticks: list[float] = []
        for most in range(5, 5 + 2 * TICKS):
            values = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            ticks = [float(v) for v in values if self.low <= v <= self.high]
            if len(ticks) >= TICKS:
                break
        return ticks


def scales(
    x: Sequence[float],
    y: Sequence[float],
    bands: Sequence[float],
    ends: tuple[float, float],
    frame: Frame,
) -> tuple[Scale, Scale]:
    """Return the scales of both axes.

    Args:
        x: all values along the axis, at least one.
        y: all finite values of curves, at least one.
        bands: all finite ends of bands.
        ends: the least and the largest possible value.
        frame: of the chart.
    """
    room = ROOM * (max(y) - min(y)) or 0.05 * abs(max(y)) or 1.0
    bottom = max(min([*y, *bands]), min(y) - room, ends[0])
    top = min(max([*y, *bands]), max(y) + room, ends[1])
    across = Scale(min(x), max(x), frame.left, frame.width - frame.right)
    return across, Scale(bottom, top, frame.height - frame.bottom, frame.top)


def grid(across: Scale, upward: Scale, x_label: str, y_label: str, frame: Frame) -> str:
    """Draw lines and numbers of both axes, and their names; an empty name is left out."""
    right = frame.width - frame.right
    parts = []
    for value in upward.ticks:
        at = upward(value)
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(
            f'<text x="{frame.left - 8}" y="{at:.1f}" dy=".35em" '
            f'text-anchor="end">{tick(value)}</text>'
        )
    for value in across.ticks:
        at = across(value)
        parts.append(
            f'<text x="{at:.1f}" y="{frame.height - frame.bottom + 20}" '
            f'text-anchor="middle">{tick(value)}</text>'
        )
    if x_label:
        middle = (frame.left + right) / 2
        parts.append(
            f'<text x="{middle}" y="{frame.height - 8}" text-anchor="middle" '
            f'class="name">{escape(x_label)}</text>'
        )
    if y_label:
        height = (frame.top + frame.height - frame.bottom) / 2
        turned = f'transform="translate(14 {height}) rotate(-90)"'
        parts.append(f'<text {turned} text-anchor="middle" class="name">{escape(y_label)}</text>')
    return "".join(parts)


def tick(value: float) -> str:
    """Return the text of a number on an axis."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def finite(values: Sequence[float]) -> list[float]:
    """Return the values that are finite."""
    return [value for value in values if math.isfinite(value)]
