"""The pool: which samples are labeled, in which cycle.

An immutable value that only labeling turns into the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from models.process.seeding import stream

First = Literal["random", "cover", "typiclust", "kmeans"]


@dataclass(frozen=True)
class Budget:
    """The number of labels in each cycle.

    Args:
        initial: samples labeled before the first cycle.
        query: samples labeled after each cycle but the last.
        cycles: trainings; the last one ends with `initial + (cycles - 1) * query` labels.
        first: how the initial samples are chosen: at ``"random"``, or by the features of the
            network as the config builds it: ``"cover"`` by k-center, ``"typiclust"`` and
            ``"kmeans"`` by clusters.
    """

    initial: Annotated[int, Ge(2)]
    query: Annotated[int, Ge(1)]
    cycles: Annotated[int, Ge(1)]
    first: First = "random"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Labeled samples in each cycle; the same for every strategy and seed."""
        return tuple(self.initial + cycle * self.query for cycle in range(self.cycles))


@dataclass(frozen=True)
class Pool:
    """All samples of the train split: the labeled ones and the rest.

    Samples are known by their ids, from 0 to size - 1. Labeled ids are in the order of labeling.

    Args:
        size: number of samples.
        labeled: distinct ids.
        cycle: the cycle that trains on them.

    Raises:
        ValueError: if the labeled ids are not distinct ids of the pool.
    """

    size: int
    labeled: tuple[int, ...]
    cycle: int = 0

    def __post_init__(self) -> None:
        outside = [i for i in self.labeled if not 0 <= i < self.size]
        if outside:
            raise ValueError(f"Expected ids from 0 to {self.size - 1}, but got {outside[:5]}")
        if len(set(self.labeled)) != len(self.labeled):
            twice = sorted({i for i in self.labeled if self.labeled.count(i) > 1})
            raise ValueError(
                f"Expected every sample to be labeled once, but these came twice: {twice[:5]}"
            )

    @classmethod
    def initial(cls, size: int, count: int, seed: int) -> Pool:
        """The first labeled set: `count` ids at random, the same for every strategy of a seed."""
        if count > size:
            raise ValueError(
                f"Expected at most {size} initial samples (the whole pool), but got {count}"
            )
        ids = stream(seed, 0, "initial set").choice(size, count, replace=False)
        return cls(size, tuple(ids.tolist()))

    @property
    def unlabeled(self) -> np.ndarray:
        """Ids of all other samples, ascending, int64."""
        mask = np.ones(self.size, dtype=bool)
        mask[list(self.labeled)] = False
        return np.flatnonzero(mask)

    def label(self, ids: Sequence[int]) -> Pool:
        """The pool of the next cycle, with these unlabeled samples labeled."""
        ids = [int(i) for i in ids]
        again = sorted(set(ids) & set(self.labeled))
        if again:
            raise ValueError(
                f"Expected a query of unlabeled samples, but these are labeled: {again[:5]}"
            )
        return Pool(self.size, self.labeled + tuple(ids), self.cycle + 1)
