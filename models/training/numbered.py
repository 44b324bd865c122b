"""Samples and ids that travel together through a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

Collate = Callable[[list], dict[str, Any]]

IDS = "sample_ids"  # of a batch in training, where the module learns something of each sample


class WithId(Dataset):
    """Samples beside their own ids, so that no position can be taken for an id."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.draws = getattr(dataset, "draws", True)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[int, Any]]:
        """Read a batch of samples with their ids; at once where the dataset can."""
        return list(zip(indices, read(self.dataset, indices), strict=True))


class Ids:
    """Ids one by one as Python's numbers, without a list of all of them."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return map(int, self.ids)


def read(dataset: Dataset, indices: Sequence[int]) -> list:
    """Read samples of a dataset; at once where it can."""
    at_once = getattr(dataset, "__getitems__", None)
    if at_once:
        return at_once(indices)
    return [dataset[i] for i in indices]


def gathered(pairs: list[tuple[int, Any]], collate: Collate) -> tuple[list[int], dict[str, Any]]:
    """The ids (B,) and the collated batch of samples beside their ids."""
    return [i for i, _ in pairs], collate([sample for _, sample in pairs])


def with_ids(pairs: list[tuple[int, Any]], collate: Collate) -> dict[str, Any]:
    """The collated batch of samples beside their ids, which it holds as `IDS`."""
    ids, batch = gathered(pairs, collate)
    return {**batch, IDS: ids}
