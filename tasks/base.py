"""The contract between a task and everything else.

Loop, queries and module know a task by this alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from models.output import Output, Tap

if TYPE_CHECKING:  # code that only reads runs imports the contract without torch
    from mmengine.evaluator import BaseMetric
    from PIL.Image import Image
    from torch import nn
    from torch.utils.data import Dataset

Split = Literal["train", "pool", "test"]
Read = Literal["pool", "test"]  # the samples themselves: "train" is another view of the pool's
Batch = dict[str, Any]


class DataError(Exception):
    """A sample that cannot be read after all; the message names its file and the remedy."""


@runtime_checkable
class Task(Protocol):
    """A learning problem: data, network, and how a batch becomes an `Output`.

    An adapter is a class with these members anywhere on the path; a config names it
    (``task = dict(type=MyTask, ...)``) and its constructor's parameters are the settings that the
    config may give. ``python tools/check_task.py CONFIG`` checks it against this contract.

    Attributes:
        taps: the network's feature maps for the loss-prediction module, declared before data flows.
        fields: which of "loss", "probs", "gradient", "counts", "peaks", "bag", "quality",
            "stability" and "truth" `forward` can return; "objective", too, if training minimises
            something else than the mean of "loss"; see `Output`.
        metric: key of the metric that the curve plots; higher is better, or see `lower_is_better`.

    Examples:
        >>> import torch
        >>> from models.output import Output, Tap
        >>> class Signs:  # which of two numbers is larger?
        ...     taps, fields, metric = (Tap("input", 2),), frozenset({"probs"}), "accuracy"
        ...
        ...     def collate(self, samples):
        ...         return {"x": torch.stack([torch.tensor(sample) for sample in samples])}
        ...
        ...     def build(self):
        ...         return torch.nn.Linear(2, 2)
        ...
        ...     def forward(self, network, batch, want):
        ...         tap = batch["x"][:, :, None, None]  # (B, channels, H, W)
        ...         return Output((tap,), probs=network(batch["x"]).softmax(dim=1).unsqueeze(1))
        >>> task = Signs()
        >>> batch = task.collate([[1.0, 2.0], [4.0, 3.0], [0.0, 5.0]])
        >>> task.forward(task.build(), batch, frozenset({"probs"})).probs.shape
        torch.Size([3, 1, 2])
    """

    taps: tuple[Tap, ...]
    fields: frozenset[str]
    metric: str

    def check(self, full: bool = False) -> list[str]:
        """List everything wrong with data and weights, each with its file and what to do.

        The list is empty if nothing is wrong.

        Runs before any other method, and must not raise for bad data. `full` takes the time to
        decode every sample.
        """
        ...

    def dataset(self, split: Split) -> Dataset:
        """A view of the data.

        "train" is augmented. "pool" has the same samples in the same order, as seen at test time.
        """
        ...

    def collate(self, samples: Sequence[Any]) -> Batch:
        """Make a batch for `forward` and `predict` from samples of `dataset`.

        The batch is a dict that holds labels under keys of their own.
        """
        ...

    def build(self) -> nn.Module:
        """A fresh network, initialised; the caller seeds."""
        ...

    def forward(self, network: nn.Module, batch: Batch, want: frozenset[str]) -> Output:
        """One forward pass: taps always, the fields in `want` besides.

        Labels count for the fields "loss", "quality" and "truth" alone.
        """
        ...

    def predict(self, network: nn.Module, batch: Batch) -> list:
        """One prediction a sample, in the form that `evaluator` takes."""
        ...

    def evaluator(self) -> BaseMetric:
        """A fresh metric over the test set; its results hold the key `metric`."""
        ...

    def name(self, index: int) -> str:
        """The name of sample `index` of the pool, by which annotators find it.

        It is one line and unique.
        """
        ...

    def effort(self, index: int) -> int:
        """The number of annotations in sample `index` of the pool.

        They are its boxes or joints; it is 1 for a class.
        """
        ...

    def thumbnail(self, index: int) -> Image:
        """Sample `index` of the pool with its annotations drawn, for people to look at."""
        ...


def lower_is_better(task: object) -> bool:
    """Whether less of the task's metric is better, as of an error or a loss.

    A task declares it by the attribute `lower_is_better = True`; without one, higher is better.

    Raises:
        ValueError: if the attribute is anything but true or false.
    """
    given = getattr(task, "lower_is_better", False)
    if not isinstance(given, bool | np.bool_):
        raise ValueError(f"lower_is_better: expected True or False, but got {given!r}"[:200])
    return bool(given)


def classes_decided(task: object) -> int | None:
    """Between how many classes the network decides once a sample; None if it does not.

    A task says so by a method `classes_decided`, C of its probabilities (B, 1, C); it is called
    where `check` found nothing wrong. The module can learn the dynamics of such a task alone.
    """
    told = getattr(task, "classes_decided", None)
    return None if told is None else int(told())


def no_committee(task: object) -> str:
    """Why the distributions of several passes over a sample cannot be compared; else empty.

    A task says so by the attribute `no_committee`, where distribution k is not of the same thing in
    every pass. Strategies that ask a committee are refused for it.
    """
    return str(getattr(task, "no_committee", ""))


@runtime_checkable
class Described(Protocol):
    """An optional part of a task: properties of its samples.

    Reports compare them between queries and pool.
    """

    def traits(self, index: int) -> Mapping[str, Sequence[str] | Sequence[float]]:
        """The annotated properties of sample `index` of the pool, by name.

        An example: {"class": ["cat", "dog"], "box size": [0.1, 0.4]}. The names are the same for
        every sample, each with words (a class of each box, the visible joints) or with finite
        numbers (sizes, in a unit that the name states); the list is empty where the sample has
        none.
        """
        ...


@runtime_checkable
class Noted(Protocol):
    """An optional part of a task: notes on data that are valid but unusual."""

    def notes(self) -> list[str]:
        """Return notes to print once before a run, a line each.

        They name skipped files, classes without test samples, samples without labels, with counts.
        It is called where `check` found nothing wrong.
        """
        ...


@dataclass(frozen=True)
class Source:
    """The file and the annotation of a sample, known without decoding a pixel.

    Args:
        file: the image on disk; None if many images lie in one file. Samples may share one, as
            the persons of an image do.
        label: the annotation as text, the same for the same annotation: see `tasks.data.canonical`.
        content: bytes that identify a sample without a `file`, such as a digest of the pixels.
    """

    file: Path | None
    label: str
    content: bytes | None = None


@runtime_checkable
class Validated(Protocol):
    """An optional part of a task: the metric on samples of the pool, for `budget.validation`."""

    def pool_evaluator(self) -> BaseMetric:
        """A fresh metric over some samples of `dataset("pool")`, with the keys of `evaluator`.

        Raises:
            ValueError: if these settings have none, with the reason.
        """
        ...


@runtime_checkable
class Sourced(Protocol):
    """An optional part of a task: the sources of its samples, by which equal data are found."""

    def sources(self, split: Read) -> Sequence[Source]:
        """The source of each sample of `dataset(split)`, in its order.

        It is called if `check` found nothing wrong. It must be cheap (a second for 10,000 samples),
        so it reads annotations and no pixels.
        """
        ...


@runtime_checkable
class Pinned(Protocol):
    """An optional part of a task: what lies in files that shape its network.

    A run keeps it, and does not go on with other content.
    """

    def pinned(self) -> Mapping[str, Any]:
        """The content of the files that settings name, by setting, such as "task.pretrained".

        It is data as JSON holds them, such as what a config file says, or the hash of weights. A
        file that is not there is left out: nothing is downloaded. It is called if `check` found
        nothing wrong.
        """
        ...
