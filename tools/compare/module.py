"""The quality of the loss-prediction module's ranking, and its part in a gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import stats

from tools.compare.curves import (
    FEW,
    FEWEST,
    LEVEL,
    SHARE,
    Ends,
    Estimate,
    areas,
    estimate,
    lower,
    metric_ends,
    paired,
)
from tools.compare.statistics import ALPHA, Legs, paired_test
from tools.record.reading import Run
from tools.record.rows import column

CHANCE = 0.5
PARTS = (
    ("joint training", "random-joint", "random"),
    ("luck of selection", "placebo", "random-joint"),
    ("ranking", "learning_loss", "placebo"),
    ("all of it", "learning_loss", "random"),
)
ORACLES = ("oracle_loss-joint", "oracle_loss")  # the first trains as learning_loss does


@dataclass(frozen=True)
class Health:
    """The quality of the module's ranking in one cycle, on the random control.

    `str` is the verdict.

    Args:
        labeled: samples in that cycle.
        pairs: share of pairs in the right order, mean over seeds, with its interval.
        p: two-sided, against chance (0.5); not-a-number if there is no test.
        samples: of the control, in the seed that has fewest.
        spearman: correlation of predicted and true loss, mean over seeds with its interval.
    """

    labeled: int
    pairs: Estimate
    p: float
    samples: int
    spearman: Estimate

    def __str__(self) -> str:
        share = f"{self.pairs.mean:.3f} of the pairs in order"
        rest = f" ({self.about})"
        if not math.isnan(self.spearman.mean):
            rest = f", Spearman's correlation {self.spearman.mean:.3f}{rest}"
        if math.isnan(self.p):
            return f"{share}{rest}: no test"
        result = f"{share} [{self.pairs.low:.3f}, {self.pairs.high:.3f}]{rest}"
        if self.p >= ALPHA:
            return f"does not rank significantly better than chance: {result}"
        if self.pairs.mean > CHANCE:
            return f"ranks better than chance: {result}"
        return f"ranks WORSE than chance: {result}"

    @property
    def about(self) -> str:
        """The scope of the verdict in words.

        That is the training over its seeds, or, with few seeds, these modules alone.
        """
        n = self.pairs.n
        if n == 1:
            return f"one seed, {self.samples} samples: this one module, not its training"
        if n < FEWEST:
            return f"{n} seeds, {self.samples} samples: these {n} modules, not their training"
        if n < FEW:
            return f"{n} seeds, preliminary"
        return f"{n} seeds"


def ranking_health(runs: Sequence[Run]) -> list[Health]:
    """Assess how well a leg's module ranks in each cycle; empty if there is no module.

    Over seeds it is a one-sample t-test against chance; a seed is one value, whatever its number of
    samples. Fewer than `FEWEST` seeds support no claim about trainings, but their samples support
    one about these modules. The n (n - 1) / 2 pairs are not independent trials, as each sample is
    in n - 1 of them. A share of pairs is a U-statistic, whose variance is at most 2 / n of one
    pair's (Hoeffding 1948, theorem 5.2): the pairs are worth at least n / 2 independent ones. The
    bound 0.25 / (n / 2) gives a conservative normal interval and test.
    """
    cycles = []
    for size in sorted({labeled for run in runs for labeled in run.labeled}):
        rows = [row for run in runs for row in run.rows if row["labeled"] == size]
        shares, counts, ranks = (
            column(rows, f"ranking/control/{key}") for key in ("pairs", "n", "spearman")
        )
        known = [
            (share, int(n))
            for share, n in zip(shares, counts, strict=True)
            if share == share and n == n
        ]
        if known:
            kept = [share for share, _ in known]
            samples = [n for _, n in known]
            pairs, p = _tested(kept, samples)
            cycles.append(Health(size, pairs, p, min(samples), estimate(ranks, (-1.0, 1.0))))
    return cycles


def _tested(shares: Sequence[float], samples: Sequence[int]) -> tuple[Estimate, float]:
    """The mean share over seeds and its p-value; of few seeds, by the samples of each."""
    if len(shares) >= FEWEST:
        return estimate(shares, SHARE), paired_test(shares, [CHANCE] * len(shares)).p
    seen = estimate(shares)
    error = math.sqrt(sum(0.25 / (n / 2) for n in samples)) / len(samples)
    half = float(stats.norm.ppf(0.5 + LEVEL / 2)) * error
    interval = replace(seen, low=max(0.0, seen.mean - half), high=min(1.0, seen.mean + half))
    return interval, 2 * float(stats.norm.sf(abs(seen.mean - CHANCE) / error))


@dataclass(frozen=True)
class Part:
    """A part of a gain in area.

    Args:
        name: what caused it.
        first: leg.
        second: leg that the first is compared with.
        gain: by how much the first is better, mean over the seeds with its interval: first -
            second, or the other way round where less of the metric is better; None if a leg is
            missing.
        seeds: that count.
        lower: whether less of the metric is better.
    """

    name: str
    first: str
    second: str
    gain: Estimate | None
    seeds: tuple[int, ...]
    lower: bool

    @property
    def difference(self) -> str:
        """The subtraction that gives the gain, in words."""
        if self.lower:
            return f"{self.second} − {self.first}"
        return f"{self.first} − {self.second}"


def attribution(legs: Legs) -> list[Part]:
    """Split learning_loss's gain in area over random, and add what a perfect ranking would gain.

    Joint training (random-joint - random), luck of selection (placebo - random-joint) and ranking
    (learning_loss - placebo) are computed on the seeds that all present ones of these legs share,
    so that with all four they add up to the whole. The last part is an oracle's area less
    learning_loss's: that of oracle_loss-joint if it is present, as oracle_loss alone trains without
    the module, and so differs in training, too.
    """
    by_leg = {
        leg: {seed: a for seed, a in areas(runs).items() if not math.isnan(a)}
        for leg, runs in legs.items()
    }
    chain = [leg for leg in ("random", "random-joint", "placebo", "learning_loss") if leg in by_leg]
    shared = set[int]()
    if chain:
        shared = set.intersection(*(set(by_leg[leg]) for leg in chain))
    runs = [run for of_leg in legs.values() for run in of_leg]
    part = partial(_part, by_leg=by_leg, ends=metric_ends(runs), less=lower(runs))
    parts = [part(name, first, second, seeds=shared) for name, first, second in PARTS]
    oracle = next((leg for leg in ORACLES if leg in by_leg), ORACLES[0])
    both = set(by_leg.get(oracle, {})) & set(by_leg.get("learning_loss", {}))
    return [*parts, part("left to a perfect ranking", oracle, "learning_loss", seeds=both)]


def _part(
    name: str,
    first: str,
    second: str,
    by_leg: Mapping[str, Mapping[int, float]],
    ends: Ends,
    less: bool,
    seeds: set[int],
) -> Part:
    if first not in by_leg or second not in by_leg:
        return Part(name, first, second, None, (), less)
    order = tuple(sorted(seeds))
    above, below = (second, first) if less else (first, second)
    gains = np.array([by_leg[above][seed] - by_leg[below][seed] for seed in order])
    return Part(name, first, second, paired(gains, ends), order, less)
