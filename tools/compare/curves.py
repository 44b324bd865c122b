"""Curves over the budget and what is read off them: intervals over seeds, areas, final scores, labels saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import stats

from tools.compare.runs import Run
from tools.summary import STEPS, area_under_curve

Axis = Literal["labeled", "effort", "seconds"]
LEVEL = 0.95  # of all intervals
GRID = 50  # points where runs are interpolated


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its t-interval (95%).

    Args:
        mean: not-a-number without a value.
        std: standard deviation with n - 1; not-a-number, like the interval, with fewer than two values.
        low: of the interval.
        high: of the interval.
        n: values that counted.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float] | np.ndarray) -> Estimate:
    """Mean and interval, mean ± t(n - 1) std / sqrt(n); values that are not a number are left out, as `n` tells."""
    kept = np.asarray(values, dtype=float)
    kept = kept[~np.isnan(kept)]
    n = len(kept)
    if n < 2:
        return Estimate(float(kept[0]) if n else math.nan, math.nan, math.nan, math.nan, n)
    mean, std = float(kept.mean()), float(kept.std(ddof=1))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * std / math.sqrt(n)
    return Estimate(mean, std, mean - half, mean + half, n)


@dataclass(frozen=True)
class Curve:
    """A leg's metric along an axis.

    Args:
        axis: "labeled" samples, "effort" in annotations, or "seconds" of compute.
        x: (N,), ascending.
        estimates: N of them, over the seeds that have a value there.
        interpolated: whether the seeds' values were interpolated, as their x differ.
    """

    axis: Axis
    x: np.ndarray = field(repr=False)
    estimates: tuple[Estimate, ...] = field(repr=False)
    interpolated: bool

    @property
    def mean(self) -> np.ndarray:
        """(N,)."""
        return np.array([e.mean for e in self.estimates])


def points(run: Run, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """A run's x and metric, (N,) each; cycles without a finite metric or x are left out.

    Seconds are those of everything that had to run before the value was known: earlier cycles, the training and its
    evaluation. What a first training shared with another run spared counts as spent, or the run that came first would
    look dearer. The measure of the module's ranking is no part of the method, and does not count.
    """
    if axis == "seconds":
        steps = {step: np.array(run.column(f"seconds/{step}")) for step in (*STEPS, "spared")}
        spent = np.nansum([*steps.values()], axis=0)
        after = np.nansum([steps["committee"], steps["score"]], axis=0)
        unknown = np.isnan(steps["train"])  # and so is every later sum
        x = np.where(np.logical_or.accumulate(unknown), np.nan, np.cumsum(spent) - after)
    else:
        x = np.array(run.column(axis))
    y = np.array(run.values)
    kept = np.isfinite(x) & np.isfinite(y)
    return x[kept], y[kept]


def curve(runs: Sequence[Run], axis: Axis = "labeled") -> Curve:
    """Mean and interval over the seeds of a leg.

    Along labeled samples nothing is interpolated: each size has the seeds with a value there. Along the other axes,
    where x differs between seeds, values are interpolated linearly on `GRID` points over the range that all seeds
    cover; where there is no such range, the curve is empty.
    """
    series = [(x, y) for x, y in (points(run, axis) for run in runs) if len(x)]
    if not series:
        return Curve(axis, np.array([]), (), False)
    same = all(np.array_equal(x, series[0][0]) for x, _ in series)
    if same:
        at, columns = series[0][0], np.stack([y for _, y in series], axis=1)
    elif axis == "labeled":
        at = np.unique(np.concatenate([x for x, _ in series]))
        known = [dict(zip(x.tolist(), y.tolist(), strict=True)) for x, y in series]
        columns = np.array([[run.get(x, math.nan) for run in known] for x in at.tolist()])
    else:
        low, high = max(x[0] for x, _ in series), min(x[-1] for x, _ in series)
        at = np.linspace(low, high, GRID) if low <= high else np.array([])
        columns = np.stack([np.interp(at, x, y) for x, y in series], axis=1)
    return Curve(axis, at, tuple(estimate(column) for column in columns), not same and axis != "labeled")


def areas(runs: Sequence[Run]) -> dict[int, float]:
    """Normalised area under each seed's curve over labeled samples: its mean score over the budget.

    In [0, 1] for a metric in [0, 1]; not-a-number where a cycle's metric is.
    """
    return {run.seed: area_under_curve(run.labeled, run.values) if run.rows else math.nan for run in runs}


def finals(runs: Sequence[Run]) -> dict[int, float]:
    """Each seed's metric in its last cycle."""
    return {run.seed: run.values[-1] if run.rows else math.nan for run in runs}


@dataclass(frozen=True)
class Saving:
    """What a leg needs to be as good as another one in the end.

    Args:
        target: the other's final score, mean over its seeds.
        labels: the other's final labels.
        needed: labels with which the leg's mean curve first reaches the target; None where it does not.
        at_start: whether it is reached with the initial labels, which no strategy chose.
        ends_below: whether the mean curve's last point is below the target.
        by_seed: labels with which a seed's curve first reaches the other's final score of the same seed; None where it
            does not. Seeds with a score that is null are left out.
        low: of the 95% interval of the median over these seeds; not-a-number with less than six.
        high: of the same interval; infinite where it cannot be told from never.
    """

    target: float
    labels: float
    needed: float | None
    at_start: bool
    ends_below: bool
    by_seed: Mapping[int, float | None]
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """Labels saved, 1 - needed / labels; None where the target is not reached."""
        return None if self.needed is None else 1 - self.needed / self.labels

    @property
    def spread(self) -> str:
        """What single seeds need, in words; nothing with less than two."""
        reached = sorted(value for value in self.by_seed.values() if value is not None)
        seeds, never = len(self.by_seed), len(self.by_seed) - len(reached)
        if seeds < 2:
            return ""
        if not reached:
            return f"none of {seeds} seeds does by itself"
        told = f"{reached[0]:,.0f} to {reached[-1]:,.0f}" if reached[0] < reached[-1] else f"{reached[0]:,.0f}"
        told = f"seed by seed with {told}" + (f", and never in {never} of {seeds} seeds" if never else "")
        if math.isnan(self.low):
            return told
        upper = "never" if math.isinf(self.high) else f"{self.high:,.0f}"
        return (
            f"{told}; 95% interval of the median {'never' if math.isinf(self.low) else f'{self.low:,.0f}'} to {upper}"
        )

    def __str__(self) -> str:
        final = f"the final {self.target:.4g} at {self.labels:,.0f} labels"
        seeds = f"; {self.spread}" if self.spread else ""
        if self.needed is None:
            return f"does not reach {final}{seeds}"
        if self.at_start:
            return (
                f"reaches {final} with the initial {self.needed:,.0f}, before anything was chosen: no saving by choice"
            )
        below = ", but ends below it" if self.ends_below else ""
        return f"reaches {final} with {self.needed:,.0f}: saves {self.share:.0%} of labels{below}{seeds}"


def labels_needed(of: Curve, target: float) -> float | None:
    """Where a mean curve first reaches the target, linear between sizes; None where it does not.

    The first size where the curve starts at the target or above it. A curve that falls again counts as having reached.
    """
    known = np.isfinite(of.mean)
    x, y = of.x[known], of.mean[known]
    reached = np.flatnonzero(y >= target)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (target - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of a median by order statistics, whatever the distribution; infinite values are values.

    Not-a-number with less than six values: the whole range of five covers the median with 94%.
    """
    ordered = sorted(values)
    place = int(stats.binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))  # so many and less lie beyond the ends with < 2.5%
    return (ordered[place - 1], ordered[-place]) if place else (math.nan, math.nan)


def saving(runs: Sequence[Run], reference: Sequence[Run]) -> Saving | None:
    """Labels that a leg needs to reach the reference's (random's) final score.

    Curve and score are means over all seeds that each leg has. What single seeds need is held against the reference's
    same seed. A t-interval over it would not be honest: seeds that never get there have no value, and those that do
    save at least nothing. Counted as infinite, they have a place in the median's interval. None where the reference has
    no run or no final score.
    """
    of, ends = curve(runs), finals(reference)
    target = estimate(list(ends.values())).mean
    if not len(of.x) or math.isnan(target):
        return None
    whole = [run for run in runs if not math.isnan(ends.get(run.seed, math.nan)) and not np.isnan(run.values).any()]
    by_seed = {run.seed: labels_needed(curve([run]), ends[run.seed]) for run in whole}
    needed, below = labels_needed(of, target), bool(of.mean[-1] < target)
    interval = median_interval([math.inf if value is None else value for value in by_seed.values()])
    return Saving(target, float(reference[0].labeled[-1]), needed, needed == of.x[0], below, by_seed, *interval)
