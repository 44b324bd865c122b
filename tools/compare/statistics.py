"""Paired tests over seeds: which differences are significant, and how many seeds would suffice.

Runs of a seed share the initial set, so strategies are compared by their differences, seed by seed.
Only seeds that both have count, and every result states their number.

The formulas are written out here, on scipy's distributions. statsmodels has them, too, and the
tests compare with it, but it would be a dependency of every installation for a page of formulas.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

from tools.compare.curves import (
    ANY,
    FEWEST,
    LEVEL,
    Claim,
    Ends,
    Estimate,
    areas,
    claim,
    lower,
    metric_ends,
    paired,
)
from tools.record.reading import Run

ALPHA = 0.05
POWER = 0.8
MOST = 100  # seeds; hardly anybody trains more
SAME = 1e-12  # relative to the values: what floating point adds to equal numbers
Legs = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class PairedTest:
    """A paired t-test, and the size of the effect.

    Args:
        difference: mean paired difference with its 95% interval, and the number of pairs.
        p: two-sided; 1 if all differences are 0, not-a-number if there is no test: with fewer
            than `FEWEST` pairs, and where all differences are the same other number, as coarse
            metrics give by chance.
        effect: Cohen's d_z, mean difference / its standard deviation (Cohen 1988, section 2.3.5); 0
            where all differences are 0, infinite where all are the same other number; not-a-number
            without enough pairs.
        effect_low: of its 95% interval by the noncentral t (Cumming and Finch 2001); not-a-number
            if there is none.
        effect_high: of the same interval.
    """

    difference: Estimate
    p: float
    effect: float
    effect_low: float
    effect_high: float


def paired_test(first: Sequence[float], second: Sequence[float], ends: Ends = ANY) -> PairedTest:
    """Test first - second, pairs in one order; a pair with a not-a-number is left out.

    `ends` are those of both.
    """
    a = np.asarray(first, dtype=float)
    b = np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"Expected two arrays of one shape (N,), but got {a.shape} and {b.shape}")
    differences = np.where(np.isclose(a, b, rtol=SAME, atol=0), 0.0, a - b)
    difference = paired(differences, ends)
    mean = difference.mean
    if difference.n < FEWEST:
        return PairedTest(difference, math.nan, math.nan, math.nan, math.nan)
    if difference.std <= SAME * np.nanmax(np.abs([a, b])):
        if mean == 0:
            return PairedTest(difference, 1.0, 0.0, math.nan, math.nan)
        return PairedTest(difference, math.nan, math.copysign(math.inf, mean), math.nan, math.nan)
    effect = mean / difference.std
    t = effect * math.sqrt(difference.n)
    p = 2 * float(special.stdtr(difference.n - 1, -abs(t)))
    return PairedTest(difference, p, effect, *_effect_interval(t, difference.n))


def _effect_interval(t: float, n: int) -> tuple[float, float]:
    """Effects whose noncentral t has the observed t as its upper or lower quantile."""
    if abs(t) > 1000:  # beyond that SciPy's distribution fails
        return math.nan, math.nan
    size = abs(t)

    def centre(share: float) -> float:
        """Return the effect under which this share of t values lies below the observed one."""
        return float(  # `stats.nct.cdf` is the same in eight times the time
            brentq(lambda c: special.nctdtr(n - 1, c, size) - share, -5, 3 * size + 5)
        ) / math.sqrt(n)

    low = centre(0.5 + LEVEL / 2)
    high = centre(0.5 - LEVEL / 2)
    return (low, high) if t >= 0 else (-high, -low)


def power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Return the power of the two-sided paired t-test with n pairs.

    It follows from the noncentral t (Cohen 1988, section 2.3).
    """
    limit = special.stdtrit(n - 1, 1 - alpha / 2)
    centre = abs(effect) * math.sqrt(n)
    return float(stats.nct.sf(limit, n - 1, centre) + stats.nct.sf(limit, n - 1, -centre))


def seeds_needed(effect: float, tests: int = 1) -> int | None:
    """Return the fewest seeds that detect an effect with 80% power after Holm's correction.

    They are computed at .05 / tests, the limit of Holm's smallest p-value, where `tests` is the
    number of tests. Whatever the other tests result in, a p-value below it is significant (the
    correction rejects all that Bonferroni's does), so the power is at least 80%; if others are
    significant, too, fewer seeds may suffice. They are always more than those that were not enough:
    the effect of a p-value above the limit has less than 64% power with as many pairs.

    For an observed effect that is optimistic: effects that were noticed are overestimated, more so
    with few seeds (Hoenig and Heisey 2001; Gelman and Carlin 2014).

    Returns:
        None for no effect, or more than `MOST`.
    """
    size = min(abs(effect), 100.0)
    alpha = ALPHA / tests
    if math.isnan(effect) or power(size, MOST, alpha) < POWER:
        return None
    low = FEWEST - 1  # too few; power grows with n
    high = MOST  # enough
    while high - low > 1:
        middle = (low + high) // 2
        if power(size, middle, alpha) >= POWER:
            high = middle
        else:
            low = middle
    return high


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values after Holm's correction (1979).

    A not-a-number stands for a missing test: it stays, and does not count.
    """
    tested = sorted((p, place) for place, p in enumerate(ps) if not math.isnan(p))
    corrected = list(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[place] = largest
    return corrected


@dataclass(frozen=True)
class Pair:
    """Two legs' areas under the curve, compared; `str` is the verdict.

    Args:
        first: leg.
        second: leg.
        seeds: that both have, with an area.
        test: first - second.
        p: of the test, after Holm's correction over all pairs of the comparison.
        claim: the kind of claim that so many seeds support.
        tests: of the correction, the pairs that can be tested.
        needed: seeds that would detect the difference seen, see `seeds_needed`; None if it is
            significant, if there is no test, and for more than `MOST`.
        lower: whether less of the metric, and so the smaller area, is better.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    test: PairedTest
    p: float
    claim: Claim
    tests: int
    needed: int | None
    lower: bool

    def __str__(self) -> str:
        both = f"{self.first} and {self.second}"
        n = len(self.seeds)
        seen = self.test.difference
        if self.claim == "none":
            return f"{both}: {self._few_seeds(n, seen)}; no claim"
        if math.isinf(self.test.effect):
            return (
                f"{both}: {seen.mean:+.4g} in each of {n} seeds; no claim, as a test needs "
                "differences that vary"
            )
        if seen.std == 0:
            return f"{both}: the same area in each of {n} seeds"
        return self._tested(n, seen)

    def _few_seeds(self, n: int, seen: Estimate) -> str:
        if n == 0:
            return "no seed in common"
        if n == 1:
            return f"one seed ({seen.mean:+.4g}) cannot tell a difference from chance"
        return f"{n} seeds (mean {seen.mean:+.4g}) cannot tell a difference from chance"

    def _tested(self, n: int, seen: Estimate) -> str:
        low, high = seen.low, seen.high
        if seen.mean <= 0:
            low, high = -high, -low
        better, worse = self.first, self.second
        first_is_better = (seen.mean > 0) != self.lower
        if not first_is_better:
            better, worse = worse, better
        size = (
            f"{abs(seen.mean):.4g} [{low:.4g}, {high:.4g}], p = {self.p:.2g} after Holm, {n} "
            "paired seeds"
        )
        if self.claim == "preliminary":
            size += ", so preliminary"
        if self.p < ALPHA:
            which = "smaller" if self.lower else "larger"
            return f"{better} has a {which} area than {worse}: by {size}"
        if self.test.p < ALPHA:
            size += "; significant before the correction alone"
        return (
            f"{self.first} and {self.second}: no significant difference; {better} by {size}. "
            f"Detecting the difference seen takes {self.many} seeds ({at_power(self.tests)}); this "
            "is optimistic, as differences seen in few seeds tend to be too large"
        )

    @property
    def many(self) -> str:
        """The number of seeds that would detect the difference, in words."""
        return f"more than {MOST:,}" if self.needed is None else f"about {self.needed:,}"


def at_power(tests: int) -> str:
    """Return the power and level that a number of needed seeds is computed for, in words."""
    if tests == 1:
        return "80% power at .05, one test"
    return f"80% power at .05 / {tests}, which Holm asks of {tests} pairs"


def compare_areas(legs: Legs) -> list[Pair]:
    """Test the areas of every pair of legs, in the legs' order."""
    by_leg = {
        leg: {seed: a for seed, a in areas(runs).items() if not math.isnan(a)}
        for leg, runs in legs.items()
    }
    ends = metric_ends(all_runs(legs))
    less = lower(all_runs(legs))
    pairs = []
    for first, second in itertools.combinations(legs, 2):
        a = by_leg[first]
        b = by_leg[second]
        seeds = tuple(sorted(a.keys() & b.keys()))
        test = paired_test([a[seed] for seed in seeds], [b[seed] for seed in seeds], ends)
        pairs.append(Pair(first, second, seeds, test, test.p, claim(len(seeds)), 0, None, less))
    tests = sum(not math.isnan(pair.p) for pair in pairs)
    corrected = []
    for pair, p in zip(pairs, holm([pair.p for pair in pairs]), strict=True):
        needed = None
        if p >= ALPHA:
            needed = seeds_needed(pair.test.effect, tests)
        corrected.append(replace(pair, p=p, tests=tests, needed=needed))
    return corrected


def all_runs(legs: Legs) -> Iterator[Run]:
    """The runs of all legs, in the legs' order."""
    return itertools.chain.from_iterable(legs.values())
