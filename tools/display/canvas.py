"""Matplotlib's side of a picture: an empty figure, a strategy's look, readable ticks."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tools.display.looks import LIGHT, Style


def canvas(figsize: tuple[float, float]) -> Figure:
    """An empty Matplotlib figure that needs no window, whatever the backend; size in inches."""
    figure = Figure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def look_of(style: Style) -> dict[str, Any]:
    """How Matplotlib draws a strategy's line and marks on a white page."""
    colour = LIGHT[style.colour]
    dashes = (0, tuple(length / 2 for length in style.dash)) if style.dash else "-"
    inside = "white" if style.hollow else colour
    size = 9 if style.mark == "*" else 7 if style.mark in "PX" else 5.5
    return {
        "color": colour,
        "linestyle": dashes,
        "linewidth": 1.8,
        "marker": style.mark,
        "markersize": size,
        "markerfacecolor": inside,
        "markeredgecolor": colour if style.hollow else "white",
        "markeredgewidth": 1.2 if style.hollow else 0.5,
    }


def tick_well(axes: Axes) -> None:
    """Four ticks or more on each axis, numbers of thousands with commas."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
    low, high = axes.get_xlim()
    if max(abs(low), abs(high)) >= 1000:
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
