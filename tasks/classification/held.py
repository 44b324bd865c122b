"""Images held in memory, cropped and mirrored a batch at a time.

They are on the host or on the network's device.

A loader that reads single samples gets images; one that reads batches (torch calls a dataset's
`__getitems__`) gets what was drawn for each sample, and `collate` or `forward` makes the images.
They are the same to the bit: the numbers are drawn as torchvision draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.classification.sources import Images
from tasks.classification.views import Transform, View

Where = Literal["auto", "memory", "device"]
# row and column of the corner within the padded image in pixels; 1 where mirrored
Crop = tuple[int, int, int]
SHARE = 0.1  # of a GPU's free memory: a split that takes more is left on the host by "auto"


class Place(NamedTuple):
    """Where a view's pixels are: the split, the sample in it, and the crop that was drawn.

    A `crop` of None is the image as it is.
    """

    split: str
    sample: int
    label: int
    crop: Crop | None


class HeldView(View):
    """A view that returns places when several samples are read at once.

    Args:
        images: shared by the views of a split.
        transform: of single samples.
        split: whose images these are, "train" or "test".
        draw: draws a crop from torch's global generator as `transform` does; None if that leaves
            images as they are.
    """

    def __init__(
        self, images: Images, transform: Transform, split: str, draw: Callable[[], Crop] | None
    ) -> None:
        super().__init__(images, transform)
        self.split = split
        self.draw = draw

    def __getitems__(self, indices: Sequence[int]) -> list[Place]:
        """A place for each sample."""
        return [self._place(i) for i in indices]

    def _place(self, index: int) -> Place:
        crop = self.draw() if self.draw else None
        return Place(self.split, index, self.images.labels[index], crop)


def draw_crop(padding: int, flip: float) -> Crop:
    """Draw a crop's corner in a padded image, and whether to mirror, with probability `flip`.

    The same numbers in the same order as torchvision's `v2.RandomCrop`, if there is padding, and
    `v2.RandomHorizontalFlip`.
    """
    row = column = 0
    if padding:
        row = int(torch.randint(0, 2 * padding + 1, ()))
        column = int(torch.randint(0, 2 * padding + 1, ()))
    return row, column, int(torch.rand(()) < flip)


class Held:
    """The images of a split as one tensor, copied to a device when first used there.

    Args:
        images: (N, 3, side, side) uint8.
        padding: black pixels around an image, within which crops lie.
        where: whether `forward` makes the views ("device") or `collate` does ("memory"); "auto" is
            the device where torch has a GPU and the images fit into `SHARE` of its free memory.
    """

    def __init__(self, images: Tensor, padding: int, where: Where) -> None:
        self.padding = padding
        self.on_device = where == "device"
        # decided here: worker processes may not touch the GPU
        if where == "auto" and torch.cuda.is_available():
            self.on_device = images.nbytes <= SHARE * torch.cuda.mem_get_info()[0]
        self._images = {images.device: images}

    def views(self, ids: Tensor, crops: Tensor | None) -> Tensor:
        """Return views (B, 3, side, side) uint8 on the device of `ids` (B,).

        `crops` (B, 3) are as in `Crop`; None takes whole images.
        """
        images = self._on(ids.device).index_select(0, ids)
        if crops is None:
            return images
        return cropped(images, crops, self.padding)

    def _on(self, device: torch.device) -> Tensor:
        if device not in self._images:
            # or training could not use what a scoring pass has copied
            with torch.inference_mode(False):
                self._images[device] = next(iter(self._images.values())).to(device)
        return self._images[device]


def cropped(images: Tensor, crops: Tensor, padding: int) -> Tensor:
    """Crop each image (B, 3, side, side), padded with black pixels, to its own size.

    It is mirrored where that was drawn. One gather for the batch does it, without making a device
    wait.
    """
    count, channels, side, _ = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    along = torch.arange(side, device=images.device)
    row, column, mirrored = (part[:, None] for part in crops.unbind(dim=1))
    columns = column + torch.where(mirrored.bool(), side - 1 - along, along)
    pixels = (row + along)[:, :, None] * (side + 2 * padding) + columns[:, None, :]
    picked = padded.flatten(2).gather(2, pixels.view(count, 1, -1).expand(-1, channels, -1))
    return picked.view(images.shape)


def stacked(images: Images, side: int) -> Tensor | None:
    """(N, 3, side, side) uint8, sharing the images' memory; None unless all have this size."""
    if not isinstance(images.held, np.ndarray) or images.held.shape[1:] != (side, side, 3):
        return None
    return torch.from_numpy(images.held).permute(0, 3, 1, 2).contiguous()


def batch_of(places: Sequence[Place]) -> dict[str, Tensor | str]:
    """Return `ids` (B,) in the images of `split`, `labels` (B,) and, for training, `crops`.

    `crops` (B, 3) is left out where images are taken as they are.
    """
    split, indices, labels, crops = zip(*places, strict=True)
    batch = {"ids": torch.tensor(indices), "labels": torch.tensor(labels)}
    if crops[0] is not None:
        batch["crops"] = torch.tensor(crops)
    return batch | {"split": split[0]}
