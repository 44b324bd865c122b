"""The classification task: a residual network, cross-entropy, and CIFAR or a folder of images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, default_collate

from models.networks import resnet
from models.output import Output
from models.process.progress import track
from tasks import litter
from tasks.base import Batch, Read, Source, Split
from tasks.classification import sources, views
from tasks.classification.deployment import ClassDeployment
from tasks.classification.faults import cifar_faults, folder_faults
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
from tasks.classification.metrics import Accuracy
from tasks.data import canonical, even, few, spread
from tasks.drawing import caption_height, write

Channels = tuple[float, float, float]
Spreads = tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)], Annotated[float, Gt(0)]]
THUMBNAIL = 192  # pixels: longer side of the image, without the line with its class


class Classification:
    """Image classification.

    The pool is in the order of CIFAR's files, or sorted by class folder and file name.

    Args:
        data_root: folder of the data: holding `train/<class>/*` and `test/<class>/*`, or CIFAR's
            files.
        format: ``"folder"``, ``"cifar10"`` or ``"cifar100"``.
        classes: names in label order; None takes the sorted names of train's folders. None for
            CIFAR.
        others: folders of classes that `classes` (or train) lacks are a ``"fault"``, or left out
            knowingly: ``"drop"``.
        download: download CIFAR where it is not in `data_root`; of no meaning for folders.
        network: ``"resnet18_cifar"``, its small relatives ``"resnet10_cifar_w16"`` and
            ``"resnet10_cifar_w8"``, or a classification network of torchvision with four stages
            ("resnet50"), from random weights.
        input_size: side of the network's input in pixels.
        augmentation: ``"crop"`` for images that all have the network's size, ``"resized_crop"`` for
            those of any; see `views.train_transform`.
        padding: black pixels around an image before "crop" cuts out a part of its size; 0 for no
            crop.
        flip: share of the training views that are mirrored.
        mean: of the red, green and blue values in [0, 1]; CIFAR-10's by default.
        std: their standard deviations.
        test_limit: evaluate on so many test images alone, evenly spread over all, for smoke runs;
            None means all.
        held: where images for "crop" that are held in memory become views, a batch at a time:
            ``"memory"``, or ``"device"``, to which they are copied once, so that ids and drawn
            numbers are all that is sent there; ``"auto"`` is the device where that is a GPU with
            room for them. The views are the same.
    """

    fields = frozenset({"loss", "probs", "gradient"})
    metric = "accuracy"

    def __init__(
        self,
        data_root: str,
        format: sources.Format = "folder",
        classes: Sequence[str] | None = None,
        download: bool = False,
        network: str = "resnet18_cifar",
        input_size: Annotated[int, Ge(8)] = 32,
        augmentation: views.Augmentation = "crop",
        padding: Annotated[int, Ge(0)] = 4,
        flip: Annotated[float, Ge(0), Le(1)] = 0.5,
        mean: Channels = (0.4914, 0.4822, 0.4465),
        std: Spreads = (0.2470, 0.2435, 0.2616),
        test_limit: Annotated[int, Ge(1)] | None = None,
        held: Where = "auto",
        others: sources.Others = "fault",
    ) -> None:
        if classes is not None and format != "folder":
            raise ValueError(
                f"classes: expected None for {format!r}, whose files name them, but got "
                f"{list(classes)}"
            )
        if classes is not None and (len(set(classes)) != len(classes) or len(classes) < 2):
            raise ValueError(
                f"classes: expected at least 2 different names, but got {list(classes)}"
            )
        self.root = Path(data_root).expanduser()
        self.format = format
        self.download = download
        self.others = others
        self._given = None if classes is None else tuple(classes)
        self.network = network
        self.input_size = input_size
        self.augmentation = augmentation
        self.padding = padding
        self.flip = flip
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.test_limit = test_limit
        self.where = held
        self._held: dict[str, Held] = {}
        self.taps = resnet.declare_taps(network, input_size)

    def check(self, full: bool = False) -> list[str]:
        """Return the faults of both splits' files; download CIFAR where `download` is set."""
        side = self.input_size if self.augmentation == "crop" else None
        if self.format != "folder":
            return cifar_faults(self.format, self.root, side, self.download)
        shown = partial(track, what="checking the data")
        return list(
            folder_faults(
                self.root, self._given, side, others=self.others, full=full, progress=shown
            )
        )

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names in label order."""
        if self.format != "folder":
            return sources.read_cifar(self.format, self.root, "test")[1]
        folder = self.root / sources.FOLDERS["train"]
        return self._given or tuple(home.name for home in litter.listing(folder))

    @cached_property
    def _pool_images(self) -> sources.Images:
        return self._read("train")

    @cached_property
    def _test_images(self) -> sources.Images:
        return self._read("test")

    def _read(self, split: str) -> sources.Images:
        if self.format != "folder":
            return sources.read_cifar(self.format, self.root, split)[0]
        return sources.read_folder(self.root / sources.FOLDERS[split], self.classes)

    @cached_property
    def _train(self) -> views.View:
        transform = views.train_transform(
            self.augmentation, self.input_size, self.padding, self.flip
        )
        return self._view(
            "train", self._pool_images, transform, partial(draw_crop, self.padding, self.flip)
        )

    @cached_property
    def _pool(self) -> views.View:
        return self._view(
            "train", self._pool_images, views.test_transform(self.augmentation, self.input_size)
        )

    @cached_property
    def _test(self) -> Dataset:
        test = self._view(
            "test", self._test_images, views.test_transform(self.augmentation, self.input_size)
        )
        return test if self.test_limit is None else spread(test, self.test_limit)

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
            pixels = stacked(images, self.input_size)
        if pixels is None:
            return views.View(images, transform)
        self._held.setdefault(split, Held(pixels, self.padding, self.where))
        return HeldView(images, transform, split, draw)

    def dataset(self, split: Split) -> Dataset:
        """See `tasks.base.Task`; images are read once, and held in memory where they are few."""
        return {
            "train": lambda: self._train,
            "pool": lambda: self._pool,
            "test": lambda: self._test,
        }[split]()

    def collate(self, samples: Sequence[tuple[Tensor, int]] | Sequence[Place]) -> Batch:
        """Return `images` (B, 3, side, side) uint8 and `labels` (B,).

        For places whose images are on the device, return what `batch_of` makes of them.
        """
        places = [sample for sample in samples if isinstance(sample, Place)]
        if not places:
            images, labels = default_collate(list(samples))
            return {"images": images, "labels": labels}
        batch = batch_of(places)
        if self._held[places[0].split].on_device:
            return batch
        return {"images": self._images(batch), "labels": batch["labels"]}

    def build(self) -> nn.Module:
        """A fresh network; its `forward` returns taps and logits."""
        return resnet.build(self.network, len(self.classes))

    def forward(self, network: nn.Module, batch: Batch, want: frozenset[str]) -> Output:
        """Return the stages' outputs as taps, and the wanted fields.

        These are the cross-entropy (B,) in nats, probabilities (B, 1, C) and gradients.
        """
        images = self._normalised(self._images(batch))
        loss = probs = gradient = None
        if "gradient" in want:
            with resnet.last_input(network) as last:
                taps, logits = network(images)
            gradient = (resnet.residual(logits.float()), last[0].float())
        else:
            taps, logits = network(images)
        logits = logits.float()  # under mixed precision too
        if "loss" in want:
            loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        if "probs" in want:
            probs = logits.softmax(dim=1).unsqueeze(1)
        return Output(taps, loss, probs, gradient=gradient)

    def predict(self, network: nn.Module, batch: Batch) -> list[BaseDataElement]:
        """The most probable class of each sample beside its label."""
        _, logits = network(self._normalised(self._images(batch)))
        pairs = zip(batch["labels"].tolist(), logits.argmax(dim=1).tolist(), strict=True)
        return [BaseDataElement(label=label, predicted=predicted) for label, predicted in pairs]

    def _images(self, batch: Batch) -> Tensor:
        if "images" in batch:
            return batch["images"]
        return self._held[batch["split"]].views(batch["ids"], batch.get("crops"))

    def _normalised(self, images: Tensor) -> Tensor:
        """Bytes -> zero mean and unit variance, on the images' device."""
        mean, std = (_by_channel(values, images.device) for values in (self.mean, self.std))
        return (images.float() / 255 - mean) / std

    def evaluator(self) -> BaseMetric:
        """Accuracy of all and of each class."""
        return Accuracy(self.classes)

    def labels(self) -> tuple[str, ...]:
        """The classes; see `tasks.base.Deployable`."""
        return self.classes

    def deployment(self, labels: Sequence[str]) -> ClassDeployment:
        """The network outside of a run; see `tasks.base.Deployable`."""
        return ClassDeployment(self, labels)

    def name(self, index: int) -> str:
        """The path of the image below `data_root`; for CIFAR, its number in the files' order."""
        paths = self._pool_images.paths
        if not paths:
            return f"{self.format} train {index}"
        return os.path.relpath(paths[index], self.root)

    def effort(self, index: int) -> int:
        """Return 1: each image has one class."""
        return 1

    def traits(self, index: int) -> dict[str, list[str]]:
        """Its class; see `tasks.base.Described`."""
        return {"class": [self.classes[self._pool_images.labels[index]]]}

    def sources(self, split: Read) -> list[Source]:
        """The images of class folders, or digests of CIFAR's pixels; see `tasks.base.Sourced`."""
        if self.format == "folder":
            samples = self._folder_sources(split)
        else:
            samples = self._cifar_sources(split)
        if split == "pool":
            return samples
        return [samples[i] for i in even(len(samples), self.test_limit)]

    def _folder_sources(self, split: Read) -> list[Source]:
        name = "train" if split == "pool" else "test"
        listed = sources.list_folder(self.root / sources.FOLDERS[name], self.classes)
        return [Source(path, canonical(label=name)) for path, name in listed]

    def _cifar_sources(self, split: Read) -> list[Source]:
        images = self._pool_images if split == "pool" else self._test_images
        digests = [hashlib.sha256(pixels.tobytes()).digest() for pixels in images.held]
        labels = [canonical(label=self.classes[label]) for label in images.labels]
        pairs = zip(labels, digests, strict=True)
        return [Source(None, label, digest) for label, digest in pairs]

    def notes(self) -> list[str]:
        """Notes on skipped litter, left-out classes, and classes without a test image.

        See `tasks.base.Noted`.
        """
        notes: list[str] = []
        if self.format == "folder":
            for split, name in sources.FOLDERS.items():
                notes += self._folder_notes(split, self.root / name)
        tested = {source.label for source in self.sources("test")}
        lacking = [name for name in self.classes if canonical(label=name) not in tested]
        if lacking:
            which = f"{len(lacking)} of {len(self.classes)} classes: {few(lacking)}"
            notes.append(f"test: no image of {which}; their accuracy is not a number")
        return notes

    def _folder_notes(self, split: str, folder: Path) -> list[str]:
        homes = litter.listing(folder)
        known = [home for home in homes if home.name in self.classes]
        others = [home for home in homes if home.name not in self.classes]
        notes = litter.skipped([folder, *known], split)
        if others:
            counts = ", ".join(f"{len(litter.listing(home)):,} of {home.name!r}" for home in others)
            notes.append(f"{split}: images of classes that `classes` lacks are left out: {counts}")
        return notes

    def thumbnail(self, index: int) -> Image.Image:
        """The image, small ones enlarged, above the name of its class."""
        image = Image.fromarray(self._pool_images.pixels(index))
        scale = THUMBNAIL / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        sampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        sheet = Image.new("RGB", (max(size[0], THUMBNAIL), size[1] + caption_height()))
        sheet.paste(image.resize(size, sampling))
        name = self.classes[self._pool_images.labels[index]]
        write(sheet, (0, size[1]), name, "white")
        return sheet


@lru_cache
def _by_channel(values: Channels, device: torch.device) -> Tensor:
    """(3, 1, 1), kept on the device: a copy with every batch would make a GPU wait."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(3, 1, 1)
