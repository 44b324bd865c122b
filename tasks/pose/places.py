"""Heatmaps as probability distributions over their cells, for uncertainty signals.

The network is trained by squared error to gaussians of height 1, so what a heatmap tends to is the
probability of the joint's place, smoothed by the gaussian: its values are in proportion to
probabilities already. Their exponentials are not: the softmax of 64 x 64 cells is all but uniform,
and the more peaks of height 1 a map has, the *less* uniform it is.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Distribution = Literal["squared", "mass", "softmax"]
PEAKS = 5  # of a heatmap, at most
APART = 5  # cells, at least
LEAST = 1e-32  # of a map's highest value: the gradient of a lower one may be no float32


def places(heatmaps: Tensor, how: Distribution) -> Tensor:
    """Turn heatmaps (B, J, H, W) into distributions (B, J, H * W) over the cells, float32.

    Args:
        heatmaps: of the last stack.
        how: ``"mass"`` is a cell's value over the sum of them, cells below 0 counting as 0.
            ``"squared"`` squares the values first: noise with a deviation of 0.005 has more mass in
            64 x 64 cells than the gaussian of a joint, but a fiftieth of its squares.
            ``"softmax"`` is that of the values themselves. A map without a positive cell, or with
            none of at least `LEAST`, has no information on the place: uniform.
    """
    cells = heatmaps.float().flatten(2)
    if how == "softmax":
        return cells.softmax(dim=2)
    positive = cells.clamp(min=0)
    # divided by first, so that no square or sum is 0 or infinite
    top = positive.amax(dim=2, keepdim=True).detach()
    empty = top < LEAST
    scaled = positive / torch.where(empty, 1, top)
    if how == "squared":
        scaled = scaled.square()
    weights = torch.where(empty, 1, scaled)
    return weights / weights.sum(dim=2, keepdim=True)


def answers(probs: Tensor, width: int, reach: int) -> Tensor:
    """Probabilities (B, J, 2) of the two best answers to "where is the joint?", best first.

    An answer is a cell together with those at most `reach` cells from it along x and y; the second
    one is the likeliest cell outside of the first, with what is left around it. A joint between two
    cells is one answer: of the cells themselves the best two would nearly always be neighbours,
    equally likely where the network is surest.

    Args:
        probs: distributions (B, J, H * W) over the cells, row by row.
        width: cells of a row.
        reach: in cells.
    """
    height = probs.shape[2] // width
    left = probs
    best = []
    rows, columns = (torch.arange(size, device=probs.device) for size in (height, width))
    for _ in range(2):
        top = left.argmax(dim=2, keepdim=True)
        # (B, J, H), (B, J, W)
        close = ((rows - top // width).abs() <= reach, (columns - top % width).abs() <= reach)
        around = (close[0].unsqueeze(3) & close[1].unsqueeze(2)).flatten(2)
        best.append(torch.where(around, left, 0).sum(dim=2))
        left = torch.where(around, 0, left)
    return torch.stack(best, dim=2)


def peaks(heatmaps: Tensor) -> Tensor:
    """The distribution (B, J, `PEAKS`) over the highest peaks of heatmaps (B, J, H, W), float32.

    It is the softmax of their values, 0 where a map has fewer (Liu and Ferrari, ICCV 2017,
    multi-peak entropy). A peak is a cell as high as the eight around it; of those less than `APART`
    cells from each other the highest counts, and of equal ones the first.
    """
    values = heatmaps.float()
    *_, height, width = values.shape
    summits = values == F.max_pool2d(values, 3, stride=1, padding=1)
    left = torch.where(summits, values, -math.inf).flatten(2)
    rows, columns = (torch.arange(size, device=values.device) for size in (height, width))
    found = []
    for _ in range(PEAKS):
        value, top = left.max(dim=2, keepdim=True)
        found.append(value[..., 0])
        along_y = (rows - top // width).square().unsqueeze(3)  # (B, J, H, 1)
        along_x = (columns - top % width).square().unsqueeze(2)
        close = (along_y + along_x < APART**2).flatten(2)
        left = torch.where(close, -math.inf, left)
    return torch.stack(found, dim=2).softmax(dim=2)
