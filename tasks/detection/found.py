"""The fields of an output that are made of predicted boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from models.networks.bags import NOISES, bag_of, noisy, quality_of, stability_of
from models.output import Output

BOXES = frozenset({"bag", "quality", "stability"})
GIVEN = frozenset({"loss", "probs", "counts"}) | BOXES  # the fields that every detector returns


@dataclass(frozen=True)
class Found:
    """The boxes that a network predicts for a batch of B images.

    Args:
        boxes: of each image, in the network's pixels.
        data: the batch as the network's preprocessor returns it.
        again: predicts the boxes of other images (B, 3, H, W) in their place.
        std: by which the preprocessor divides images, a number or (3, 1, 1).
        classes: without background.
    """

    boxes: list[InstanceData]
    data: Mapping[str, Any]
    again: Callable[[Tensor], list[InstanceData]]
    std: Tensor | float
    classes: int


def with_boxes(output: Output, found: Found, want: frozenset[str]) -> Output:
    """An output with the wanted fields of predicted boxes.

    Features are means of the first tap, the finest map, over a box.
    """
    bag = quality = stability = None
    images, samples = found.data["inputs"], found.data["data_samples"]
    if "bag" in want:
        bag = bag_of(found.boxes, output.taps[0], images.shape[-1], found.classes)
    if "quality" in want:
        truth = [sample.gt_instances for sample in samples]
        quality = quality_of(found.boxes, truth, found.classes)
    if "stability" in want:
        with torch.no_grad():
            others = [found.again(noisy(images, samples, one, found.std)) for one in NOISES]
        stability = stability_of(found.boxes, others)
    return replace(output, bag=bag, quality=quality, stability=stability)


def std_of(preprocessor: Any) -> Tensor | float:
    """By which a preprocessor divides images; 1 where it does not."""
    return getattr(preprocessor, "std", 1.0)
