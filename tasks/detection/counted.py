"""How many boxes of each class a detector predicts in an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor

SURE = 0.3  # least score of a box that counts, as mmdet draws boxes


def counted(found: Sequence[InstanceData], classes: int) -> Tensor:
    """Predicted boxes of each class (B, classes), float32; those of a score below `SURE` are left.

    Args:
        found: the boxes of each image.
        classes: without background.
    """
    rows = [
        torch.bincount(boxes.labels[boxes.scores >= SURE], minlength=classes) for boxes in found
    ]
    return torch.stack(rows).float()
