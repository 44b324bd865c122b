"""MaxHerding and UHerding: a greedy cover by a kernel in place of a radius, exact and lazy.

Each pick raises the coverage most: the mean over the samples n of u_n max over centres c of
k(c, n), where k(x, y) = exp(-|x - y|^2 / h^2) on unit features.

Sources: Bae, Noh and Sutherland, "Generalized Coverage for More Robust Low-Budget Active Learning",
ECCV 2024 (u = 1); Bae, Oliveira and Sutherland, "Uncertainty Herding", ICLR 2025.

With enough labeled samples few pairs of a candidate and a sample count: these are found once and
held (`acquisition.pairs`). Otherwise, the gain of a candidate only falls as others are picked, so
an old gain is an upper bound for ever. All gains are computed once, tile by tile, each pair of
samples once. From then on a gain is brought up to date where its bound may be the largest, by the
samples alone whose cover has changed since; all gains are where that has cost as much as it would
cost for all of them. The kernel of all pairs is never held.

Kept by hand: libraries hold that kernel, 20 GB at 50,000 samples, and go through it for each pick.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from acquisition.diversity import check_budget, rows
from acquisition.pairs import Gains, Places

TILE = 1024  # samples on each side of a tile: 8 MB
TRIED = 16  # gains brought up to date at once
# Gains closer than this part of the largest first one are equal: rounding is 1e-13 of it.
EQUAL = 1e-9
NOTHING = 1e-12  # part of the largest first gain that no sample's smallest kernel values come to
FAR = float("inf")


def units(features: np.ndarray, name: str = "features") -> np.ndarray:
    """Rows (N, D) scaled to length 1 in float64; a row of zeros stays.

    Raises:
        ValueError: if they have another shape, or are not finite.
    """
    values = rows(features, name)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)


def both(features: np.ndarray, labeled: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and labeled samples as `units`.

    Raises:
        ValueError: if they are not finite or not of one width, or there are fewer candidates than
            the budget.
    """
    points = units(features)
    check_budget(budget, len(points))
    centres = points[:0] if not len(labeled) else units(labeled, "labeled features")
    if centres.shape[1] != points.shape[1]:
        raise ValueError(
            f"Expected one width D, but got features {points.shape} and labeled ones "
            f"{centres.shape}"
        )
    return points, centres


def bandwidth(labeled: np.ndarray) -> float:
    """The smallest distance between two labeled rows (M, D) that is not 0; 1 where there is none.

    Rows closer than a millionth count as the same.
    """
    points = torch.from_numpy(labeled)
    least = FAR
    lengths = lengths_of(points)
    for start in range(0, len(points), TILE):
        part = slice(start, start + TILE)
        for other in range(start, len(points), TILE):
            theirs = slice(other, other + TILE)
            squares = squared(points[part], lengths[part], points[theirs], lengths[theirs])
            apart = squares[squares > 1e-12]
            if len(apart):
                least = min(least, float(apart.min()))
    return float(np.sqrt(least)) if np.isfinite(least) else 1.0


@torch.no_grad()
def herd(
    features: np.ndarray,
    labeled: np.ndarray,
    budget: int,
    *,
    weights: np.ndarray | None = None,
    width: float | None = None,
) -> np.ndarray:
    """Pick `budget` samples, each the one that raises the coverage of all most.

    Of samples that raise it equally, the one at the lowest position is picked; so where nothing
    raises it any more, the lowest positions follow.

    Args:
        features: (N, D), the candidates.
        labeled: (M, D), the centres that exist already; M may be 0.
        budget: samples to be picked, 1 to N.
        weights: (N,) u, 0 or more; None is 1 for all.
        width: h; None is `bandwidth` of the labeled samples.

    Returns:
        Distinct positions (budget,), first pick first.

    Raises:
        ValueError: if an array is not finite or has another shape, a weight is below 0, the width
            is not above 0, or there are fewer candidates than the budget.

    Examples:
        >>> places = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
        >>> herd(places, places[:0], budget=2, width=0.2).tolist()  # amid the three, the other
        [1, 3]
    """
    points, centres = both(features, labeled, budget)
    if weights is None:
        weights = np.ones(len(points))
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(points),) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(
            f"Expected finite weights ({len(points)},) of at least 0, but got {weights.shape} from "
            f"{weights.min(initial=0):.3g} on"
        )
    if width is None:
        width = bandwidth(centres)
    if not 0 < width < FAR:
        raise ValueError(f"Expected a width above 0, but got {width}")
    search = Search(torch.from_numpy(points), torch.from_numpy(weights), width)
    for part in torch.from_numpy(centres).split(TILE) if len(centres) else ():
        search.cover(part)
    return search.run(budget)


class Search:
    """The state of a greedy search for picks that raise sum_n u_n max over centres c of k(c, n).

    Samples whose cover has changed since `gains` were exact lie together in `rows`, in the order of
    `changed`: they are read again and again.

    `covered` (N,) is each sample's largest kernel value to a centre. `gains` (N,) are exact for the
    cover `counted` (N,), and so bounds; `bounds` (N,) are gains at the last time they were needed.
    """

    def __init__(self, points: Tensor, weights: Tensor, width: float) -> None:
        self.points = points
        self.lengths = lengths_of(points)
        self.short = points.float()  # for what a pick surely does not reach
        self.weights = weights
        self.scale = -1 / width**2
        self.covered = torch.zeros(len(points), dtype=torch.float64)
        self.changed = torch.zeros(0, dtype=torch.int64)
        self.held = torch.zeros(len(points), dtype=torch.bool)
        self.near: Gains | None = None  # where few pairs count

    def value(self, squares: Tensor) -> Tensor:
        """The kernel at squared distances, which are overwritten."""
        return squares.mul_(self.scale).exp_()

    def kernel(self, some: Tensor | slice, others: Tensor, lengths: Tensor) -> Tensor:
        """(n, m) kernel values of candidates and rows (m, D) with squared lengths (m,)."""
        return self.value(squared(self.points[some], self.lengths[some], others, lengths))

    def reach(self) -> Tensor:
        """(N,) squared distances within which a centre raises the cover of a sample.

        Kernel values count that are above `least`. All that do not come to less than `NOTHING` of
        the largest first gain, as a candidate raises at least its own cover to 1.
        """
        return self.covered.clamp(min=self.least).log().div_(self.scale)

    def cover(self, centres: Tensor) -> None:
        """Add centres (m, D)."""
        lengths = lengths_of(centres)
        for part in self._parts():
            nearest = self.kernel(part, centres, lengths).amax(1)
            self.covered[part] = torch.maximum(self.covered[part], nearest)

    def cover_by(self, pick: int) -> None:
        """Add a pick: of the samples that it may be nearest to by float32, and of no others."""
        if self.near is not None:
            self.near.cover_by(pick)
            return
        squares = self.lengths + self.lengths[pick]
        squares -= 2 * (self.short @ self.short[pick])
        slack = (self.points.shape[1] + 16) * torch.finfo(torch.float32).eps
        some = (squares - 2 * slack < self.reach()).nonzero()[:, 0]
        for part in some.split(TILE):
            own = self.kernel(part, self.points[pick, None], self.lengths[pick, None])[:, 0]
            self.covered[part] = torch.maximum(self.covered[part], own)
        new = some[(self.covered[some] > self.counted[some]) & ~self.held[some]]
        self.held[new] = True
        start = len(self.changed)
        self.changed = torch.cat([self.changed, new])
        self.rows[start : len(self.changed)] = self.points[new]

    def run(self, budget: int) -> np.ndarray:
        """Make all picks."""
        self.begin()
        picked: list[int] = []
        while len(picked) < budget:
            picked.append(self._best())
            self.bounds[picked[-1]] = -FAR
            if len(picked) < budget:
                self.cover_by(picked[-1])
        return np.array(picked, dtype=np.int64)

    def _parts(self) -> Iterator[slice]:
        starts = range(0, len(self.points), TILE)
        return (slice(start, start + TILE) for start in starts)

    def begin(self) -> None:
        """Compute the gain of each candidate before any pick."""
        own = float(((1 - self.covered) * self.weights).max())
        self.least = NOTHING * own / max(float(self.weights.sum()), own) if own > 0 else 1.0
        places = Places(self.points, self.lengths, self.short, self.covered, self.reach(),
                        self.value, TILE)  # fmt: skip
        pairs = places.pairs()
        if pairs is None:
            self._begin_with_all()
        else:
            self.near = Gains(places, pairs, self.weights)
            self.gains = self.bounds = self.near.gains
        self.equal = EQUAL * float(self.gains.max())

    def _begin_with_all(self) -> None:
        gains = torch.zeros_like(self.covered)
        for ours in self._parts():
            for theirs in self._parts():
                if theirs.start < ours.start:
                    continue
                values = self.kernel(ours, self.points[theirs], self.lengths[theirs])
                if theirs != ours:
                    above = (values - self.covered[ours, None]).clamp_(min=0)
                    gains[theirs] += above.T @ self.weights[ours]
                above = values.sub_(self.covered[theirs]).clamp_(min=0)
                gains[ours] += above @ self.weights[theirs]
        self.gains = gains
        self.bounds = gains.clone()
        self.rows = torch.empty_like(self.points)  # takes memory as far as it is written
        self._forget()

    def _forget(self) -> None:
        self.counted = self.covered.clone()
        self.changed = torch.zeros(0, dtype=torch.int64)
        self.held = torch.zeros(len(self.points), dtype=torch.bool)
        self.spent = 0  # pairs of samples compared since all gains were brought up to date

    def _best(self) -> int:
        """The position with the largest gain, the lowest of equal ones."""
        if self.near is not None:
            return int((self.gains >= self.gains.max() - self.equal).nonzero()[0, 0])
        if self.spent >= len(self.points) * len(self.changed):
            self.count()
        fresh = self.bounds == -FAR  # picked
        best = -FAR
        while True:
            stale = self.bounds.masked_fill(fresh, -FAR)
            top = stale.topk(min(TRIED, len(stale)))
            some = top.indices[(top.values >= best - self.equal) & (top.values > -FAR)]
            if not len(some):
                break
            self.bounds[some] = self.gains[some] - self._lost(some)
            self.spent += len(some) * len(self.changed)
            fresh[some] = True
            best = max(best, float(self.bounds[some].max()))
        return int((self.bounds >= best - self.equal).nonzero()[0, 0])

    def count(self) -> None:
        """Bring all gains up to date."""
        if self.near is not None:
            return
        for part in self._parts():
            self.gains[part] -= self._lost(part)
        self.bounds = torch.where(self.bounds == -FAR, self.bounds, self.gains)
        self._forget()

    def _lost(self, some: Tensor | slice) -> Tensor:
        """What candidates (n,) lost by the samples whose cover has changed."""
        lost = torch.zeros_like(self.gains[some])
        rows = self.rows[: len(self.changed)].split(TILE)
        for part, own in zip(self.changed.split(TILE), rows, strict=True):
            values = self.kernel(some, own, self.lengths[part])
            before = (values - self.counted[part]).clamp_(min=0)
            lost += before.sub_(values.sub_(self.covered[part]).clamp_(min=0)) @ self.weights[part]
        return lost


def lengths_of(points: Tensor) -> Tensor:
    """Squared lengths (n,) of rows."""
    return torch.linalg.vector_norm(points, dim=1).square_()


def squared(ours: Tensor, lengths: Tensor, others: Tensor, their: Tensor) -> Tensor:
    """Squared distances (n, m) of rows with these squared lengths, at least 0."""
    return (lengths[:, None] + their).addmm_(ours, others.T, alpha=-2).clamp_(min=0)
