"""Curves over the budget and what is read off them: intervals over seeds, areas, final scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy import stats

from tasks.measures import ends
from tools.record.reading import Run
from tools.record.rows import STEPS, area_under_curve

Axis = Literal["labeled", "effort", "seconds"]
LEVEL = 0.95  # of all intervals
# pairs of seeds: with fewer there is no claim; with fewer one is called preliminary
FEWEST, FEW = 3, 5
Ends = tuple[float, float]  # the least and the largest value that there can be
ANY, COUNT, SHARE = (-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)
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
    """Mean and 95% t-interval, mean ± t(n - 1) std / sqrt(n).

    Values that are not a number are left out; `n` counts the rest.

    The interval is cut at the ends of what there can be, which the truth does not leave: so it
    holds it as often.
    """
    kept = np.asarray(values, dtype=float)
    kept = kept[~np.isnan(kept)]
    n = len(kept)
    if n < 2:
        return Estimate(float(kept[0]) if n else math.nan, math.nan, math.nan, math.nan, n)
    mean, std = float(kept.mean()), float(kept.std(ddof=1))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * std / math.sqrt(n)
    return Estimate(mean, std, max(mean - half, ends[0]), min(mean + half, ends[1]), n)


def paired(differences: Sequence[float] | np.ndarray, ends: Ends = ANY) -> Estimate:
    """As `estimate`, of differences seed by seed: fewer than `FEWEST` have no interval.

    An interval that leaves out 0 is a claim, and of two seeds chance alone makes any.

    Args:
        differences: a pair each.
        ends: of the values that were subtracted.
    """
    width = ends[1] - ends[0]
    found = estimate(differences, (-width, width))
    return found if found.n >= FEWEST else replace(found, low=math.nan, high=math.nan)


def claim(pairs: int) -> Claim:
    """What so many pairs of seeds can bear."""
    if pairs < FEWEST:
        return "none"
    return "preliminary" if pairs < FEW else "tested"


def caution(pairs: int) -> str:
    """What must be said beside a result of so many pairs of seeds; nothing with enough of them."""
    told = f"{pairs} paired seed{'s' if pairs != 1 else ''}"
    return {"none": f" (no claim: {told})", "preliminary": f" (preliminary: {told})", "tested": ""}[
        claim(pairs)
    ]


def metric_ends(runs: Iterable[Run]) -> Ends:
    """See `tasks.measures.ends`; of all runs that are compared."""
    runs = list(runs)
    return ends(runs[0].metric, (value for run in runs for value in run.values)) if runs else ANY


def lower(runs: Iterable[Run]) -> bool:
    """Whether less of the runs' metric is better; `group` has seen to it that they agree."""
    return any(run.lower for run in runs)


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

    Seconds are those of everything that had to run before the value was known: earlier cycles, the
    training and its evaluation. What a first training shared with another run spared counts as
    spent, or the run that came first would look dearer. The measure of the module's ranking is no
    part of the method, and does not count.
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


def curve(runs: Sequence[Run], axis: Axis = "labeled", ends: Ends = ANY) -> Curve:
    """Mean and interval over the seeds of a leg.

    Along labeled samples nothing is interpolated: each size has the seeds with a value there. Along
    the other axes, where x differs between seeds, values are interpolated linearly on `GRID` points
    over the range that all seeds cover; if there is no such range, the curve is empty. `ends`
    are the metric's.
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
    return Curve(
        axis,
        at,
        tuple(estimate(column, ends) for column in columns),
        not same and axis != "labeled",
    )


def areas(runs: Sequence[Run]) -> dict[int, float]:
    """Normalised area under each seed's curve over labeled samples: its mean score over the budget.

    In [0, 1] for a metric in [0, 1]; not-a-number where a cycle's metric is.
    """
    return {
        run.seed: area_under_curve(run.labeled, run.values) if run.rows else math.nan
        for run in runs
    }


def finals(runs: Sequence[Run]) -> dict[int, float]:
    """Each seed's metric in its last cycle."""
    return {run.seed: run.values[-1] if run.rows else math.nan for run in runs}
