"""The fields of an output that are made of predicted boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmengine.structures import InstanceData

from models.networks.bags import bag_of, quality_of
from models.output import Output

BOXES = frozenset({"bag", "quality"})


def with_boxes(
    output: Output,
    found: list[InstanceData],
    data: Mapping[str, Any],
    classes: int,
    want: frozenset[str],
) -> Output:
    """An output with the wanted fields of predicted boxes.

    Features are means of the first tap, the finest map, over a box.

    Args:
        output: of the batch; its taps are read.
        found: each image's boxes in the network's pixels.
        data: the batch as the network's preprocessor returns it.
        classes: without background.
        want: "bag", "quality", and others, which do not count here.
    """
    bag = quality = None
    if "bag" in want:
        bag = bag_of(found, output.taps[0], data["inputs"].shape[-1], classes)
    if "quality" in want:
        truth = [sample.gt_instances for sample in data["data_samples"]]
        quality = quality_of(found, truth, classes)
    return replace(output, bag=bag, quality=quality)
