"""ProbCover and DCoM: a greedy cover of the candidates by balls of one radius.

Sources: Yehuda et al., "Active Learning Through a Covering Lens", NeurIPS 2022; Mishal and
Weinshall, "DCoM: Active Learning for All Learners", 2024.

It is the search of `acquisition.herding` with a kernel that is 1 inside of the ball and 0 outside.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from acquisition.clustering import kmeans
from acquisition.herding import TILE, Search, both, lengths_of, squared

PURITY = 0.95  # alpha: the share of balls that hold one cluster alone
STEEP, CENTRE = 30.0, 0.9  # k and a of DCoM's logistic function
WIDEST = 1.5  # times ProbCover's radius: the largest that DCoM takes; 1.1 / .75 for CIFAR-10
RESOLUTION = 0.05  # of DCoM's radii


class Balls(Search):
    """The search with balls: `covered` is 1 where a centre is at most `radius` away, else 0."""

    def __init__(self, points: Tensor, radius: float) -> None:
        super().__init__(points, torch.ones(len(points), dtype=torch.float64), 1.0)
        self.radius = radius

    def value(self, squares: Tensor) -> Tensor:
        """1 at squared distances within the radius, else 0."""
        return (squares <= self.radius**2).double()

    def reach(self) -> Tensor:
        """(N,) squared distances within which a centre covers a sample that none covers yet."""
        return torch.where(self.covered > 0, -1.0, math.nextafter(self.radius**2, math.inf))


@torch.no_grad()
def radius_of(points: np.ndarray, clusters: int, rng: np.random.Generator) -> float:
    """The largest radius at which `PURITY` of the balls hold samples of one cluster alone.

    A ball around a sample is pure up to the nearest sample of another cluster, so it is a quantile
    of these distances.

    Args:
        points: (N, D), of length 1.
        clusters: of k-means, which stand for the classes; at most N are made.
        rng: seeds them.

    Returns:
        The radius, 2 (the whole sphere) where all samples are of one cluster.
    """
    _, labels = kmeans(points, min(clusters, len(points)), rng)
    own = torch.from_numpy(labels)
    if bool((own == own[0]).all()):
        return 2.0
    # around 0, as digits of features that are all alike would go into what they share
    rows = torch.from_numpy(points).double()
    rows = rows - rows.mean(0)
    lengths = lengths_of(rows)
    nearest = _to_others(rows.float(), lengths.float(), own)
    impure = math.floor((1 - PURITY) * len(rows) + 1e-9)
    limit = float(nearest.sort().values[impure])
    slack = 2 * (rows.shape[1] + 16) * torch.finfo(torch.float32).eps * float(lengths.max())
    below = int((nearest < limit - slack).sum())
    near = ((nearest - limit).abs() <= slack).nonzero()[:, 0]
    exact = torch.cat([_exact(part, rows, lengths, own) for part in near.split(TILE // 8)])
    # the ball at its own nearest distance holds that sample, and one float less does not
    return math.nextafter(math.sqrt(float(exact.sort().values[impure - below])), 0.0)


def _to_others(rows: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
    """Squared distances (N,) of rows (N, D) to the nearest one of another cluster."""
    nearest = torch.full((len(rows),), math.inf)
    for start in range(0, len(rows), TILE):
        ours = slice(start, start + TILE)
        for other in range(start, len(rows), TILE):
            theirs = slice(other, other + TILE)
            squares = squared(rows[ours], lengths[ours], rows[theirs], lengths[theirs])
            squares[own[ours, None] == own[theirs]] = math.inf
            nearest[ours] = torch.minimum(nearest[ours], squares.amin(1))
            nearest[theirs] = torch.minimum(nearest[theirs], squares.amin(0))
    return nearest


def _exact(some: Tensor, rows: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
    """The same (n,) of some rows in float64, at last by differences."""
    squares = squared(rows[some], lengths[some], rows, lengths)
    squares[own[some, None] == own] = math.inf
    return (rows[some] - rows[squares.argmin(1)]).square_().sum(1)


def probcover(
    features: np.ndarray,
    labeled: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    *,
    radius: float | None = None,
    clusters: int = 10,
) -> np.ndarray:
    """Pick `budget` samples, each with the most uncovered samples in its ball.

    Args:
        features: (N, D), the candidates.
        labeled: (M, D), the centres that exist already; M may be 0.
        budget: samples to be picked, 1 to N.
        rng: seeds the clusters.
        radius: of the balls, on features of length 1; None is `radius_of` all samples.
        clusters: for `radius_of`.

    Returns:
        Distinct positions (budget,), first pick first; the lowest of equal ones.

    Raises:
        ValueError: if an array is not finite or has another shape, or there are fewer candidates
            than the budget.

    Examples:
        >>> places = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
        >>> rng = np.random.default_rng(0)
        >>> probcover(places, places[:0], 2, rng, radius=0.15).tolist()  # amid the three
        [1, 3]
    """
    points, centres = both(features, labeled, budget)
    if radius is None:
        radius = radius_of(np.concatenate([centres, points]), clusters, rng)
    search = Balls(torch.from_numpy(points), radius)
    if len(centres):
        search.cover(torch.from_numpy(centres))
    return search.run(budget)


@torch.no_grad()
def dcom(
    features: np.ndarray,
    labeled: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    *,
    margins: np.ndarray,
    classes: tuple[np.ndarray, np.ndarray],
    radius: float | None = None,
    clusters: int = 10,
) -> np.ndarray:
    """Pick by the density of what is not covered, and the more by margin the more is covered.

    Each labeled sample has a radius of its own, up to which its ball is of one predicted class.

    Args:
        features: (N, D), the candidates.
        labeled: (M, D); M may be 0.
        budget: samples to be picked, 1 to N.
        rng: seeds the clusters.
        margins: (N,), high near the decision boundary.
        classes: predicted classes (N,) of the candidates, and (M,) of the labeled samples.
        radius: the first one, and the one of candidates' balls where nothing is labeled; None is
            `radius_of` all samples.
        clusters: for `radius_of`.

    Returns:
        Distinct positions (budget,), first pick first; the lowest of equal ones.

    Raises:
        ValueError: if an array is not finite or has another shape, or there are fewer candidates
            than the budget.
    """
    points, centres = both(features, labeled, budget)
    everything = np.concatenate([centres, points])
    if radius is None:
        radius = radius_of(everything, clusters, rng)
    labels = torch.from_numpy(np.concatenate([classes[1], classes[0]]))
    radii, covered = _own_radii(torch.from_numpy(everything), labels, len(centres), radius)
    # of all samples, as in the paper's code
    competence = _competence(float(covered.double().mean()))
    search = Balls(torch.from_numpy(points), float(radii.mean()) if len(radii) else radius)
    search.covered = covered[len(centres) :].double()
    search.begin()
    sure = torch.from_numpy(_from_0_to_1(np.asarray(margins, dtype=np.float64)))
    picked: list[int] = []
    while len(picked) < budget:
        most = search.gains.max().clamp(min=1)
        scores = competence * sure + (1 - competence) * search.gains / most
        scores[picked] = -1
        picked.append(int(scores.argmax()))
        search.cover_by(picked[-1])
        search.count()
    return np.array(picked, dtype=np.int64)


def _own_radii(points: Tensor, labels: Tensor, count: int, radius: float) -> tuple[Tensor, Tensor]:
    """The radius of each of the first `count` points, and which points (N,) these balls cover."""
    lengths = lengths_of(points)
    reached = torch.zeros(len(points), dtype=torch.bool)
    blocks = []
    for start in range(0, count, TILE // 8):
        part = slice(start, min(start + TILE // 8, count))
        blocks.append(part)
        squares = squared(points[part], lengths[part], points, lengths)
        reached |= (squares <= radius**2).any(0)
    enough = 0.2 * float(reached.double().mean()) + 0.4
    radii = torch.zeros(count, dtype=torch.float64)
    reached = torch.zeros_like(reached)
    for part in blocks:
        squares = squared(points[part], lengths[part], points, lengths)
        same = labels[part, None] == labels
        low = torch.zeros(len(squares), dtype=torch.float64)
        high = torch.full_like(low, WIDEST * radius)
        while float((high - low).max()) > RESOLUTION:
            middle = (low + high) / 2
            inside = squares <= middle.square()[:, None]
            pure = (inside & same).sum(1) + 1e-9 >= enough * inside.sum(1)
            low = torch.where(pure, middle, low)
            high = torch.where(pure, high, middle)
        radii[part] = (low + high) / 2
        reached |= (squares <= radii[part].square()[:, None]).any(0)
    return radii, reached


def _competence(coverage: float) -> float:
    """DCoM's weight of the margin, from 0 to 1."""
    top = 1 + math.exp(-STEEP * (1 - CENTRE))
    return top / (1 + math.exp(-STEEP * (coverage - CENTRE)))


def _from_0_to_1(values: np.ndarray) -> np.ndarray:
    least, most = values.min(), values.max()
    return (values - least) / ((most - least) or 1.0)
