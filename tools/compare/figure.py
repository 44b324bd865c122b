"""`curves.png`: the curves of every comparison along its three axes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from tools.compare.curves import points
from tools.compare.report import AXES, Findings
from tools.compare.style import LIGHT, Style
from tools.compare.svg import FEW
from tools.summary import canvas, measured


def png(found: Sequence[Findings], looks: Mapping[str, Style]) -> bytes:
    """Mean and 95% band over seeds; unfinished runs are thin and dotted."""
    size = (4.2 * len(AXES), 3.4 * len(found) + 0.3)
    figure = canvas(figsize=size)
    grid = figure.subplots(len(found), len(AXES), squeeze=False, sharey="row")
    for row, one in zip(grid, found, strict=True):
        for axes, axis in zip(row, AXES, strict=True):
            _panel(axes, one, axis, looks)
        row[0].set(ylabel=measured(one.comparison.metric, one.comparison.lower))
        row[0].set_title(one.comparison.config, loc="left", fontsize=10)
        handles, labels = row[0].get_legend_handles_labels()
        row[-1].legend(handles, labels, fontsize=8, frameon=False, loc="best") if handles else None
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    return buffer.getvalue()


def _panel(axes: Axes, one: Findings, axis: str, looks: Mapping[str, Style]) -> None:
    alpha = 0.15 if len(one.legs) <= FEW else 0.06
    for leg in one.legs:
        along, look = leg.curves[axis], looks[leg.name]  # type: ignore[index]  # a literal of `AXES`
        dashes = (0, look.dash) if look.dash else "-"
        marker = "" if along.interpolated else look.marker
        axes.plot(along.x, along.mean, color=LIGHT[look.colour], linestyle=dashes, marker=marker, ms=4, label=leg.name)
        low, high = (np.array([getattr(e, end) for e in along.estimates]) for end in ("low", "high"))
        axes.fill_between(along.x, low, high, color=LIGHT[look.colour], alpha=alpha, linewidth=0)
    means = [value for leg in one.legs for value in leg.curves["labeled"].mean if np.isfinite(value)]
    for run in one.comparison.unfinished:
        x, y = points(run, axis)  # type: ignore[arg-type]  # as above
        axes.plot(x, y, color=LIGHT[looks[run.leg].colour], linestyle=":", linewidth=1)
        means += y.tolist()
    if means:  # bands of two seeds are many times as high as the curves
        room = 0.6 * (max(means) - min(means)) or 0.05
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, min(means) - room), min(top, max(means) + room))
    axes.set(xlabel=AXES[axis])  # type: ignore[index]  # as above
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
