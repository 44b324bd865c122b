"""The scores that a ranking over several configs is made of, and what is left out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.compare.curves import ANY, Ends, areas, metric_ends
from tools.compare.grouping import Comparison
from tools.record.reading import Run

FEWEST = 2  # configs, and strategies: with one there is nothing to rank over


@dataclass(frozen=True)
class Setting:
    """A config's part in the ranking.

    Args:
        name: of the config; with the task's class where two have the same name.
        metric: that its areas are of.
        lower: whether less of it is better.
        seeds: that all ranked strategies have, R of them.
        areas: (R, L) under the curve, a row for each seed, a column for each strategy.
        sizes: S numbers of labeled samples at which a strategy has a score.
        means: (S, L) of the metric over these seeds; not-a-number where a seed has none.
        ends: the least and the largest possible value of the metric.
    """

    name: str
    metric: str
    lower: bool
    seeds: tuple[int, ...]
    areas: np.ndarray = field(repr=False)
    sizes: tuple[int, ...] = ()
    means: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    ends: Ends = ANY

    @property
    def goodness(self) -> np.ndarray:
        """(R, L) areas, turned where less is better: more is better in all of them."""
        return -self.areas if self.lower else self.areas


@dataclass(frozen=True)
class Scores:
    """The strategies that every config has, and their areas.

    Args:
        legs: L names.
        settings: C configs.
        left_out: a sentence for each strategy, config and seed that does not count, and why.
    """

    legs: tuple[str, ...]
    settings: tuple[Setting, ...]
    left_out: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why there is no ranking; empty if there is one."""
        if len(self.settings) < FEWEST:
            return f"a ranking over configs takes two at least, but there is {len(self.settings)}"
        if len(self.legs) < FEWEST:
            return f"the configs share {len(self.legs)} strategies, and a ranking takes two"
        return ""


def scores(compared: Sequence[Comparison]) -> Scores:
    """Collect the areas of the strategies that all configs have, on the seeds that all have.

    A strategy that a config lacks is left out of the ranking: a rank among others is no rank. A
    config without any seed that all these strategies finished is left out, too.
    """
    areas_of = [_areas(one) for one in compared]
    names = names_of(compared)
    everywhere = [leg for leg in _legs(areas_of) if all(leg in known for known in areas_of)]
    left_out = []
    for leg in _legs(areas_of):
        lacking = [n for n, known in zip(names, areas_of, strict=True) if leg not in known]
        if lacking:
            left_out.append(f"{leg} is not ranked: it has no finished run in {', '.join(lacking)}")
    settings = []
    for one, name, known in zip(compared, names, areas_of, strict=True):
        of_legs = [known[leg] for leg in everywhere]
        shared = sorted(set.intersection(*map(set, of_legs))) if of_legs else []
        if everywhere and not shared:
            left_out.append(f"{name} does not count: its strategies have no seed in common")
            continue
        extra = sorted({seed for by_seed in of_legs for seed in by_seed} - set(shared))
        if extra:
            left_out.append(
                f"{name}: seeds {', '.join(map(str, extra))} do not count, as some strategies "
                "lack them"
            )
        settings.append(_setting(one, name, everywhere, shared))
    return Scores(tuple(everywhere), tuple(settings), tuple(left_out))


def _setting(one: Comparison, name: str, legs: Sequence[str], seeds: Sequence[int]) -> Setting:
    runs = [{run.seed: run for run in one.legs[leg]} for leg in legs]
    kept = [[by_seed[seed] for seed in seeds] for by_seed in runs]
    sizes = sorted({size for of_leg in kept for run in of_leg for size in run.labeled})
    means = [[_mean(of_leg, size) for of_leg in kept] for size in sizes]
    table = [list(areas(of_leg).values()) for of_leg in kept]
    return Setting(
        name,
        one.metric,
        one.lower,
        tuple(seeds),
        np.array(table).reshape(len(legs), len(seeds)).T,
        tuple(sizes),
        np.array(means).reshape(len(sizes), len(legs)),
        metric_ends(one.runs),
    )


def _mean(runs: Sequence[Run], size: int) -> float:
    """The mean score of runs at a labeled size; not-a-number if one has none there."""
    known = [dict(zip(run.labeled, run.values, strict=True)).get(size, math.nan) for run in runs]
    return float(np.mean(known)) if known else math.nan


def _areas(one: Comparison) -> dict[str, dict[int, float]]:
    """Known areas of each leg by seed; a leg without one is left out."""
    by_leg = {
        leg: {seed: area for seed, area in areas(runs).items() if not math.isnan(area)}
        for leg, runs in one.legs.items()
    }
    return {leg: by_seed for leg, by_seed in by_leg.items() if by_seed}


def _legs(areas_of: Sequence[dict[str, dict[int, float]]]) -> list[str]:
    return list(dict.fromkeys(leg for known in areas_of for leg in known))


def names_of(compared: Sequence[Comparison]) -> list[str]:
    """Names of configs, with the task's class where two configs have one name."""
    plain = [one.config for one in compared]
    return [
        name if plain.count(name) == 1 else f"{name} ({one.task.rpartition('.')[2]}, {one.metric})"
        for name, one in zip(plain, compared, strict=True)
    ]
