"""A paired comparison that is looked at again and again, and keeps its level.

The level is spent over the looks as Lan and DeMets (1983) do, by their function of O'Brien and
Fleming's type: early looks ask for overwhelming differences, and the last one for hardly more than
a single test would. At each look the differences are tested by a paired t-test, and its p-value is
held against that of the look's limit, which is how Pocock (1977) took limits of a known variance to
t-tests. With few pairs that would spend up to a fifth too much, so all limits are lowered by one
factor, found on simulated comparisons without a difference. `simulated` shows level and power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from tools.compare.curves import FEWEST
from tools.compare.statistics import ALPHA, SAME

HOPELESS = 0.05  # a chance below it, to be decided in the end, ends the comparison
DRAWS = 40_000  # simulated comparisons by which the limits are lowered
POINTS = 401  # of the grid on which the density between two looks is integrated
FARTHEST = 12.0  # |z| that is the limit where the level of a look is too small to be a number
MOST = 200  # pairs; the limits of more take minutes
Verdict = Literal["decided", "hopeless", "undecided", ""]


@dataclass(frozen=True)
class Look:
    """What is known at a look.

    Args:
        pairs: of seeds.
        mean: of the differences.
        p: of the paired t-test, two-sided, as if it were the only one; not-a-number where all
            differences are the same number, and not 0.
        limit: the p-value from which on downwards the comparison is decided.
        chance: that it will be decided at the last look, if the effect is as the differences so far
            leave open (predictive power, with a flat prior).
        verdict: empty where the comparison goes on.
    """

    pairs: int
    mean: float
    p: float
    limit: float
    chance: float
    verdict: Verdict


def spent(share: float, alpha: float = ALPHA) -> float:
    """Return the level that may be spent up to a share of all pairs, in (0, 1].

    Lan and DeMets (1983), their first function, for each of two sides with half the level.
    """
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(share)))


@lru_cache(maxsize=64)
def limits(looks: tuple[int, ...], most: int, alpha: float = ALPHA) -> tuple[float, ...]:
    """Return for each look the |z| from which on the comparison is decided.

    The density of the sum of differences between the limits is carried from look to look by
    numerical integration (Armitage, McPherson and Rowe 1969).

    Args:
        looks: numbers of pairs, ascending.
        most: pairs in the end; the last look may have fewer.
        alpha: the level, two-sided.
    """
    found: list[float] = []
    places, mass = np.zeros(1), np.ones(1)  # of the sum, where no limit was crossed
    before, used = 0.0, 0.0
    for pairs in looks:
        share = pairs / most
        total = spent(share, alpha)
        scale = math.sqrt(share - before)
        outside = partial(_outside, places=places, mass=mass, scale=scale, wanted=total - used)
        end = FARTHEST * math.sqrt(share)
        if outside(end) < 0:
            end = float(brentq(outside, 0, end, xtol=1e-10))
        found.append(end / math.sqrt(share))
        now = np.linspace(-end, end, POINTS)
        density = stats.norm.pdf((now[:, None] - places) / scale) @ mass / scale
        density[[0, -1]] /= 2  # the trapezoid rule
        places, mass = now, density * (now[1] - now[0])
        before, used = share, total
    return tuple(found)


def _outside(
    end: float, places: np.ndarray, mass: np.ndarray, scale: float, wanted: float
) -> float:
    """Return the probability to be outside of (-end, end) after the next step, less `wanted`."""
    tails = stats.norm.sf((end - places) / scale) + stats.norm.sf((end + places) / scale)
    return float(mass @ tails) - wanted


@lru_cache(maxsize=64)
def levels(looks: tuple[int, ...], most: int, alpha: float = ALPHA) -> tuple[float, ...]:
    """Return for each look the p-value of a paired t-test up to which the comparison is decided.

    Those of `limits` times a factor of at most 1: the smallest p-value over its limit, over all
    looks, is below that factor in a share `alpha` of comparisons of normal differences without an
    effect, less two standard errors of the simulation. See `limits` for the arguments.
    """
    plain = 2 * stats.norm.sf(np.array(limits(looks, most, alpha)))
    draws = np.random.default_rng(0).standard_normal((DRAWS, most))
    smallest = np.sort((_p(*_moments(draws, looks), np.array(looks)) / plain).min(axis=1))
    error = math.sqrt(alpha * (1 - alpha) / DRAWS)
    factor = min(1.0, float(smallest[int((alpha - 2 * error) * DRAWS) - 1]))
    return tuple((factor * plain).tolist())


def looked(differences: Sequence[float], looks: Sequence[int], most: int) -> list[Look]:
    """Return the looks that so many differences allow, up to the one with a verdict.

    Args:
        differences: a pair each, in the order of their seeds.
        looks: numbers of pairs of all looks, ascending, each at least `FEWEST`.
        most: pairs in the end.
    """
    known = [pairs for pairs in looks if pairs <= len(differences)]
    rows = _at(np.asarray(differences, dtype=float), known, looks, most)
    found = []
    for pairs, mean, p, limit, chance in zip(known, *(r.tolist() for r in rows), strict=True):
        verdict: Verdict = ""
        if p <= limit:
            verdict = "decided"
        elif pairs == looks[-1]:
            verdict = "undecided"
        elif chance < HOPELESS:
            verdict = "hopeless"
        found.append(Look(pairs, mean, p, limit, chance, verdict))
        if verdict:
            break
    return found


def _at(
    differences: np.ndarray, known: Sequence[int], looks: Sequence[int], most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, p, limit and chance at looks, (..., L) each, of differences (..., N)."""
    pairs = np.array(known, dtype=int)
    means, deviations, largest = _moments(differences, known)
    p = _p(means, deviations, largest, pairs)
    ends = np.array(levels(tuple(looks), most))
    chance = _chance(stats.norm.isf(p / 2), pairs / most, stats.norm.isf(ends[-1] / 2))
    return means, p, np.broadcast_to(ends[: len(known)], p.shape), chance


def _moments(
    differences: np.ndarray, looks: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard deviation and largest size of the first so many, (..., L) each."""
    parts = [differences[..., :n] for n in looks]
    return (
        np.stack([part.mean(axis=-1) for part in parts], axis=-1),
        np.stack([part.std(axis=-1, ddof=1) for part in parts], axis=-1),
        np.stack([np.abs(part).max(axis=-1) for part in parts], axis=-1),
    )


def _p(
    means: np.ndarray, deviations: np.ndarray, largest: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Return p of the paired t-test; 1 where all are 0, not-a-number where all are alike else."""
    alike = deviations <= SAME * largest
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(
            alike, np.where(largest == 0, 0, math.nan), means / deviations * np.sqrt(pairs)
        )
    p: np.ndarray = 2 * stats.t.sf(np.abs(t), pairs - 1)
    return p


def _chance(z: np.ndarray, share: np.ndarray, last: float) -> np.ndarray:
    """Return the predictive power: that |z| will reach the last limit (Spiegelhalter et al. 1986).

    Args:
        z: so far, of the size that the p-value has for a known variance.
        share: of all pairs.
        last: limit of |z| at the last look.
    """
    spread = np.sqrt(np.maximum(1 - share, 1e-12) / share)
    seen = z / np.sqrt(share)
    return stats.norm.sf((last - seen) / spread) + stats.norm.sf((last + seen) / spread)


@dataclass(frozen=True)
class Simulated:
    """What comes of many comparisons of one true effect.

    Args:
        decided: share of them, early or at the last look.
        wrong: share that was decided for the worse of the two.
        hopeless: share that ended early as hopeless.
        pairs: mean number of pairs at the end.
    """

    decided: float
    wrong: float
    hopeless: float
    pairs: float


def simulated(
    effect: float,
    looks: Sequence[int],
    most: int,
    count: int = 1000,
    seed: int = 0,
    futility: bool = True,
    draws: np.ndarray | None = None,
) -> Simulated:
    """Simulate comparisons, whose differences are normal unless others are given.

    Args:
        effect: true mean difference in standard deviations of a difference.
        looks: as of `looked`.
        most: as of `looked`.
        count: of comparisons.
        seed: of the draws.
        futility: whether a hopeless comparison ends.
        draws: (count, most) differences of mean 0 and standard deviation 1, where these are not to
            be normal.
    """
    if draws is None:
        draws = np.random.default_rng(seed).standard_normal((count, most))
    means, p, limit, chance = _at(draws + effect, looks, looks, most)
    decided, hopeless = p <= limit, chance < HOPELESS
    hopeless[:, -1] = False
    ends = decided | hopeless if futility else decided.copy()
    ends[:, -1] = True
    at = ends.argmax(axis=1)
    rows = np.arange(len(at))
    found = decided[rows, at]
    worse = found & (np.sign(means[rows, at]) != np.sign(effect))
    return Simulated(
        float(found.mean()),
        float(worse.mean()) if effect else float(found.mean()),
        float((hopeless[rows, at] & ~found & futility).mean()),
        float(np.array(looks)[at].mean()),
    )


def schedule(first: int, most: int, step: int = 1) -> tuple[int, ...]:
    """Return the numbers of pairs at the looks: from the first on, and at the end.

    Examples:
        >>> schedule(3, 8, 2)
        (3, 5, 7, 8)
    """
    return (*range(max(first, FEWEST), most, step), most)
