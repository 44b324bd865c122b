"""The page's charts of a comparison: curves along each axis, and how well the module ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.compare.curves import Axis, Estimate, points
from tools.compare.findings import AXES, Findings, Leg
from tools.compare.module import CHANCE
from tools.compare.page import sentences
from tools.compare.page.svg import Line, banded, every, line_chart, multiples
from tools.display.looks import Style
from tools.record.rows import measured

Looks = Mapping[str, Style]


@dataclass(frozen=True)
class Chart:
    """A chart of all strategies.

    Args:
        name: what it shows, in words.
        whole: all curves in one SVG; empty without a point.
        apart: a small SVG for each curve with its band; empty where they have room in one.
    """

    name: str
    whole: str
    apart: str = ""


def curves(one: Findings, axis: Axis, looks: Looks) -> Chart:
    """Draw the metric's curves along an axis; unfinished runs are thin."""
    lines = []
    for leg in one.legs:
        along = leg.curves[axis]
        lines.append(
            Line(
                leg.name,
                looks[leg.name],
                along.x.tolist(),
                along.mean.tolist(),
                [estimate.low for estimate in along.estimates],
                [estimate.high for estimate in along.estimates],
                every(along),
            )
        )
    for run in one.comparison.unfinished:
        x, y = (values.tolist() for values in points(run, axis))
        lines.append(Line(run.leg, looks[run.leg], x, y, every=0, thin=True))
    metric = measured(one.comparison.metric, one.comparison.lower)
    name = f"{metric} over {AXES[axis]}"
    note = sentences.of_seeds(one.legs, banded(lines))
    whole = line_chart(lines, name, AXES[axis], metric, note=note, named=True)
    return Chart(name, whole, multiples(lines, name, AXES[axis]))


def ranking(legs: Sequence[Leg], looks: Looks) -> list[Chart]:
    """Draw how well modules rank, over the labels: pairs in order, and Spearman's correlation."""
    x = AXES["labeled"]
    pairs = [_line(leg, looks, [row.pairs for row in leg.health]) for leg in legs]
    ranks = [_line(leg, looks, [row.spearman for row in leg.health]) for leg in legs]
    charts = []
    for lines, y, chance, ends in (
        (pairs, "pairs in order", CHANCE, (0.0, 1.0)),
        (ranks, "Spearman's correlation", 0.0, (-1.0, 1.0)),
    ):
        name = f"{y} over {x}"
        note = sentences.of_seeds(legs, banded(lines))
        whole = line_chart(lines, name, x, y, chance, ends, note)
        charts.append(Chart(name, whole, multiples(lines, name, x, chance, ends)))
    return charts


def _line(leg: Leg, looks: Looks, values: Sequence[Estimate]) -> Line:
    x = [row.labeled for row in leg.health]
    mean = [e.mean for e in values]
    low = [e.low for e in values]
    high = [e.high for e in values]
    return Line(leg.name, looks[leg.name], x, mean, low, high)
