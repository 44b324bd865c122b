"""How far samples are from each other by their boxes: PPAL's category-conditioned matching.

Source: Yang et al., "Plug and Play Active Learning for Object Detection", CVPR 2024, and its public
code. Two boxes of one class are compared once for both directions, tile by tile: beside the bags
and the distances, little is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from acquisition.boxes import FLOOR

APART = 2.0  # distance of a box to an image without a box of its class
TILE = 1024  # boxes on each side of a tile of cosines, but a sample is never cut: 4 MB


def distances(bags: np.ndarray) -> np.ndarray:
    """Distances of samples by their boxes: the category-conditioned matching similarity.

    A box's distance to a sample is 1 minus the largest cosine to a box of its class there, or 2 if
    there is none. The distance from one sample to another is the mean of its boxes', weighted by
    their scores; the mean of both directions is taken.

    Args:
        bags: (N, M, 2 + D), the score, label and feature of each box.

    Returns:
        (N, N) in float32, symmetric, from 0 to 2. A sample has the distance 0 to itself. One
        without boxes has 2 to samples with boxes, and 0 to another one without.

    Examples:
        >>> bags = np.array([[[0.9, 0, 1.0, 0.0]], [[0.9, 0, 0.0, 1.0]], [[0.9, 1, 1.0, 0.0]]])
        >>> distances(bags).tolist()  # a right angle, and no box of the class
        [[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]]
    """
    valid = bags[..., 0] > FLOOR
    found = np.zeros((len(bags), len(bags)), np.float32)
    for label in np.unique(bags[..., 1][valid]):
        groups = list(_groups(bags, valid & (bags[..., 1] == label)))
        for k, ours in enumerate(groups):
            unit = ours.unit(bags)
            for theirs in groups[k:]:
                _add_nearer(found, ours, theirs, unit @ theirs.unit(bags).T)
    total = np.where(valid, bags[..., 0], 0).sum(axis=1, dtype=np.float64)
    empty = total == 0
    found /= np.where(empty, 1, total)[:, None].astype(np.float32)
    np.subtract(APART, found, out=found)
    found[np.ix_(empty, empty)] = 0
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0)
    return np.clip(found, 0, APART, out=found)


@dataclass(frozen=True)
class _Group:
    """Boxes of one class in some samples: the first of each, then the second of those with two.

    As samples with more boxes come first, the boxes of a rank belong to the first samples, and what
    goes by sample goes by rank, on long rows of memory.

    Args:
        samples: (G,) the numbers of boxes fall.
        sample, place: (n,) where each box lies in the bags.
        score: (n,) of the boxes.
        ranks: (R + 1,) where the boxes of each rank begin.
    """

    samples: np.ndarray
    sample: np.ndarray
    place: np.ndarray
    score: np.ndarray
    ranks: np.ndarray

    def unit(self, bags: np.ndarray) -> np.ndarray:
        """Features (n, D) of length 1; a feature of zeros stays."""
        rows = bags[self.sample, self.place, 2:].astype(np.float32, copy=False)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1)
        return rows

    def by_sample(self, reduce: np.ufunc, values: np.ndarray) -> np.ndarray:
        """(..., n) by box -> (..., G) by sample."""
        found = values[..., : self.ranks[1]].copy("K")
        for start, stop in zip(self.ranks[1:-1], self.ranks[2:], strict=True):
            part = found[..., : stop - start]
            reduce(part, values[..., start:stop], out=part)
        return found


def _groups(bags: np.ndarray, chosen: np.ndarray) -> Iterator[_Group]:
    """The chosen boxes (N, M) in groups of at most `TILE`, or one sample."""
    counts = chosen.sum(axis=1)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    while len(order):
        size = max(1, int(np.searchsorted(counts[order].cumsum(), TILE, side="right")))
        samples, order = order[:size], order[size:]
        own = chosen[samples]
        rank = own.cumsum(axis=1)
        at, place = np.nonzero(own)
        by_rank = np.lexsort((at, rank[at, place]))
        at, place = at[by_rank], place[by_rank]
        score = bags[samples[at], place, 0]
        ends = np.bincount(rank[at, place]).cumsum()  # no box has the rank 0
        yield _Group(samples, samples[at], place, score, ends)


def _add_nearer(found: np.ndarray, ours: _Group, theirs: _Group, cosine: np.ndarray) -> None:
    """Add to (N, N) by how much boxes are nearer than `APART`, times their scores.

    Args:
        found: rows of samples whose boxes are compared with those of the columns.
        ours: boxes of some samples.
        theirs: boxes of other samples, or the same ones.
        cosine: (n, m) of both.
    """
    nearer = theirs.by_sample(np.maximum, cosine).T
    nearer = (nearer + np.float32(APART - 1)) * ours.score
    found[np.ix_(ours.samples, theirs.samples)] += ours.by_sample(np.add, nearer).T
    if theirs is not ours:
        nearer = ours.by_sample(np.maximum, cosine.T)
        nearer = (nearer.T + np.float32(APART - 1)) * theirs.score
        found[np.ix_(theirs.samples, ours.samples)] += theirs.by_sample(np.add, nearer).T
