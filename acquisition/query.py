"""Queries: a strategy is a list of steps, each narrows the candidates, the last one to the budget.

A step sees ids and signals, nothing else: never labels, never the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Rows = Mapping[str, np.ndarray]


class QueryError(Exception):
    """A query that cannot be right: scores that are no numbers, or not as many samples as asked for."""


class Step(Protocol):
    """One narrowing of the candidates.

    Attributes:
        needs: names of the signals that the step reads.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """Read before the step runs, so that everything can be computed in one pass."""
        ...

    def __call__(self, rows: Rows, count: int, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions of the candidates that stay.

        Args:
            rows: signal name -> one row a candidate.
            count: number of candidates.
            budget: samples to be labeled in the end.
            rng: the query's random stream.
        """
        ...


@dataclass(frozen=True)
class RandomSubset:
    """Keeps `size` candidates at random, without replacement; the budget where `size` is None."""

    size: int | None = None

    needs = ()

    def __call__(self, rows: Rows, count: int, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions in random order; all of them where there are no more than `size`."""
        return rng.permutation(count)[: budget if self.size is None else self.size]


@dataclass(frozen=True)
class Highest:
    """Keeps the candidates with the highest values of a signal: `keep` times the budget of them.

    Ties are broken by the query's random stream.
    """

    signal: str
    keep: int = 1

    @property
    def needs(self) -> tuple[str, ...]:
        """The one signal."""
        return (self.signal,)

    def __call__(self, rows: Rows, count: int, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, highest first.

        Raises:
            QueryError: where a score is not finite, with their number.
        """
        scores = rows[self.signal]
        bad = int((~np.isfinite(scores)).sum())
        if bad:
            raise QueryError(
                f"Expected finite scores {self.signal!r}, but {bad} of {count} are not: the training went astray. A "
                "smaller learning rate, a warm-up or `training.clip_grad` may help."
            )
        shuffled = rng.permutation(count)
        return shuffled[np.argsort(-scores[shuffled], kind="stable")][: self.keep * budget]


def named_strategies(subset: int | None) -> dict[str, list[Step]]:
    """The strategies by name; those that score look at `subset` random candidates alone, or at all (None)."""
    sample: list[Step] = [] if subset is None else [RandomSubset(subset)]
    return {
        "random": [RandomSubset()],
        "learning_loss": [*sample, Highest("predicted_loss")],
    }


@dataclass(frozen=True)
class Query:
    """What a strategy asked for.

    Args:
        candidates: ids (N,) that were scored.
        signals: signal name -> rows (N,) or (N, D), in the order of `candidates`.
        picked: ids to be labeled, first choice first.
    """

    candidates: np.ndarray
    signals: dict[str, np.ndarray]
    picked: np.ndarray


def needs(strategy: Sequence[Step]) -> tuple[str, ...]:
    """Names of all signals that the steps read, without repetition."""
    return tuple(dict.fromkeys(name for step in strategy for name in step.needs))


def ask(
    strategy: Sequence[Step], unlabeled: np.ndarray, budget: int, rng: np.random.Generator,
    score: Callable[[np.ndarray, tuple[str, ...]], dict[str, np.ndarray]],
) -> Query:  # fmt: skip
    """Run a strategy: the steps before the first that needs a signal narrow what is scored, the others use the scores.

    Args:
        strategy: the steps.
        unlabeled: ids (N,).
        budget: number of samples to be labeled, at most N.
        rng: the query's random stream.
        score: (ids, names of signals) -> rows in the order of the ids.

    Raises:
        QueryError: where the budget is more than there is, or the strategy does not end with exactly `budget` distinct
            candidates.
    """
    if budget > len(unlabeled):
        raise QueryError(f"Expected a query of at most {len(unlabeled)} samples (all unlabeled ones), but got {budget}")
    first = next((i for i, step in enumerate(strategy) if step.needs), len(strategy))
    candidates = _narrow(strategy[:first], unlabeled, {}, budget, rng)
    names = needs(strategy)
    rows = score(candidates, names) if names else {}
    picked = _narrow(strategy[first:], candidates, rows, budget, rng)
    if len(picked) != budget or len(set(picked.tolist())) != budget:
        raise QueryError(f"Expected {budget} distinct samples, but the strategy picked {len(set(picked.tolist()))}")
    return Query(candidates, rows, picked)


def _narrow(steps: Sequence[Step], ids: np.ndarray, rows: Rows, budget: int, rng: np.random.Generator) -> np.ndarray:
    for step in steps:
        positions = step(rows, len(ids), budget, rng)
        ids = ids[positions]
        rows = {name: values[positions] for name, values in rows.items()}
    return ids
