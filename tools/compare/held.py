"""What a validation split of the pool says: as the metric of a comparison, and as a judge.

Whoever chooses a strategy by the test set and then reports that set's number reports too much. The
split gives the choice, and the test set what the choice is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.compare.curves import Ends, Estimate, areas, estimate, finals
from tools.compare.statistics import Legs
from tools.record.reading import ComparisonError, Run
from tools.record.rows import HELD


def by_validation(runs: Sequence[Run]) -> list[Run]:
    """Return runs whose metric is that on their validation split.

    Raises:
        ComparisonError: if one has no such split.
    """
    return [_by_validation(run) for run in runs]


def _by_validation(run: Run) -> Run:
    key = f"{HELD}{run.metric}"
    if not run.settings.get("budget.validation"):
        raise ComparisonError(
            f"--by validation: expected a validation split of the pool, but {run.folder} has none; "
            "leave it out, or run it with budget.validation=0.1"
        )
    if any(key not in row for row in run.rows):
        raise ComparisonError(f"{run.folder}: expected {key} in every row; leave the run out")
    return replace(run, metric=key)


@dataclass(frozen=True)
class Judged:
    """A strategy by the validation split, and by the test set.

    Args:
        leg: its name.
        validation: area under the metric on the split.
        test: area under the metric on the test set.
        final_validation: metric on the split in the last cycle.
        final_test: metric on the test set in the last cycle.
    """

    leg: str
    validation: Estimate
    test: Estimate
    final_validation: Estimate
    final_test: Estimate


@dataclass(frozen=True)
class Choice:
    """What the split would choose.

    Args:
        judged: all strategies with finished runs.
        chosen: the one with the best mean area on the split.
        best: the one with the best mean area on the test set.
        cost: by how much the test area of `chosen` is behind that of `best`; at least 0.
    """

    judged: tuple[Judged, ...]
    chosen: str
    best: str
    cost: float


def choice(legs: Legs, ends: Ends) -> Choice | None:
    """Return what the validation split would choose.

    None where runs have none, where the runs are compared by it, or without any area.
    """
    runs = [run for leg in legs.values() for run in leg]
    if not runs or not all(run.settings.get("budget.validation") for run in runs):
        return None
    if any(run.metric.startswith(HELD) for run in runs):
        return None
    judged = tuple(_judged(leg, of_leg, ends) for leg, of_leg in legs.items())
    known = [one for one in judged if not math.isnan(one.validation.mean + one.test.mean)]
    if not known:
        return None
    sign = -1 if runs[0].lower else 1
    chosen = max(known, key=lambda one: sign * one.validation.mean)
    best = max(known, key=lambda one: sign * one.test.mean)
    cost = sign * (best.test.mean - chosen.test.mean)
    return Choice(judged, chosen.leg, best.leg, cost)


def _judged(leg: str, runs: Sequence[Run], ends: Ends) -> Judged:
    held = by_validation(runs)
    values = (areas(held), areas(runs), finals(held), finals(runs))
    return Judged(leg, *(estimate(list(one.values()), ends) for one in values))
