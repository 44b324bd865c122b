"""Selection by distance and by chance: information density, BADGE, Gumbel-perturbed ranks.

The functions take arrays and return positions.

Nothing here knows of networks, ids or labels; all chance comes from the `rng` that is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def density(features: np.ndarray) -> np.ndarray:
    """Information density: mean similarity of each candidate to all others.

    Source: Settles and Craven, EMNLP 2008.

    It is the mean cosine similarity to every candidate, itself included as in the paper, computed
    in O(N D) as the product with the mean unit vector. Differences from the paper: features of a
    network in place of counts of words, and no exponent beta; a strategy that multiplies it into a
    score raises it to a power itself.

    Args:
        features: (N, D).

    Returns:
        (N,) in float64, from -1 to 1; a row of zeros has similarity 0 to everything.

    Raises:
        ValueError: if the features are not finite or not (N, D).
    """
    features = rows(features, "features")
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    units = np.divide(features, norms, out=np.zeros_like(features), where=norms > 0)
    return units @ (units.sum(axis=0) / max(len(units), 1))


def badge(
    residuals: np.ndarray, features: np.ndarray, budget: int, rng: np.random.Generator
) -> np.ndarray:
    """BADGE: k-means++ seeding on the gradients of the last layer's weights.

    Source: Ash et al., ICLR 2020.

    A candidate's gradient is the outer product of its residual (probabilities minus the one-hot
    most probable class) and its feature. It is never formed: the inner product of two of them is
    the product of those of their factors. As in the public implementation (`init_centers`) the
    first pick has the largest gradient and each further one is drawn with probability proportional
    to its squared distance from the nearest pick. Differences: `rng`, not the position, decides
    between largest gradients that tie; no candidate comes twice, without drawing again; and where
    all that is left equals a pick, the draw is uniform (there: a breakpoint).

    Args:
        residuals: (N, C); their sign does not matter.
        features: (N, D), the last layer's input.
        budget: number of picks, at most N.
        rng: the query's random stream.

    Returns:
        Positions (budget,), first pick first. Each costs O(N (C + D)) in float64.

    Raises:
        ValueError: if an array is not finite or has another shape, or there are fewer candidates
            than the budget.
    """
    residuals = rows(residuals, "residuals")
    features = rows(features, "features")
    if len(residuals) != len(features):
        raise ValueError(
            f"Expected as many residuals as features, but got {residuals.shape} and "
            f"{features.shape}"
        )
    check_budget(budget, len(features))
    norms = (residuals**2).sum(axis=1) * (features**2).sum(axis=1)
    first = int(rng.choice(np.flatnonzero(norms == norms.max())))
    return spread([residuals, features], first, budget, rng)


def gumbel_ranks(
    scores: np.ndarray, budget: int, rng: np.random.Generator, *, beta: float = 1.0
) -> np.ndarray:
    """Softrank acquisition (Kirsch et al., TMLR 2023): the top of -log(rank) + Gumbel(0, 1 / beta).

    The same as drawing without replacement with probabilities proportional to rank ** -beta, where
    the highest score has rank 1. The paper leaves open what ranks equal scores get; here `rng`
    orders them first.

    Args:
        scores: (N,), high is wanted.
        budget: number of picks, at most N.
        rng: the query's random stream.
        beta: coldness, above 0: near 0 the picks are uniform, large ones are the plain top.

    Returns:
        Positions (budget,), highest perturbed rank first.

    Raises:
        ValueError: if scores are not finite or not (N,), beta is not above 0, or the budget is
            more than N.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f"Expected scores (N,), but got {scores.shape}")
    _check_finite(scores[:, None], "scores")
    check_budget(budget, len(scores))
    if not beta > 0:
        raise ValueError(f"Expected a beta above 0, but got {beta}")
    order = rng.permutation(len(scores))
    order = order[np.argsort(-scores[order], kind="stable")]
    perturbed = rng.gumbel(0, 1 / beta, len(scores)) - np.log(np.arange(1, len(scores) + 1))
    return order[np.argsort(-perturbed, kind="stable")[:budget]]


def spread(
    factors: Sequence[np.ndarray], first: int, budget: int, rng: np.random.Generator
) -> np.ndarray:
    """k-means++ seeding (Arthur and Vassilvitskii, SODA 2007): random picks far from each other.

    A sample is the outer product of its row in each of the factors, (N, C) and (N, D) in float64,
    or (N, D) alone. Squared distances are |x|^2 + |y|^2 - 2 x y; one below the rounding error of
    this formula counts as 0, which is where two rows differ by less than about a millionth of their
    lengths.

    Returns:
        Distinct positions (budget,), `first` first; uniform among the rest where all of it has
        distance 0.
    """
    squares = np.prod([(factor**2).sum(axis=1) for factor in factors], axis=0)
    rounding = 4 * sum(factor.shape[1] for factor in factors) * np.finfo(np.float64).eps
    nearest = np.full(len(squares), np.inf)
    picked = [first]
    while len(picked) < budget:
        last = picked[-1]
        sums = squares + squares[last]
        distances = sums - 2 * np.prod([factor @ factor[last] for factor in factors], axis=0)
        distances[distances <= rounding * sums] = 0
        nearest = np.minimum(nearest, distances)
        nearest[last] = 0  # so that it cannot come again, whatever rounding did
        picked.append(_draw(nearest, picked, rng))
    return np.array(picked, dtype=np.int64)


def rows(values: np.ndarray, name: str) -> np.ndarray:
    """Return the values as float64 (N, D) with D of at least 1.

    Raises:
        ValueError: if they have another shape, or are not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"Expected {name} (N, D) with D of at least 1, but got {values.shape}")
    _check_finite(values, name)
    return values


def check_budget(budget: int, count: int) -> None:
    """Raise a ValueError if `count` candidates cannot give `budget` distinct picks."""
    if not 1 <= budget <= count:
        raise ValueError(f"Expected a budget from 1 to {count} (all candidates), but got {budget}")


def _check_finite(values: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise ValueError(
            f"Expected finite {name}, but {len(bad)} of {len(values)} are not: rows "
            f"{bad[:5].tolist()}"
        )


def _draw(weights: np.ndarray, picked: list[int], rng: np.random.Generator) -> int:
    """Draw a position by weight; earlier picks have weight 0."""
    total = weights.sum()
    if total == 0:
        return int(rng.choice(np.delete(np.arange(len(weights)), picked)))
    return int(rng.choice(len(weights), p=weights / total))
