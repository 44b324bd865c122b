"""Queries: run the steps of a strategy on the unlabeled samples to choose those to label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from acquisition.step import QueryError, Rows, Seen, Step

# (ids, names) -> rows in the order of the ids
Score = Callable[[np.ndarray, tuple[str, ...]], dict[str, np.ndarray]]


class When(NamedTuple):
    """The cycle of a query, from 0, and the number of cycles that query."""

    cycle: int
    cycles: int


FIRST = When(0, 1)
# signals that some strategy reads of the labeled samples
OF_LABELED = frozenset({"embedding", "predicted_counts", "quality"})


@dataclass(frozen=True)
class Query:
    """The samples that a strategy chose, and the signals by which it did.

    Args:
        candidates: ids (N,) that were scored.
        signals: signal name -> rows (N,) or (N, D), in the order of `candidates`.
        picked: ids to be labeled, first choice first.
        labeled: the signals of the labeled samples that a step read, (M,) or (M, D) in the order of
            labeling.
    """

    candidates: np.ndarray
    signals: dict[str, np.ndarray]
    picked: np.ndarray
    labeled: dict[str, np.ndarray] = field(default_factory=dict)

    def without_vectors(self) -> Query:
        """The same query without signals that are vectors."""
        kept = [
            {n: rows for n, rows in part.items() if rows.ndim == 1}
            for part in (self.signals, self.labeled)
        ]
        return replace(self, signals=kept[0], labeled=kept[1])


def needs(strategy: Sequence[Step]) -> tuple[str, ...]:
    """Names of all signals that the steps read, without repetition."""
    return tuple(dict.fromkeys(name for step in strategy for name in step.needs))


def read(strategy: Sequence[Step]) -> tuple[str, ...]:
    """Names of all signals that are read of candidates or of labeled samples, each once."""
    known = (name for step in strategy for name in step.labeled)
    return tuple(dict.fromkeys([*needs(strategy), *known]))


def ask(
    strategy: Sequence[Step],
    unlabeled: np.ndarray,
    labeled: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    score: Score,
    when: When = FIRST,
    save: Sequence[str] = (),
) -> Query:
    """Run a strategy on the unlabeled samples.

    Steps that need no signal come first and reduce what must be scored. The rest use the scores.

    Args:
        strategy: the steps.
        unlabeled: ids (N,).
        labeled: ids (M,); their signals are computed where a step needs them.
        budget: number of samples to be labeled, at most N.
        rng: the query's random stream.
        score: (ids, names of signals) -> rows in the order of the ids.
        when: in the run it is asked.
        save: names of signals that are computed besides, of all candidates, and of the labeled
            samples those that strategies read of them (`OF_LABELED`). They change no pick.

    Raises:
        QueryError: if the budget is more than there is, or the strategy does not end with
            exactly `budget` distinct candidates.
    """
    if budget > len(unlabeled):
        raise QueryError(
            f"Expected a query of at most {len(unlabeled)} samples (all unlabeled ones), but got "
            f"{budget}"
        )
    first = next((i for i, step in enumerate(strategy) if step.needs), len(strategy))
    if save and first == len(strategy):
        first = 0  # whatever steps by chance would leave out is scored, too
    candidates = _narrow(strategy[:first], unlabeled, {}, {}, budget, rng, when)
    names = tuple(dict.fromkeys([*needs(strategy), *save]))
    of_labeled = [name for step in strategy for name in step.labeled]
    of_labeled += [name for name in save if name in OF_LABELED]
    known = tuple(dict.fromkeys(of_labeled))
    rows = score(candidates, names) if names else {}
    own = _of_labeled(labeled, known, rows, score)
    picked = _narrow(strategy[first:], candidates, rows, own, budget, rng, when)
    if len(picked) != budget or len(set(picked.tolist())) != budget:
        raise QueryError(
            f"Expected {budget} distinct samples, but the strategy picked "
            f"{len(set(picked.tolist()))}"
        )
    return Query(candidates, rows, picked, dict(own))


def _of_labeled(ids: np.ndarray, names: tuple[str, ...], rows: Rows, score: Score) -> Rows:
    """The signals of the labeled samples; where there are none, no rows of the same width."""
    if not names:
        return {}
    if len(ids):
        return score(ids, names)
    return {name: rows[name][:0] for name in names}


def _narrow(
    steps: Sequence[Step],
    ids: np.ndarray,
    rows: Rows,
    labeled: Rows,
    budget: int,
    rng: np.random.Generator,
    when: When,
) -> np.ndarray:
    for step in steps:
        positions = step(Seen(len(ids), rows, labeled, when.cycle, when.cycles), budget, rng)
        ids = ids[positions]
        rows = {name: values[positions] for name, values in rows.items()}
    return ids
