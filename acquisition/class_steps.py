"""Steps that look at predicted classes: improved kinds of random, and ClaSP.

They read predicted counts (N, C): 1 for the likeliest class of an image, its boxes of each class,
or the joints that are found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acquisition.step import OfSignal, QueryError, Seen, Step, finite


@dataclass(frozen=True)
class RandomStratified(Step):
    """Random, but evenly over the predicted classes.

    Of a candidate with several, one is drawn in proportion to its counts; those without any are a
    class of their own.

    Examples:
        >>> counts = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1]])
        >>> seen = Seen(5, {"predicted_counts": counts}, labeled={})
        >>> 4 in RandomStratified()(seen, 2, np.random.default_rng(0))
        True
    """

    needs = ("predicted_counts",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions: one of each class in turn."""
        order = rng.permutation(seen.count)
        classes = _drawn(counts_of(seen)[order], rng)
        turns = np.empty(seen.count, np.int64)  # how many of its class come before it
        for one in np.unique(classes):
            members = np.flatnonzero(classes == one)
            turns[members] = np.arange(len(members))
        # in random order within a turn
        return order[np.lexsort((rng.permutation(seen.count), turns))][:budget]


@dataclass(frozen=True)
class RandomForeground(Step):
    """Random among the candidates in which anything is predicted; the others come after them.

    Examples:
        >>> seen = Seen(3, {"predicted_counts": np.array([[0, 0], [2, 1], [0, 0]])}, labeled={})
        >>> RandomForeground()(seen, 1, np.random.default_rng(0)).tolist()
        [1]
    """

    needs = ("predicted_counts",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions in random order."""
        order = rng.permutation(seen.count)
        empty = counts_of(seen)[order].sum(axis=1) == 0
        return order[np.argsort(empty, kind="stable")][:budget]


@dataclass(frozen=True)
class RandomMatched(Step):
    """Random, but with about the predicted annotations that random has on average.

    The candidates in the order of their predicted counts are cut into as many parts of one size as
    are to be labeled, and one is drawn from each.

    Examples:
        >>> counts = np.array([[1], [9], [1], [9]])
        >>> seen = Seen(4, {"predicted_counts": counts}, labeled={})
        >>> int(counts[RandomMatched()(seen, 2, np.random.default_rng(0))].sum())
        10
    """

    needs = ("predicted_counts",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions in random order."""
        order = rng.permutation(seen.count)
        totals = counts_of(seen)[order].sum(axis=1)
        parts = np.array_split(order[np.argsort(totals, kind="stable")], budget)
        return rng.permutation([rng.choice(part) for part in parts if len(part)])


@dataclass(frozen=True)
class ClaSP(OfSignal):
    """Class-stratified power sampling whose chance falls from cycle to cycle.

    A share of the budget goes evenly over the predicted classes, the rest to all candidates; both
    in the order of ln(score) + Gumbel(0, 1 / beta), beta rising from 1 to `coldest` at the last
    query.

    Source: nnActive (2025), where it is the best of the queries.

    Examples:
        >>> counts = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
        >>> rows = {"entropy": np.array([0.9, 0.8, 0.7, 0.1]), "predicted_counts": counts}
        >>> step = ClaSP("entropy", coldest=1e9)
        >>> step(Seen(4, rows, {}, cycle=3, cycles=4), 3, np.random.default_rng(0)).tolist()
        [0, 3, 1]
    """

    stratified: float = 0.66
    coldest: float = 100.0

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The signal and the predicted counts."""
        return (self.signal, "predicted_counts")

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions: those of the classes in turn, then the highest of all."""
        scores = finite(seen.rows, self.signal).astype(np.float64)
        if (scores < 0).any():
            raise QueryError(
                f"Expected scores {self.signal!r} of at least 0, whose logarithm is taken, but got "
                f"{scores.min():.3g}"
            )
        counts = counts_of(seen)
        beta = self.coldest ** (seen.cycle / max(seen.cycles - 1, 1))
        logarithms = np.log(np.maximum(scores, np.finfo(np.float64).tiny))
        order = np.argsort(-(logarithms + rng.gumbel(0, 1 / beta, seen.count)), kind="stable")
        picked = dict.fromkeys(_in_turn(counts, order, round(self.stratified * budget), rng))
        picked |= dict.fromkeys(order.tolist())
        return np.array(list(picked)[:budget], dtype=np.int64)


def counts_of(seen: Seen) -> np.ndarray:
    """The candidates' predicted counts (N, C)."""
    counts = finite(seen.rows, "predicted_counts")
    if counts.ndim != 2:
        raise QueryError(f"Expected predicted counts (N, C), but got {counts.shape}")
    return counts


def _drawn(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One class (N,) of each candidate, in proportion to its counts (N, C); -1 without any."""
    ends = counts.astype(np.float64).cumsum(axis=1)
    drawn = (ends <= (rng.random(len(counts)) * ends[:, -1])[:, None]).sum(axis=1)
    return np.where(ends[:, -1] > 0, drawn, -1)


def _in_turn(
    counts: np.ndarray, order: np.ndarray, budget: int, rng: np.random.Generator
) -> list[int]:
    """Up to `budget` positions: the first of each class in turn, no position twice.

    The order of the classes is random, so that none has an advantage where turns are cut short.
    """
    present = rng.permutation(np.flatnonzero(counts.any(axis=0)))
    queues = [iter(order[counts[order, one] > 0].tolist()) for one in present]
    picked: dict[int, None] = {}
    while queues and len(picked) < budget:
        left = []
        for queue in queues:
            position = next((one for one in queue if one not in picked), None)
            if position is None:
                continue
            left.append(queue)
            if len(picked) < budget:
                picked[position] = None
        queues = left
    return list(picked)
