"""Curves over the budget and their statistics: intervals over seeds, areas, final scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy import special

from tasks.measures import ends
from tools.record.reading import Run
from tools.record.rows import STEPS, area_under_curve

Axis = Literal["labeled", "effort", "seconds", "people"]
LEVEL = 0.95  # of all intervals
FEWEST = 3  # pairs of seeds: with fewer there is no claim
FEW = 5  # pairs of seeds: with fewer a claim is called preliminary
Ends = tuple[float, float]  # the least and the largest possible value
ANY = (-math.inf, math.inf)
COUNT = (0.0, math.inf)
SHARE = (0.0, 1.0)
Claim = Literal["none", "preliminary", "tested"]
GRID = 50  # points where runs are interpolated


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its t-interval (95%).

    Args:
        mean: not-a-number without a value.
        std: standard deviation with n - 1; not-a-number, like the interval, with fewer than two
            values.
        low: of the interval.
        high: of the interval.
        n: values that counted.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float] | np.ndarray, ends: Ends = ANY) -> Estimate:
    """Compute the mean and its 95% t-interval, mean ± t(n - 1) std / sqrt(n).

    Values that are not a number are left out; `n` counts the rest.

    The interval is cut at `ends`. The true mean lies between them, so the coverage stays the same.
    """
    kept = np.asarray(values, dtype=float)
    kept = kept[~np.isnan(kept)]
    n = len(kept)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    if n == 1:
        return Estimate(float(kept[0]), math.nan, math.nan, math.nan, 1)
    mean = float(kept.mean())
    std = float(kept.std(ddof=1))
    half = float(special.stdtrit(n - 1, 0.5 + LEVEL / 2)) * std / math.sqrt(n)
    return Estimate(mean, std, max(mean - half, ends[0]), min(mean + half, ends[1]), n)


def paired(differences: Sequence[float] | np.ndarray, ends: Ends = ANY) -> Estimate:
    """Estimate the mean of differences seed by seed, without an interval for fewer than `FEWEST`.

    An interval that leaves out 0 is a claim, and with two seeds chance alone can make any.

    Args:
        differences: one for each pair.
        ends: of the values that were subtracted.
    """
    width = ends[1] - ends[0]
    result = estimate(differences, (-width, width))
    if result.n < FEWEST:
        return replace(result, low=math.nan, high=math.nan)
    return result


def claim(pairs: int) -> Claim:
    """Return the kind of claim that a number of pairs of seeds supports."""
    if pairs < FEWEST:
        return "none"
    if pairs < FEW:
        return "preliminary"
    return "tested"


def caution(pairs: int) -> str:
    """Return the warning for a result of so many pairs of seeds; empty if there are enough."""
    seeds = plural(pairs, "paired seed")
    return {
        "none": f" (no claim: {seeds})",
        "preliminary": f" (preliminary: {seeds})",
        "tested": "",
    }[claim(pairs)]


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples:
        >>> plural(1, "seed"), plural(2, "seed")
        ('1 seed', '2 seeds')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def metric_ends(runs: Iterable[Run]) -> Ends:
    """Return the metric's ends over all runs that are compared, see `tasks.measures.ends`."""
    runs = list(runs)
    if not runs:
        return ANY
    return ends(runs[0].metric, (value for run in runs for value in run.values))


def lower(runs: Iterable[Run]) -> bool:
    """Return whether less of the runs' metric is better; `group` has checked that they agree."""
    return any(run.lower for run in runs)


@dataclass(frozen=True)
class Curve:
    """A leg's metric along an axis.

    Args:
        axis: "labeled" samples, "effort" in annotations, "seconds" of compute, or of "people".
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
    """Return a run's x and metric, (N,) each, without cycles where either is not finite.

    Seconds are those of everything that had to run before the value was known: earlier cycles, the
    training and its evaluation. Time saved by sharing a first training with another run counts as
    spent, or the run that came first would look more expensive. The measurement of the module's
    ranking is not part of the method, and does not count. The seconds of people are those that
    their tool counted, in labeling projects.
    """
    if axis == "seconds":
        steps = {step: np.array(run.column(f"seconds/{step}")) for step in (*STEPS, "spared")}
        spent = np.nansum([*steps.values()], axis=0)
        after = np.nansum([steps["committee"], steps["score"]], axis=0)
        unknown = np.isnan(steps["train"])  # and so is every later sum
        x = np.where(np.logical_or.accumulate(unknown), np.nan, np.cumsum(spent) - after)
    elif axis == "people":
        timed = np.array(run.column("cost/timed")) > 0
        x = np.where(timed, run.column("cost/seconds"), np.nan)
    else:
        x = np.array(run.column(axis))
    y = np.array(run.values)
    kept = np.isfinite(x) & np.isfinite(y)
    return x[kept], y[kept]


def curve(runs: Sequence[Run], axis: Axis = "labeled", ends: Ends = ANY) -> Curve:
    """Compute mean and interval over the seeds of a leg.

    Along labeled samples nothing is interpolated: each size has the seeds with a value there. Along
    the other axes, where x differs between seeds, values are interpolated linearly on `GRID` points
    over the range that all seeds cover; if there is no such range, the curve is empty. `ends` are
    the metric's.
    """
    series = [(x, y) for x, y in (points(run, axis) for run in runs) if len(x)]
    if not series:
        return Curve(axis, np.array([]), (), False)
    same = all(np.array_equal(x, series[0][0]) for x, _ in series)
    if same:
        at = series[0][0]
        columns = np.stack([y for _, y in series], axis=1)
    elif axis == "labeled":
        at = np.unique(np.concatenate([x for x, _ in series]))
        known = [dict(zip(x.tolist(), y.tolist(), strict=True)) for x, y in series]
        columns = np.array([[run.get(x, math.nan) for run in known] for x in at.tolist()])
    else:
        low = max(x[0] for x, _ in series)
        high = min(x[-1] for x, _ in series)
        at = np.linspace(low, high, GRID if low <= high else 0)
        columns = np.stack([np.interp(at, x, y) for x, y in series], axis=1)
    estimates = tuple(estimate(column, ends) for column in columns)
    return Curve(axis, at, estimates, interpolated=not same and axis != "labeled")


def areas(runs: Sequence[Run]) -> dict[int, float]:
    """Return the normalised area under each seed's curve over labeled samples: its mean score.

    In [0, 1] for a metric in [0, 1]; not-a-number where a cycle's metric is.
    """
    return {run.seed: _area(run) for run in runs}


def _area(run: Run) -> float:
    return area_under_curve(run.labeled, run.values) if run.rows else math.nan


def finals(runs: Sequence[Run]) -> dict[int, float]:
    """Return each seed's metric in its last cycle; not-a-number without a cycle."""
    return {run.seed: _final(run) for run in runs}


def _final(run: Run) -> float:
    return run.values[-1] if run.rows else math.nan
