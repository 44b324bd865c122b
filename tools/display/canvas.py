"""Matplotlib's part of a picture: an empty figure, a strategy's look, readable ticks."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tools.display.looks import LIGHT, Style

SIZES = {"*": 9, "P": 7, "X": 7}  # in points; all other marks have 5.5


def canvas(figsize: tuple[float, float]) -> Figure:
    """Return an empty figure that needs no window, whatever the backend; size in inches."""
    figure = Figure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def look_of(style: Style) -> dict[str, Any]:
    """Return Matplotlib's options for a strategy's line and marks on a white page."""
    colour = LIGHT[style.colour]
    look = {
        "color": colour,
        "linestyle": "-",
        "linewidth": 1.8,
        "marker": style.mark,
        "markersize": SIZES.get(style.mark, 5.5),
        "markerfacecolor": colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }
    if style.dash:
        look["linestyle"] = (0, tuple(length / 2 for length in style.dash))
    if style.hollow:
        look |= {
            "markerfacecolor": "white",
            "markeredgecolor": colour,
            "markeredgewidth": 1.2,
        }
    return look


def tick_well(axes: Axes) -> None:
    """Set at least four ticks on each axis, and write thousands with commas."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
    low, high = axes.get_xlim()
    if max(abs(low), abs(high)) >= 1000:
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def verbatim(name: str) -> str:
    """Return a name as Matplotlib draws it as it is: between two dollars it expects a formula."""
    return name.replace("$", r"\$")
