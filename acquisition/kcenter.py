"""Greedy k-center, exact and lazy.

The next pick is always the sample farthest from its nearest centre.

Source: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
Approach", ICLR 2018, algorithm 1. Three things make it fast, and none of them changes a pick:

- A sample's distance to its nearest centre only falls as centres are added, so an old value is an
  upper bound for ever. Only a window of samples with the largest bounds is brought up to date,
  those of about the same age together, and picks are made inside it for as long as its best is
  above every bound outside: greedily among its best, until these fall below the next.
- The first bounds come from a few of the labeled centres (pivots), and from those near each
  sample's nearest pivot.
- Matrix products exclude pairs that cannot matter, with a bound on their rounding error;
  `squared_distances` decides.

The picks are those of the plain algorithm on `squared_distances`, bit for bit, ties to the lowest
position, on any device and with any `chunk_bytes`.

Kept by hand: libraries hold all distances, or go through all samples for each pick.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

WINDOW = 1024  # samples brought up to date at once, where memory allows it
PIVOTS = 64  # labeled centres that every sample meets first, and as many near the nearest of them
BEST = 128  # samples among which picks are made at once
FAR = float("inf")
PICKED = -1.0


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
        return _Search(features, labeled, budget, chunk_bytes).run()


class _Search:
    """The state of the search.

    Centres are a sequence, `labeled` and then the picks; every sample has met a beginning of it.

    `bounds` (N,) are squared distances. Each is at least the sample's true value, and is that value
    once the sample has met all centres.
    """

    def __init__(self, features: Tensor, labeled: Tensor, budget: int, chunk_bytes: int) -> None:
        self.features = features
        self.labeled = labeled
        self.budget = budget
        self.dtype = _product_dtype(features, labeled)
        size = torch.finfo(self.dtype).bits // 8
        dims = features.shape[1]
        self.window = max(1, min(WINDOW, chunk_bytes // (32 * dims + 4 * size * PIVOTS)))
        self.block = max(1, chunk_bytes // (4 * size * (self.window + dims)))
        self.slack, self.tiny = _slack(dims, self.dtype)
        parts = features.split(self.window)
        self.lengths = torch.cat(
            [torch.linalg.vector_norm(part.to(self.dtype), dim=1) for part in parts]
        )
        self.bounds = features.new_full((len(features),), FAR, dtype=torch.float64)
        self.met = torch.zeros_like(self.bounds, dtype=torch.int64)
        self.picked = torch.empty(budget, dtype=torch.int64, device=features.device)
        self.count = 0  # of the picks
        self.radii: list[float] = []

    def run(self) -> Cover:
        """Make all picks."""
        if len(self.features) == 0:
            self.radii.append(0.0)
        elif len(self.labeled) == 0:
            self.radii.append(FAR)
            self._pick(torch.arange(min(self.budget, 1), device=self.picked.device))
        if len(self.radii) <= self.budget:
            self._first_bounds()
        while len(self.radii) <= self.budget:
            self._next_window()
        # not torch's, whose last bit differs between machines
        radii = [math.sqrt(radius) for radius in self.radii]
        return Cover(
            self.picked, torch.tensor(radii, dtype=torch.float64, device=self.features.device)
        )

    def _pick(self, positions: Tensor) -> None:
        self.picked[self.count : self.count + len(positions)] = positions
        self.bounds[positions] = PICKED
        self.count += len(positions)

    def _next_window(self) -> None:
        """Choose the samples with the largest bounds, bring them up to date, pick among them."""
        size = min(self.window, len(self.bounds))
        edge = self.bounds.topk(size).values[-1]
        above = (self.bounds > edge).nonzero()[:, 0]
        # the lowest positions of equal bounds
        level = (self.bounds == edge).nonzero()[: size - len(above), 0]
        window = torch.cat([above, level]).sort().values
        outside = self.bounds.index_fill(0, window, PICKED - 1)
        rival = int(outside.argmax())  # the lowest position that has the largest bound outside
        floor = float(outside[rival])
        while len(window := window[self.bounds[window] >= floor]):
            met = self.met[window]
            start = int(met.min())
            if start < len(self.labeled) + self.count:
                self._meet(window[met < start + PIVOTS], start, floor)
            elif not self._pick_among(window, floor, rival):
                break

    def _pick_among(self, window: Tensor, floor: float, rival: int) -> bool:
        """Pick among the best of a window that is up to date, for as long as they are above all.

        Args:
            window: (n,) positions, ascending.
            floor: the largest bound outside: only what is above it is picked, or as high and before
                `rival`.
            rival: the lowest position outside that has it.

        Returns:
            Whether there may be more to pick in this window.
        """
        values = self.bounds[window]
        # of equals, the lowest position first
        order = values.sort(descending=True, stable=True).indices
        limit = (floor, -rival)
        if len(order) > BEST:
            limit = max(limit, (float(values[order[BEST]]), -int(window[order[BEST]])))
        best = window[order[:BEST].sort().values]
        picks, left = self._greedy(best, limit)
        if not picks:
            return False
        picked = best[picks]
        self._pick(picked)
        self.met[window] = len(self.labeled) + self.count
        rest = window[(values > 0).index_fill_(0, order[:BEST], False)]
        self.bounds[best] = left
        self._settle_near(picked, rest)
        return len(self.radii) <= self.budget

    def _greedy(self, best: Tensor, limit: tuple[float, int]) -> tuple[list[int], Tensor]:
        """The plain algorithm among a few samples that are up to date.

        Args:
            best: (n,) positions, ascending.
            limit: value and negative position of the best among all others.

        Returns:
            Which of them are picked, and their bounds (n,) after that.
        """
        values = self.bounds[best]
        rows, lengths = self._rows(best)
        distances, error = self._estimates(rows, lengths, rows)
        error = self._within(values.max().clamp(min=0).sqrt(), lengths, error)
        highest = torch.maximum(values[:, None], values)
        one, other = (distances.sub_(error[:, None]) < highest).triu(1).nonzero().T
        apart = torch.full_like(highest, FAR)
        exact = [
            squared_distances(self.features[best[i]], self.features[best[j]])
            for i, j in zip(one.split(self.window), other.split(self.window), strict=True)
        ]
        apart[one, other] = apart[other, one] = torch.cat(exact)
        near, left, places = apart.cpu().numpy(), values.cpu().numpy(), best.tolist()
        picks: list[int] = []
        while len(self.radii) <= self.budget:
            at = int(left.argmax())
            if (left[at], -places[at]) < limit:
                break
            self.radii.append(max(float(left[at]), 0.0))
            if self.count + len(picks) < self.budget:
                picks.append(at)
                np.minimum(left, near[at], out=left)
                left[at] = PICKED
        return picks, torch.from_numpy(left).to(values)

    def _settle_near(self, picked: Tensor, positions: Tensor) -> None:
        """Bring samples that had met all centres up to date with these picks."""
        if not len(positions):
            return
        values = self.bounds[positions]
        rows, lengths = self._rows(picked)
        distances, error = self._estimates(rows, lengths, self._rows(positions)[0])
        error = self._within(values.max().sqrt(), lengths, error)
        centre, sample = (distances.sub_(error[:, None]) < values).nonzero().T
        self._settle(positions[sample], rows, centre)

    def _meet(self, positions: Tensor, start: int, floor: float) -> None:
        """Let samples that have met the centres before `start` meet more, ever more at a time.

        Those whose bounds fall below the floor stop here: they are not brought up to date.
        """
        stop = min(2 * start + PIVOTS, start + self.block, len(self.labeled) + self.count)
        centres = self._centres(start, stop)
        distances, least, error = self._lower(positions, centres)
        bounds = self.bounds[positions]
        alive = bounds >= floor
        self.met[positions[alive]] = stop
        nearer = (alive & (least - error < bounds) & (bounds > 0)).nonzero()[:, 0]
        sample, centre = (distances[nearer] < (bounds + error)[nearer, None]).nonzero().T
        self._settle(positions[nearer[sample]], centres, centre)

    def _settle(self, positions: Tensor, centres: Tensor, which: Tensor) -> None:
        """Lower bounds to true distances: of sample `positions[k]` to `centres[which[k]]`."""
        for part, nearest in zip(
            positions.split(self.window), which.split(self.window), strict=True
        ):
            distances = squared_distances(
                self.features.index_select(0, part), centres.index_select(0, nearest)
            )
            self.bounds.scatter_reduce_(0, part, distances, "amin")

    def _first_bounds(self) -> None:
        """Bound all samples by the pivots, then by the centres near each one's nearest pivot."""
        centres = self.labeled
        if not len(centres):
            centres = self.features[:1]
        pivots, near = _pivots(centres)
        starts = range(0, len(self.features), self.window)
        cell = torch.cat(
            [self._lower(slice(k, k + self.window), pivots)[0].argmin(1) for k in starts]
        )
        for k, members in enumerate(near):
            for part in (cell == k).nonzero()[:, 0].split(self.window):
                self._lower(part, centres[members])

    def _lower(self, positions: Tensor | slice, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lower the bounds by what is certain of the distances to some centres.

        Returns:
            Estimates (n, m) of the squared distances, the least (n,), and the error (n,) of this
            and of the true least.
        """
        rows, lengths = self._rows(positions)
        distances, error = self._estimates(rows, lengths, centres.to(self.dtype))
        least = distances.amin(1)
        # for both, d^2 <= least + slack * (2|a| + d)^2 + tiny, and slack is below 1/8
        reach = (
            least.double().clamp(min=0).add(lengths.double().square()).add(self.tiny).mul(2).sqrt()
        )
        error = self._within(reach, lengths, error)
        self.bounds[positions] = torch.minimum(self.bounds[positions], least + error)
        return distances, least, error

    def _rows(self, positions: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Rows (n, D) of the features for products, and their lengths (n,)."""
        if isinstance(positions, slice):
            rows = self.features[positions]
        else:
            rows = self.features.index_select(0, positions)
        return rows.to(self.dtype), self.lengths[positions]

    def _centres(self, start: int, stop: int) -> Tensor:
        """Centres `start` to `stop` of the sequence, for products."""
        first = len(self.labeled)
        picked = self.picked[max(start - first, 0) : max(stop - first, 0)]
        return torch.cat([self.labeled[start:stop], self.features.index_select(0, picked)]).to(
            self.dtype
        )

    def _estimates(self, rows: Tensor, lengths: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances (n, m) by a matrix product, and a bound on their error (n,)."""
        theirs = torch.linalg.vector_norm(centres, dim=1)
        distances = torch.addmm(theirs.square(), rows, centres.T, alpha=-2).add_(
            lengths.square()[:, None]
        )
        return distances, self.slack * (lengths.double() + theirs.max()).square() + self.tiny

    def _within(self, reach: Tensor, lengths: Tensor, error: Tensor) -> Tensor:
        """The error of estimates for rows within `reach` of a sample.

        They are not much longer than it, so an outlier's error does not count for all.
        """
        return torch.minimum(
            error, self.slack * (2 * lengths.double() + reach).square() + self.tiny
        )


def _pivots(labeled: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Some labeled rows far from each other, and the positions of the labeled rows near each.

    They decide how good the first bounds are, and never what is picked: rounding does not matter
    here.
    """
    sample = labeled[:: len(labeled) // (4 * PIVOTS) + 1]
    squares = sample.square().sum(1)
    nearest = torch.full_like(squares, FAR)
    chosen = [0]
    for _ in range(min(PIVOTS, len(sample)) - 1):
        to_last = squares + squares[chosen[-1]] - 2 * (sample @ sample[chosen[-1]])
        nearest = torch.minimum(nearest, to_last)
        chosen.append(int(nearest.argmax()))
    pivots = sample[chosen]
    if len(labeled) <= PIVOTS:
        return pivots, []
    to_pivots = labeled.square().sum(1) - 2 * pivots @ labeled.T
    return pivots, list(to_pivots.topk(PIVOTS, largest=False).indices)


def _slack(dims: int, dtype: torch.dtype) -> tuple[float, float]:
    """Two numbers that bound the error of |a|^2 + |b|^2 - 2ab.

    It is at most the first times (|a| + |b|)^2, plus the second, which is for underflow.

    A sum of D products, taken in any order, is wrong by at most D u times the sum of their sizes, u
    the unit roundoff; the three sums and what joins them by (D + 8) u (|a| + |b|)^2. Twice that
    leaves room for the lengths' rounding.
    """
    underflow = 2.0**-120 if dtype == torch.float32 else 2.0**-1000
    return (dims + 16) * torch.finfo(dtype).eps, dims * underflow


def _product_dtype(features: Tensor, labeled: Tensor) -> torch.dtype:
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
    slack, tiny = _slack(features.shape[1], torch.float32)
    sharp = slack * (2 * typical) ** 2 + tiny < distance / 128
    if sharp and longest < 2.0**60:  # squares of longer ones may overflow
        return torch.float32
    return torch.float64


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
