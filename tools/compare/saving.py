"""Labels saved: the labels that a strategy needs to reach the final score of another one.

They are computed on the mean curves, and seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tools.compare.curves import LEVEL, Curve, caution, curve, estimate, finals, lower
from tools.record.reading import Run


@dataclass(frozen=True)
class Saving:
    """The labels that a leg needs to reach another one's final score.

    Args:
        target: the other's final score, mean over its seeds.
        labels: the other's final labels.
        needed: labels with which the leg's mean curve first reaches the target; None if it does
            not.
        at_start: whether it is reached with the initial labels, which no strategy chose.
        ends_worse: whether the mean curve's last point is worse than the target.
        by_seed: labels with which a seed's curve first reaches the other's final score of the same
            seed; None if it does not. Seeds with a score that is null are left out.
        low: of the 95% interval of the median over these seeds; not-a-number with fewer than six.
        high: of the same interval; infinite if the target may never be reached.
        lower: whether less of the metric is better.
    """

    target: float
    labels: float
    needed: float | None
    at_start: bool
    ends_worse: bool
    by_seed: Mapping[int, float | None]
    low: float
    high: float
    lower: bool

    @property
    def share(self) -> float | None:
        """Labels saved, 1 - needed / labels; None if the target is not reached."""
        return None if self.needed is None else 1 - self.needed / self.labels

    @property
    def but(self) -> str:
        """A remark that the curve ends worse than the target; empty if it does not."""
        if not self.ends_worse:
            return ""
        if self.lower:
            return ", but ends above it"
        return ", but ends below it"

    @property
    def caution(self) -> str:
        """A warning that few seeds are paired; empty if there are enough."""
        return caution(len(self.by_seed))

    @property
    def spread(self) -> str:
        """The labels that single seeds need, in words; empty with fewer than two seeds."""
        reached = sorted(value for value in self.by_seed.values() if value is not None)
        seeds = len(self.by_seed)
        never = seeds - len(reached)
        if seeds < 2:
            return ""
        if not reached:
            return f"none of {seeds} seeds does by itself"
        text = f"seed by seed with {reached[0]:,.0f}"
        if reached[0] < reached[-1]:
            text += f" to {reached[-1]:,.0f}"
        if never:
            text += f", and never in {never} of {seeds} seeds"
        if not math.isnan(self.low):
            text += f"; 95% interval of the median {_labels(self.low)} to {_labels(self.high)}"
        return text

    def __str__(self) -> str:
        final = f"the final {self.target:.4g} at {self.labels:,.0f} labels"
        seeds = self.caution
        if self.spread:
            seeds = f"; {self.spread}{seeds}"
        if self.needed is None:
            return f"does not reach {final}{seeds}"
        if self.at_start:
            return (
                f"reaches {final} with the initial {self.needed:,.0f}, before anything was "
                "chosen: no saving by choice"
            )
        return (
            f"reaches {final} with {self.needed:,.0f}: saves {self.share:.0%} of "
            f"labels{self.but}{seeds}"
        )


def _labels(count: float) -> str:
    return "never" if math.isinf(count) else f"{count:,.0f}"


def labels_needed(of: Curve, target: float, less: bool = False) -> float | None:
    """Return the labels with which a mean curve first reaches the target; None if it does not.

    Between sizes it is interpolated linearly; if the curve starts as good as the target or better,
    it is the first size. A curve that gets worse again has reached the target.

    Args:
        of: the curve.
        target: a value of the metric.
        less: whether less of it is better.
    """
    known = np.isfinite(of.mean)
    x = of.x[known]
    y = of.mean[known]
    reached = np.flatnonzero(y <= target if less else y >= target)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (target - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of a median by order statistics, whatever the distribution.

    Infinite values count. It is not-a-number with fewer than six values: the whole range of five
    covers the median with 94%.
    """
    ordered = sorted(values)
    # with a probability < 2.5% fewer than `place` values lie below the median, or above it
    place = int(stats.binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))
    if place == 0:
        return math.nan, math.nan
    return ordered[place - 1], ordered[-place]


def saving(runs: Sequence[Run], reference: Sequence[Run]) -> Saving | None:
    """Compute the labels that a leg needs to reach the reference's (random's) final score.

    Curve and score are means over all seeds that each leg has. Single seeds are compared with the
    reference's same seed. A t-interval over them would be misleading: seeds that never reach the
    score have no value, and those that do save at least nothing. Counted as infinite, they have a
    place in the median's interval. None if the reference has no run or no final score.
    """
    of = curve(runs)
    ends = finals(reference)
    less = lower(runs)
    target = estimate(list(ends.values())).mean
    if not len(of.x) or math.isnan(target):
        return None
    whole = [
        run
        for run in runs
        if not math.isnan(ends.get(run.seed, math.nan)) and not np.isnan(run.values).any()
    ]
    by_seed = {run.seed: labels_needed(curve([run]), ends[run.seed], less) for run in whole}
    reached = [value for value in by_seed.values() if value is not None]
    low, high = median_interval(reached + [math.inf] * (len(by_seed) - len(reached)))
    needed = labels_needed(of, target, less)
    return Saving(
        target,
        labels=float(reference[0].labeled[-1]),
        needed=needed,
        at_start=needed == of.x[0],
        ends_worse=bool(of.mean[-1] > target if less else of.mean[-1] < target),
        by_seed=by_seed,
        low=low,
        high=high,
        lower=less,
    )
