"""What the loss-prediction module has to do with it: how well it ranks, and which part of a gain its ranking is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tools.compare.curves import LEVEL, Estimate, areas, estimate
from tools.compare.runs import Run
from tools.compare.statistics import ALPHA, Legs, paired_test
from tools.summary import column

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
    """The module's ranking in one cycle, on the random control; `str` is the verdict.

    Args:
        labeled: samples in that cycle.
        pairs: share of pairs in the right order, mean over seeds, with its interval.
        p: two-sided, against chance (0.5); not-a-number where there is no test.
        samples: of the control, in the seed that has fewest.
        spearman: correlation of predicted and true loss, mean over seeds with its interval.
    """

    labeled: int
    pairs: Estimate
    p: float
    samples: int
    spearman: Estimate

    def __str__(self) -> str:
        n, rank = self.pairs.n, self.spearman
        share = f"{self.pairs.mean:.3f} of the pairs in order"
        about = f"{n} seeds" if n > 1 else f"one seed, {self.samples} samples: this one module, not its training"
        rho = "" if math.isnan(rank.mean) else f", Spearman's correlation {rank.mean:.3f}"
        if math.isnan(self.p):
            return f"{share}{rho} ({about}): no test"
        told = f"{share} [{self.pairs.low:.3f}, {self.pairs.high:.3f}]{rho} ({about})"
        if self.p >= ALPHA:
            return f"ranks no better than chance, as far as can be told: {told}"
        return f"ranks {'better' if self.pairs.mean > CHANCE else 'WORSE'} than chance: {told}"


def ranking_health(runs: Sequence[Run]) -> list[Health]:
    """How well a leg's module ranks in each cycle; empty where there is no module.

    Over seeds a one-sample t-test against chance; a seed is one value, whatever its number of samples. With one seed
    the n (n - 1) / 2 pairs are no independent trials, as each sample is in n - 1 of them. A share of pairs is a
    U-statistic, whose variance is at most 2 / n of one pair's (Hoeffding 1948, theorem 5.2): the pairs are worth at
    least n / 2 independent ones. The bound 0.25 / (n / 2) makes a cautious normal interval and test, about this one
    module.
    """
    found = []
    for size in sorted({labeled for run in runs for labeled in run.labeled}):
        rows = [row for run in runs for row in run.rows if row["labeled"] == size]
        shares, counts, ranks = (column(rows, f"ranking/control/{key}") for key in ("pairs", "n", "spearman"))
        known = [(share, int(n)) for share, n in zip(shares, counts, strict=True) if share == share and n == n]
        if known:
            kept, samples = [share for share, _ in known], min(n for _, n in known)
            pairs, p = _of_one(kept[0], samples) if len(kept) == 1 else _over_seeds(kept)
            found.append(Health(size, pairs, p, samples, estimate(ranks)))
    return found


def _over_seeds(values: Sequence[float]) -> tuple[Estimate, float]:
    return estimate(values), paired_test(values, [CHANCE] * len(values)).p


def _of_one(share: float, samples: int) -> tuple[Estimate, float]:
    error = math.sqrt(0.25 / (samples / 2))
    half = float(stats.norm.ppf(0.5 + LEVEL / 2)) * error
    interval = Estimate(share, math.nan, max(0.0, share - half), min(1.0, share + half), 1)
    return interval, 2 * float(stats.norm.sf(abs(share - CHANCE) / error))


@dataclass(frozen=True)
class Part:
    """A part of a gain in area.

    Args:
        name: what made it.
        first: leg.
        second: leg that it is held against.
        gain: first - second, mean over the seeds with its interval; None where a leg is missing.
        seeds: that counted.
    """

    name: str
    first: str
    second: str
    gain: Estimate | None
    seeds: tuple[int, ...]


def attribution(legs: Legs) -> list[Part]:
    """Split learning_loss's gain in area over random, and say what a perfect ranking would have added.

    Joint training (random-joint - random), luck of selection (placebo - random-joint) and ranking (learning_loss -
    placebo) are counted on the seeds that all of these legs have which are there, so that with all four they add up to
    the whole. The last part is an oracle's area less learning_loss's: oracle_loss-joint where there is one, as
    oracle_loss alone trains without the module, so that it differs in training, too.
    """
    by_leg = {leg: {seed: a for seed, a in areas(runs).items() if not math.isnan(a)} for leg, runs in legs.items()}
    chain = [leg for leg in ("random", "random-joint", "placebo", "learning_loss") if leg in by_leg]
    shared = set.intersection(*(set(by_leg[leg]) for leg in chain)) if chain else set()
    parts = [_part(name, first, second, by_leg, shared) for name, first, second in PARTS]
    oracle = next((leg for leg in ORACLES if leg in by_leg), ORACLES[0])
    both = set(by_leg.get(oracle, {})) & set(by_leg.get("learning_loss", {}))
    return [*parts, _part("left to a perfect ranking", oracle, "learning_loss", by_leg, both)]


def _part(name: str, first: str, second: str, by_leg: Mapping[str, Mapping[int, float]], seeds: set[int]) -> Part:
    if first not in by_leg or second not in by_leg:
        return Part(name, first, second, None, ())
    order = tuple(sorted(seeds))
    gains = np.array([by_leg[first][seed] - by_leg[second][seed] for seed in order])
    return Part(name, first, second, estimate(gains), order)
