"""The pictures of a ranking over configs: critical differences, and performance profiles."""

from __future__ import annotations

import io
from collections.abc import Mapping
from urllib.parse import quote

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.compare.ranking.profiles import Profile
from tools.compare.ranking.ranks import Ranks
from tools.compare.ranking.words import nearness
from tools.display.canvas import canvas, look_of, verbatim
from tools.display.looks import Style

WIDTH = 7.2  # inches
ROW = 0.28  # inches of a strategy's line
INK = "#1c2024"
SOFT = "#60646c"
KEPT = " /:;,.=()+-'!*"  # signs that an address within quotes has as they are
POINTS = 200  # at most, of a profile


def critical_differences(of: Ranks, looks: Mapping[str, Style]) -> Figure:
    """Draw mean ranks on an axis, 1 at the left, and a bar over those that do not differ."""
    legs = of.order
    mean = np.sort(of.mean)
    rows = (len(legs) + 1) // 2
    bars = len(of.cliques)
    depth = 0.7 + 0.5 * bars  # of the first name's line below the axis, in rows
    figure = canvas(figsize=(WIDTH, ROW * (rows + depth + 2.2)))
    axes = figure.subplots()
    axes.set_xlim(1 - 0.45 * len(legs), len(legs) + 0.45 * len(legs))
    axes.set_ylim(rows + depth, -1.4)
    axes.axis("off")
    axes.plot([1, len(legs)], [0, 0], color=SOFT, linewidth=1)
    for rank in range(1, len(legs) + 1):
        axes.plot([rank, rank], [0, -0.25], color=SOFT, linewidth=1)
        axes.text(rank, -0.4, str(rank), ha="center", va="bottom", color=SOFT, fontsize=9)
    for place, (leg, at) in enumerate(zip(legs, mean, strict=True)):
        left = place < rows
        down = depth + (place if left else len(legs) - 1 - place)
        _name(axes, leg, at, down, left, len(legs), looks[leg])
    for level, clique in enumerate(of.cliques):
        ends = [mean[legs.index(leg)] for leg in (clique[0], clique[-1])]
        y = 0.45 + 0.5 * level
        pad = 0.012 * len(legs)
        axes.plot(
            [ends[0] - pad, ends[1] + pad],
            [y, y],
            color=INK,
            linewidth=3.5,
            solid_capstyle="round",
        )
    return figure


def _name(axes: Axes, leg: str, at: float, down: float, left: bool, legs: int, look: Style) -> None:
    """A line from a mean rank down and out to its strategy's name."""
    out = 1 - 0.04 * legs if left else legs + 0.04 * legs
    options = look_of(look)
    axes.plot([at, at, out], [0, down, down], color=options["color"], linewidth=1.1)
    axes.plot([at], [0], **{**options, "linestyle": "none"}, zorder=3)
    axes.text(
        out - 0.02 * legs if left else out + 0.02 * legs,
        down,
        verbatim(f"{leg}  {at:.2f}" if left else f"{at:.2f}  {leg}"),
        ha="right" if left else "left",
        va="center",
        fontsize=9,
        color=INK,
    )


def profiles(of: Profile, looks: Mapping[str, Style]) -> Figure:
    """Draw for each distance the share of cases in which a strategy is at most so far away."""
    figure = canvas(figsize=(WIDTH, 3.4))
    axes = figure.subplots()
    steps = np.unique(of.distances)
    if len(steps) > POINTS:
        steps = np.quantile(steps, np.linspace(0, 1, POINTS))
    shares = np.array([of.share(step) for step in steps])
    for column, leg in enumerate(of.legs):
        look = {**look_of(looks[leg]), "markevery": max(1, len(steps) // 6)}
        axes.plot(steps, shares[:, column], drawstyle="steps-post", label=verbatim(leg), **look)
    axes.set_xlabel(nearness(of), color=SOFT)
    axes.set_ylabel("share of cases", color=SOFT)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=SOFT, labelsize=9)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
    return figure


def uri(figure: Figure) -> str:
    """Return a figure as SVG in the address of a picture within a page; its texts are drawn."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "losstap"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml,{quote(buffer.getvalue(), KEPT)}"
