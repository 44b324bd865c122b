"""How images become a network's input."""

from __future__ import annotations

from typing import NamedTuple

Channels = tuple[float, float, float]


class Preparation(NamedTuple):
    """What is done to images before a network sees them.

    Attributes:
        input_size: side of the input in pixels.
        mean: of the red, green and blue values in [0, 1].
        std: their standard deviations.
        interpolation: by which images are resized, such as ``"bicubic"``.
        crop: side of the centre crop at test time, as a share of the resized image's.
        squash: whether images are resized to a square; else their shorter side is.
        floors: whether a fraction of a pixel is cut off, as timm does; else it is rounded.
    """

    input_size: int
    mean: Channels
    std: Channels
    interpolation: str
    crop: float
    squash: bool = False
    floors: bool = False

    @property
    def resized(self) -> int:
        """The shorter side in pixels of which the centre is cropped at test time."""
        side = self.input_size / self.crop
        return int(side) if self.floors else round(side)


# CIFAR-10's pixels; 224 of 256 is what torchvision crops
CIFAR = Preparation(32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), "bilinear", 0.875)
