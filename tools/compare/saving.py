"""Labels saved: how many a strategy needs to reach the final score of another one.

This is computed on the mean curves, and seed by seed.
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
    """What a leg needs to be as good as another one in the end.

    Args:
        target: the other's final score, mean over its seeds.
        labels: the other's final labels.
        needed: labels with which the leg's mean curve first reaches the target; None if it does
            not.
        at_start: whether it is reached with the initial labels, which no strategy chose.
        ends_worse: whether the mean curve's last point is worse than the target.
        by_seed: labels with which a seed's curve first reaches the other's final score of the same
            seed; None if it does not. Seeds with a score that is null are left out.
        low: of the 95% interval of the median over these seeds; not-a-number with less than six.
        high: of the same interval; infinite where it cannot be told from never.
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
        """That the curve does not stay as good, in words; nothing if it does."""
        return f", but ends {'above' if self.lower else 'below'} it" if self.ends_worse else ""

    @property
    def caution(self) -> str:
        """What must be said beside it with so few seeds that both have.

        Nothing with enough of them.
        """
        return caution(len(self.by_seed))

    @property
    def spread(self) -> str:
        """What single seeds need, in words; nothing with less than two."""
        reached = sorted(value for value in self.by_seed.values() if value is not None)
        seeds, never = len(self.by_seed), len(self.by_seed) - len(reached)
        if seeds < 2:
            return ""
        if not reached:
            return f"none of {seeds} seeds does by itself"
        if reached[0] < reached[-1]:
            told = f"{reached[0]:,.0f} to {reached[-1]:,.0f}"
        else:
            told = f"{reached[0]:,.0f}"
        told = f"seed by seed with {told}" + (
            f", and never in {never} of {seeds} seeds" if never else ""
        )
        if math.isnan(self.low):
            return told
        upper = "never" if math.isinf(self.high) else f"{self.high:,.0f}"
        return (
            f"{told}; 95% interval of the median "
            f"{'never' if math.isinf(self.low) else f'{self.low:,.0f}'} to {upper}"
        )

    def __str__(self) -> str:
        final = f"the final {self.target:.4g} at {self.labels:,.0f} labels"
        seeds = (f"; {self.spread}" if self.spread else "") + self.caution
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


def labels_needed(of: Curve, target: float, less: bool = False) -> float | None:
    """Where a mean curve first reaches the target, linear between sizes; None if it does not.

    The first size where the curve starts as good as the target or better. One that gets worse again
    has reached it.

    Args:
        of: the curve.
        target: a value of the metric.
        less: whether less of it is better.
    """
    known = np.isfinite(of.mean)
    x, y = of.x[known], of.mean[known]
    reached = np.flatnonzero(y <= target if less else y >= target)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (target - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of a median by order statistics, whatever the distribution; infinite values are
    values.

    Not-a-number with less than six values: the whole range of five covers the median with 94%.
    """
    ordered = sorted(values)
    # so many and less lie beyond the ends with < 2.5%
    place = int(stats.binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))
    return (ordered[place - 1], ordered[-place]) if place else (math.nan, math.nan)


def saving(runs: Sequence[Run], reference: Sequence[Run]) -> Saving | None:
    """Labels that a leg needs to reach the reference's (random's) final score.

    Curve and score are means over all seeds that each leg has. What single seeds need is held
    against the reference's same seed. A t-interval over it would not be honest: seeds that never
    get there have no value, and those that do save at least nothing. Counted as infinite, they have
    a place in the median's interval. None if the reference has no run or no final score.
    """
    of, ends, less = curve(runs), finals(reference), lower(runs)
    target = estimate(list(ends.values())).mean
    if not len(of.x) or math.isnan(target):
        return None
    whole = [
        run
        for run in runs
        if not math.isnan(ends.get(run.seed, math.nan)) and not np.isnan(run.values).any()
    ]
    by_seed = {run.seed: labels_needed(curve([run]), ends[run.seed], less) for run in whole}
    needed, worse = (
        labels_needed(of, target, less),
        bool(of.mean[-1] > target if less else of.mean[-1] < target),
    )
    interval = median_interval([math.inf if value is None else value for value in by_seed.values()])
    labels = float(reference[0].labeled[-1])
    return Saving(target, labels, needed, needed == of.x[0], worse, by_seed, *interval, less)
