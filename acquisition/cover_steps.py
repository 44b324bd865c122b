"""Steps that cover the candidates by a kernel or by balls; the query's stream orders what ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acquisition.step import Seen, Step, finite


@dataclass(frozen=True)
class MaxHerding(Step):
    """Keeps what raises the kernel coverage of all candidates most, one after the other.

    Source: Bae, Noh and Sutherland, ECCV 2024.

    `width` is the kernel's, on features of length 1; None is the smallest distance between labeled
    samples.

    Examples:
        >>> places = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]], dtype=np.float32)
        >>> seen = Seen(4, {"embedding": places}, {"embedding": places[:0]})
        >>> MaxHerding(width=0.2)(seen, 2, np.random.default_rng(0)).tolist()
        [1, 3]
    """

    width: float | None = None
    needs = labeled = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, the largest gain first."""
        from acquisition.herding import herd  # it imports torch

        def pick(features: np.ndarray, labeled: np.ndarray, order: np.ndarray) -> np.ndarray:
            """Positions into the order."""
            return herd(features, labeled, budget, width=self.width)

        return _in_random_order(seen, rng, pick)


@dataclass(frozen=True)
class UHerding(Step):
    """MaxHerding with each candidate weighed by how undecided it is: 1 less its margin.

    Source: Bae, Oliveira and Sutherland, ICLR 2025.

    Examples:
        >>> places = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]], dtype=np.float32)
        >>> rows = {"embedding": places, "calibrated_margin": np.array([0.1, 0.1, 0.1, 1.0])}
        >>> seen = Seen(4, rows, {"embedding": places[:0]})
        >>> UHerding(width=0.2)(seen, 2, np.random.default_rng(0)).tolist()
        [3, 1]
    """

    width: float | None = None
    needs = ("embedding", "calibrated_margin")
    labeled = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, the largest gain first."""
        from acquisition.herding import herd  # it imports torch

        undecided = finite(seen.rows, "calibrated_margin")

        def pick(features: np.ndarray, labeled: np.ndarray, order: np.ndarray) -> np.ndarray:
            """Positions into the order."""
            weights = np.clip(undecided[order], 0, None)  # rounding may leave it below 0
            return herd(features, labeled, budget, weights=weights, width=self.width)

        return _in_random_order(seen, rng, pick)


@dataclass(frozen=True)
class ProbCover(Step):
    """Keeps what has the most uncovered candidates in a ball around it, one after the other.

    Source: Yehuda et al., NeurIPS 2022.

    `radius` is that of the balls, on features of length 1; None is the largest at which 95% of the
    balls hold samples of one of `clusters` clusters alone.

    Examples:
        >>> places = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]], dtype=np.float32)
        >>> seen = Seen(4, {"embedding": places}, {"embedding": places[:0]})
        >>> ProbCover(radius=0.15)(seen, 2, np.random.default_rng(0)).tolist()
        [1, 3]
    """

    radius: float | None = None
    clusters: int = 10
    needs = labeled = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, the fullest ball first."""
        from acquisition.probcover import probcover  # it imports torch

        def pick(features: np.ndarray, labeled: np.ndarray, order: np.ndarray) -> np.ndarray:
            """Positions into the order."""
            return probcover(
                features, labeled, budget, rng, radius=self.radius, clusters=self.clusters
            )

        return _in_random_order(seen, rng, pick)


@dataclass(frozen=True)
class DCoM(Step):
    """ProbCover with a radius for each labeled sample, and margins once much is covered.

    Source: Mishal and Weinshall, 2024.

    Examples:
        >>> places = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]], dtype=np.float32)
        >>> counts = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
        >>> rows = {"embedding": places, "margin": np.ones(4), "predicted_counts": counts}
        >>> nothing = {"embedding": places[:0], "predicted_counts": counts[:0]}
        >>> DCoM(radius=0.15)(Seen(4, rows, nothing), 2, np.random.default_rng(0)).tolist()
        [1, 3]
    """

    radius: float | None = None
    clusters: int = 10
    needs = ("embedding", "margin", "predicted_counts")
    labeled = ("embedding", "predicted_counts")

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, the highest rank first."""
        from acquisition.probcover import dcom  # it imports torch

        margins = finite(seen.rows, "margin")
        classes = likeliest(finite(seen.rows, "predicted_counts"))
        known = likeliest(finite(seen.labeled, "predicted_counts"))

        def pick(features: np.ndarray, labeled: np.ndarray, order: np.ndarray) -> np.ndarray:
            """Positions into the order."""
            return dcom(
                features,
                labeled,
                budget,
                rng,
                margins=margins[order],
                classes=(classes[order], known),
                radius=self.radius,
                clusters=self.clusters,
            )

        return _in_random_order(seen, rng, pick)


def likeliest(counts: np.ndarray) -> np.ndarray:
    """The class (N,) that was predicted most often of predicted counts (N, C), -1 where none was.

    The first of equal ones.
    """
    if not len(counts):
        return np.zeros(0, np.int64)
    return np.where(counts.max(axis=1) > 0, counts.argmax(axis=1), -1)


def _in_random_order(
    seen: Seen,
    rng: np.random.Generator,
    pick: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Positions that an algorithm picks of the candidates in random order: the lowest is by chance.

    Args:
        seen: with embeddings.
        rng: the query's random stream.
        pick: (features in that order, labeled features, the order) -> positions in that order.
    """
    order = rng.permutation(seen.count)
    features = finite(seen.rows, "embedding")[order]
    return order[pick(features, finite(seen.labeled, "embedding"), order)]
