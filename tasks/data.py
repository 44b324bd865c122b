"""What the adapters of image tasks share: reading an image, and a part of a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from torch.utils.data import Dataset, Subset

from models.process.text import abridged
from tasks.base import DataError
from tasks.faults import Reading
from tasks.images import decoded, read_header

T = TypeVar("T")


def read_image(path: Path, upright: bool = True) -> np.ndarray:
    """(H, W, 3) uint8, RGB; deeper pixels are scaled to 8 bits, transparency is dropped.

    Args:
        path: of the file.
        upright: turn the image by its EXIF; else its pixels are as stored.

    Raises:
        DataError: if the file holds no whole image, or one that `tasks.images.read_header`
            refuses.
    """
    return cv2.cvtColor(read_bgr(path, upright), cv2.COLOR_BGR2RGB)


def read_bgr(path: Path, upright: bool = True) -> np.ndarray:
    """Read an image as `read_image` does, in OpenCV's order of channels.

    The header is checked as in the data check: nothing else keeps a pipe or a bomb out of a long
    run, and the check and the run then agree on the image's orientation.
    """
    header = first_fault_raised(read_header(path))
    try:
        pixels = decoded(path.read_bytes())
    except (OSError, cv2.error, MemoryError) as error:
        raise DataError(
            f"{path} cannot be decoded ({' '.join(str(error).split())}); `--check full` finds all "
            "such files"
        ) from error
    if pixels is None:
        raise DataError(
            f"{path} is no image that OpenCV can decode; `--check full` finds all such files"
        )
    if not upright:
        return pixels
    return turned(pixels, header.orientation)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image (H, W, 3) as its EXIF `orientation` of 1 to 8 demands."""
    if orientation >= 5:
        pixels = cv2.transpose(pixels)
    mirror = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    if mirror is None:
        return pixels
    return cv2.flip(pixels, mirror)


def first_fault_raised(reading: Reading[T | None]) -> T:
    """Return what a check without faults returns; raise its first fault as a DataError."""
    try:
        fault = next(reading)
    except StopIteration as end:
        return end.value
    raise DataError(str(fault))


def spread(dataset: Dataset, count: int) -> Subset:
    """Take at most `count` samples at even distances.

    Data sets are often sorted, by class or by film, so the first ones would be alike.
    """
    size = len(dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
    return part(dataset, even(size, count))


def even(size: int, count: int | None) -> list[int]:
    """Indices of at most `count` of `size` samples, at even distances; None takes all."""
    if count is None or count > size:
        count = size
    return [k * size // count for k in range(count)]


def part(dataset: Dataset, indices: Sequence[int]) -> Subset:
    """Some samples of a data set, as mmengine's loops take it."""
    subset = Subset(dataset, indices)
    # mmengine's test loop looks for it
    subset.metainfo = getattr(dataset, "metainfo", {})  # type: ignore[attr-defined]
    return subset


def drawn(names: Sequence[str], share: float, seed: int) -> list[bool]:
    """Draw a test set of a `share` of all samples: those with the lowest digests.

    A digest is of the sample's name and the seed. So the files' order does not matter, and a sample
    that is added or removed moves few others. One sample at least is drawn, and one is left.
    """
    count = min(max(1, round(share * len(names))), len(names) - 1)
    digests = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    chosen = set(sorted(range(len(names)), key=digests.__getitem__)[:count])
    return [i in chosen for i in range(len(names))]


def canonical(**parts: Any) -> str:
    """An annotation as the `label` of a `tasks.base.Source`: JSON of its parts, keys sorted."""
    return json.dumps(parts, sort_keys=True)


def few(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, quoted, as a note shows them."""
    return abridged([repr(name) for name in names], most)
