"""PPAL's two stages: uncertainty weighted by the difficulty of classes, and medoids.

Source: Yang et al., "Plug and Play Active Learning for Object Detection", CVPR 2024, and its public
code. A bag is rows (M, 2 + D) of one sample: score, label and feature of each box; what fills up
has the score 0. Nothing here knows of networks or ids; all chance comes from `rng`.
"""

from __future__ import annotations

import numpy as np

from acquisition.boxes import FLOOR
from acquisition.diversity import check_budget

ALPHA = 0.3
BETA = 0.2
TURNS = 100  # of the search for medoids, at most


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
