"""A trained network outside of its run: what a task hands out, and what becomes of it.

Reading runs needs these names, so nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from tasks.base import Batch

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn
    from torch.utils.data import Dataset

Box = tuple[float, float, float, float]  # x, y, width, height in pixels
Record = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What a prediction is asked for: an image, or a part of one.

    Args:
        path: of the image.
        box: the part, in the pixels of the image as its EXIF turns it; None is all of it.
    """

    path: Path
    box: Box | None = None


@dataclass(frozen=True)
class Export:
    """A network's weights in the form that a library loads.

    Args:
        state: the weights by the library's names.
        meta: what else one must know to use them, as plain data: classes, input, normalisation.
        load: a Python script that loads `WEIGHTS` from its own folder as `network`, or, of mmdet,
            as `model`.
        files: name -> text of what the script needs beside it.
    """

    state: Mapping[str, Tensor]
    meta: Mapping[str, Any]
    load: str
    files: Mapping[str, str] = field(default_factory=dict)


class Deployment(Protocol):
    """A task's network outside of a run; `Deployable` returns it.

    Attributes:
        form: ``"coco"``, where records are annotations of COCO's json; ``"csv"``, where a record
            is a row of a table.
        categories: COCO's, with ids from 1 on; empty for a table.
        crops: whether subjects are parts of images, as persons are.
    """

    form: Literal["coco", "csv"]
    categories: Sequence[Record]
    crops: bool

    def build(self) -> nn.Module:
        """A network of the right shape, whose weights are loaded next.

        It reads no data and downloads nothing.
        """
        ...

    def images(self, subjects: Sequence[Subject]) -> Dataset:
        """Samples without labels, as at test time, in a form that `collate` reads.

        Reading one raises a `tasks.base.DataError` that says why its image cannot be used.
        """
        ...

    def collate(self, samples: Sequence[Any]) -> Batch:
        """As `Task.collate`."""
        ...

    def records(self, network: nn.Module, batch: Batch) -> list[list[Record]]:
        """What is predicted of each sample.

        In the form "coco", annotations with `category_id`, `bbox` in pixels of the image as its
        EXIF turns it, `score` in [0, 1] and, of persons, `keypoints`. In the form "csv", one row.
        """
        ...

    def picture(self, path: Path, records: Sequence[Record], threshold: float) -> Image.Image:
        """The image with its records drawn; those with a score below `threshold` are left out."""
        ...

    def exported(self, network: nn.Module) -> Export:
        """The weights in a library's form.

        Raises:
            ValueError: if the network is of no kind that can be exported.
        """
        ...


@runtime_checkable
class Deployable(Protocol):
    """An optional part of a task: its trained network on any images, and its weights alone."""

    def labels(self) -> Sequence[str]:
        """Names of what the network tells apart, in its order: classes, or joints.

        A run folder keeps them, so that its network can be used where its data are not. It is
        called where `check` found nothing wrong.
        """
        ...

    def deployment(self, labels: Sequence[str]) -> Deployment:
        """The network outside of a run; it reads no data.

        Args:
            labels: as the run's folder has them.

        Raises:
            ValueError: if they do not fit the task's settings.
        """
        ...
