"""Loading samples by id.

Augmentation depends on the seed, the epoch and the sample alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader, Dataset

from models.process.seeding import derive_seed, kept, seed_cpu, seeded
from models.process.shared_memory import say_what_cannot_be_sent
from models.training.numbered import WithId, read, with_ids

Collate = Callable[[list], Any]


class LabeledSampler(DefaultSampler):
    """Yields (epoch, sample id) of the labeled samples.

    They are shuffled in every epoch and split over the processes.

    The dataset stays the whole pool, so an index is a sample id everywhere.

    Attributes:
        skip: samples that the next pass leaves out at its beginning.
    """

    def __init__(self, labeled: Sequence[int], seed: int) -> None:
        self.labeled = [int(i) for i in labeled]
        self.skip = 0
        super().__init__(self.labeled, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        skip = self.skip
        self.skip = 0
        return ((self.epoch, i) for i in islice(self.order(), skip, None))

    def order(self) -> Iterator[int]:
        """All sample ids of this process in the epoch's order."""
        return (self.labeled[position] for position in super().__iter__())


class Augmented(Dataset):
    """A training view whose random augmentation depends on (seed, epoch, sample) alone.

    So it does not depend on the number of workers, on the order, or on where a killed run went on.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        with seeded(derive_seed(self.seed, epoch, index)):
            return self.dataset[index]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list:
        """Read a batch at once, as torch's loaders do; the generators are restored only once.

        Samples are drawn one by one, each from its seed; where the dataset reads batches, it may
        return what it drew, for `collate` to read. A dataset whose attribute `draws` is False
        draws nothing: it is read at once, without the seeds, which would take longer.
        """
        if not getattr(self.dataset, "draws", True):
            return read(self.dataset, [index for _, index in keys])
        with kept():
            return [sample for epoch, index in keys for sample in self._drawn(epoch, index)]

    def _drawn(self, epoch: int, index: int) -> list:
        seed_cpu(derive_seed(self.seed, epoch, index))
        return read(self.dataset, [index])


def loader(
    dataset: Dataset,
    sampler: Any,
    batch_size: int,
    workers: int,
    collate: Collate,
    keep_workers: bool = False,
) -> DataLoader:
    """The data loader that every pass uses.

    With `keep_workers` the workers stay from one pass to the next.

    Its own generator keeps it from drawing on torch's global one, which it does once an epoch
    without workers and once a training with them: dropout would differ with the number of workers
    and after a resume.
    """
    pin = torch.cuda.is_available()
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=keep_workers and workers > 0,
        generator=torch.Generator(),
        worker_init_fn=_begin,
    )


def _begin(worker: int) -> None:
    """Leave the process group, so that neither Ctrl-C nor a scheduler's signal ends the worker.

    The training still needs its batch then.
    """
    os.setpgrp()
    say_what_cannot_be_sent()


def stop_workers(loader: DataLoader) -> None:
    """End a loader's processes now.

    Left to the garbage collector, torch waits five seconds for each of them.
    """
    iterator = loader._iterator
    loader._iterator = None
    if iterator is not None:
        # only iterators with workers are kept
        iterator._shutdown_workers()  # type: ignore[attr-defined]


def train_loader(
    dataset: Dataset,
    labeled: Sequence[int],
    batch_size: int,
    workers: int,
    collate: Collate,
    seed: int,
    ids: bool = False,
) -> DataLoader:
    """The labeled samples of a training view, shuffled and augmented from `seed`.

    With `ids` each batch tells those of its samples, as `models.training.numbered.IDS`.
    """
    sampler = LabeledSampler(labeled, derive_seed(seed, "order"))
    if ids:
        dataset, collate = WithId(dataset), partial(with_ids, collate=collate)
    augmented = Augmented(dataset, derive_seed(seed, "augmentation"))
    return loader(augmented, sampler, batch_size, workers, collate, keep_workers=True)


def length(dataset: Dataset) -> int:
    """The number of samples."""
    return len(dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
