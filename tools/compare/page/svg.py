"""Line charts as inline SVG, in the colours of the page's style sheet, light and dark.

It is drawn here, as Matplotlib's SVG has fixed colours, and text that needs further fonts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator

from tools.compare.curves import Curve
from tools.display.looks import MARKS, Style

WIDTH = 640
HEIGHT = 396
LEFT = 92  # pixels between plot and edge, like the next three
RIGHT = 16
TOP = 34
BOTTOM = 50
# room for bands above and below the curves, as a share of the curves' height: bands of two seeds
# are many times as high
ROOM = 0.6
FEW = 3  # most curves whose overlapping bands can still be distinguished
TICKS = 4  # least number on an axis


def every(along: Curve) -> int:
    """Return the step between a curve's marked points: 1 if they are measured.

    Of interpolated points only some are marked.
    """
    return 7 if along.interpolated else 1


@dataclass(frozen=True)
class Line:
    """A curve with its band.

    Args:
        name: of the leg.
        style: its colour and dashes.
        x: (N,).
        y: (N,).
        low: (N,) of the band; not-a-number, or empty, if there is none.
        high: (N,).
        every: step between the points that are marked and show their value, from the first on; 0
            for none.
        thin: whether it is of an unfinished run.
    """

    name: str
    style: Style
    x: Sequence[float] = field(repr=False)
    y: Sequence[float] = field(repr=False)
    low: Sequence[float] = field(default=(), repr=False)
    high: Sequence[float] = field(default=(), repr=False)
    every: int = 1
    thin: bool = False


def line_chart(
    lines: Sequence[Line],
    title: str,
    x_label: str,
    y_label: str,
    chance: float | None = None,
    ends: tuple[float, float] = (-math.inf, math.inf),
    note: str = "",
) -> str:
    """Draw an SVG with axes, bands, curves and points, and a dashed line at `chance`.

    It is empty without a point. `note` is written above it, such as the number of seeds. `ends` are
    the least and the largest possible value: a t-interval may go beyond, the axis does not.
    """
    x = [v for line in lines for v in line.x]
    y = [v for line in lines for v in line.y if math.isfinite(v)]
    if not x or not y:
        return ""
    if chance is not None:
        y.append(chance)
    bands = [v for line in lines for v in (*line.low, *line.high) if math.isfinite(v)]
    room = ROOM * (max(y) - min(y)) or 0.05 * abs(max(y)) or 1.0
    bottom = max(min([*y, *bands]), min(y) - room, ends[0])
    top = min(max([*y, *bands]), max(y) + room, ends[1])
    across = _Scale(min(x), max(x), LEFT, WIDTH - RIGHT)
    upward = _Scale(bottom, top, HEIGHT - BOTTOM, TOP)
    parts = []
    if note:
        parts.append(f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end">{escape(note)}</text>')
    parts.append(_grid(across, upward, x_label, y_label))
    if chance is not None:
        at = upward(chance)
        parts.append(
            f'<line class="chance" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
    faint = " faint" if len(lines) > FEW else ""
    for line in lines:
        band = _band(line, across, upward)
        parts.append(f'<g class="one{faint}">{band}{_curve(line, across, upward)}</g>')
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


class _Scale:
    """From values to pixels; `ticks` are round numbers between the ends."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        pad = 0.04 * (high - low) or 0.05 * abs(low) or 1.0
        self.low = low - pad
        self.high = high + pad
        self.start = start
        self.end = end

    def __call__(self, value: float) -> float:
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


def _grid(across: _Scale, upward: _Scale, x_label: str, y_label: str) -> str:
    parts = []
    for value in upward.ticks:
        at = upward(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 8}" y="{at:.1f}" dy=".35em" text-anchor="end">{_tick(value)}</text>'
        )
    for value in across.ticks:
        at = across(value)
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 20}" '
            f'text-anchor="middle">{_tick(value)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" '
        f'class="name">{escape(x_label)}</text>'
    )
    height = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="translate(14 {height}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle" class="name">{escape(y_label)}</text>')
    return "".join(parts)


def _tick(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def _band(line: Line, across: _Scale, upward: _Scale) -> str:
    """The polygon between the ends of a line's band; empty with fewer than two points."""
    known = [i for i, low in enumerate(line.low) if math.isfinite(low)]
    if len(known) < 2:
        return ""
    upper = [f"{across(line.x[i]):.1f},{upward(line.high[i]):.1f}" for i in known]
    lower = [f"{across(line.x[i]):.1f},{upward(line.low[i]):.1f}" for i in reversed(known)]
    return f'<polygon class="band c{line.style.colour}" points="{" ".join(upper + lower)}"/>'


def _curve(line: Line, across: _Scale, upward: _Scale) -> str:
    known = np.flatnonzero(np.isfinite(line.y)).tolist()
    spots = [(across(line.x[i]), upward(line.y[i])) for i in known]
    look = f'class="curve c{line.style.colour}"{_dashes(line.style.dash)}'
    if line.thin:
        look = f'class="thin c{line.style.colour}"{_dashes((1, 4))}'
    drawn = f'<polyline {look} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}"/>'
    if not line.every:
        return drawn
    for i, (x, y) in list(zip(known, spots, strict=True))[:: line.every]:
        at = f'transform="translate({x:.1f} {y:.1f})"'
        drawn += f"<path {mark(line.style)} {at}><title>{escape(_value(line, i))}</title></path>"
    return drawn


def _dashes(lengths: Sequence[int]) -> str:
    """The attribute for lengths of dashes and gaps in pixels; empty for a solid line."""
    return f' stroke-dasharray="{" ".join(map(str, lengths))}"' if lengths else ""


def mark(style: Style) -> str:
    """Return the attributes of a path that draws a strategy's mark about (0, 0)."""
    outlined = " hollow" if style.hollow else ""
    return f'class="point{outlined} c{style.colour}" d="{MARKS[style.mark]}"'


def _value(line: Line, i: int) -> str:
    value = f"{line.y[i]:.4g}"
    if len(line.low) and not math.isnan(line.low[i]):
        value += f" [{line.low[i]:.4g}, {line.high[i]:.4g}]"
    return f"{line.name}: {value} at {line.x[i]:,.6g}"


def chip(style: Style) -> str:
    """Draw a small line with its mark, for a legend."""
    line = (
        f'<line class="curve c{style.colour}" x1="1" x2="33" y1="7" y2="7"{_dashes(style.dash)}/>'
    )
    drawn = f'<path {mark(style)} transform="translate(17 7)"/>'
    return f'<svg class="chip" viewBox="0 0 34 14" aria-hidden="true">{line}{drawn}</svg>'
