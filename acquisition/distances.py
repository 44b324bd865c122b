"""Squared distances: exact ones, and estimates of them with a bound on their error."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

AT_ONCE = 256  # pairs whose float64 differences are held: what is larger falls out of the caches


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances (n,) between rows (n, D).

    They are computed from float64 differences, so that nothing cancels.

    The sum is taken in halves, element by element, so that a result depends on its two rows alone:
    not on the device, the threads or the other rows. Its relative error is at most (log2 D + 4) *
    2^-53.
    """
    squares = (a.double() - b).square_()
    width = squares.shape[1]
    while width > 1:
        half = (width + 1) // 2
        squares.narrow(1, 0, width - half).add_(squares.narrow(1, half, width - half))
        width = half
    return squares[:, 0].clone()


def exact(rows: Tensor, which: Tensor, centres: Tensor, nearest: Tensor, size: int) -> Tensor:
    """`squared_distances` (k,) of `rows[which]` (k,) to `centres[nearest]` (k,), `size` at once."""
    found = [
        squared_distances(rows.index_select(0, i), centres.index_select(0, j))
        for i, j in zip(which.split(size), nearest.split(size), strict=True)
    ]
    return torch.cat(found)


class Estimates:
    """Squared distances of samples to centres by products or differences in one precision.

    Args:
        features: (N, D) float32, the samples.
        labeled: (M, D), centres; their numbers decide on the precision, too.
        window: samples whose lengths are computed at once.
    """

    def __init__(self, features: Tensor, labeled: Tensor, window: int) -> None:
        self.features = features
        self.dtype = product_dtype(features, labeled)
        self.slack, self.tiny = slack(features.shape[1], self.dtype)
        self.lengths = self._lengths(features, window)
        self.labeled_lengths = self._lengths(labeled, window)

    def _lengths(self, rows: Tensor, window: int) -> Tensor:
        parts = rows.split(window)
        return torch.cat([torch.linalg.vector_norm(part.to(self.dtype), dim=1) for part in parts])

    def rows(self, positions: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Rows (n, D) of the features, and their lengths (n,)."""
        if isinstance(positions, slice):
            rows = self.features[positions]
        else:
            rows = self.features.index_select(0, positions)
        return rows.to(self.dtype), self.lengths[positions]

    def of_all(self, rows: Tensor, lengths: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances (n, m) by a matrix product, and a bound on their error (n,)."""
        centres = centres.to(self.dtype)
        theirs = torch.linalg.vector_norm(centres, dim=1)
        distances = torch.addmm(theirs.square(), rows, centres.T, alpha=-2).add_(
            lengths.square()[:, None]
        )
        return distances, self.slack * (lengths.double() + theirs.max()).square() + self.tiny

    def within(self, reach: Tensor, lengths: Tensor, error: Tensor) -> Tensor:
        """The error of estimates for rows within `reach` of a sample.

        They are not much longer than it, so an outlier's error does not count for all.
        """
        return torch.minimum(
            error, self.slack * (2 * lengths.double() + reach).square() + self.tiny
        )

    def least(self, positions: Tensor | slice, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Estimates (n, m), the least (n,), and the error (n,) of this and of the true least."""
        rows, lengths = self.rows(positions)
        distances, error = self.of_all(rows, lengths, centres)
        least = distances.amin(1)
        # for both, d^2 <= least + slack * (2|a| + d)^2 + tiny, and slack is below 1/8
        reach = (
            least.double().clamp(min=0).add(lengths.double().square()).add(self.tiny).mul(2).sqrt()
        )
        return distances, least, self.within(reach, lengths, error)

    def of_pairs(
        self,
        positions: Tensor | slice,
        centres: Tensor,
        theirs: Tensor,
        pairs: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Squared distances (k,) in float64 of some pairs by products, and a bound on their error.

        Args:
            positions: of n samples.
            centres: (m, D).
            theirs: (m,) lengths of the centres.
            pairs: sample (k,) below n, ascending, and centre (k,) below m, ascending in each.
        """
        sample, centre = pairs
        rows, lengths = self.rows(positions)
        starts = sample.new_zeros(len(rows) + 1)
        starts[1:] = sample.bincount(minlength=len(rows)).cumsum(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that sparse rows are in beta
            chosen = torch.sparse_csr_tensor(
                starts, centre, rows.new_zeros(len(centre)), (len(rows), len(centres))
            )
            products = torch.sparse.sampled_addmm(chosen, rows, centres.to(self.dtype).T, beta=0.0)
        own, other = lengths[sample].double(), theirs[centre].double()
        distances = own.square() + other.square() - 2 * products.values().double()
        return distances, self.slack * (own + other).square() + self.tiny


def slack(dims: int, dtype: torch.dtype) -> tuple[float, float]:
    """Two numbers that bound the error of |a|^2 + |b|^2 - 2ab.

    It is at most the first times (|a| + |b|)^2, plus the second, which is for underflow.

    A sum of D products, taken in any order, is wrong by at most D u times the sum of their sizes, u
    the unit roundoff; the three sums and what joins them by (D + 8) u (|a| + |b|)^2. Twice that
    leaves room for the lengths' rounding.
    """
    underflow = 2.0**-120 if dtype == torch.float32 else 2.0**-1000
    return (dims + 16) * torch.finfo(dtype).eps, dims * underflow


def product_dtype(features: Tensor, labeled: Tensor) -> torch.dtype:
    """The dtype of matrix products.

    It is float32 where that is computed as such and is exact enough for typical distances, else
    float64.
    """
    if (
        features.device.type != "cpu"
        or torch.get_float32_matmul_precision() != "highest"
        or len(features) == 0
    ):
        return torch.float64
    longest = max(
        float(torch.linalg.vector_norm(side, dim=1).max())
        for side in (features, labeled)
        if len(side)
    )
    some = features[:: len(features) // 64 + 1]
    typical = float(torch.linalg.vector_norm(some.double(), dim=1).median())
    distance = float(squared_distances(some, some[:1]).median())
    relative, tiny = slack(features.shape[1], torch.float32)
    sharp = relative * (2 * typical) ** 2 + tiny < distance / 128
    if sharp and longest < 2.0**60:  # squares of longer ones may overflow
        return torch.float32
    return torch.float64
