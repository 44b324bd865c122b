"""Joints as heatmaps: targets, the loss of a person, and the way back to pixels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PoseLoss = Literal["annotated", "all"]
FOUND = 0.3  # of a gaussian's height: a joint is found where its heatmap is at least as high


def targets(
    joints: Tensor, annotated: Tensor, side: int | tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    """Target heatmaps: gaussians of height 1 around the joints, cut off at three sigma.

    Source: Newell et al. 2016, and HRNet's code.

    Args:
        joints: (B, J, 2), x and y in cells, the centre of the first cell at 0.
        annotated: (B, J) bool.
        side: cells of a heatmap's side, or its width and height.
        sigma: standard deviation in cells.

    Returns:
        Heatmaps (B, J, height, width), and (B, J) 1 if a joint counts: annotated, and with a part
        of its gaussian in the map.
    """
    width, height = (side, side) if isinstance(side, int) else side
    cells = (joints + 0.5).floor()
    along_x = _profile(cells[..., 0], width, sigma)
    along_y = _profile(cells[..., 1], height, sigma)
    inside = (along_x > 0).any(dim=-1) & (along_y > 0).any(dim=-1)
    weights = (annotated & inside).to(along_x.dtype)
    return along_y[..., :, None] * along_x[..., None, :] * weights[..., None, None], weights


def _profile(cells: Tensor, count: int, sigma: float) -> Tensor:
    """(B, J) middles along one axis -> (B, J, count) values of the gaussian, 0 beyond its reach."""
    distance = torch.arange(count, device=cells.device) - cells.unsqueeze(-1)
    return torch.exp(-(distance**2) / (2 * sigma**2)) * (distance.abs() <= 3 * sigma)


def pose_losses(
    heatmaps: tuple[Tensor, ...], target: Tensor, weights: Tensor, over: PoseLoss
) -> Tensor:
    """The loss (B,) of each person.

    It is the mean squared error over the cells of the heatmaps, summed over the stacks.

    Args:
        heatmaps: (B, J, H, W) of each stack.
        target: (B, J, H, W).
        weights: (B, J), 0 masks a joint.
        over: the mean is over the joints that count (``"annotated"``; 0 without any) or over all,
            masked ones being 0 (``"all"``, as HRNet's loss; persons with few annotated joints then
            have small losses).
    """
    errors = torch.stack(
        [((maps.float() - target) ** 2).mean(dim=(2, 3)) for maps in heatmaps]
    ).sum(dim=0)
    count = weights.sum(dim=1).clamp(min=1) if over == "annotated" else weights.shape[1]
    return (errors * weights).sum(dim=1) / count


def found(heatmaps: Tensor) -> Tensor:
    """(B, J) 1 where the highest value of a heatmap (B, J, H, W) is at least `FOUND`, else 0."""
    return (heatmaps.float().amax(dim=(2, 3)) >= FOUND).float()


def decode(heatmaps: Tensor) -> Tensor:
    """Decode heatmaps (B, J, H, W) into positions (B, J, 2), x and y in cells.

    A position is the highest cell, moved by a quarter towards its higher neighbour.

    As HRNet's `get_final_preds`: cells less than two from a border stay, and equal neighbours move
    nothing. Unlike there, a map without a positive cell has its highest cell, too, not (0, 0).
    """
    *_, height, width = heatmaps.shape
    flat = heatmaps.flatten(2).argmax(dim=2)
    x = flat % width
    y = flat // width
    inner = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    rows = heatmaps.flatten(2)

    def slope(offset: int) -> Tensor:
        """The sign (B, J) of the slope between the two cells `offset` before and after."""
        position = flat.clamp(offset, height * width - 1 - offset)
        after = rows.gather(2, (position + offset).unsqueeze(2))
        before = rows.gather(2, (position - offset).unsqueeze(2))
        return (after - before).squeeze(2).sign() * inner

    return torch.stack([x + 0.25 * slope(1), y + 0.25 * slope(width)], dim=2)


def unflipped(heatmaps: Tensor, mirrored: list[int]) -> Tensor:
    """The heatmaps (B, J, H, W) of mirrored images as those of the images themselves.

    Left and right joints change places, and the maps move one cell to the right: in a mirrored
    image of 4 n pixels the cell of pixel x is n minus its cell, not n - 1 minus it (HRNet's
    SHIFT_HEATMAP).
    """
    flipped = heatmaps.flip(3)[:, mirrored]
    return torch.cat([flipped[..., :1], flipped[..., :-1]], dim=3)


def to_image(cells: Tensor, stride: int, inverse: Tensor) -> Tensor:
    """Map positions (B, J, 2) in cells to pixels of the image.

    `inverse` (B, 2, 3) is that of each crop's matrix.
    """
    pixels = cells.to(inverse.dtype) * stride
    return pixels @ inverse[:, :, :2].transpose(1, 2) + inverse[:, None, :, 2]
