"""Matrices over all configs: each strategy's gain in each, and how often each beats each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.compare.curves import Estimate
from tools.compare.findings import REFERENCE, Findings
from tools.compare.penalties import Penalties


@dataclass(frozen=True)
class Gain:
    """A strategy's gain in area over random in one config.

    Args:
        area: mean over its seeds.
        gain: over random, mean over the paired seeds with its interval, more is better; None for
            random itself, and where no seed is paired.
        significant: whether it differs from random after the config's own Holm correction.
    """

    area: float
    gain: Estimate | None
    significant: bool


@dataclass(frozen=True)
class Gains:
    """Every strategy of any config, in every config.

    Args:
        configs: C names.
        legs: L names.
        cells: C rows of L; None where a config has no finished run of a strategy.
    """

    configs: tuple[str, ...]
    legs: tuple[str, ...]
    cells: tuple[tuple[Gain | None, ...], ...] = field(repr=False)


def gains(found: Sequence[Findings], names: Sequence[str]) -> Gains:
    """Collect the gains; `names` are those of the configs."""
    legs = tuple(dict.fromkeys(leg.name for one in found for leg in one.legs))
    rows = tuple(tuple(_cell(one, leg) for leg in legs) for one in found)
    return Gains(tuple(names), legs, rows)


def _cell(one: Findings, name: str) -> Gain | None:
    own = [leg for leg in one.legs if leg.name == name]
    if not own:
        return None
    area = own[0].area.mean
    for pair in one.pairs:
        if {pair.first, pair.second} == {name, REFERENCE}:
            seen = pair.test.difference
            better = (pair.first == name) != one.comparison.lower
            if seen.n:
                return Gain(area, seen if better else _turned(seen), pair.p < 0.05)
    return Gain(area, None, False)


def _turned(seen: Estimate) -> Estimate:
    return Estimate(-seen.mean, seen.std, -seen.high, -seen.low, seen.n)


@dataclass(frozen=True)
class Wins:
    """Penalty matrices of several configs, added up (Ash et al., ICLR 2020, section 4).

    Args:
        legs: L names.
        matrix: (L, L); entry i, j is in how many configs i beats j, where a config counts by the
            share of its labeled sizes at which i beats j significantly; not-a-number where no
            config has a test.
        tested: (L, L) configs that have one, the most that an entry can be.
    """

    legs: tuple[str, ...]
    matrix: np.ndarray = field(repr=False)
    tested: np.ndarray = field(repr=False)

    @property
    def beaten(self) -> np.ndarray:
        """(L,) mean share of each column: how often a strategy is beaten, less is better."""
        known = self.tested.sum(axis=0)
        total = np.nansum(self.matrix, axis=0)
        return np.divide(total, known, out=np.full(len(self.legs), np.nan), where=known > 0)


def wins(each: Sequence[Penalties]) -> Wins:
    """Add up the matrices over the strategies of any of them."""
    legs = tuple(dict.fromkeys(leg for one in each for leg in one.legs))
    total = np.zeros((len(legs), len(legs)))
    tested = np.zeros((len(legs), len(legs)), dtype=int)
    for one in each:
        at = np.ix_([legs.index(leg) for leg in one.legs], [legs.index(leg) for leg in one.legs])
        known = ~np.isnan(one.matrix)
        total[at] += np.where(known, one.matrix, 0.0)
        tested[at] += known
    return Wins(legs, np.where(tested > 0, total, np.nan), tested)
