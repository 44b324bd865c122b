"""Where the images come from: CIFAR's files, a folder for each class, or a csv.

They are held in memory as bytes where they are few.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.process.progress import track
from tasks.base import DataError
from tasks.data import read_image
from tasks.litter import listing

Format = Literal["folder", "csv", "cifar10", "cifar100"]
Others = Literal["fault", "drop"]
FOLDERS = {"train": "train", "test": "test"}  # split -> folder below the root
# a split of at most so many bytes of pixels is held in memory: 174,000 images of 32x32
HELD_BYTES = 1 << 29
FIRST = 64  # images by which the size of all is judged at the earliest
UNLABELED = -1  # the label of an image that nobody has labeled


@dataclass(frozen=True)
class Images:
    """The samples of a split.

    Args:
        labels: index of each sample's class.
        paths: a file a sample; empty if the pixels are not from image files.
        held: pixels (H, W, 3) uint8 RGB of each sample, one array (N, H, W, 3) where all have one
            size; empty if they are read from the files one by one.
    """

    labels: tuple[int, ...]
    paths: tuple[Path, ...] = ()
    held: Sequence[np.ndarray] | np.ndarray = ()

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8, RGB."""
        if len(self.held):
            return self.held[index]
        return read_image(self.paths[index])


class Known(tuple[int, ...]):
    """Labels to learn from: reading one that nobody has given is an error."""

    def __getitem__(self, index: Any) -> Any:
        return learned(super().__getitem__(index))

    def __iter__(self) -> Iterator[int]:
        return map(learned, super().__iter__())


def learned(label: int) -> int:
    """The label itself.

    Raises:
        DataError: if the image has none.
    """
    if label == UNLABELED:
        raise DataError(
            "expected the class of an image to train on, but got one that nobody has labeled; "
            "train on labeled images alone"
        )
    return label


def known(labels: Iterable[int]) -> tuple[int, ...]:
    """Labels for training, of which those that are not there cannot be read."""
    given = tuple(labels)
    return Known(given) if UNLABELED in given else given


def read_files(paths: Sequence[Path], labels: Sequence[int]) -> Images:
    """Images and the index of each one's class; see `read_folder`."""
    return Images(tuple(labels), tuple(paths), _held(paths))


def read_folder(folder: Path, classes: Sequence[str]) -> Images:
    """All images of these classes in a split's folder, sorted by class and file name.

    The order of `classes` has no part in it. They are held in memory where their pixels come to at
    most `HELD_BYTES`.
    """
    label = {name: k for k, name in enumerate(classes)}
    listed = list_folder(folder, label)
    return read_files([path for path, _ in listed], [label[name] for _, name in listed])


def list_folder(folder: Path, classes: Container[str]) -> list[tuple[Path, str]]:
    """The images of a split's folder in the order of `read_folder`, and the class of each."""
    return [
        (path, home.name)
        for home in listing(folder)
        if home.name in classes
        for path in listing(home)
    ]


def _held(paths: Sequence[Path]) -> list[np.ndarray] | np.ndarray:
    """The pixels of all images, or none where they are too many.

    Images of one size are laid out in memory as torchvision's CIFAR is.
    """
    held: list[np.ndarray] = []
    size = 0
    for path in track(paths, "reading the images"):
        held.append(read_image(path))
        size += held[-1].nbytes
        judged = max(len(held), min(len(paths), FIRST))  # the mean of the first ones decides early
        if size / judged * len(paths) > HELD_BYTES:
            return []
    if len({image.shape for image in held}) > 1:
        return held
    return np.ascontiguousarray(np.stack(held).transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
