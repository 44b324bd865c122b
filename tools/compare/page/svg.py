"""Line charts as inline SVG, in the colours of the page's style sheet, light and dark.

It is drawn here, as Matplotlib's SVG has fixed colours, and text that needs further fonts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import NamedTuple
from zlib import crc32

import numpy as np

from tools.compare.curves import Curve
from tools.compare.page.axes import Frame, Scale, finite, grid, scales
from tools.compare.page.ends import apart
from tools.compare.page.readout import Read, strips
from tools.display.looks import MARKS, Style

WIDTH = 640
HEIGHT = 396
FRAME = Frame(WIDTH, HEIGHT, left=92, right=16, top=34, bottom=50)
SMALL = Frame(300, 200, left=54, right=12, top=30, bottom=30)  # one of small multiples
FEW = 4  # most curves whose overlapping bands can still be distinguished
ROW = 17  # pixels between names at the ends of curves
LETTER = 7.4  # pixels of a letter's width
LONG = 26  # letters; a longer name is cut


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
        every: step between the points that are marked, from the first on; 0 for none.
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


class _Plot(NamedTuple):
    """Scales along both axes, and the frame."""

    across: Scale
    upward: Scale
    frame: Frame


def line_chart(
    lines: Sequence[Line],
    title: str,
    x_label: str,
    y_label: str,
    chance: float | None = None,
    ends: tuple[float, float] = (-math.inf, math.inf),
    note: str = "",
    named: bool = False,
) -> str:
    """Draw axes, bands, curves and points, and a dashed line at `chance`; values can be read off.

    More than `FEW` curves show no bands, which would hide each other, unless a few are chosen on
    the page; see `multiples`. It is empty without a point. `note` is written above it, such as the
    number of seeds. `ends` are the least and the largest possible value: a t-interval may go
    beyond, the axis does not. With `named` each curve's name is at its end, to the right of the
    picture.
    """
    frame = FRAME
    if named:
        rows = ROW * len(_names(lines))
        frame = replace(frame, height=max(HEIGHT, rows + frame.top + frame.bottom))
    plot = _plot(lines, ends, frame, chance, banded(lines))
    if plot is None:
        return ""
    parts = [grid(plot.across, plot.upward, x_label, y_label, frame), _chance(chance, plot)]
    if note:
        text = f'<text x="{WIDTH - frame.right}" y="16" text-anchor="end">{escape(note)}</text>'
        parts.insert(0, text)
    places = _end_places(lines, plot) if named else {}
    for line in lines:
        drawn = _band(line, plot) + _curve(line, plot)
        if line.name in places and not line.thin:
            drawn += _end(line, plot, places[line.name])
        parts.append(f'<g class="one" data-leg="{escape(line.name)}">{drawn}</g>')
    room = max((len(cut(name)) for name in places), default=0)
    ends_room = f' style="--ends:{LETTER * room + 34:.0f}"' if places else ""
    many = "" if banded(lines) else ' class="many"'
    drawing = f"{_head(frame, title)}{many}>{''.join(parts)}</svg>"
    return f'<div class="plot"{ends_room}>{drawing}{_strips(lines, title, x_label, plot)}</div>'


def multiples(
    lines: Sequence[Line],
    title: str,
    x_label: str,
    chance: float | None = None,
    ends: tuple[float, float] = (-math.inf, math.inf),
) -> str:
    """Draw a small chart with its band for each curve, the others thin and grey behind it.

    All have the same axes. Empty for `FEW` curves or fewer, and without a point; `chance` and
    `ends` as of `line_chart`.
    """
    names = _names(lines)
    plot = _plot(lines, ends, SMALL, chance, bands=True)
    if banded(lines) or plot is None:
        return ""
    frame = grid(plot.across, plot.upward, "", "", SMALL) + _chance(chance, plot)
    points = {line.name: _joined(_spots(line, plot)) for line in lines if not line.thin}
    shared = f"curve-{crc32(repr((title, points)).encode()):08x}"  # each is on the page once
    ids = {name: f"{shared}-{i}" for i, name in enumerate(points)}
    charts = []
    for name in names:
        own = [line for line in lines if line.name == name]
        drawn = "".join(
            f'<use class="behind" href="#{key}"/>' for other, key in ids.items() if other != name
        )
        if name in ids:
            drawn += f'<defs><polyline id="{ids[name]}" points="{points[name]}"/></defs>'
        for line in own:
            drawn += f'<g class="one">{_band(line, plot)}{_curve(line, plot, ids.get(name))}</g>'
        sign = f'<path {mark(own[0].style)} transform="translate({SMALL.left + 6} 13)"/>'
        text = f'<text x="{SMALL.left + 18}" y="18" class="name">{escape(cut(name))}</text>'
        drawing = f"{_head(SMALL, f'{name}: {title}')}>{frame}{sign}{text}{drawn}</svg>"
        read = _strips(own, f"{name}: {title}", x_label, plot)
        charts.append(f'<div class="plot" data-leg="{escape(name)}">{drawing}{read}</div>')
    return f'<div class="multiples">{"".join(charts)}</div>'


def banded(lines: Sequence[Line]) -> bool:
    """Whether the curves are so few that their bands can be in one chart."""
    return len(_names(lines)) <= FEW


def _names(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line.name for line in lines))


def _plot(
    lines: Sequence[Line],
    ends: tuple[float, float],
    frame: Frame,
    chance: float | None,
    bands: bool,
) -> _Plot | None:
    """The scales for all lines; None without a point."""
    x = [v for line in lines for v in line.x]
    y = finite([v for line in lines for v in line.y])
    if not x or not y:
        return None
    if chance is not None:
        y.append(chance)
    edges = finite([v for line in lines for v in (*line.low, *line.high)]) if bands else []
    return _Plot(*scales(x, y, edges, ends, frame), frame)


def _chance(chance: float | None, plot: _Plot) -> str:
    """The dashed line of what chance gives; empty if that is not known."""
    if chance is None:
        return ""
    at = plot.upward(chance)
    right = plot.frame.width - plot.frame.right
    return f'<line class="chance" x1="{plot.frame.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'


def _head(frame: Frame, title: str) -> str:
    """The beginning of an SVG's first tag."""
    size = f'viewBox="0 0 {frame.width} {frame.height}"'
    return f'<svg {size} role="img" aria-label="{escape(title)}"'


def _strips(lines: Sequence[Line], title: str, x_label: str, plot: _Plot) -> str:
    """What is read off the curves, see `strips`.

    Along an axis that all curves were measured on, only what was measured is read.
    """
    measured = all(line.every == 1 or line.thin for line in lines)
    read = [
        Read(line.name, line.style.colour, line.thin, line.x, line.y, line.low, line.high)
        for line in lines
    ]
    group = f"at-{crc32(repr((title, read)).encode()):x}"
    return strips(read, group, x_label, plot.across, plot.frame, measured)


def _band(line: Line, plot: _Plot) -> str:
    """The polygon between the ends of a line's band; empty with fewer than two points."""
    known = [i for i, low in enumerate(line.low) if math.isfinite(low)]
    if len(known) < 2:
        return ""
    upper = [(plot.across(line.x[i]), plot.upward(line.high[i])) for i in known]
    lower = [(plot.across(line.x[i]), plot.upward(line.low[i])) for i in reversed(known)]
    return f'<polygon class="band c{line.style.colour}" points="{_joined(upper + lower)}"/>'


def _spots(line: Line, plot: _Plot) -> list[tuple[float, float]]:
    """The pixels of a line's points that have a value."""
    known = np.flatnonzero(np.isfinite(line.y)).tolist()
    return [(plot.across(line.x[i]), plot.upward(line.y[i])) for i in known]


def _joined(spots: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)


def _curve(line: Line, plot: _Plot, shared: str | None = None) -> str:
    """A curve and its marks; its points are those of the element `shared`, if there is one."""
    spots = _spots(line, plot)
    look = f'class="curve c{line.style.colour}"{_dashes(line.style.dash)}'
    if line.thin:
        look = f'class="thin c{line.style.colour}"{_dashes((1, 4))}'
    drawn = f'<polyline {look} points="{_joined(spots)}"/>'
    if shared and not line.thin:
        drawn = f'<use {look} href="#{shared}"/>'
    if not line.every:
        return drawn
    for x, y in spots[:: line.every]:
        drawn += f'<path {mark(line.style)} transform="translate({x:.1f} {y:.1f})"/>'
    return drawn


def _end_places(lines: Sequence[Line], plot: _Plot) -> dict[str, float]:
    """The height of each name at the end of its curve, in pixels."""
    last = {line.name: _spots(line, plot)[-1:] for line in lines if not line.thin}
    heights = {name: spots[0][1] for name, spots in last.items() if spots}
    low, high = plot.frame.top, plot.frame.height - plot.frame.bottom
    return dict(zip(heights, apart(list(heights.values()), ROW, low, high), strict=True))


def _end(line: Line, plot: _Plot, place: float) -> str:
    """A curve's name beside the plot, and the line that leads there."""
    x, y = _spots(line, plot)[-1]
    edge = plot.frame.width - plot.frame.right
    colour = f"c{line.style.colour}"
    lead = f'<polyline class="lead {colour}" points="{x:.1f},{y:.1f} {edge},{y:.1f} '
    lead += f'{edge + 10},{place:.1f}"/>'
    sign = f'<path {mark(line.style)} transform="translate({edge + 17} {place:.1f})"/>'
    text = f'<text x="{edge + 26}" y="{place:.1f}" dy=".35em" class="name">'
    return f'<g class="end">{lead}{sign}{text}{escape(cut(line.name))}</text></g>'


def cut(name: str) -> str:
    """Return a name for a picture, of at most `LONG` letters."""
    return name if len(name) <= LONG else f"{name[: LONG - 1]}…"


def _dashes(lengths: Sequence[int]) -> str:
    """The attribute for lengths of dashes and gaps in pixels; empty for a solid line."""
    return f' stroke-dasharray="{" ".join(map(str, lengths))}"' if lengths else ""


def mark(style: Style) -> str:
    """Return the attributes of a path that draws a strategy's mark about (0, 0)."""
    outlined = " hollow" if style.hollow else ""
    return f'class="point{outlined} c{style.colour}" d="{MARKS[style.mark]}"'


def chip(style: Style) -> str:
    """Draw a small line with its mark, for a legend."""
    line = (
        f'<line class="curve c{style.colour}" x1="1" x2="33" y1="7" y2="7"{_dashes(style.dash)}/>'
    )
    drawn = f'<path {mark(style)} transform="translate(17 7)"/>'
    return f'<svg class="chip" viewBox="0 0 34 14" aria-hidden="true">{line}{drawn}</svg>'
