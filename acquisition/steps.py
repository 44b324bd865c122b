"""Steps of a strategy: each one reduces the candidates by chance, by a signal, or by position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acquisition import diversity
from acquisition.step import OfSignal, Seen, Step, finite, highest

__all__ = [
    "Badge",
    "Densest",
    "DropQuery",
    "GumbelRanks",
    "Highest",
    "KCenter",
    "NearestToCentroids",
    "RandomSubset",
    "Seen",
    "Shuffled",
    "Step",
    "Typical",
]


@dataclass(frozen=True)
class RandomSubset(Step):
    """Keeps `size` candidates at random, without replacement; the budget where `size` is None.

    Examples:
        >>> seen = Seen(4, {}, labeled={})
        >>> len(set(RandomSubset(3)(seen, 2, np.random.default_rng(0)).tolist()))
        3
    """

    size: int | None = None

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions in random order; all of them if there are no more than `size`."""
        size = budget if self.size is None else self.size
        return rng.permutation(seen.count)[:size]


@dataclass(frozen=True)
class Highest(OfSignal):
    """Keeps the candidates with the highest values of a signal: `keep` times the budget of them.

    Ties are broken by the query's random stream.

    Examples:
        >>> seen = Seen(3, {"entropy": np.array([0.7, 0.1, 0.4])}, labeled={})
        >>> Highest("entropy")(seen, 2, np.random.default_rng(0)).tolist()
        [0, 2]
    """

    keep: int = 1

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, highest first."""
        return highest(finite(seen.rows, self.signal), self.keep * budget, rng)


@dataclass(frozen=True)
class Shuffled(OfSignal):
    """Placebo: shuffles a signal among the candidates, then keeps the highest values.

    It cannot be better than chance.

    All else is as with `Highest`: the same training, the same scoring pass.

    Examples:
        >>> seen = Seen(3, {"entropy": np.array([0.7, 0.1, 0.4])}, labeled={})
        >>> len(set(Shuffled("entropy")(seen, 2, np.random.default_rng(0)).tolist()))
        2
    """

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, highest dealt value first."""
        return highest(rng.permutation(finite(seen.rows, self.signal)), budget, rng)


@dataclass(frozen=True)
class GumbelRanks(OfSignal):
    """Adds Gumbel noise to the ranks of a signal, then keeps the highest.

    Source: "softrank" of Kirsch et al., TMLR 2023.

    `beta` is more than 0; large it is `Highest`, small it is chance.

    Examples:
        >>> seen = Seen(3, {"entropy": np.array([0.7, 0.1, 0.4])}, labeled={})
        >>> GumbelRanks("entropy", beta=1e6)(seen, 2, np.random.default_rng(0)).tolist()
        [0, 2]
    """

    beta: float = 1.0

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, highest perturbed rank first."""
        return diversity.gumbel_ranks(finite(seen.rows, self.signal), budget, rng, beta=self.beta)


@dataclass(frozen=True)
class Densest(Step):
    """Keeps the candidates with the highest information density.

    Source: Settles and Craven, EMNLP 2008, without their uncertainty term.

    Examples:
        >>> places = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=np.float32)
        >>> seen = Seen(3, {"embedding": places}, labeled={})
        >>> Densest()(seen, 1, np.random.default_rng(0)).tolist()
        [2]
    """

    needs = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, densest first."""
        return highest(diversity.density(finite(seen.rows, "embedding")), budget, rng)


@dataclass(frozen=True)
class KCenter(Step):
    """Core-set: each pick is the candidate farthest from all labeled samples and earlier picks.

    Source: Sener and Savarese, ICLR 2018.

    Examples:
        >>> places = np.array([[1.0], [5.0], [9.0]], dtype=np.float32)
        >>> labeled = np.array([[0.0]], dtype=np.float32)
        >>> seen = Seen(3, {"embedding": places}, {"embedding": labeled})
        >>> KCenter()(seen, 2, np.random.default_rng(0)).tolist()  # at 9, then at 5
        [2, 1]
    """

    needs = labeled = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, farthest first."""
        import torch

        from acquisition.kcenter import k_center

        candidates = torch.from_numpy(finite(seen.rows, "embedding"))
        labeled = candidates[:0]
        if len(seen.labeled["embedding"]):
            labeled = torch.from_numpy(finite(seen.labeled, "embedding"))
        return k_center(candidates, labeled, budget).positions.numpy()


@dataclass(frozen=True)
class NearestToCentroids(Step):
    """Keeps the sample nearest to each of as many centroids (k-means) as are to be labeled.

    Examples:
        >>> places = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [52.0]], dtype=np.float32)
        >>> seen = Seen(6, {"embedding": places}, labeled={})
        >>> sorted(NearestToCentroids()(seen, 2, np.random.default_rng(0)).tolist())
        [1, 4]
    """

    needs = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, one a cluster."""
        from acquisition import clustering  # it imports scikit-learn

        return clustering.nearest_to_centroids(finite(seen.rows, "embedding"), budget, rng)


@dataclass(frozen=True)
class DropQuery(Step):
    """Keeps candidates whose answer flips under dropout, nearest to as many centroids (k-means).

    Those count that flip in more than `least` of the passes; where these are too few, those that
    flip most.

    Source: Gupte et al., 2024.

    Examples:
        >>> places = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [52.0]], dtype=np.float32)
        >>> rows = {"embedding": places, "dropout_flips": np.array([1, 1, 1, 0.6, 0.0, 0.2])}
        >>> sorted(DropQuery()(Seen(6, rows, {}), 2, np.random.default_rng(0)).tolist())
        [1, 3]
    """

    least: float = 0.5
    needs = ("dropout_flips", "embedding")

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, one a cluster."""
        from acquisition import clustering  # it imports scikit-learn

        shares = finite(seen.rows, "dropout_flips")
        count = max(int((shares > self.least).sum()), budget)
        some = np.sort(highest(shares, count, rng))
        features = finite(seen.rows, "embedding")[some]
        return some[clustering.nearest_to_centroids(features, budget, rng)]


@dataclass(frozen=True)
class Typical(Step):
    """TypiClust: keeps the most typical sample of each cluster that has no label.

    Source: Hacohen et al., ICML 2022.

    Examples:
        >>> slopes = (0.0, 0.3, 0.4, 0.5, 0.8)  # the third is nearest to its neighbours
        >>> places = np.array([[1.0, slope] for slope in slopes], dtype=np.float32)
        >>> labeled = np.array([[-1.0, 0.0]], dtype=np.float32)
        >>> seen = Seen(5, {"embedding": places}, {"embedding": labeled})
        >>> Typical()(seen, 1, np.random.default_rng(0)).tolist()
        [2]
    """

    needs = labeled = ("embedding",)

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions, those of the largest clusters first."""
        from acquisition import clustering  # it imports scikit-learn

        return clustering.typiclust(
            finite(seen.rows, "embedding"), finite(seen.labeled, "embedding"), budget, rng
        )


@dataclass(frozen=True)
class Badge(Step):
    """Keeps a spread of gradient embeddings, by k-means++ seeding (Ash et al., ICLR 2020).

    Examples:
        >>> residual = np.array([[0.0, 0.0], [0.5, -0.5], [0.0, 0.0]], dtype=np.float32)
        >>> feature = np.ones((3, 2), dtype=np.float32)
        >>> seen = Seen(3, {"residual": residual, "feature": feature}, labeled={})
        >>> Badge()(seen, 1, np.random.default_rng(0)).tolist()  # the one without a gradient of 0
        [1]
    """

    needs = ("residual", "feature")

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Positions in the order of seeding."""
        return diversity.badge(
            finite(seen.rows, "residual"), finite(seen.rows, "feature"), budget, rng
        )
