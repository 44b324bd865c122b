"""`curves.png`: the curves of every comparison along its three axes, with one legend for all."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from tools.compare.curves import Axis, Curve, points
from tools.compare.findings import AXES, Findings
from tools.compare.findings import axes as axes_of
from tools.compare.page.axes import ROOM
from tools.compare.page.ends import apart
from tools.compare.page.sentences import of_seeds
from tools.compare.page.svg import FEW, cut, every
from tools.display.canvas import canvas, look_of, tick_well, verbatim
from tools.display.looks import LIGHT, Style
from tools.record.rows import measured

WIDTH = 3.6  # inches of a panel
HEIGHT = 3.0
SMALL = 1.6  # inches of the height of a small panel
ACROSS = 4  # small panels beside each other
NAME = 0.17  # inches of the height of a name at the end of a curve
LEGEND = 0.5  # inches of the legend's height
INK = "#1c2024"  # colour of titles
SOFT = "#60646c"  # colour of all other text
GREY = "#d8dce2"  # of the curves behind


def png(found: Sequence[Findings], looks: Mapping[str, Style]) -> bytes:
    """Draw means and 95% bands over seeds; unfinished runs are thin and dotted.

    Bands of more than `FEW` strategies would hide each other: below their curves each has a small
    panel with its band, over labeled samples.
    """
    along = axes_of(found)
    rows = [-(-len(_names(one)) // ACROSS) if _crowded(one) else 0 for one in found]
    heights = [HEIGHT + SMALL * small for small in rows]
    width = WIDTH * len(along) + 1
    figure = canvas(figsize=(width, sum(heights) + LEGEND))
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, one, small in zip(parts, found, rows, strict=True):
        above = part
        if small:
            above, below = part.subfigures(2, 1, height_ratios=[HEIGHT, SMALL * small])
            _multiples(below, one, looks, small)
        _curves(above, one, list(along), looks)
    _legend(figure, found, looks, width)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    return buffer.getvalue()


def _names(one: Findings) -> list[str]:
    """The legs of a comparison, those without a finished run last."""
    legs = [leg.name for leg in one.legs] + [run.leg for run in one.comparison.unfinished]
    return list(dict.fromkeys(legs))


def _crowded(one: Findings) -> bool:
    return len(one.legs) > FEW


def _curves(
    part: SubFigure, one: Findings, along: Collection[Axis], looks: Mapping[str, Style]
) -> None:
    """Draw a comparison's curves along each axis; those over labeled samples have their names."""
    row = part.subplots(1, len(along), squeeze=False, sharey=True)[0]
    for axes, axis in zip(row, along, strict=True):
        _panel(axes, one, axis, looks)
    _name(row[0], one, looks)  # of the first axis, labeled samples, once all have set their limits
    metric = measured(one.comparison.metric, one.comparison.lower)
    row[0].set_ylabel(verbatim(metric), color=SOFT)
    config = verbatim(one.comparison.config)
    row[0].set_title(config, loc="left", fontsize=11, fontweight="bold", color=INK)
    note = of_seeds(one.legs, not _crowded(one))
    if one.comparison.unfinished:
        note += ", dotted: not finished"
    row[-1].set_title(note, loc="right", fontsize=9, color=SOFT)


def _name(axes: Axes, one: Findings, looks: Mapping[str, Style]) -> None:
    """Write the curves' names at their ends, beside the panel, none over another."""
    ends = {leg.name: leg.curves["labeled"] for leg in one.legs if len(leg.curves["labeled"].x)}
    last = {name: (along.x[-1], along.mean[-1]) for name, along in ends.items()}
    last = {name: spot for name, spot in last.items() if np.isfinite(spot[1])}
    if not last:
        return
    to_share = axes.transAxes.inverted()
    shares = [to_share.transform(axes.transData.transform(spot)) for spot in last.values()]
    heights = apart([share[1] for share in shares], NAME / HEIGHT, 0, 1)
    for name, share, height in zip(last, shares, heights, strict=True):
        axes.annotate(
            verbatim(cut(name)),
            xy=(share[0], share[1]),
            xytext=(1.03, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=8,
            color=INK,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": LIGHT[looks[name].colour],
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 1,
            },
        )


def _multiples(part: SubFigure, one: Findings, looks: Mapping[str, Style], rows: int) -> None:
    """Draw each leg alone with its band, the others thin and grey; all panels share their axes."""
    grid = part.subplots(rows, ACROSS, sharex=True, sharey=True, squeeze=False).ravel()
    drawn: list[float] = []
    names = _names(one)
    for axes, name in zip(grid, names, strict=False):
        _ground(axes)
        axes.set_title(verbatim(cut(name)), loc="left", fontsize=9, color=INK)
        for leg in one.legs:
            along = leg.curves["labeled"]
            if leg.name == name:
                drawn += _leg(axes, along, looks[name], 0, 0.25)
            else:
                axes.plot(along.x, along.mean, color=GREY, linewidth=0.8, zorder=1)
        drawn += _unfinished(axes, one, "labeled", looks, only=name)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    _limit(grid[0], drawn)


def _legend(
    figure: Figure, found: Sequence[Findings], looks: Mapping[str, Style], width: float
) -> None:
    """Draw one legend below with every leg of any panel."""
    legs = dict.fromkeys(name for one in found for name in _names(one))
    proxies = [Line2D([], [], label=verbatim(leg), **look_of(looks[leg])) for leg in legs]
    longest = max((len(leg) for leg in legs), default=0)
    # an entry takes 0.6 inches for its line, and 0.085 for a letter
    columns = max(1, int(width / (0.6 + 0.085 * longest)))
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
    _ground(axes)
    drawn: list[float] = []
    for place, leg in enumerate(one.legs):
        alpha = 0.0 if _crowded(one) else 0.14  # of bands
        drawn += _leg(axes, leg.curves[axis], looks[leg.name], place, alpha)
    drawn += _unfinished(axes, one, axis, looks)
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
    _limit(axes, means)


def _ground(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=SOFT, labelsize=9)


def _limit(axes: Axes, means: Sequence[float]) -> None:
    """Leave so much room for bands that the curves stay visible."""
    if means:
        room = ROOM * (max(means) - min(means)) or 0.05
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, min(means) - room), min(top, max(means) + room))
    tick_well(axes)


def _unfinished(
    axes: Axes, one: Findings, axis: Axis, looks: Mapping[str, Style], only: str = ""
) -> list[float]:
    """Draw the runs that are not finished, all or those of one leg, and return their values."""
    drawn: list[float] = []
    for run in one.comparison.unfinished:
        if only in ("", run.leg):
            x, y = points(run, axis)
            axes.plot(x, y, color=LIGHT[looks[run.leg].colour], linestyle=":", linewidth=1)
            drawn += y.tolist()
    return drawn


def _leg(axes: Axes, along: Curve, look: Style, place: int, alpha: float) -> list[float]:
    """Draw a leg's curve and band, and return the means that were drawn."""
    if not len(along.x):
        return []
    step = every(along)
    marks = (place % step, step)  # curves that share their x have their marks in different places
    axes.plot(along.x, along.mean, markevery=marks, zorder=3, **look_of(look))
    low, high = (np.array([getattr(e, end) for e in along.estimates]) for end in ("low", "high"))
    if alpha:
        axes.fill_between(along.x, low, high, color=LIGHT[look.colour], alpha=alpha, linewidth=0)
    return _finite(along.mean)


def _finite(values: np.ndarray) -> list[float]:
    return [float(value) for value in values if np.isfinite(value)]
