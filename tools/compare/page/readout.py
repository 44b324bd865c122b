"""What is read off curves on the page: strips over a chart, each with the values at its place.

They are the radio buttons of one group, so that one press of Tab leads to a chart and the arrow
keys through its places. The style sheet shows the values of a strip under the pointer or with the
focus.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from tools.compare.page.axes import Frame, Scale

PLACES = 17  # along an axis where values lie between points that were measured


class Read(NamedTuple):
    """A curve: the leg's name, the number of its colour, whether its run is unfinished, its points.

    Args:
        x, y: (N,); without a value where `y` is not-a-number.
        low, high: (N,) of the band; not-a-number, or empty, if there is none.
    """

    name: str
    colour: int
    thin: bool
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def strips(
    curves: Sequence[Read], group: str, axis: str, across: Scale, frame: Frame, measured: bool
) -> str:
    """Return the strips of a chart; empty without a point.

    Args:
        curves: all that are in the chart.
        group: the name of its radio buttons, which no other chart has.
        axis: the axis' name.
        across: its scale.
        frame: of the chart.
        measured: whether values are read only where a curve has a point; else between them, too.
    """
    known = [x for curve in curves for x, y in zip(curve.x, curve.y, strict=True) if y == y]
    if not known:
        return ""
    places = np.unique(known) if measured else np.linspace(min(known), max(known), PLACES)
    at = [across(x) for x in places]
    edges = [across.start, *((a + b) / 2 for a, b in zip(at, at[1:], strict=False)), across.end]
    found = []
    for i, x in enumerate(places.tolist()):
        rows = [(_at(curve, x, measured), curve) for curve in curves]
        rows = sorted((row for row in rows if row[0]), key=lambda row: -row[0][0])
        style = ";".join(
            f"--{key}:{100 * value / frame.width:.2f}"
            for key, value in (("x", at[i]), ("a", edges[i]), ("w", edges[i + 1] - edges[i]))
        )
        side = ' class="right"' if at[i] > frame.width / 2 else ""
        read = f"<span>{x:,.6g} {escape(axis)}</span>{''.join(_row(*row) for row in rows)}"
        found.append(
            f'<label{side} style="{style}"><input type="radio" name="{group}"/>'
            f'<span class="tip">{read}</span></label>'
        )
    return f'<div class="strips">{"".join(found)}</div>'


def _at(curve: Read, x: float, measured: bool) -> list[float]:
    """A curve's value and the ends of its band at a place; empty where it has none."""
    known = np.isfinite(curve.y)
    along = np.asarray(curve.x, dtype=float)[known]
    if not len(along) or not along[0] <= x <= along[-1] or (measured and x not in along):
        return []
    columns = [curve.y, curve.low, curve.high] if len(curve.low) else [curve.y]
    return [float(np.interp(x, along, np.asarray(values)[known])) for values in columns]


def _row(values: Sequence[float], curve: Read) -> str:
    value, *band = values
    between = f" [{band[0]:.4g}, {band[1]:.4g}]" if band and band[0] == band[0] else ""
    name = escape(curve.name)
    text = f"<strong>{value:.4g}</strong>{between} {name}{', not finished' if curve.thin else ''}"
    return f'<span class="c{curve.colour}" data-leg="{name}">{text}</span>'
