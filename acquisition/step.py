"""The contract of a step: what it may see, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Rows = Mapping[str, np.ndarray]
BLOCK = 1 << 22  # numbers that are looked at together: the bags of a pool are gigabytes


class QueryError(Exception):
    """A query is wrong: scores are not finite, or the number of samples is not the budget."""


@dataclass(frozen=True)
class Seen:
    """What a step may read: signals, and neither labels nor the model.

    Args:
        count: number of candidates N.
        rows: signal name -> (N,) or (N, D), a row a candidate.
        labeled: signal name -> (M,) or (M, D), a row a labeled sample, for the signals in the
            step's `labeled`.
        cycle: number of the cycle, from 0.
        cycles: how many of them query; the one that ends a run does not.
    """

    count: int
    rows: Rows
    labeled: Rows
    cycle: int = 0
    cycles: int = 1


class Step:
    """One narrowing of the candidates; a strategy of one's own is a class like this.

    Attributes:
        needs: names of the signals that it reads (see `acquisition/signals.py`).
        labeled: those that it reads of the labeled samples, most of them of both.

    Examples:
        >>> class Lowest(Step):
        ...     needs = ("entropy",)
        ...
        ...     def __call__(self, seen, budget, rng):
        ...         return np.argsort(seen.rows["entropy"], kind="stable")[:budget]
        >>> seen = Seen(3, {"entropy": np.array([0.7, 0.1, 0.4])}, labeled={})
        >>> Lowest()(seen, 2, np.random.default_rng(0)).tolist()
        [1, 2]
    """

    needs: tuple[str, ...] = ()
    labeled: tuple[str, ...] = ()

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions of the candidates that stay, in the order of preference.

        Args:
            seen: candidates and their signals.
            budget: samples to be labeled in the end.
            rng: the query's random stream.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class OfSignal(Step):
    """A step that reads one signal."""

    signal: str

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The one signal."""
        return (self.signal,)


def finite(rows: Rows, signal: str) -> np.ndarray:
    """Return the values of a signal.

    Raises:
        QueryError: if one is not finite, with the number of samples.
    """
    values = rows[signal]
    if not len(values):
        return values
    step = max(1, BLOCK * len(values) // max(values.size, 1))
    bad = 0
    for start in range(0, len(values), step):
        part = np.isfinite(values[start : start + step])
        bad += len(part) - np.count_nonzero(part.reshape(len(part), -1).all(axis=1))
    if bad:
        raise QueryError(
            f"Expected finite scores {signal!r}, but {bad} of {len(values)} are not: the training "
            "went astray. A smaller learning rate, a warm-up or `training.clip_grad` may help."
        )
    return values


def highest(scores: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the highest scores (N,), highest first; `rng` orders equal ones."""
    shuffled = rng.permutation(len(scores))
    return shuffled[np.argsort(-scores[shuffled], kind="stable")][:count]
