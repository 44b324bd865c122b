"""Histograms of the samples' traits, queried samples against the pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.base import Described, Task
from tools.compare.curves import SHARE, Estimate, estimate

BINS = 10  # of numbers; each holds a tenth of the pool's


@dataclass(frozen=True)
class Trait:
    """The histogram of one trait of the samples.

    Args:
        name: the task's name for it.
        numeric: whether its values are numbers, whose bins hold shares of all values. Words count
            once a sample, and their shares are of samples: they add up to 1 only if each sample has
            one.
        bins: B words, the pool's most frequent first, or ranges of numbers, ascending.
        pool: B shares.
        queried: B shares of each leg, over its seeds.
    """

    name: str
    numeric: bool
    bins: tuple[str, ...]
    pool: tuple[float, ...]
    queried: dict[str, tuple[Estimate, ...]]


def traits(
    task: Task, size: int, queried: Mapping[str, Sequence[Sequence[int]]]
) -> tuple[Trait, ...]:
    """Make histograms of all traits that a task has of its samples; empty if it has none.

    Args:
        task: may be `tasks.base.Described`.
        size: of the pool.
        queried: of each leg the ids that each of its runs queried.
    """
    if not isinstance(task, Described):
        return ()
    rows = [task.traits(i) for i in range(size)]
    return tuple(_trait(name, [row[name] for row in rows], queried) for name in rows[0])


def _trait(
    name: str, rows: Sequence[Sequence[Any]], queried: Mapping[str, Sequence[Sequence[int]]]
) -> Trait:
    values = [value for row in rows for value in row]
    numeric = not any(isinstance(value, str) for value in values)
    if numeric:
        edges = np.array([])
        if values:
            edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
        bins = tuple(
            f"{low:.3g} to {high:.3g}" for low, high in zip(edges, edges[1:], strict=False)
        )
        bins = bins or tuple(f"{edge:.3g}" for edge in edges)  # one value alone

        def shares(ids: Sequence[int]) -> list[float]:
            """Return the share of the samples' numbers in each interval."""
            return number_shares([value for i in ids for value in rows[i]], edges)
    else:
        counts = Counter(word for row in rows for word in set(row))
        bins = tuple(sorted(counts, key=lambda word: (-counts[word], word)))

        def shares(ids: Sequence[int]) -> list[float]:
            """Return the share of the samples that have each word."""
            return word_shares([rows[i] for i in ids], bins)

    by_run = {leg: [shares(ids) for ids in runs if ids] for leg, runs in queried.items()}
    over_seeds = {
        leg: tuple(estimate(column, SHARE) for column in zip(*runs, strict=True))
        for leg, runs in by_run.items()
    }
    known = {leg: estimates for leg, estimates in over_seeds.items() if estimates}
    return Trait(name, numeric, bins, tuple(shares(range(len(rows)))), known)


def word_shares(rows: Sequence[Sequence[str]], words: Sequence[str]) -> list[float]:
    """Return the share of the samples, at least one, that have each word, once or more often."""
    counts = Counter(word for row in rows for word in set(row))
    return [counts[word] / len(rows) for word in words]


def number_shares(values: Sequence[float], edges: np.ndarray) -> list[float]:
    """Return the share of values in each bin; 0 without values.

    A bin holds its lower edge and not its upper one; the last bin holds both.
    """
    if len(edges) == 0:
        return []
    if len(edges) == 1:
        counts = np.array([np.sum(np.equal(values, edges[0]))])
    else:
        counts = np.histogram(values, edges)[0]
    return (counts / max(1, len(values))).tolist()
