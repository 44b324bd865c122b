"""`curves.png`: the curves of every comparison along its three axes, with one legend for all."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tools.compare.curves import Axis, Curve, points
from tools.compare.findings import AXES, Findings
from tools.compare.findings import axes as axes_of
from tools.compare.page.sentences import of_seeds
from tools.compare.page.svg import FEW, every
from tools.display.canvas import canvas, look_of, tick_well
from tools.display.looks import LIGHT, Style
from tools.record.rows import measured

WIDTH = 3.6  # inches of a panel
HEIGHT = 3.0
LEGEND = 0.5  # inches of the legend's height
INK = "#1c2024"  # colour of titles
SOFT = "#60646c"  # colour of all other text
# room for bands above and below the curves, as a share of the curves' height: bands of few seeds
# are many times as high
ROOM = 0.6


def png(found: Sequence[Findings], looks: Mapping[str, Style]) -> bytes:
    """Draw means and 95% bands over seeds; unfinished runs are thin and dotted."""
    along = axes_of(found)
    figure = canvas(figsize=(WIDTH * len(along), HEIGHT * len(found) + LEGEND))
    grid = figure.subplots(len(found), len(along), squeeze=False, sharey="row")
    for row, one in zip(grid, found, strict=True):
        for axes, axis in zip(row, along, strict=True):
            _panel(axes, one, axis, looks)
        row[0].set_ylabel(measured(one.comparison.metric, one.comparison.lower), color=SOFT)
        row[0].set_title(
            one.comparison.config, loc="left", fontsize=11, fontweight="bold", color=INK
        )
        note = of_seeds(one.legs)
        if one.comparison.unfinished:
            note += ", dotted: not finished"
        row[-1].set_title(note, loc="right", fontsize=9, color=SOFT)
    _legend(figure, found, looks)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    return buffer.getvalue()


def _legend(figure: Figure, found: Sequence[Findings], looks: Mapping[str, Style]) -> None:
    """Draw one legend below with every leg of any panel."""
    legs = dict.fromkeys(leg.name for one in found for leg in one.legs)
    legs |= dict.fromkeys(run.leg for one in found for run in one.comparison.unfinished)
    proxies = [Line2D([], [], label=leg, **look_of(looks[leg])) for leg in legs]
    longest = max((len(leg) for leg in legs), default=0)
    # an entry takes 0.6 inches for its line, and 0.085 for a letter
    columns = max(1, int(WIDTH * len(axes_of(found)) / (0.6 + 0.085 * longest)))
    if proxies:
        figure.legend(
            handles=proxies,
            loc="outside lower center",
            ncols=min(len(proxies), columns),
            frameon=False,
            fontsize=10,
            handlelength=2.8,
            labelcolor=INK,
        )


def _panel(axes: Axes, one: Findings, axis: Axis, looks: Mapping[str, Style]) -> None:
    axes.set_xlabel(AXES[axis], color=SOFT)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=SOFT, labelsize=9)
    alpha = 0.14  # of bands
    if len(one.legs) > FEW:
        alpha = 0.08
    drawn: list[float] = []
    for place, leg in enumerate(one.legs):
        drawn += _leg(axes, leg.curves[axis], looks[leg.name], place, alpha)
    for run in one.comparison.unfinished:
        x, y = points(run, axis)
        axes.plot(x, y, color=LIGHT[looks[run.leg].colour], linestyle=":", linewidth=1)
        drawn += y.tolist()
    if not drawn:
        axes.text(
            0.5,
            0.5,
            f"no {AXES[axis]} recorded",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=SOFT,
        )
        axes.set_xticks([])
        return
    means = [*drawn]
    for leg in one.legs:
        means += _finite(leg.curves["labeled"].mean)
    room = ROOM * (max(means) - min(means)) or 0.05
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, min(means) - room), min(top, max(means) + room))
    tick_well(axes)


def _leg(axes: Axes, along: Curve, look: Style, place: int, alpha: float) -> list[float]:
    """Draw a leg's curve and band, and return the means that were drawn."""
    if not len(along.x):
        return []
    step = every(along)
    marks = (place % step, step)  # curves that share their x have their marks in different places
    axes.plot(along.x, along.mean, markevery=marks, zorder=3, **look_of(look))
    low, high = (np.array([getattr(e, end) for e in along.estimates]) for end in ("low", "high"))
    axes.fill_between(along.x, low, high, color=LIGHT[look.colour], alpha=alpha, linewidth=0)
    return _finite(along.mean)


def _finite(values: np.ndarray) -> list[float]:
    return [float(value) for value in values if np.isfinite(value)]
