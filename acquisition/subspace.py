"""The leading principal subspace of rows: distances in it rule out most pairs by little work.

They are never larger than the whole ones, and a network's features fill few dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

LEADING = 24  # principal coordinates, at most
FILLED = 8  # times fewer than the dimensions, at least
ROWS = 512  # rows that they are found from, or up to twice as many
TURNS = 3  # of the subspace iteration
BESIDE = 0.3  # share of the variance outside, from which on distances inside rule out too little
EPS = torch.finfo(torch.float32).eps


def leading(features: Tensor) -> Tensor | None:
    """The leading principal directions (D, P) of rows (N, D), about; None where they hold little.

    They are found by subspace iteration on some of the rows. How well decides what is ruled out by
    them, and nothing else: rounding does not matter here.
    """
    dims = features.shape[1]
    size = min(LEADING, dims // FILLED)
    if len(features) < ROWS or not size:
        return None
    rows = features[:: len(features) // ROWS]
    rows = rows - rows.mean(0)
    rows /= rows.abs().max()  # so that squares do not overflow
    found = torch.randn(dims, size, generator=torch.Generator().manual_seed(0))
    for _ in range(TURNS):
        found = torch.linalg.qr(rows.T @ (rows @ found)).Q
    inside = (rows @ found).square().sum() / rows.square().sum()
    return found if inside > 1 - BESIDE else None  # not where all rows are equal: 0 / 0


class Subspace:
    """Coordinates of samples in some directions, in float32 on a CPU.

    With Q the directions, |Q'a - Q'b| is at most the norm of Q times |a - b|. What rounding makes
    of it is bounded by the rows' lengths.

    Args:
        features: (N, D), the samples.
        lengths: (N,) of them.
        directions: (D, P) float32, of about length 1 and at right angles.
        window: samples that are projected at once.
        tiny: what underflow may add to a squared distance.
    """

    def __init__(
        self, features: Tensor, lengths: Tensor, directions: Tensor, window: int, tiny: float
    ) -> None:
        dims, size = directions.shape
        self.directions = directions
        self.coordinates = torch.cat([part @ directions for part in features.split(window)])
        self.squares = self.coordinates.square().sum(1)
        self.lengths = lengths.double()
        gram = directions.double().T @ directions.double()
        # no eigenvalue is above the largest sum of a row
        self.norm = float(gram.abs().sum(1).max()) ** 0.5 * (1 + EPS)
        # of Q'a over |a|: each coordinate is a sum of D products
        self.projected = (dims + 16) * EPS * size**0.5
        # of |Q'a|^2 + |Q'b|^2 - 2 (Q'a)(Q'b) over (|Q'a| + |Q'b|)^2: sums of P products
        self.slack = (size + 16) * EPS
        self.tiny = tiny

    def of(self, centres: Tensor) -> Tensor:
        """Coordinates (m, P) of centres (m, D)."""
        return centres @ self.directions

    def nearest(self, positions: Tensor | slice, centres: Tensor, size: int) -> Tensor:
        """The centre (n,) that is nearest in the subspace; `size` of them are compared at once.

        Args:
            positions: of n samples.
            centres: (m, P), m at least 1.
            size: centres.
        """
        best, found = None, None
        for start in range(0, len(centres), size):
            apart = self._apart(positions, centres[start : start + size])
            place = torch.from_numpy(apart.numpy().argmin(1))  # torch's takes ten times as long
            least = apart.gather(1, place[:, None])[:, 0]
            if best is None or found is None:
                best, found = least, place
            else:
                found = torch.where(least < best, place + start, found)
                best = torch.minimum(best, least)
        if found is None:
            raise ValueError(f"Expected centres, but got shape {tuple(centres.shape)}")
        return found

    def within(self, positions: Tensor, centres: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
        """All pairs (k,), (k,) of a sample and a centre (m, P) nearer to it than a bound (n,).

        Some that are not are among them. Bounds are squared distances in the whole space.
        """
        apart = self._apart(positions, centres).numpy()
        near = np.flatnonzero(apart <= self._limit(positions, bounds).numpy()[:, None])
        sample, centre = np.divmod(near, len(centres))
        return torch.from_numpy(sample), torch.from_numpy(centre)

    def _apart(self, positions: Tensor | slice, centres: Tensor) -> Tensor:
        """(n, m) squared distances, each less the squared length of the sample."""
        squares = centres.square().sum(1)
        return torch.addmm(squares, self.coordinates[positions], centres.T, alpha=-2)

    def _limit(self, positions: Tensor, bounds: Tensor) -> Tensor:
        """What `_apart` comes to at most (n,) for centres within these squared distances (n,).

        Such a centre is no longer than the sample and the distance together.
        """
        reach = bounds.clamp(min=0).sqrt()
        both = 2 * self.lengths[positions] + reach  # at least the two lengths
        apart = (self.norm * reach + self.projected * both).square()
        rounded = self.slack * ((self.norm + self.projected) * both).square() + self.tiny
        limit = (apart + rounded - self.squares[positions]).float()
        return torch.nextafter(limit, torch.full_like(limit, float("inf")))
