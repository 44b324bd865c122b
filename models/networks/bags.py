"""Predicted boxes as bags, and how well annotated boxes are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor
from torchvision.ops import box_iou, roi_align

from models.output import Bag
from models.process.seeding import derive_seed

MOST = 100  # boxes of an image in a bag, as in the public code of PPAL
NOISES = (8, 16, 24, 32, 40, 48)  # standard deviations, of 256 levels (Kao et al. 2018)
XI = 0.6  # exponent of the probability in a box's quality; that of the overlap is 1 - XI


def bag_of(
    found: Sequence[InstanceData], tap: Tensor, width: int, classes: int, most: int = MOST
) -> Bag:
    """The surest boxes of each image, each with the mean of a map over it.

    Args:
        found: B images' boxes, labels and scores, in the network's pixels.
        tap: (B, D, H, W) map that the features are taken from.
        width: of the network's input in pixels.
        classes: without background.
        most: boxes of an image in the bag, M.
    """
    tap = tap.float()
    label = torch.full((len(found), most), -1, device=tap.device)
    score = tap.new_zeros(len(found), most)
    feature = tap.new_zeros(len(found), most, tap.shape[1])
    corners = tap.new_zeros(len(found), most, 4)
    for i, boxes in enumerate(found):
        order = _surest(boxes, most)
        count = len(order)
        label[i, :count] = boxes.labels[order].to(label)
        score[i, :count] = boxes.scores[order].to(score).clamp(0, 1)
        corners[i, :count] = boxes.bboxes[order].to(corners)
        feature[i, :count] = _means(tap[i : i + 1], boxes.bboxes[order], width)
    return Bag(label, score, feature, classes, corners)


def _surest(boxes: InstanceData, most: int) -> Tensor:
    return boxes.scores.float().argsort(descending=True, stable=True)[:most]


def _means(tap: Tensor, corners: Tensor, width: int) -> Tensor:
    """Means (n, D) of a map (1, D, H, W) under boxes (n, 4) in the input's pixels."""
    with torch.autocast(tap.device.type, enabled=False):
        scale = tap.shape[-1] / width
        return roi_align(tap, [corners.float()], 1, scale, aligned=True).flatten(1)


def quality_of(
    found: Sequence[InstanceData], truth: Sequence[InstanceData], classes: int
) -> Tensor:
    """How well the annotated boxes of each class are found: p^0.6 IoU^0.4 of the best prediction.

    Source: Yang et al., CVPR 2024, of predicted boxes in place of anchors.

    Args:
        found: B images' predicted boxes.
        truth: their annotated ones, in the same pixels.
        classes: C, without background.

    Returns:
        (B, C, 2), the sum over a class's annotated boxes, and how many there are; one that no
        predicted box of its class touches counts 0.
    """
    rows = []
    for boxes, real in zip(found, truth, strict=True):
        quality = boxes.scores.float().new_zeros(classes, 2)
        if len(real.labels):
            best = boxes.scores.float().new_zeros(len(real.labels))
            if len(boxes.labels):
                overlap = box_iou(real.bboxes.float(), boxes.bboxes.float())
                each = boxes.scores.float().clamp(0, 1) ** XI * overlap ** (1 - XI)
                same = real.labels[:, None] == boxes.labels[None]
                best = torch.where(same, each, 0.0).amax(dim=1)
            values = torch.stack([best, torch.ones_like(best)], dim=1)
            quality.index_add_(0, real.labels, values)
        rows.append(quality)
    return torch.stack(rows)


def noisy(images: Tensor, samples: Sequence[Any], deviation: int, std: Tensor | float) -> Tensor:
    """Images with gaussian noise, the same for all images of a size.

    Args:
        images: (B, 3, H, W), normalised, filled up on the right and below.
        samples: B; their metainfo says where the image ends.
        deviation: of the noise, in levels of 256.
        std: by which images are divided, a number or (3, 1, 1).
    """
    added = torch.zeros_like(images)
    for i, sample in enumerate(samples):
        height, width = sample.metainfo["img_shape"][:2]
        seed = derive_seed("noise", deviation)
        noise = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))
        added[i, :, :height, :width] = noise.to(added)
    return images + added * deviation / std


def stability_of(
    found: Sequence[InstanceData], under_noise: Sequence[Sequence[InstanceData]], most: int = MOST
) -> Tensor:
    """How far boxes stay in their places: the mean overlap with the nearest box under each noise.

    Source: Kao et al., ACCV 2018.

    Args:
        found: B images' boxes, as in their bags.
        under_noise: for each noise the boxes of the B images.
        most: boxes of an image in a bag, M.

    Returns:
        (B, M) from 0 to 1; 0 for what fills up.
    """
    rows = []
    for i, boxes in enumerate(found):
        corners = boxes.bboxes[_surest(boxes, most)].float()
        row = corners.new_zeros(most)
        for others in under_noise:
            if len(corners) and len(others[i].bboxes):
                nearest = box_iou(corners, others[i].bboxes.float()).amax(dim=1)
                row[: len(corners)] += nearest / len(under_noise)
        rows.append(row)
    return torch.stack(rows)
