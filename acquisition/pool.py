"""The pool: which samples are labeled, in which cycle.

An immutable value that only labeling turns into the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Lt
from pydantic import Strict

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
        validation: samples of the pool, or a share of it, that are labeled beforehand by chance:
            never queried nor trained on, they are evaluated beside the test set in each cycle.
    """

    initial: Annotated[int, Ge(2)]
    query: Annotated[int, Ge(1)]
    cycles: Annotated[int, Ge(1)]
    first: First = "random"
    validation: Annotated[int, Ge(0), Strict()] | Annotated[float, Ge(0), Lt(1)] = 0

    def held(self, size: int) -> int:
        """Samples of a pool of this size that validate.

        Examples:
            >>> Budget(2, 1, 1, validation=0.25).held(10), Budget(2, 1, 1, validation=30).held(100)
            (2, 30)
        """
        if isinstance(self.validation, int) or not self.validation:
            return int(self.validation)
        return max(1, round(self.validation * size))

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
        validation: distinct ids of labeled samples that are neither trained on nor queried.

    Raises:
        ValueError: if the ids are not distinct ids of the pool.
    """

    size: int
    labeled: tuple[int, ...]
    cycle: int = 0
    validation: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        everything = (*self.labeled, *self.validation)
        outside = [i for i in everything if not 0 <= i < self.size]
        if outside:
            raise ValueError(f"Expected ids from 0 to {self.size - 1}, but got {outside[:5]}")
        if len(set(everything)) != len(everything):
            twice = sorted(i for i, n in Counter(everything).items() if n > 1)
            raise ValueError(
                f"Expected every sample to be labeled once, but these came twice: {twice[:5]}"
            )

    @classmethod
    def initial(cls, size: int, count: int, seed: int, validation: Sequence[int] = ()) -> Pool:
        """The first labeled set: `count` ids at random, the same for every strategy of a seed.

        None of them is among those of the validation split.
        """
        free = np.setdiff1d(np.arange(size), validation)
        if count > len(free):
            raise ValueError(
                f"Expected at most {len(free)} initial samples (the whole pool), but got {count}"
            )
        ids = free[stream(seed, 0, "initial set").choice(len(free), count, replace=False)]
        return cls(size, tuple(ids.tolist()), validation=tuple(validation))

    @property
    def unlabeled(self) -> np.ndarray:
        """Ids of all other samples, ascending, int64; those that validate are none of them."""
        mask = np.ones(self.size, dtype=bool)
        mask[list(self.labeled + self.validation)] = False
        return np.flatnonzero(mask)

    def label(self, ids: Sequence[int]) -> Pool:
        """The pool of the next cycle, with these unlabeled samples labeled."""
        ids = [int(i) for i in ids]
        again = sorted(set(ids) & {*self.labeled, *self.validation})
        if again:
            raise ValueError(
                f"Expected a query of unlabeled samples, but these are labeled: {again[:5]}"
            )
        return Pool(self.size, self.labeled + tuple(ids), self.cycle + 1, self.validation)


def drawn_slice(size: int, count: int, seed: int) -> tuple[int, ...]:
    """Return `count` of `size` samples that validate, at random, in the order of their drawing."""
    order = stream(seed, 0, "validation slice").permutation(size)
    return tuple(order[:count].tolist())
