"""The images of classification as a network sees them: views, batches, normalisation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from models.networks.preparation import Channels, Preparation
from tasks import litter
from tasks.base import Batch, Read, Source, Split
from tasks.classification import cifar, sources, views
from tasks.classification.held import (
    Crop,
    Held,
    HeldView,
    Place,
    Where,
    batch_of,
    draw_crop,
    stacked,
)
from tasks.classification.tables import Reader, read_table
from tasks.data import canonical, even, first_fault_raised, spread
from tasks.noise import Annotator

LOOKED_INTO = 16  # files of a split whose bytes are in its digest


class Listed(NamedTuple):
    """The samples of a split: their files, none of CIFAR, and the index of each class."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]


@dataclass
class Pictures:
    """The images of both splits, read once, and held in memory where they are few.

    Args:
        root: folder of the data.
        format: ``"folder"``, ``"csv"``, ``"cifar10"`` or ``"cifar100"``.
        given: the classes of the setting; None takes the data's own.
        preparation: how images become the network's input.
        augmentation: of training views; see `views.train_transform`.
        padding: black pixels around an image for "crop".
        flip: share of the training views that are mirrored.
        test_limit: so many test images alone; None means all.
        where: see `held.Held`.
        tables: the csv of each split, "train" and "test"; none in other formats.
        reader: how these are read.
        annotator: whose labels are learned; None takes the true ones.
    """

    root: Path
    format: sources.Format
    given: tuple[str, ...] | None
    preparation: Preparation
    augmentation: views.Augmentation
    padding: int
    flip: float
    test_limit: int | None
    where: Where
    tables: dict[str, Path] = field(default_factory=dict)
    reader: Reader | None = None
    annotator: Annotator | None = None
    held: dict[str, Held] = field(default_factory=dict)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names in label order."""
        if self.format in cifar.FORMS:
            return cifar.read(self.format, self.root, "test")[1]
        folder = self.root / sources.FOLDERS["train"]
        return self.given or tuple(home.name for home in litter.listing(folder))

    @cached_property
    def pool(self) -> sources.Images:
        """The images of pool and training."""
        return self._read("train")

    @cached_property
    def tested(self) -> sources.Images:
        """All test images, also where `test_limit` takes few."""
        return self._read("test")

    def _read(self, split: str) -> sources.Images:
        if self.format in cifar.FORMS:
            return cifar.read(self.format, self.root, split)[0]
        if self.format == "csv":
            return sources.read_files(*self._listed[split])
        return sources.read_folder(self.root / sources.FOLDERS[split], self.classes)

    @cached_property
    def _listed(self) -> dict[str, Listed]:
        """The samples of both splits; of folders no pixel is read for it."""
        return {"train": self._list("train"), "test": self._list("test")}

    def _list(self, split: str) -> Listed:
        if self.format in cifar.FORMS:
            return Listed((), (self.tested if split == "test" else self.pool).labels)
        if self.reader is not None:
            rows = first_fault_raised(read_table(self.tables[split], self.reader))
            return Listed(rows.paths, rows.labels)
        label = {name: k for k, name in enumerate(self.classes)}
        pairs = sources.list_folder(self.root / sources.FOLDERS[split], label)
        return Listed(tuple(path for path, _ in pairs), tuple(label[name] for _, name in pairs))

    def listed(self, split: Split) -> Listed:
        """The samples of `dataset(split)`."""
        if split != "test":
            return self._listed["train"]
        paths, labels = self._listed["test"]
        taken = even(len(labels), self.test_limit)
        return Listed(tuple(paths[i] for i in taken if paths), tuple(labels[i] for i in taken))

    def name(self, index: int) -> str:
        """The path of an image of the pool below `root`; for CIFAR, its number in the files."""
        paths = self.listed("pool").paths
        if not paths:
            return f"{self.format} train {index}"
        return os.path.relpath(paths[index], self.root)

    def class_of(self, index: int) -> str | None:
        """The class of an image of the pool; None where nobody has labeled it."""
        return self._named(self.listed("pool").labels[index])

    def _named(self, label: int) -> str | None:
        return None if label == sources.UNLABELED else self.classes[label]

    def sourced(self, split: Read) -> list[Source]:
        """The files, or digests of CIFAR's pixels, and classes; see `tasks.base.Sourced`."""
        listed = self.listed(split)
        named = {label: canonical(label=self._named(label)) for label in set(listed.labels)}
        labels = [named[label] for label in listed.labels]
        if self.format in cifar.FORMS:
            digests = self._pool_pixels if split == "pool" else self._test_pixels
            return [Source(None, *pair) for pair in zip(labels, digests, strict=True)]
        return [Source(*pair) for pair in zip(listed.paths, labels, strict=True)]

    @cached_property
    def _pool_pixels(self) -> list[bytes]:
        """Digests of CIFAR's images, asked for often."""
        return [_digest(pixels) for pixels in self.pool.held]

    @cached_property
    def _test_pixels(self) -> list[bytes]:
        taken = even(len(self.tested), self.test_limit)
        return [_digest(self.tested.held[i]) for i in taken]

    @cached_property
    def given_labels(self) -> tuple[int, ...]:
        """The labels of the pool as people give them."""
        labels = self.listed("pool").labels
        if self.annotator is None:
            return labels
        names = [self.name(i) for i in range(len(labels))]
        return tuple(self.annotator.classes(names, labels, len(self.classes)))

    @property
    def taught(self) -> tuple[int, ...]:
        """The labels to learn from; one that nobody has given cannot be read."""
        return sources.known(self.given_labels)

    def in_memory(self, split: Split) -> bool:
        """Whether the pixels are held, so that nothing is read from files."""
        return len((self.tested if split == "test" else self.pool).held) > 0

    def digest(self, split: Split) -> str:
        """A hash of the images of a split in their order; not of their classes.

        Of files it is one of paths below `root`, sizes and times of change, and of the bytes of a
        few: to read them all in each start would take longer than a run on their features.
        """
        listed, found = self.listed(split), hashlib.sha256()
        for path in listed.paths:
            about = path.stat()
            found.update(os.fsencode(os.path.relpath(path, self.root)))
            found.update(f"\0{about.st_size} {about.st_mtime_ns}\n".encode())
        for i in even(len(listed.paths), LOOKED_INTO):
            found.update(hashlib.sha256(listed.paths[i].read_bytes()).digest())
        if not listed.paths:
            images = self.tested if split == "test" else self.pool
            taken = even(len(images), self.test_limit if split == "test" else None)
            for i in taken:
                found.update(images.held[i].tobytes())
        return found.hexdigest()

    def dataset(self, split: Split) -> Dataset:
        """A view of the images; see `tasks.base.Task`."""
        return {
            "train": lambda: self._train_view,
            "pool": lambda: self._pool_view,
            "test": lambda: self._test_view,
        }[split]()

    @cached_property
    def _train_view(self) -> views.View:
        wanted = self.preparation
        transform = views.train_transform(
            self.augmentation, wanted.input_size, self.padding, self.flip, wanted.interpolation
        )
        images = replace(self.pool, labels=self.taught)
        return self._view("train", images, transform, partial(draw_crop, self.padding, self.flip))

    @cached_property
    def _pool_view(self) -> views.View:
        return self._view("train", self.pool, self.as_tested())

    @cached_property
    def _test_view(self) -> Dataset:
        test = self._view("test", self.tested, self.as_tested())
        return test if self.test_limit is None else spread(test, self.test_limit)

    def as_tested(self) -> views.Transform:
        """What makes an image (3, H, W) uint8 the network's input at test time."""
        wanted = self.preparation
        return views.test_transform(
            self.augmentation,
            wanted.input_size,
            wanted.resized,
            wanted.interpolation,
            wanted.squash,
        )

    def _view(
        self,
        split: str,
        images: sources.Images,
        transform: views.Transform,
        draw: Callable[[], Crop] | None = None,
    ) -> views.View:
        """A view of a split's images.

        It can be read a batch at a time if the images are held and all have the network's size.
        """
        pixels = None
        if self.augmentation == "crop":
            pixels = stacked(images, self.preparation.input_size)
        if pixels is None:
            return views.View(images, transform)
        self.held.setdefault(split, Held(pixels, self.padding, self.where))
        return HeldView(images, transform, split, draw)

    def collate(self, samples: Sequence[tuple[Tensor, int]] | Sequence[Place]) -> Batch:
        """Return `images` (B, 3, side, side) uint8 and `labels` (B,).

        For places whose images are on the device, return what `batch_of` makes of them.
        """
        places = [sample for sample in samples if isinstance(sample, Place)]
        if not places:
            images, labels = default_collate(list(samples))
            return {"images": images, "labels": labels}
        batch = batch_of(places)
        if self.held[places[0].split].on_device:
            return batch
        return {"images": self.images(batch), "labels": batch["labels"]}

    def images(self, batch: Batch) -> Tensor:
        """(B, 3, side, side) uint8, on the batch's device."""
        if "images" in batch:
            return batch["images"]
        return self.held[batch["split"]].views(batch["ids"], batch.get("crops"))

    def normalised(self, images: Tensor) -> Tensor:
        """Bytes -> zero mean and unit variance, on the images' device."""
        mean, std = (
            _by_channel(values, images.device)
            for values in (self.preparation.mean, self.preparation.std)
        )
        return (images.float() / 255 - mean) / std


def _digest(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()


@lru_cache
def _by_channel(values: Channels, device: torch.device) -> Tensor:
    """(3, 1, 1), kept on the device: a copy with every batch would make a GPU wait."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(-1, 1, 1)
