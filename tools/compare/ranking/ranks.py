"""Mean ranks over configs and their tests: Friedman over all, Wilcoxon pair by pair (Demsar 2006).

A config is one block: its score is the mean over its seeds. Seeds are no blocks of their own, as
those of a config share its data and its difficulty, and would count one finding many times.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from tools.compare.ranking.scores import Scores
from tools.compare.statistics import ALPHA, SAME, holm


@dataclass(frozen=True)
class Duel:
    """Two strategies over the configs.

    Args:
        first: name.
        second: name.
        wins: configs in which the first has the better mean area.
        ties: configs in which both are equal.
        losses: configs in which the second is better.
        p: of Wilcoxon's signed-rank test, two-sided; 1 where all differences are 0.
        corrected: the same after Holm's correction over all pairs.
    """

    first: str
    second: str
    wins: int
    ties: int
    losses: int
    p: float
    corrected: float


@dataclass(frozen=True)
class Ranks:
    """Strategies ranked over configs, 1 is best.

    Args:
        legs: L names.
        table: (C, L) ranks in each config; equal scores share their mean rank.
        mean: (L,).
        statistic: Friedman's chi-square; not-a-number where there is no test.
        p: of it, by its chi-square approximation.
        duels: of all pairs, in the legs' order.
        cliques: sets of neighbours by mean rank of which no two differ significantly; those that
            lie in another one are left out. All are one set where Friedman's test finds nothing:
            pairs are looked at after it alone.
    """

    legs: tuple[str, ...]
    table: np.ndarray = field(repr=False)
    mean: np.ndarray
    statistic: float
    p: float
    duels: tuple[Duel, ...]
    cliques: tuple[tuple[str, ...], ...]

    @property
    def order(self) -> list[str]:
        """Names by mean rank, the best first."""
        return [self.legs[i] for i in np.argsort(self.mean, kind="stable")]

    @property
    def least_p(self) -> float:
        """The least p-value that so many configs can give a pair before the correction."""
        return min(1.0, 2.0 ** (1 - len(self.table)))

    @property
    def decidable(self) -> bool:
        """Whether a pair can be significant at all after Holm's correction."""
        return self.least_p * len(self.duels) < ALPHA

    @property
    def needed(self) -> int:
        """The fewest configs with which a pair can be."""
        return 2 + math.floor(math.log2(len(self.duels) / ALPHA))


def ranks(of: Scores) -> Ranks:
    """Rank and test; see `Ranks`."""
    table = mean_goodness(of)
    each = ranked(table)
    statistic, p = friedman(table)
    tests = [
        (i, j, signed_rank(table[:, i], table[:, j]))
        for i, j in itertools.combinations(range(len(of.legs)), 2)
    ]
    corrected = holm([p for _, _, p in tests])
    duels = tuple(
        _duel(of.legs[i], of.legs[j], _signs(table[:, i], table[:, j]), p, after)
        for (i, j, p), after in zip(tests, corrected, strict=True)
    )
    mean = each.mean(axis=0)
    bars = cliques(of.legs, mean, () if p >= ALPHA else duels)
    return Ranks(of.legs, each, mean, statistic, p, duels, bars)


def mean_goodness(of: Scores) -> np.ndarray:
    """(C, L) mean areas over the seeds, turned where less is better."""
    return np.array([setting.goodness.mean(axis=0) for setting in of.settings])


def ranked(goodness: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, 1 for the largest; equal values share their mean rank."""
    # what floating point adds to equal means is no difference; configs may differ in scale
    scale = np.abs(goodness).max(axis=-1, keepdims=True)
    scale = np.where(scale == 0, 1.0, scale)
    return np.asarray(stats.rankdata(-np.round(goodness / scale, 12), axis=-1))


def friedman(goodness: np.ndarray) -> tuple[float, float]:
    """Friedman's statistic with its p-value, of (C, L) scores.

    Not-a-number with fewer than three strategies (a signed-rank test does for two) or two configs;
    0 and 1 where all are equal in every config.
    """
    configs, legs = goodness.shape
    if legs < 3 or configs < 2:
        return math.nan, math.nan
    places = ranked(goodness)
    if np.ptp(places) == 0:
        return 0.0, 1.0
    statistic, p = stats.friedmanchisquare(*places.T)
    return float(statistic), float(p)


def signed_rank(first: np.ndarray, second: np.ndarray) -> float:
    """The p-value of Wilcoxon's signed-rank test, two-sided and exact, with ties, too.

    Differences of 0 are dropped, as Wilcoxon did.
    """
    differences = _differences(first, second)
    some = differences != 0
    if not some.any():
        return 1.0
    rounding = SAME * np.maximum(np.abs(first), np.abs(second))[some]
    # shared ranks are halves
    places = np.rint(2 * _places(np.abs(differences[some]), rounding)).astype(int)
    sums = 2 * np.arange(places.sum() + 1) - places.sum()
    as_far = np.abs(sums) >= abs(np.sign(differences[some]) @ places)
    return min(1.0, float(_chances(places)[as_far].sum()))


def _places(sizes: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Ranks of sizes, 1 for the smallest; neighbours no further apart than rounding share one."""
    order = np.argsort(sizes, kind="stable")
    most = np.maximum(rounding[order][1:], rounding[order][:-1])
    places = np.empty(len(sizes))
    steps = np.cumsum(np.diff(sizes[order]) > most)
    places[order] = stats.rankdata(np.append(0, steps))
    return places


def _chances(places: np.ndarray) -> np.ndarray:
    """The chance of each sum, from 0 on, of ranks of which each counts in one case of two.

    Tables of this distribution are for the ranks 1 to n and do not hold with ties.
    """
    chances = np.ones(1)
    for place in places:
        chances = (np.pad(chances, (0, place)) + np.pad(chances, (place, 0))) / 2
    return chances


def cliques(
    legs: Sequence[str], mean: np.ndarray, duels: Sequence[Duel]
) -> tuple[tuple[str, ...], ...]:
    """The bars of a critical-difference diagram.

    Each is a run of neighbours in the order of mean ranks of which no two differ significantly.
    """
    different = {frozenset((d.first, d.second)) for d in duels if d.corrected < ALPHA}
    order = [legs[i] for i in np.argsort(mean, kind="stable")]
    found: list[tuple[str, ...]] = []
    end = 0  # of the bar before
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and not any(
            frozenset((other, order[stop])) in different for other in order[start:stop]
        ):
            stop += 1
        if stop - start > 1 and stop > end:
            found.append(tuple(order[start:stop]))
            end = stop
    return tuple(found)


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    same = np.isclose(first, second, rtol=SAME, atol=0)
    return np.where(same, 0.0, first - second)


def _signs(first: np.ndarray, second: np.ndarray) -> list[int]:
    return np.sign(_differences(first, second)).astype(int).tolist()


def _duel(first: str, second: str, signs: list[int], p: float, corrected: float) -> Duel:
    return Duel(first, second, signs.count(1), signs.count(0), signs.count(-1), p, corrected)
