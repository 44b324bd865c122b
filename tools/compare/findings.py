"""All results of a comparison as values, which `summary.json` and `summary.csv` hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.compare.chosen import Chosen, chosen
from tools.compare.curves import (
    COUNT,
    SHARE,
    Axis,
    Curve,
    Ends,
    Estimate,
    areas,
    curve,
    estimate,
    finals,
    metric_ends,
    points,
)
from tools.compare.grouping import Comparison
from tools.compare.held import Choice, choice
from tools.compare.module import Health, Part, attribution, ranking_health
from tools.compare.penalties import Penalties, penalties
from tools.compare.saving import Saving, saving
from tools.compare.shares import Variation, variations
from tools.compare.statistics import Pair, compare_areas
from tools.compare.testset import Resampled, resampled
from tools.record import plans
from tools.record.reading import Run
from tools.record.rows import NOISE

REFERENCE = "random"
AXES: dict[Axis, str] = {
    "labeled": "labeled images",
    "effort": "annotations",
    "seconds": "seconds of compute",
    "people": "seconds of people",
}


def axes(found: Sequence[Findings]) -> dict[Axis, str]:
    """The axes of curves, with their names; that of people only where people labeled."""
    people = any(run.people for one in found for run in one.comparison.runs)
    return {axis: name for axis, name in AXES.items() if people or axis != "people"}


@dataclass(frozen=True)
class Leg:
    """The results of a strategy.

    Args:
        name: of the leg.
        seeds: of its finished runs.
        final: metric in the last cycle.
        area: under the curve over labeled samples.
        labels: in the last cycle.
        effort: annotations in the last cycle.
        seconds: of compute until the last value was known.
        saving: against random; None for random itself, and if random is missing.
        health: of the module's ranking, a row a cycle; empty if there is no module.
        curves: by axis.
        noisy: share of the labeled samples in the last cycle whose label has a mistake of a
            simulated person; None where there are none.
    """

    name: str
    seeds: tuple[int, ...]
    final: Estimate
    area: Estimate
    labels: int
    effort: Estimate
    seconds: Estimate
    saving: Saving | None
    health: tuple[Health, ...]
    curves: dict[Axis, Curve] = field(repr=False)
    noisy: Estimate | None = None


@dataclass(frozen=True)
class Findings:
    """The results of a comparison.

    Args:
        comparison: its runs.
        legs: those with a finished run, random first.
        pairs: tests of the areas.
        penalties: the matrix of wins and losses.
        parts: of learning_loss's gain; their gain is None if a leg is missing.
        chosen: what was queried.
        held: what a validation split would choose; None where runs have none.
        variations: shares of the variance, where runs vary the seeds of single parts.
        testset: the spread over resampled test sets.
    """

    comparison: Comparison = field(repr=False)
    legs: tuple[Leg, ...]
    pairs: tuple[Pair, ...]
    penalties: Penalties
    parts: tuple[Part, ...]
    chosen: Chosen
    held: Choice | None = None
    variations: tuple[Variation, ...] = ()
    testset: Resampled = Resampled()


def findings(
    comparison: Comparison, options: Mapping[str, Any] | None = None, trust: plans.Trust = ()
) -> Findings:
    """Compute all results; `options` and `trust` are for the runs' data, see `chosen`."""
    legs = comparison.legs
    ends = metric_ends(run for runs in legs.values() for run in runs)
    reference = legs.get(REFERENCE, ())
    return Findings(
        comparison,
        legs=tuple(_leg(name, runs, reference, ends) for name, runs in legs.items()),
        pairs=tuple(compare_areas(legs)),
        penalties=penalties(legs),
        parts=tuple(attribution(legs)),
        chosen=chosen(comparison, options, trust),
        held=choice(legs, ends),
        variations=tuple(variations(comparison.every)),
        testset=resampled(legs),
    )


def _leg(name: str, runs: Sequence[Run], reference: Sequence[Run], ends: Ends) -> Leg:
    spent = [x[-1] for x, _ in (points(run, "seconds") for run in runs) if len(x)]
    against = None
    if reference and name != REFERENCE:
        against = saving(runs, reference)
    return Leg(
        name=name,
        seeds=tuple(run.seed for run in runs),
        final=estimate(list(finals(runs).values()), ends),
        area=estimate(list(areas(runs).values()), ends),
        labels=runs[0].labeled[-1],
        effort=estimate([run.column("effort")[-1] for run in runs], COUNT),
        seconds=estimate(spent, COUNT),
        saving=against,
        health=tuple(ranking_health(runs)),
        curves={axis: curve(runs, axis, ends) for axis in AXES},
        noisy=_noisy(runs),
    )


def _noisy(runs: Sequence[Run]) -> Estimate | None:
    """The share of noisy labels over seeds; None where no run has any simulated people."""
    met = estimate([run.column(NOISE)[-1] for run in runs], SHARE)
    return met if met.n else None


def unfinished(run: Run) -> str:
    """Return how far a run that lacks cycles has come."""
    where = f"{run.leg}, seed {run.seed}: {len(run.rows)} of {run.settings['budget.cycles']} cycles"
    if not run.rows:
        return where
    if len(run.rows) == run.settings["budget.cycles"]:
        where += ", but not marked as done (run its command once more)"
    return f"{where}, {run.metric} {run.values[-1]:.3f} at {run.labeled[-1]:,} labels"


def unrecorded(comparison: Comparison) -> list[str]:
    """Name the runs whose data were not recorded, and so may differ."""
    runs = [f"{run.leg}, seed {run.seed}" for run in comparison.unrecorded]
    if not runs:
        return []
    if len(runs) == len(comparison.runs):
        runs = ["all runs"]
    return [f"no record of the images, labels and test set of {'; '.join(runs)}"]


def gaps(comparison: Comparison) -> list[str]:
    """Name the finished runs without a score in some cycle, which have no area."""
    lines = []
    for run in (run for runs in comparison.legs.values() for run in runs):
        sizes = [
            f"{n:,}" for n, value in zip(run.labeled, run.values, strict=True) if math.isnan(value)
        ]
        if sizes:
            lines.append(
                f"{run.leg}, seed {run.seed}: no {run.metric} at {', '.join(sizes)} labels"
            )
    return lines
