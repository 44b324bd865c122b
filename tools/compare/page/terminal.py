"""The comparison as tables in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tools.compare.findings import REFERENCE, Findings, gaps, unfinished, unrecorded
from tools.compare.page.sentences import (
    crowds,
    doubts,
    held_out,
    labels_saved,
    module_health,
    noise_met,
    verdicts,
)
from tools.compare.page.style import count, duration, spread
from tools.compare.ranking.result import Ranking
from tools.compare.ranking.words import summary
from tools.compare.statistics import ALPHA
from tools.display.sheet import Column, Sheet
from tools.record.rows import measured

SHOWN = 10  # queries without pictures; the report names all


def show(one: Findings, console: Console) -> None:
    """Print the strategies, then their differences and the quality of the module."""
    metric = one.comparison.metric
    labels = max((leg.labels for leg in one.legs), default=0)
    title = (
        f"{one.comparison.config}: {measured(metric, one.comparison.lower)}, final at "
        f"{labels:,} labels"
    )
    columns = (
        Column("seeds", 3),
        Column(f"final {metric}", 5),
        Column("area", 4),
        Column("effort", 2),
    )
    sheet = Sheet(Column("strategy"), *columns, Column("compute", 1), title=title)
    for leg in one.legs:
        cells = [leg.name, len(leg.seeds), spread(leg.final), spread(leg.area)]
        sheet.add(*cells, count(leg.effort.mean), duration(leg.seconds.mean))
    if one.legs:
        sheet.print(console)
    for line in _lines(one):
        console.print(Text(line), highlight=False)


def show_ranking(over: Ranking, console: Console) -> None:
    """Print the ranking over all configs: a row for each strategy, then what it says."""
    if over.ranks is not None:
        names = [setting.name for setting in over.scores.settings]
        columns = [Column("mean rank", 3), *(Column(name) for name in names)]
        sheet = Sheet(Column("strategy"), *columns, title="One ranking over all configs")
        for leg in over.ranks.order:
            i = over.ranks.legs.index(leg)
            places = [f"{rank:g}" for rank in over.ranks.table[:, i]]
            sheet.add(leg, f"{over.ranks.mean[i]:.2f}", *places)
        sheet.print(console)
    for line in [*over.scores.left_out, *summary(over)]:
        console.print(Text(line), highlight=False)


def _lines(one: Findings) -> list[str]:
    lines = [*one.comparison.remarks, *doubts(one.comparison)]
    lines += [f"not finished, not counted: {unfinished(run)}" for run in one.comparison.unfinished]
    lines += [f"without an area: {gap}" for gap in gaps(one.comparison)]
    lines += [f"unknown: {line}" for line in unrecorded(one.comparison)]
    lines += verdicts(one.pairs)
    others = [pair for pair in one.pairs if REFERENCE not in (pair.first, pair.second)]
    if len(others) < len(one.pairs):  # without random, the verdicts list all pairs already
        lines += [f"{pair}." for pair in others if pair.p < ALPHA]
        left = sum(not pair.p < ALPHA for pair in others)
        if left:
            lines.append(f"{left} more pairs, without significant differences, are in the report.")
    lines += [*labels_saved(one.legs), *module_health(one.legs), *noise_met(one.legs)]
    lines += held_out(one.held)
    lines += [f"std of the area of {variation}." for variation in one.variations]
    if not one.testset.reason and one.testset.legs:
        lines.append(f"{one.testset}.")
    lines += [f"not judged on other test sets: {line}" for line in one.testset.left_out]
    lines += crowds(one.chosen)
    lines += [f"no pictures: {fault}" for fault in one.chosen.faults[:SHOWN]]
    left = len(one.chosen.faults) - SHOWN
    if left > 0:
        lines.append(f"no pictures of {left} more queries; the report names them")
    if one.chosen.missing:
        lines.append(f"no histograms and pictures: {one.chosen.missing}")
    return lines
