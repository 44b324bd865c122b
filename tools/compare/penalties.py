"""Which leg beats which, size by size: the pairwise penalties of BADGE's paper."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from tools.compare.curves import lower
from tools.compare.statistics import ALPHA, Legs, all_runs, paired_test


@dataclass(frozen=True)
class Penalties:
    """The pairwise penalty matrix of Ash et al., ICLR 2020 (BADGE), section 4.

    Args:
        legs: L names.
        matrix: (L, L); entry i, j is the share of labeled sizes at which i beats j significantly
            (paired t-test at .05, uncorrected, as in the paper); not-a-number where no size has
            three paired seeds, and on the diagonal.
    """

    legs: tuple[str, ...]
    matrix: np.ndarray = field(repr=False)

    @property
    def columns(self) -> np.ndarray:
        """(L,) mean of each column without the diagonal: how often a leg is beaten.

        The lower, the better.
        """
        known = ~np.isnan(self.matrix)
        total = np.where(known, self.matrix, 0).sum(axis=0)
        count = known.sum(axis=0)
        return np.divide(total, count, out=np.full(len(self.legs), math.nan), where=count > 0)


def penalties(legs: Legs) -> Penalties:
    """Count the labeled sizes at which one leg beats another.

    Every size counts in the share, tested or not.
    """
    names = tuple(legs)
    better = -1 if lower(all_runs(legs)) else 1
    scores = {
        leg: {run.seed: dict(zip(run.labeled, run.values, strict=True)) for run in legs[leg]}
        for leg in names
    }
    sizes = sorted(
        {size for seeds in scores.values() for by_size in seeds.values() for size in by_size}
    )
    matrix = np.full((len(names), len(names)), math.nan)
    for i, j in itertools.combinations(range(len(names)), 2):
        first = scores[names[i]]
        second = scores[names[j]]
        seeds = sorted(first.keys() & second.keys())
        a, b = (
            [[run[s].get(size, math.nan) for s in seeds] for size in sizes]
            for run in (first, second)
        )
        tests = [paired_test(*pair) for pair in zip(a, b, strict=True)]
        tests = [test for test in tests if not math.isnan(test.p)]
        if tests:
            wins = [
                math.copysign(1, better * test.difference.mean) for test in tests if test.p < ALPHA
            ]
            matrix[i, j] = wins.count(1) / len(sizes)
            matrix[j, i] = wins.count(-1) / len(sizes)
    return Penalties(names, matrix)
