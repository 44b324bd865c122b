"""Steps that read what was found in samples, such as predicted boxes: bags of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acquisition.step import QueryError, Rows, Seen, Step, finite, highest


@dataclass(frozen=True)
class DiversePrototypes(Step):
    """DivProto: the highest entropies whose classes look unlike those of earlier picks.

    Source: Wu et al., CVPR 2022.

    Examples:
        >>> east, near, north = [1.0, 0.0], [0.9, 0.1], [0.0, 1.0]
        >>> found = np.array([[[0.8, *east]], [[0.8, *near]], [[0.8, *north]]], dtype=np.float32)
        >>> rows = {"enms": np.array([0.9, 0.8, 0.1], dtype=np.float32), "prototypes": found}
        >>> seen = Seen(3, rows, {"quality": np.ones((1, 1, 2), dtype=np.float32)})
        >>> DiversePrototypes()(seen, 2, np.random.default_rng(0)).tolist()
        [0, 2]
    """

    needs = ("enms", "prototypes")
    labeled = ("quality",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, highest entropy first."""
        from acquisition import prototypes

        found = finite(seen.rows, "prototypes")
        labeled = class_quality(seen.labeled)[:, 1]
        return prototypes.diverse(finite(seen.rows, "enms"), found, labeled, budget, rng)


def class_quality(labeled: Rows) -> np.ndarray:
    """(C, 2) the mean quality of each class's annotated boxes, 0 without any, and their number.

    Raises:
        QueryError: if there is no labeled sample.
    """
    rows = finite(labeled, "quality")
    if rows.ndim != 3:
        raise QueryError("Expected labeled samples to learn the difficulty of classes from")
    total = rows.sum(axis=0, dtype=np.float64)
    mean = total[:, 0] / np.maximum(total[:, 1], 1)
    return np.stack([mean, total[:, 1]], axis=1)


@dataclass(frozen=True)
class DifficultyCalibrated(Step):
    """PPAL's first stage: the highest entropies of boxes, more where their class is hard to find.

    Source: Yang et al., CVPR 2024.

    `keep` times the budget of them stay; ties are broken by the query's random stream.

    Examples:
        >>> bags = np.array([[[0.9, 0, 1.0]], [[0.9, 1, 1.0]]], dtype=np.float32)
        >>> quality = np.array([[[0.9, 1.0], [0.1, 1.0]]], dtype=np.float32)  # class 1 is harder
        >>> seen = Seen(2, {"bag": bags}, {"quality": quality})
        >>> DifficultyCalibrated()(seen, 1, np.random.default_rng(0)).tolist()
        [1]
    """

    keep: int = 1

    needs = ("bag",)
    labeled = ("quality",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, highest first."""
        from acquisition import matching

        weights = matching.class_weights(class_quality(seen.labeled)[:, 0])
        scores = matching.calibrated(finite(seen.rows, "bag"), weights)
        return highest(scores, self.keep * budget, rng)


@dataclass(frozen=True)
class BagMedoids(Step):
    """PPAL's second stage: medoids of samples by the best cosines of boxes of one class.

    Source: Yang et al., CVPR 2024.

    Examples:
        >>> east, near, north = [1.0, 0.0], [0.9, 0.1], [0.0, 1.0]
        >>> bags = np.array([[[0.9, 0, *east]], [[0.9, 0, *near]], [[0.9, 0, *north]]])
        >>> seen = Seen(3, {"bag": bags}, {})
        >>> 2 in BagMedoids()(seen, 2, np.random.default_rng(0)).tolist()
        True
    """

    needs = ("bag",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, one a cluster."""
        from acquisition.bag_distances import distances
        from acquisition.matching import medoids

        return medoids(distances(finite(seen.rows, "bag")), budget, rng)
