"""Greedy k-center, exact and lazy.

The next pick is always the sample farthest from its nearest centre.

Source: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
Approach", ICLR 2018, algorithm 1. What makes it fast is in `acquisition.kcenter_search`; none of it
changes a pick. The picks are those of the plain algorithm on `squared_distances`, bit for bit, ties
to the lowest position, on any device and with any `chunk_bytes`.

Kept by hand: libraries hold all distances, or go through all samples for each pick.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from acquisition.distances import squared_distances
from acquisition.kcenter_search import Search

__all__ = ["Cover", "k_center", "squared_distances"]


class Cover(NamedTuple):
    """The picks, and how well the centres cover all samples.

    Attributes:
        positions: (budget,) int64, first pick first.
        radii: (budget + 1,) float64; number k is the largest distance of a sample to its nearest
            centre after k picks, infinite if there is no centre.
    """

    positions: Tensor
    radii: Tensor

    @property
    def radius(self) -> float:
        """The covering radius, after the last pick."""
        return float(self.radii[-1])


@torch.no_grad()
def k_center(features: Tensor, labeled: Tensor, budget: int, *, chunk_bytes: int = 2**25) -> Cover:
    """Pick `budget` samples, each the farthest from the labeled ones and from earlier picks.

    Of samples equally far, the one at the lowest position is picked.

    With no labeled samples, all are equally far at first, so position 0 is the first pick. Where
    all that is left coincides with a centre, the lowest positions follow.

    Args:
        features: (N, D) float32, the candidates; on any device that has float64.
        labeled: (M, D) float32 on the same device, the centres that exist already; M may be 0.
        budget: samples to be picked, 0 to N.
        chunk_bytes: about the memory of all that is held beside the arguments and some numbers for
            each sample.

    Returns:
        The picks and the covering radii, on the device of `features`.

    Raises:
        ValueError: for another dtype or shape, two devices, a budget out of range, or rows that are
            not finite, with their number.

    Examples:
        >>> import torch
        >>> features, labeled = torch.tensor([[0.0], [1.0], [5.0], [9.0]]), torch.tensor([[0.0]])
        >>> k_center(features, labeled, budget=2).positions.tolist()  # at 9, then at 5
        [3, 2]
    """
    _check(features, labeled, budget, chunk_bytes)
    with torch.autocast(features.device.type, enabled=False):
        search = Search(features, labeled, budget, chunk_bytes)
        search.run()
    # not torch's, whose last bit differs between machines
    radii = [math.sqrt(radius) for radius in search.radii]
    return Cover(search.picked, torch.tensor(radii, dtype=torch.float64, device=features.device))


def _check(features: Tensor, labeled: Tensor, budget: int, chunk_bytes: int) -> None:
    for name, rows in (("features", features), ("labeled", labeled)):
        if rows.dim() != 2 or rows.dtype != torch.float32:
            raise ValueError(
                f"{name}: expected float32 (rows, D), but got {rows.dtype} of shape "
                f"{tuple(rows.shape)}"
            )
    if features.shape[1] != labeled.shape[1] or features.shape[1] == 0:
        raise ValueError(
            f"labeled: expected rows as long as those of features and not empty, but got "
            f"{labeled.shape[1]} and {features.shape[1]}"
        )
    if features.device != labeled.device:
        raise ValueError(
            f"labeled: expected it on {features.device} as features, but got {labeled.device}"
        )
    if not 0 <= budget <= len(features):
        raise ValueError(
            f"budget: expected 0 to {len(features)} (all candidates), but got {budget}"
        )
    if chunk_bytes < 1:
        raise ValueError(f"chunk_bytes: expected at least 1, but got {chunk_bytes}")
    for name, rows in (("features", features), ("labeled", labeled)):
        if rows.numel() and not all(bool(end.isfinite()) for end in rows.aminmax()):
            bad = sum(int((~row.isfinite()).any()) for row in rows)
            raise ValueError(
                f"{name}: expected finite numbers, but {bad} of {len(rows)} rows hold others"
            )
