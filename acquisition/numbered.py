"""Samples and ids that travel together through a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from models.training.loading import read

Collate = Callable[[list], dict[str, Any]]


class WithId(Dataset):
    """Samples beside their own ids, so that no position can be taken for an id."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list[tuple[int, Any]]:
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


def gathered(pairs: list[tuple[int, Any]], collate: Collate) -> tuple[list[int], dict[str, Any]]:
    """The ids (B,) and the collated batch of samples beside their ids."""
    return [i for i, _ in pairs], collate([sample for _, sample in pairs])
