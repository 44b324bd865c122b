"""Line charts as inline SVG, in the colours of the page's style sheet, light and dark.

Kept by hand: Matplotlib's SVG fixes its colours, and its text needs fonts from elsewhere.
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

WIDTH, HEIGHT = 640, 396
LEFT, RIGHT, TOP, BOTTOM = 92, 16, 34, 50  # px between plot and edge
# of the curves' height, above and below it, for bands: those of two seeds are many times as high
ROOM = 0.6
FEW = 3  # curves whose bands, one over the other, can still be told apart
TICKS = 4  # on an axis at least


def every(along: Curve) -> int:
    """Which points of a curve are marked: all that were measured, and some of those that
    were interpolated.
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
        every: the first and so many points further each one is marked, and tells its value; 0 for
            none.
        thin: of an unfinished run.
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
    """An SVG with axes, bands, curves and points; a dashed line where chance is. Empty without a
    point.

    `note` stands above it, such as how many seeds it is of. `ends` are the least and the largest
    value there can be: a t-interval may go beyond, the axis does not.
    """
    x = [v for line in lines for v in line.x]
    y = [v for line in lines for v in line.y if math.isfinite(v)] + (
        [] if chance is None else [chance]
    )
    if not x or not any(math.isfinite(v) for line in lines for v in line.y):
        return ""
    bands = [v for line in lines for v in (*line.low, *line.high) if math.isfinite(v)]
    room = ROOM * (max(y) - min(y)) or 0.05 * abs(max(y)) or 1.0
    bottom = max(min([*y, *bands]), min(y) - room, ends[0])
    top = min(max([*y, *bands]), max(y) + room, ends[1])
    across = _Scale(min(x), max(x), LEFT, WIDTH - RIGHT)
    upward = _Scale(bottom, top, HEIGHT - BOTTOM, TOP)
    if note:
        said = f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end">{escape(note)}</text>'
    else:
        said = ""
    parts = [said + _grid(across, upward, x_label, y_label)]
    if chance is not None:
        at = upward(chance)
        parts.append(
            f'<line class="chance" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
    faint = " faint" if len(lines) > FEW else ""
    for line in lines:
        band = _band(line, across, upward) if len(line.low) else ""
        parts.append(f'<g class="one{faint}">{band}{_curve(line, across, upward)}</g>')
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


class _Scale:
    """From values to pixels; `ticks` are round numbers between the ends."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        pad = 0.04 * (high - low) or 0.05 * abs(low) or 1.0
        self.low, self.high, self.start, self.end = low - pad, high + pad, start, end

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        found: list[float] = []
        for most in range(5, 5 + 2 * TICKS):
            values = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            found = [float(v) for v in values if self.low <= v <= self.high]
            if len(found) >= TICKS:
                break
        return found


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
    known = [i for i in range(len(line.x)) if math.isfinite(line.low[i])]
    if len(known) < 2:
        return ""
    there = [f"{across(line.x[i]):.1f},{upward(line.high[i]):.1f}" for i in known]
    back = [f"{across(line.x[i]):.1f},{upward(line.low[i]):.1f}" for i in reversed(known)]
    return f'<polygon class="band c{line.style.colour}" points="{" ".join(there + back)}"/>'


def _curve(line: Line, across: _Scale, upward: _Scale) -> str:
    known = np.flatnonzero(np.isfinite(line.y)).tolist()
    spots = [(across(line.x[i]), upward(line.y[i])) for i in known]
    dash = "1 4" if line.thin else " ".join(map(str, line.style.dash))
    look = f'class="{"thin" if line.thin else "curve"} c{line.style.colour}"' + (
        f' stroke-dasharray="{dash}"' if dash else ""
    )
    drawn = f'<polyline {look} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}"/>'
    for i, (x, y) in list(zip(known, spots, strict=True))[:: line.every] if line.every else ():
        at = f'transform="translate({x:.1f} {y:.1f})"'
        drawn += f"<path {mark(line.style)} {at}><title>{escape(_told(line, i))}</title></path>"
    return drawn


def mark(style: Style) -> str:
    """Attributes of a path that draws a strategy's mark about (0, 0)."""
    outlined = " hollow" if style.hollow else ""
    return f'class="point{outlined} c{style.colour}" d="{MARKS[style.mark]}"'


def _told(line: Line, i: int) -> str:
    low, high = (line.low[i], line.high[i]) if len(line.low) else (math.nan, math.nan)
    band = "" if math.isnan(low) else f" [{low:.4g}, {high:.4g}]"
    return f"{line.name}: {line.y[i]:.4g}{band} at {line.x[i]:,.6g}"


def chip(style: Style) -> str:
    """A small line with its marker, for a legend."""
    dash = f' stroke-dasharray="{" ".join(map(str, style.dash))}"' if style.dash else ""
    line = f'<line class="curve c{style.colour}" x1="1" x2="33" y1="7" y2="7"{dash}/>'
    drawn = f'<path {mark(style)} transform="translate(17 7)"/>'
    return f'<svg class="chip" viewBox="0 0 34 14" aria-hidden="true">{line}{drawn}</svg>'
