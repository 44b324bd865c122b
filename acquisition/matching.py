"""PPAL's two stages: uncertainty weighted by the difficulty of classes, and medoids of bags.

Source: Yang et al., "Plug and Play Active Learning for Object Detection", CVPR 2024, and its public
code. A bag is rows (M, 2 + D) of one sample: score, label and feature of each box; what fills up
has the score 0. Nothing here knows of networks or ids; all chance comes from `rng`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acquisition.boxes import FLOOR
from acquisition.diversity import check_budget

ALPHA = 0.3
BETA = 0.2
APART = 2.0  # distance of a box to an image without a box of its class
TURNS = 100  # of the search for medoids, at most
BLOCK = 1 << 24  # cosines that are in memory at a time


def class_weights(quality: np.ndarray) -> np.ndarray:
    """Weights (C,) of classes by how well their boxes are found (C,), from 0 to 1.

    1 + a b ln((e^(1/a) - 1)(1 - q) + 1), which is 1 for a class that is always found, and 1 + b for
    one that never is.

    >>> class_weights(np.array([1.0, 0.0])).round(6).tolist()
    [1.0, 1.2]
    """
    return 1 + ALPHA * BETA * np.log1p(np.expm1(1 / ALPHA) * (1 - quality))


def calibrated(bags: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum of the entropies of each sample's boxes, weighted by their classes.

    Args:
        bags: (N, M, 2 + D).
        weights: (C,) of the classes.

    Returns:
        (N,) in float64; 0 for a sample without boxes.
    """
    valid = bags[..., 0] > FLOOR  # in float32, as in `acquisition.boxes`
    score = bags[..., 0].astype(np.float64)
    safe = np.where(valid & (score < 1), score, 0.5)
    entropy = -safe * np.log(safe) - (1 - safe) * np.log1p(-safe)
    entropy = np.where(valid & (score < 1), entropy, 0.0)
    label = np.where(valid, bags[..., 1], 0).astype(np.int64)
    return (entropy * weights[label]).sum(axis=1)


@dataclass(frozen=True)
class _Boxes:
    """Some boxes of one class, in the order of their samples: unit features, scores, samples."""

    unit: np.ndarray
    score: np.ndarray
    sample: np.ndarray


def distances(bags: np.ndarray) -> np.ndarray:
    """Distances of samples by their boxes: the category-conditioned matching similarity.

    A box's distance to a sample is 1 minus the largest cosine to a box of its class there, or 2 if
    there is none. The distance from one sample to another is the mean of its boxes', weighted by
    their scores; the mean of both directions is taken.

    Args:
        bags: (N, M, 2 + D).

    Returns:
        (N, N) in float32, symmetric, from 0 to 2. A sample has the distance 0 to itself. One
        without boxes has 2 to samples with boxes, and 0 to another one without.
    """
    count = len(bags)
    valid = bags[..., 0] > FLOOR
    sample, _ = np.nonzero(valid)
    rows = bags[valid]
    found = np.zeros((count, count), np.float32)
    for label in np.unique(rows[:, 1]):
        own = rows[:, 1] == label
        norms = np.linalg.norm(rows[own, 2:], axis=1, keepdims=True)
        unit = np.divide(rows[own, 2:], norms, out=np.zeros_like(rows[own, 2:]), where=norms > 0)
        _add_nearer(found, _Boxes(unit, rows[own, 0], sample[own]))
    total = np.zeros(count)
    np.add.at(total, sample, rows[:, 0].astype(np.float64))
    empty = total == 0
    found /= np.where(empty, 1, total)[:, None].astype(np.float32)
    found = APART - found
    found[np.ix_(empty, empty)] = 0
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0)
    return np.clip(found, 0, APART)


def _add_nearer(found: np.ndarray, boxes: _Boxes) -> None:
    """Add to (N, N) by how much boxes of one class are nearer than `APART`, times their scores."""
    samples, starts = np.unique(boxes.sample, return_index=True)
    step = max(1, BLOCK // len(boxes.unit))
    for begin in range(0, len(boxes.unit), step):
        part = slice(begin, begin + step)
        cosine = np.maximum.reduceat(boxes.unit[part] @ boxes.unit.T, starts, axis=1)
        nearer = (APART - 1 + cosine) * boxes.score[part, None]
        rows, first = np.unique(boxes.sample[part], return_index=True)
        found[np.ix_(rows, samples)] += np.add.reduceat(nearer, first, axis=0)


def medoids(apart: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Medoids of samples, from a spread of them on: k-means with medoids for means.

    The first of the spread is drawn, each further one is farthest from those before; equal ones go
    by position. Then, until nothing changes, each sample joins its nearest medoid, and of each
    cluster the sample with the smallest sum of distances is the new one.

    Args:
        apart: (N, N) distances, symmetric, 0 on the diagonal.
        budget: number of medoids, at most N.
        rng: the query's random stream.

    Returns:
        Distinct positions (budget,).

    Raises:
        ValueError: if there are fewer samples than the budget.
    """
    check_budget(budget, len(apart))
    picks = _spread(apart, budget, rng)
    for _ in range(TURNS):
        nearest = apart[:, picks].argmin(axis=1)
        nearest[picks] = np.arange(budget)  # where two medoids are in one place, too
        moved = np.array([_medoid(apart, np.flatnonzero(nearest == k)) for k in range(budget)])
        if np.array_equal(moved, picks):
            break
        picks = moved
    return picks


def _spread(apart: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    picks = [int(rng.integers(len(apart)))]
    nearest = apart[picks[0]].copy()
    while len(picks) < budget:
        nearest[picks[-1]] = -1
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, apart[picks[-1]])
    return np.array(picks, dtype=np.int64)


def _medoid(apart: np.ndarray, cluster: np.ndarray) -> int:
    return int(cluster[apart[np.ix_(cluster, cluster)].sum(axis=1).argmin()])
