"""`al_label.py status`: what is labeled, the curve, and whether going on is worth it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from acquisition.query import needs
from tasks.base import lower_is_better
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.label import worth
from tools.label.cost import total
from tools.label.curve import Point, count, curve
from tools.label.project import Project
from tools.label.spread import difference
from tools.record.rows import measured

SURE = 2  # standard errors
LEAST = 5  # images of each kind that are compared


def show(project: Project, console: Plain) -> None:
    """Print the state of a project."""
    now = count(project)
    images = len(project.index.present)
    console.print(
        f"{project.path}: {images:,} images; {now.labeled:,} labeled, {now.empty:,} empty, "
        f"{now.skipped:,} skipped, {now.waiting:,} waiting, {now.open:,} open"
        + (f"; {now.gone:,} gone" if now.gone else "")
    )
    own = count(project, project.slice)
    console.print(
        f"validation slice: {len(project.slice):,} images; {own.labeled + own.empty:,} labeled, "
        f"{own.skipped:,} skipped, {own.waiting:,} waiting"
    )
    points = curve(project)
    if points:
        _table(project, points, console)
    for line in advice(project, points):
        console.print(line)


def _table(project: Project, points: Sequence[Point], console: Plain) -> None:
    metric = project.task.metric
    name = measured(metric, lower_is_better(project.task))
    columns = [Column("round"), Column("labeled", 9), Column("effort", 8), Column(name, 9)]
    columns += [Column("± s.e.", 7), Column("ordered\npairs", 5), Column("seconds\nof people", 6)]
    columns += [Column(what, 4) for what in ("added", "moved", "renamed", "deleted", "joints")]
    sheet = Sheet(*columns)
    for point in points:
        costs = point.costs
        error = math.nan if point.halves is None else point.halves.error
        sheet.add(
            point.number,
            f"{point.row['labeled']:,}",
            f"{point.row['effort']:,}",
            _text(point.row[metric]),
            _text(error),
            _text(point.row.get("ranking/validation/pairs")),
            f"{costs['cost/seconds']:,.0f}" if costs["cost/timed"] else "-",
            *[
                f"{costs[f'cost/{what}']:,.0f}"
                for what in ("added", "moved", "renamed", "deleted", "joints")
            ],
        )
    sheet.print(console)


def _text(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3f}"


def advice(project: Project, points: Sequence[Point]) -> list[str]:
    """What the numbers say, in words: the last batch's worth, the module, people and drafts."""
    lines = []
    if not points:
        return ["no round was trained yet: `next` trains when labels beside the slice are there"]
    lines += _gain(project, points)
    lines += _module(project, points[-1])
    lines += _chosen_and_random(project)
    found = worth.read(project)
    if found is not None:
        lines.append(found.sentence())
    lines += _blind(project)
    return lines


def _gain(project: Project, points: Sequence[Point]) -> list[str]:
    """Whether the last batch made a difference."""
    if len(points) < 2:
        return ["worth going on? One round alone cannot tell; go on"]
    before, now = points[-2:]
    metric = project.task.metric
    old, new = before.row[metric], now.row[metric]
    if old is None or new is None or before.halves is None or now.halves is None:
        return [f"worth going on? {metric} is not a number; label more of the validation slice"]
    gain = new - old
    if lower_is_better(project.task):
        gain = -gain
    error = difference(now.halves, before.halves)
    more = now.row["labeled"] - before.row["labeled"]
    told = f"{more:,} more labels changed {metric} by {new - old:+.3f} (± {error:.3f})"
    if not math.isfinite(error):
        return [f"worth going on? {told}; the slice is too small to tell"]
    if gain > SURE * error:
        return [f"worth going on? {told}: yes, labels still help"]
    if gain < -SURE * error:
        return [f"worth going on? {told}: it fell; look at these labels, and at the training"]
    return [
        f"worth going on? {told}: no change that can be told from chance; a larger validation "
        "slice could tell more, and after two such rounds it is time to stop"
    ]


def _module(project: Project, point: Point) -> list[str]:
    """The health of the loss-prediction module."""
    pairs = point.row.get("ranking/validation/pairs")
    if pairs is None:
        return []
    size = point.row["ranking/validation/n"]
    if size < 2:
        return []
    # of the share in random orders, by Kendall: a quarter of the variance of his tau
    error = math.sqrt((2 * size + 5) / (18 * size * (size - 1)))
    told = f"the module orders {100 * pairs:.0f}% of pairs of validation samples rightly"
    verdict = "more than by chance (50%)"
    if pairs < 0.5 + SURE * error:
        verdict = "which could be chance (50%)"
        if "predicted_loss" in needs(project.experiment.steps):
            verdict += ": its picks are no better than random ones until it does"
    return [f"{told}, {verdict}"]


def _chosen_and_random(project: Project) -> list[str]:
    """How much people had to do on images that the strategy chose, beside random ones."""
    work: dict[str, list[int]] = {"strategy": [], "random": []}
    for batch in project.batches:
        for one in batch.choices:
            label = project.labels.labels.get(one.sha256)
            if one.by in work and label and label.answer.state != "skipped" and batch.trained:
                cost = label.cost
                work[one.by].append(cost.added + cost.moved + cost.renamed + cost.deleted)
    if min(map(len, work.values())) < LEAST:
        return []
    mean = {name: sum(values) / len(values) for name, values in work.items()}
    return [
        f"people changed {mean['strategy']:.2f} things an image that the strategy chose "
        f"({len(work['strategy'])} images), and {mean['random']:.2f} an image drawn at random "
        f"({len(work['random'])})"
    ]


def _blind(project: Project) -> list[str]:
    """Whether predictions lead people."""
    drawn: dict[bool, list[int]] = {True: [], False: []}
    for batch in project.batches:
        for one in batch.choices:
            label = project.labels.labels.get(one.sha256)
            if label is None or not batch.trained or one.by == "validation":
                continue
            if label.answer.state != "skipped":
                drawn[one.blind].append(len(label.answer.shapes))
    if project.labeling.kind == "classes" or min(map(len, drawn.values())) < LEAST:
        return []
    mean = {blind: sum(values) / len(values) for blind, values in drawn.items()}
    return [
        f"people drew {mean[False]:.2f} an image where they saw predictions "
        f"({len(drawn[False])} images), and {mean[True]:.2f} where they saw none "
        f"({len(drawn[True])})"
    ]


def spent(project: Project) -> str:
    """What all labels have cost so far, in a line."""
    done = total(one.cost for one in project.labels.labels.values())
    times = [
        one.answer.seconds
        for one in project.labels.labels.values()
        if one.answer.seconds is not None
    ]
    seconds = f"{sum(times):,.0f} s of people for {len(times):,} images; " if times else ""
    return (
        f"{seconds}{done.added:,} added, {done.moved:,} moved, {done.renamed:,} renamed, "
        f"{done.deleted:,} deleted, {done.kept:,} kept, {done.joints:,} joints changed"
    )
