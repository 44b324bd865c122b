"""Shares of the variance: how much of a score's spread comes from set, model and query.

A run draws its first labeled set, its models and its queries from a seed each
(`tools/experiment/seeds.py`). Runs that share some of the three and differ in others tell the
parts apart:

- crossed: every combination of some seeds was run, once each. Then it is an analysis of variance
  with random effects (Searle, Casella and McCulloch 1992, chapter 4): each part by itself, and what
  parts do together.
- one at a time: groups of runs differ in one part alone. Then a part's variance holds what it does
  together with the others, as these were fixed, and shares are of the sum of these variances.

Parts that never differ have no share, and parts that always change together have one between them.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tools.compare.curves import LEVEL, areas
from tools.record.reading import Run

PARTS = ("set", "model", "query")
TOGETHER = "together"  # what parts do beyond what each does alone
DRAWS = 5000
Triple = tuple[int, int, int]
Design = Literal["crossed", "one at a time", "one part"]


@dataclass(frozen=True)
class Share:
    """A part's share of the variance.

    Args:
        part: "set", "model", "query", several of them that change together, or `TOGETHER`.
        freedom: degrees of freedom of its mean square; for `TOGETHER` of the highest term.
        variance: estimated; cut at 0, below which the estimate may fall.
        share: of the sum of all parts.
        low: of the 95% interval of the share, a generalised one (Weerahandi 1993): of variances
            from chi-square draws of each mean square. Not-a-number with one part alone.
        high: of the same.
        std_low: of the 95% interval of the standard deviation, by the same draws.
        std_high: of the same.
    """

    part: str
    freedom: int
    variance: float
    share: float
    low: float
    high: float
    std_low: float
    std_high: float

    @property
    def std(self) -> float:
        """The standard deviation, in the metric's unit."""
        return math.sqrt(self.variance)


@dataclass(frozen=True)
class Variation:
    """Where the spread of some runs' areas comes from; `str` says it in standard deviations.

    Args:
        name: of the strategy, or "a − b" for the difference of two with all seeds the same.
        design: see the module.
        runs: that count.
        fixed: parts that do not differ.
        never_alone: parts that differ, but in which alone no two runs differ.
        shares: of the parts.
        all_at_once: standard deviation over runs of which any two differ in all three parts;
            not-a-number with fewer than three.
    """

    name: str
    design: Design
    runs: int
    fixed: tuple[str, ...]
    shares: tuple[Share, ...]
    all_at_once: float
    never_alone: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{share.part} {share.std:.3g} [{share.std_low:.3g}, {share.std_high:.3g}]"
            + ("" if math.isnan(share.low) else f", {_percent(share)}")
            for share in self.shares
        ]
        text = f"{self.name}, {self.runs} runs, {self.design}: {'; '.join(parts)}"
        if self.fixed:
            text += f"; nothing is known of {' and '.join(self.fixed)}, which did not differ"
        if self.never_alone:
            text += f"; no two runs differ in {' or in '.join(self.never_alone)} alone"
        return text


def _percent(share: Share) -> str:
    return f"{share.share:.0%} of the variance [{share.low:.0%}, {share.high:.0%}]"


def triple(run: Run) -> Triple:
    """The seeds of set, model and query that a run drew from."""
    own = [run.settings.get(f"seeds.{part}") for part in PARTS]
    first, second, third = (run.seed if seed is None else int(seed) for seed in own)
    return first, second, third


def variations(legs: Mapping[str, Sequence[Run]], reference: str = "random") -> list[Variation]:
    """Split the areas' variance for each strategy, and for its difference from `reference`.

    Strategies whose runs vary all parts at once are left out: nothing can be told apart.
    """
    by_leg = {leg: _values(runs) for leg, runs in legs.items()}
    of = {leg: variation(leg, values) for leg, values in by_leg.items()}
    against = by_leg.get(reference, {})
    for leg, values in by_leg.items():
        shared = values.keys() & against.keys()
        if leg != reference and shared:
            name = f"{leg} − {reference}"
            gains = {seeds: values[seeds] - against[seeds] for seeds in shared}
            of[name] = variation(name, gains)
    return [one for one in of.values() if one is not None]


def variation(name: str, values: Mapping[Triple, float]) -> Variation | None:
    """Split the variance of values by their seeds; None if no part can be told from the others."""
    parts = _parts(list(values))
    fixed = tuple(p for i, p in enumerate(PARTS) if not any(i in part for part in parts))
    if not parts or (len(parts) == 1 and len(parts[0]) == len(PARTS)):
        return None
    levels = [sorted({_level(seeds, part) for seeds in values}) for part in parts]
    squares = _crossed(values, parts, levels)
    design: Design = "crossed"
    if squares is None:
        design = "one at a time"
        squares = _one_at_a_time(values, parts)
    if not squares:
        return None
    if len(squares) == 1:
        design = "one part"
    known = frozenset().union(*(square.term for square in squares))
    lacking = tuple(
        " and ".join(PARTS[i] for i in parts[k]) for k in range(len(parts)) if k not in known
    )
    shares = _shares(squares, parts)
    return Variation(name, design, len(values), fixed, shares, _all_at_once(values), lacking)


@dataclass(frozen=True)
class _Square:
    """A mean square: of the parts in `term`, with the number of values behind each mean."""

    term: frozenset[int]
    mean: float
    freedom: int
    weight: float


def _values(runs: Sequence[Run]) -> dict[Triple, float]:
    """Known areas by seeds; of runs with the same three seeds the first counts."""
    found: dict[Triple, float] = {}
    for run in runs:
        area = next(iter(areas([run]).values()))
        if not math.isnan(area):
            found.setdefault(triple(run), area)
    return found


def _parts(seeds: Sequence[Triple]) -> list[tuple[int, ...]]:
    """The parts that differ between runs; those that always change together are one."""
    found: list[tuple[int, ...]] = []
    for i in range(len(PARTS)):
        own = [one[i] for one in seeds]
        if len(set(own)) < 2:
            continue
        for place, other in enumerate(found):
            pairs = {(one[other[0]], one[i]) for one in seeds}
            if len(pairs) == len(set(own)) == len({a for a, _ in pairs}):
                found[place] = (*other, i)
                break
        else:
            found.append((i,))
    return found


def _level(seeds: Triple, part: Sequence[int]) -> tuple[int, ...]:
    return tuple(seeds[i] for i in part)


def _crossed(
    values: Mapping[Triple, float],
    parts: Sequence[tuple[int, ...]],
    levels: Sequence[Sequence[tuple[int, ...]]],
) -> list[_Square] | None:
    """Mean squares of every term; None if a combination is missing."""
    shape = [len(own) for own in levels]
    if len(values) != math.prod(shape):
        return None
    table = np.full(shape, math.nan)
    for seeds, value in values.items():
        at = (own.index(_level(seeds, part)) for own, part in zip(levels, parts, strict=True))
        table[tuple(at)] = value
    axes = range(len(shape))
    squares = []
    for size in range(1, len(shape) + 1):
        for term in itertools.combinations(axes, size):
            effect = table
            for axis in axes:
                mean = effect.mean(axis=axis, keepdims=True)
                effect = effect - mean if axis in term else mean
            weight = math.prod(shape[axis] for axis in axes if axis not in term)
            freedom = math.prod(shape[axis] - 1 for axis in term)
            total = float((effect**2).sum()) * weight
            squares.append(_Square(frozenset(term), total / freedom, freedom, weight))
    return squares


def _one_at_a_time(
    values: Mapping[Triple, float], parts: Sequence[tuple[int, ...]]
) -> list[_Square]:
    """The variance within groups of runs that differ in one part alone, pooled over the groups."""
    squares = []
    for place, part in enumerate(parts):
        groups = defaultdict(list)
        for seeds, value in sorted(values.items()):
            groups[tuple(s for i, s in enumerate(seeds) if i not in part)].append(value)
        several = [np.array(group) for group in groups.values() if len(group) > 1]
        freedom = sum(len(group) - 1 for group in several)
        if freedom:
            total = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
            squares.append(_Square(frozenset((place,)), total / freedom, freedom, 1.0))
    return squares


def _shares(squares: Sequence[_Square], parts: Sequence[tuple[int, ...]]) -> tuple[Share, ...]:
    """Variances of the parts and their shares, with intervals over draws of the mean squares."""
    rng = np.random.default_rng(0)
    means = np.array([[square.mean for square in squares]])
    freedoms = np.array([square.freedom for square in squares])
    drawn = means * freedoms / rng.chisquare(freedoms, (DRAWS, len(squares)))
    (variances,), spread = (_variances(some, squares) for some in (means, drawn))
    total, totals = variances.sum(), spread.sum(axis=1)
    names = [" and ".join(PARTS[i] for i in part) for part in parts]
    alone = len(variances) == 1
    shares = []
    rows = [next(iter(s.term)) for s in squares if len(s.term) == 1]
    for column, variance in enumerate(variances):
        part, freedom = TOGETHER, squares[-1].freedom
        if column < len(rows):
            part, freedom = names[rows[column]], squares[column].freedom
        ratio = np.divide(spread[:, column], totals, out=np.full(DRAWS, math.nan), where=totals > 0)
        ends = (math.nan, math.nan) if alone else _interval(ratio)
        share = float(variance / total) if total > 0 else math.nan
        own = _interval(np.sqrt(spread[:, column]))
        shares.append(Share(part, int(freedom), float(variance), share, *ends, *own))
    return tuple(shares)


def _variances(means: np.ndarray, squares: Sequence[_Square]) -> np.ndarray:
    """(D, P) variances, at least 0, of (D, terms) mean squares: single parts, then all others.

    The expected mean square of a term is the sum of weight x variance over the terms that hold it,
    so alternating sums give each.
    """
    single: list[np.ndarray] = []
    others: list[np.ndarray] = []
    for square in squares:
        signs = [
            (-1.0) ** len(other.term - square.term) if other.term >= square.term else 0.0
            for other in squares
        ]
        variance = np.maximum(means @ np.array(signs) / square.weight, 0.0)
        (single if len(square.term) == 1 else others).append(variance)
    if others:
        single.append(np.sum(others, axis=0))
    return np.stack(single, axis=1)


def _interval(values: np.ndarray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _all_at_once(values: Mapping[Triple, float]) -> float:
    """Standard deviation over runs of which any two differ in all parts."""
    seen: list[Triple] = []
    for seeds in sorted(values):
        if all(a != b for other in seen for a, b in zip(seeds, other, strict=True)):
            seen.append(seeds)
    return float(np.std([values[seeds] for seeds in seen], ddof=1)) if len(seen) > 2 else math.nan
