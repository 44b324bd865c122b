"""Curves over the budget and what is read off them: intervals over seeds, areas, final scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
