"""The data set of a frozen backbone: where a sample's numbers are, and batches of such places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from tasks.classification.frozen import Frozen

Table = Literal["pool", "test"]


class Row(NamedTuple):
    """Where a sample's numbers are: the split, the sample in it, and the augmented view.

    A `view` of None is the image as seen at test time.
    """

    table: Table
    sample: int
    label: int
    view: int | None


class FeatureView(Dataset):
    """Sample i is a row of numbers and the index of its class.

    Several read at once are `Row`s, whose numbers `Frozen.rows` looks up for the batch.

    Attributes:
        draws: whether samples are drawn at random, from cached views.
    """

    def __init__(self, frozen: Frozen, table: Table, labels: Sequence[int], views: int = 0) -> None:
        self.frozen, self.table, self.labels, self.views = frozen, table, labels, views
        self.draws = views > 0
        self.metainfo: dict[str, Any] = {}  # mmengine's test loop looks for it

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self._row(index)
        return self.frozen.rows(batch_of([row]))[0], row.label

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """A place for each sample; without views, which are drawn one by one, of all at once."""
        if self.views:
            return [self._row(i) for i in indices]
        labels = map(self.labels.__getitem__, indices)
        return list(map(Row._make, zip(repeat(self.table), indices, labels, repeat(None))))

    def _row(self, index: int) -> Row:
        view = int(torch.randint(0, self.views, ())) if self.views else None
        return Row(self.table, index, self.labels[index], view)


def batch_of(rows: Sequence[Row]) -> dict[str, Any]:
    """`ids` (B,) in the `table`, `labels` (B,) and, for augmented views, `views` (B,)."""
    tables, samples, labels, views = zip(*rows, strict=True)
    batch = {"ids": torch.tensor(samples), "labels": torch.tensor(labels)}
    if views[0] is not None:
        batch["views"] = torch.tensor(views)
    return batch | {"table": tables[0]}
