"""The classification task: a network, cross-entropy, and CIFAR, a folder of images or a csv."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from models.networks import resnet
from models.networks.preparation import Channels, Preparation
from models.output import Output
from models.process.progress import track
from tasks.base import Batch, Read, Source, Split
from tasks.classification import cifar, sources, views
from tasks.classification.deployment import ClassDeployment
from tasks.classification.drawing import drawn
from tasks.classification.faults import folder_faults, table_faults
from tasks.classification.held import Where
from tasks.classification.metrics import Accuracy
from tasks.classification.networks import TimmNetwork, network_of
from tasks.classification.notes import folder_notes, untested
from tasks.classification.pictures import Pictures
from tasks.classification.tables import Reader, check_tables
from tasks.labelable import UNJUDGED, LabelFiles, Labeling, Unlabeled
from tasks.noise import Annotator, Noisy

if TYPE_CHECKING:
    from tasks.classification.frozen import Frozen

Spreads = tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)], Annotated[float, Gt(0)]]


class Classification:
    """Image classification.

    The pool is in the order of CIFAR's files or of a csv, or sorted by class folder and file name.

    Args:
        data_root: folder of the data: holding `train/<class>/*` and `test/<class>/*`, the images of
            a csv, or CIFAR's files.
        format: ``"folder"``, ``"csv"``, ``"cifar10"`` or ``"cifar100"``.
        classes: names in label order; None takes the sorted names of train's folders. None for
            CIFAR; a csv needs them.
        others: folders (or rows of a csv) of classes that `classes` (or train) lacks are a
            ``"fault"``, or left out knowingly: ``"drop"``.
        download: download CIFAR where it is not in `data_root`; of no meaning for folders.
        network: ``"resnet18_cifar"``, its small relatives ``"resnet18_cifar_w8"``,
            ``"resnet10_cifar_w16"`` and ``"resnet10_cifar_w8"``, a classification network of
            torchvision with four stages ("resnet50"), or any of timm
            ("timm:convnextv2_nano.fcmae_ft_in1k").
        input_size: side of the network's input in pixels; None is 32, or a network of timm's own.
        augmentation: ``"crop"`` for images that all have the network's size, ``"resized_crop"`` for
            those of any; see `views.train_transform`.
        padding: black pixels around an image before "crop" cuts out a part of its size; 0 for no
            crop.
        flip: share of the training views that are mirrored.
        mean: of the red, green and blue values in [0, 1]; None is CIFAR-10's, or a network of
            timm's own.
        std: their standard deviations; None as for `mean`.
        test_limit: evaluate on so many test images alone, evenly spread over all, for smoke runs;
            None means all.
        held: where images for "crop" that are held in memory become views, a batch at a time:
            ``"memory"``, or ``"device"``, to which they are copied once, so that ids and drawn
            numbers are all that is sent there; ``"auto"`` is the device where that is a GPU with
            room for them. The views are the same.
        pretrained: weights that a network of timm begins from: True downloads timm's, a path is a
            checkpoint that timm wrote, also for other classes; None is random weights.
        interpolation: by which "resized_crop" resizes; None is bilinear, or a network of timm's
            own.
        crop: side of the centre crop at test time, as a share of the resized image's shorter side;
            None is .875, or a network of timm's own.
        frozen: train a linear layer (and the module) alone, on features that a network of timm
            computes once for all runs.
        views: with `frozen`, so many augmented views of each training image, whose features are
            kept, too; 0 trains without augmentation.
        cache: with `frozen`, the folder where features are kept.
        train: the csv of the pool, with the columns `file` (below `data_root`) and `class`; below
            `data_root`, or an absolute path. None in other formats.
        test: the csv of the test set.
        unlabeled: rows of a csv without a class are a ``"fault"``, or ``"kept"``: to be scored,
            never trained on, and not judged.
    """

    metric = "accuracy"

    def __init__(
        self,
        data_root: str,
        format: sources.Format = "folder",
        classes: Sequence[str] | None = None,
        download: bool = False,
        network: str = "resnet18_cifar",
        input_size: Annotated[int, Ge(8)] | None = None,
        augmentation: views.Augmentation = "crop",
        padding: Annotated[int, Ge(0)] = 4,
        flip: Annotated[float, Ge(0), Le(1)] = 0.5,
        mean: Channels | None = None,
        std: Spreads | None = None,
        test_limit: Annotated[int, Ge(1)] | None = None,
        held: Where = "auto",
        others: sources.Others = "fault",
        pretrained: bool | str | None = None,
        interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None,
        crop: Annotated[float, Gt(0), Le(1)] | None = None,
        frozen: bool = False,
        views: Annotated[int, Ge(0)] = 0,
        cache: str = "work_dirs/features",
        train: str | None = None,
        test: str | None = None,
        unlabeled: Unlabeled = "fault",
    ) -> None:
        tables = {"train": train, "test": test}
        check_tables(format, tables, classes, unlabeled)
        _check_classes(format, classes)
        self.root = Path(data_root).expanduser()
        self.format = format
        self.download = download
        self.others = others
        self.given = None if classes is None else tuple(classes)
        self._network = network_of(network, input_size, pretrained)
        wanted = _prepared(self._network.preparation, input_size, mean, std, interpolation, crop)
        self.network, self.input_size, self.augmentation = network, wanted.input_size, augmentation
        self.padding, self.flip = padding, flip
        self.mean, self.std = wanted.mean, wanted.std
        self.test_limit = test_limit
        self.tables = {split: self.root / name for split, name in tables.items() if name}
        self.unlabeled = unlabeled
        reader = None
        if format == "csv":
            reader = Reader(self.root, self.given or (), others, unlabeled)
        self.pictures = Pictures(
            self.root,
            format,
            self.given,
            wanted,
            augmentation,
            padding,
            flip,
            test_limit,
            held,
            self.tables,
            reader,
        )
        self._notes: list[str] = []  # of the last check
        self._frozen = self._frozen_by(frozen, views, cache)
        self.taps = self._frozen.taps if self._frozen else self._network.taps
        self.fields = frozenset({"loss", "probs", "counts", "truth"})
        if self._network.gradients:
            self.fields |= {"gradient"}

    def _frozen_by(self, frozen: bool, views: int, cache: str) -> Frozen | None:
        """What computes and keeps features, where they are asked for."""
        if not frozen:
            if views:
                raise ValueError(f"views: expected 0 unless task.frozen=True, but got {views}")
            return None
        if not isinstance(self._network, TimmNetwork):
            raise ValueError(
                f"frozen: expected False for {self.network!r}, which has no weights to freeze; "
                "networks of timm (timm:resnet18) have"
            )
        from tasks.classification.frozen import Frozen  # takes timm

        return Frozen(self._network, self.pictures, views, Path(cache).expanduser())

    def check(self, full: bool = False) -> list[str]:
        """Return the faults of both splits' files and of weights; download what is to be."""
        side = self.input_size if self.augmentation == "crop" else None
        shown = partial(track, what="checking the data")
        self._notes = []
        found: list[str]
        if self.format in cifar.FORMS:
            found = cifar.faults(self.format, self.root, side, self.download)
        elif self.pictures.reader is not None:
            how = self.pictures.reader
            found = list(
                table_faults(self.tables, how, side, full=full, progress=shown, notes=self._notes)
            )
        else:
            found = list(
                folder_faults(
                    self.root, self.given, side, others=self.others, full=full, progress=shown
                )
            )
        if found:
            return found
        found = self._network.faults(len(self.classes))
        return found or (self._frozen.lack() if self._frozen else [])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in label order."""
        return self.pictures.classes

    def classes_decided(self) -> int:
        """See `tasks.base.classes_decided`."""
        return len(self.classes)

    def dataset(self, split: Split) -> Dataset:
        """See `tasks.base.Task`: images, or features where the network is frozen."""
        return (self._frozen or self.pictures).dataset(split)

    def collate(self, samples: Sequence) -> Batch:
        """Images and `labels` (B,) as `Pictures.collate` says, or `Frozen.collate`."""
        return (self._frozen or self.pictures).collate(samples)

    def build(self) -> nn.Module:
        """A fresh network, which returns taps and logits; the linear layer of a frozen one."""
        if self._frozen:
            return self._frozen.build(len(self.classes))
        return self._network.build(len(self.classes))

    def forward(self, network: nn.Module, batch: Batch, want: frozenset[str]) -> Output:
        """Return the stages' outputs as taps, and the wanted fields.

        These are the cross-entropy (B,) in nats, probabilities (B, 1, C), the true class (B, 1),
        gradients, and 1 for the likeliest class (B, C).
        """
        loss = probs = gradient = counts = truth = None
        taps, logits, last = self._computed(network, batch, last="gradient" in want)
        logits = logits.float()  # under mixed precision too
        if last:
            gradient = (resnet.residual(logits), last[0].float())
        if "loss" in want:
            loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        if "probs" in want:
            probs = logits.softmax(dim=1).unsqueeze(1)
        if "truth" in want:
            truth = batch["labels"].unsqueeze(1)
        if "counts" in want:
            counts = F.one_hot(logits.argmax(dim=1), logits.shape[1]).float()
        return Output(taps, loss, probs, gradient=gradient, counts=counts, truth=truth)

    def predict(self, network: nn.Module, batch: Batch) -> list[BaseDataElement]:
        """The most probable class of each sample beside its label."""
        _, logits, _ = self._computed(network, batch)
        pairs = zip(batch["labels"].tolist(), logits.argmax(dim=1).tolist(), strict=True)
        return [BaseDataElement(label=label, predicted=predicted) for label, predicted in pairs]

    def _computed(
        self, network: nn.Module, batch: Batch, last: bool = False
    ) -> tuple[tuple[Tensor, ...], Tensor, list[Tensor]]:
        """Taps, logits (B, C) and, where it is asked for, what goes into the classifier (B, D)."""
        if self._frozen:
            rows, taps = self._frozen.read(batch)
            return taps, network(rows), [rows] if last else []
        images = self.pictures.normalised(self.pictures.images(batch))
        with self._network.last_input(network) if last else nullcontext([]) as kept:
            taps, logits = network(images)
        return taps, logits, kept

    def evaluator(self) -> BaseMetric:
        """Accuracy of all and of each class."""
        return Accuracy(self.classes)

    def pool_evaluator(self) -> BaseMetric:
        """The same over images of the pool; see `tasks.base.Validated`."""
        if self.unlabeled == "kept":
            raise ValueError(UNJUDGED)
        return self.evaluator()

    def bare(self, classes: int) -> nn.Module:
        """What a run trains, of the right shape: a network, or the layer on a frozen one."""
        if self._frozen:
            return self._frozen.build(classes)
        return self._network.bare(classes)

    def whole(self, network: nn.Module) -> nn.Module:
        """The network on images: of a frozen one, with the trained layer at its end."""
        return self._frozen.whole(network) if self._frozen else network

    def loading(self, classes: int) -> str:
        """The arguments of `timm.create_model`, as text."""
        return self._network.arguments(classes)

    def labels(self) -> tuple[str, ...]:
        """The classes; see `tasks.deployable.Deployable`."""
        return self.classes

    def deployment(self, labels: Sequence[str]) -> ClassDeployment:
        """The network outside of a run; see `tasks.deployable.Deployable`."""
        return ClassDeployment(self, labels)

    def labeling(self) -> Labeling:
        """One class an image; see `tasks.labelable.Labelable`."""
        if self.given is None:
            raise ValueError("task.classes: expected the names of the classes, but got None")
        return Labeling("classes", self.given)

    @classmethod
    def on_labels(cls, files: LabelFiles) -> dict[str, Any]:
        """The form of a csv; see `tasks.labelable.Labelable`."""
        return dict(
            data_root=str(files.images),
            format="csv",
            train=str(files.pool),
            test=str(files.validation),
            download=False,
            others="fault",
            test_limit=None,
            unlabeled="kept",
        )

    def name(self, index: int) -> str:
        """The path of the image below `data_root`; for CIFAR, its number in the files' order."""
        return self.pictures.name(index)

    def effort(self, index: int) -> int:
        """Return 1, the class of an image; 0 where nobody has labeled it."""
        return int(self.pictures.listed("pool").labels[index] != sources.UNLABELED)

    def noisy(self, oracle: Noisy, seed: int) -> None:
        """Learn from classes as people give them; see `tasks.noise.Fallible`."""
        self.pictures.annotator = Annotator(oracle, seed)

    def altered(self, index: int) -> bool:
        """Whether the class is a wrong one; see `tasks.noise.Fallible`."""
        return self.pictures.given_labels[index] != self.pictures.listed("pool").labels[index]

    def traits(self, index: int) -> dict[str, list[str]]:
        """Its class; see `tasks.base.Described`."""
        name = self.pictures.class_of(index)
        return {"class": [] if name is None else [name]}

    def sources(self, split: Read) -> list[Source]:
        """The images of class folders, or digests of CIFAR's pixels; see `tasks.base.Sourced`."""
        return self.pictures.sourced(split)

    def pinned(self) -> dict[str, Any]:
        """The hash of the weights that the network begins from; see `tasks.base.Pinned`."""
        return self._network.pinned()

    def notes(self) -> list[str]:
        """Notes on skipped litter, left-out classes, and classes without a test image.

        See `tasks.base.Noted`.
        """
        notes = [*self._notes]
        if self.format == "folder":
            for split, name in sources.FOLDERS.items():
                notes += folder_notes(split, self.root / name, self.classes)
        notes += untested(self.classes, self.sources("test"))
        if self.pictures.annotator is not None:
            notes += self.pictures.annotator.rates.idle({"flipped"})
        if self._frozen is None:
            notes += self._network.notes(len(self.classes))
        return notes

    def thumbnail(self, index: int) -> Image.Image:
        """The image, small ones enlarged, above the name of its class."""
        name = self.pictures.class_of(index)
        return drawn(self.pictures.pool.pixels(index), name or "not labeled")


def _check_classes(format: sources.Format, classes: Sequence[str] | None) -> None:
    """Refuse names of classes that are of no meaning.

    Raises:
        ValueError: naming the setting.
    """
    if classes is None:
        return
    if format in cifar.FORMS:
        raise ValueError(
            f"classes: expected None for {format!r}, whose files name them, but got {list(classes)}"
        )
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(f"classes: expected at least 2 different names, but got {list(classes)}")


def _prepared(
    own: Preparation,
    input_size: int | None,
    mean: Channels | None,
    std: Channels | None,
    interpolation: str | None,
    crop: float | None,
) -> Preparation:
    """How images become the network's input: its own way, but for what the settings say."""
    return own._replace(
        input_size=input_size or own.input_size,
        mean=_channels(mean or own.mean),
        std=_channels(std or own.std),
        interpolation=interpolation or own.interpolation,
        crop=crop or own.crop,
    )


def _channels(values: Sequence[float]) -> Channels:
    """A tuple, which a list of a config is not."""
    red, green, blue = values
    return red, green, blue
