"""A trained network outside of its run: predictions on any images, and its weights alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from PIL import Image

from tasks.base import Batch
from tasks.data import read_image

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.data import Dataset

Box = tuple[float, float, float, float]  # x, y, width, height in pixels
Record = dict[str, Any]
WEIGHTS = "weights.pth"  # what `Export.load` reads, in its own folder
LONGEST, SHORTEST = 1024, 256  # pixels of a picture's longer side: at most, and at least


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
    """A task's network outside of a run; `tasks.base.Deployable` returns it.

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


def canvas(path: Path) -> tuple[Image.Image, float]:
    """An image to draw on, turned by its EXIF, and its zoom: its pixels a pixel of the file."""
    image = Image.fromarray(read_image(path))
    longer = max(image.size)
    zoom = min(max(longer, SHORTEST), LONGEST) / longer
    if zoom == 1:
        return image, zoom
    sampling = Image.Resampling.NEAREST if zoom > 1 else Image.Resampling.BOX
    size = tuple(max(1, round(side * zoom)) for side in image.size)
    return image.resize((size[0], size[1]), sampling), zoom


def source_of(*parts: Any, imports: str) -> str:
    """The text of a Python file that holds functions and classes of this project.

    Args:
        parts: the functions and classes, in order.
        imports: the lines of what they need, of other packages alone.
    """
    title = f'"""Copied from losstap (Apache-2.0), {parts[-1].__module__}."""'
    texts = [inspect.getsource(part).rstrip() for part in parts]
    head = f"{title}\n\nfrom __future__ import annotations\n\n{imports.strip()}"
    return "\n\n\n".join([head, *texts]) + "\n"


def corners(box: Box, zoom: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box on a picture."""
    x, y, width, height = (float(value) * zoom for value in np.asarray(box))
    return x, y, x + width, y + height
