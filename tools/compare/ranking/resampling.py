"""How firm a ranking is: over drawn seeds, and without one seed or one config.

Two rankings are compared by Kendall's tau-b: 1 is the same order, 0 no relation, -1 the reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from tools.compare.curves import LEVEL
from tools.compare.ranking.ranks import mean_goodness, ranked
from tools.compare.ranking.scores import Scores, Setting

DRAWS = 2000


@dataclass(frozen=True)
class Drawn:
    """Mean ranks over bootstrap draws of the seeds.

    Args:
        draws: number of them.
        low: (L,) of the 95% percentile interval of each mean rank.
        high: (L,) of the same.
        first: (L,) share of the draws in which a strategy has the best mean rank; strategies that
            share it share the draw.
        tau: mean of Kendall's tau between a draw's mean ranks and those of all seeds; a draw in
            which all are equal has none.
        tau_low: its 2.5% percentile.
        fixed: configs with one seed, which no draw changes.
    """

    draws: int
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    tau: float
    tau_low: float
    fixed: tuple[str, ...]


@dataclass(frozen=True)
class Left:
    """The ranking without one part.

    Args:
        what: was left out.
        tau: Kendall's, with the ranking of all.
        first: the strategies with the best mean rank without it.
    """

    what: str
    tau: float
    first: tuple[str, ...]


@dataclass(frozen=True)
class Firmness:
    """See `firmness`; `drawn` is None where every config has one seed."""

    drawn: Drawn | None
    seeds: tuple[Left, ...] = field(default=())
    configs: tuple[Left, ...] = field(default=())


def firmness(of: Scores, draws: int = DRAWS) -> Firmness:
    """Rank again over drawn seeds, without each seed, and without each config.

    In each config as many seeds are drawn as it has, with replacement; a seed comes with all its
    strategies, so pairs stay pairs. Nothing is drawn anew between configs: other configs than
    these are not spoken of.
    """
    whole = ranked(mean_goodness(of)).mean(axis=0)
    return Firmness(_drawn(of, whole, draws), _without_seeds(of, whole), _without(of, whole))


def taus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of rows (..., L) with one row (L,); not-a-number where either is all equal.

    Over thousands of short rows this is much faster than `scipy.stats.kendalltau`.
    """
    i, j = np.triu_indices(len(second), 1)
    a = np.sign(_close(first[..., i] - first[..., j]))
    b = np.sign(_close(second[i] - second[j]))
    pairs = np.sqrt((a != 0).sum(axis=-1) * (b != 0).sum(axis=-1))
    agreed = (a * b).sum(axis=-1)
    return np.divide(agreed, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)


def _close(differences: np.ndarray) -> np.ndarray:
    """Differences of mean ranks, without what floating point adds to equal ones."""
    return np.where(np.abs(differences) < 1e-9, 0.0, differences)


def _drawn(of: Scores, whole: np.ndarray, draws: int) -> Drawn | None:
    fixed = tuple(setting.name for setting in of.settings if len(setting.seeds) == 1)
    if len(fixed) == len(of.settings):
        return None
    rng = np.random.default_rng(0)
    places = np.zeros((draws, len(of.legs)))
    for setting in of.settings:
        count = len(setting.seeds)
        taken = rng.integers(count, size=(draws, count))
        places += ranked(setting.goodness[taken].mean(axis=1))
    places /= len(of.settings)
    best = np.isclose(places, places.min(axis=1, keepdims=True))
    known = taus(places, whole)
    known = known[~np.isnan(known)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(places, [tail, 1 - tail], axis=0)
    return Drawn(
        draws,
        low,
        high,
        (best / best.sum(axis=1, keepdims=True)).mean(axis=0),
        float(known.mean()) if len(known) else math.nan,
        float(np.quantile(known, tail)) if len(known) else math.nan,
        fixed,
    )


def _without_seeds(of: Scores, whole: np.ndarray) -> tuple[Left, ...]:
    """Without seed s in every config that has it and another one."""
    seeds = sorted({seed for setting in of.settings for seed in setting.seeds})
    lefts = []
    for seed in seeds:
        kept = [_without_seed(setting, seed) for setting in of.settings]
        if any(a is not b for a, b in zip(kept, of.settings, strict=True)):
            lefts.append(_left(f"seed {seed}", replace(of, settings=tuple(kept)), whole))
    return tuple(lefts)


def _without_seed(setting: Setting, seed: int) -> Setting:
    kept = [i for i, own in enumerate(setting.seeds) if own != seed]
    if not kept or len(kept) == len(setting.seeds):
        return setting
    return replace(setting, seeds=tuple(setting.seeds[i] for i in kept), areas=setting.areas[kept])


def _without(of: Scores, whole: np.ndarray) -> tuple[Left, ...]:
    if len(of.settings) < 2:
        return ()
    return tuple(
        _left(
            left.name,
            replace(of, settings=tuple(setting for setting in of.settings if setting is not left)),
            whole,
        )
        for left in of.settings
    )


def _left(what: str, rest: Scores, whole: np.ndarray) -> Left:
    mean = ranked(mean_goodness(rest)).mean(axis=0)
    first = np.flatnonzero(np.isclose(mean, mean.min()))
    return Left(what, float(taus(mean, whole)), tuple(rest.legs[i] for i in first))
