"""What the adapters of image tasks share: reading an image, and a part of a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset, Subset

from tasks.base import DataError
from tasks.faults import image_size


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8, RGB, turned as its EXIF says; deeper pixels are scaled to 8 bits, transparency is dropped.

    Raises:
        DataError: where the file holds no whole image, or one of more than `tasks.faults.IMAGE_PIXELS`.
    """
    check_header(path)
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error, MemoryError) as error:
        raise DataError(
            f"{path} cannot be decoded ({' '.join(str(error).split())}); `--check full` finds all such files"
        ) from error
    if pixels is None:
        raise DataError(f"{path} is no image that OpenCV can decode; `--check full` finds all such files")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def check_header(path: Path) -> None:
    """DataError where the data check would refuse the file: nothing else keeps a pipe or a bomb out of a long run."""
    for fault in image_size(path, full=False):
        raise DataError(str(fault))


def spread(dataset: Dataset, count: int) -> Subset:
    """At most `count` samples at even distances: data sets are often sorted, by class or by film."""
    size = len(dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
    return part(dataset, even(size, count))


def even(size: int, count: int | None) -> list[int]:
    """Which samples of `size` a limit of `count` leaves, at even distances; None leaves all."""
    count = size if count is None else min(count, size)
    return [k * size // count for k in range(count)]


def part(dataset: Dataset, indices: Sequence[int]) -> Subset:
    """Some samples of a data set, as mmengine's loops take it."""
    subset = Subset(dataset, indices)
    subset.metainfo = dataset.metainfo  # type: ignore[attr-defined]  # mmengine's test loop looks for it
    return subset


def canonical(**parts: Any) -> str:
    """An annotation as the `label` of a `tasks.base.Source`: JSON of its parts, keys sorted."""
    return json.dumps(parts, sort_keys=True)
