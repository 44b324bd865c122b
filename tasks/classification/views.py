"""The views of classification: train is augmented, pool and test are seen as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from tasks.classification.sources import Images

Augmentation = Literal["crop", "resized_crop"]
Transform = Callable[[Tensor], Tensor]


class View(Dataset):
    """Sample i is an image (3, H, W), uint8 RGB, and the index of its class.

    Args:
        images: shared by the views of a split.
        transform: (3, H, W) -> (3, side, side), both uint8.
    """

    def __init__(self, images: Images, transform: Transform) -> None:
        self.images = images
        self.transform = transform
        self.metainfo: dict[str, Any] = {}  # mmengine's test loop looks for it

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(self.images.pixels(index)).permute(2, 0, 1)
        return self.transform(pixels), self.images.labels[index]


def train_transform(
    augmentation: Augmentation,
    side: int,
    padding: int,
    flip: float,
    interpolation: str = "bilinear",
) -> Transform:
    """Return the transform of training; torch's global generator draws.

    Args:
        augmentation: ``"crop"``, a random crop of the image with black pixels around it, for images
            that have the network's size; ``"resized_crop"``, a random part of the image, resized
            (torchvision's ImageNet recipe).
        side: of the network's input in pixels.
        padding: pixels around the image for "crop".
        flip: share of the views that are mirrored.
        interpolation: by which "resized_crop" resizes, as torchvision calls it.
    """
    steps: list[v2.Transform] = []
    if augmentation == "resized_crop":
        mode = v2.InterpolationMode(interpolation)
        steps.append(v2.RandomResizedCrop(side, interpolation=mode, antialias=True))
    elif padding:
        steps.append(v2.RandomCrop(side, padding=padding))
    return v2.Compose([*steps, v2.RandomHorizontalFlip(flip)])


def test_transform(
    augmentation: Augmentation,
    side: int,
    resized: int,
    interpolation: str = "bilinear",
    squash: bool = False,
) -> Transform:
    """Return the transform at test time, without randomness.

    It is the image itself for "crop"; otherwise the image is resized and cropped at its centre.

    Args:
        augmentation: of training.
        side: of the network's input in pixels.
        resized: shorter side in pixels of the image whose centre is cropped.
        interpolation: as in `train_transform`.
        squash: resize to a square, so that the whole image is seen; else the sides keep their
            ratio.
    """
    if augmentation == "crop":
        return v2.Identity()
    size = [resized, resized] if squash else resized
    mode = v2.InterpolationMode(interpolation)
    return v2.Compose([v2.Resize(size, mode, antialias=True), v2.CenterCrop(side)])
