"""Positions by clusters of features: the samples nearest to k-means' centroids, and TypiClust."""

from __future__ import annotations

import warnings
from collections import deque

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from acquisition.diversity import check_budget, rows, spread

# of Lloyd's algorithm: little changes later, and each costs seconds on a large pool
ITERATIONS = 20
LOOKED_AT = 2000  # candidates of a cluster: a pick takes about 0.05 s
BLOCK = 64  # centroids whose distances to all samples are held at once


def nearest_to_centroids(features: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """k-means with one cluster a pick, and the sample nearest to each centroid.

    The baseline KMeansSampling of BADGE's public code (Ash et al., ICLR 2020). Differences from it:
    one seeding in place of the best of several, at most 20 iterations, and the sample nearest to a
    centroid counts even where it belongs to another cluster. Centroids pick in the order of their
    clusters' sizes, largest first (equal ones in the order of their seeds), and each takes its
    nearest sample that is still free.

    Args:
        features: (N, D).
        budget: number of clusters and picks, at most N.
        rng: the query's random stream.

    Returns:
        Distinct positions (budget,), in the order above; all in ascending order where the budget is
        N.

    Raises:
        ValueError: if the features are not finite or not (N, D), or there are fewer of them than
            the budget.
    """
    features = rows(features, "features")
    check_budget(budget, len(features))
    if budget == len(features):
        return np.arange(budget, dtype=np.int64)
    points = _normalized(features)
    centroids, labels = kmeans(points, budget, rng)
    sizes = np.bincount(labels, minlength=budget)
    return _nearest_free(points, centroids[np.argsort(-sizes, kind="stable")])


def typiclust(
    features: np.ndarray,
    labeled_features: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    *,
    neighbours: int = 20,
    max_clusters: int = 500,
    min_cluster: int = 5,
) -> np.ndarray:
    """TypiClust: the most typical candidate of each cluster that has no label.

    Source: Hacohen, Dekel and Weinshall, ICML 2022.

    Candidates and labeled samples fall into min(M + budget, max_clusters) clusters. Those with the
    fewest labeled samples come first, the largest first among them, and in that order they give one
    pick each, again and again: the candidate with the smallest mean distance to its min(neighbours,
    candidates left in the cluster // 2) nearest ones.

    Differences from the public implementation (`typiclust.py`): features of the trained network in
    place of self-supervised ones; k-means as in `kmeans` here, in place of mini-batches above 50
    clusters; distances as in the paper, where the code averages their squares; clusters of exactly
    `min_cluster` samples count; a cluster without candidates is passed over, and where all have run
    out the smaller ones give theirs in the same order (there: an error); of a cluster with more
    than `LOOKED_AT` candidates, a pick considers so many at random, as the time is quadratic in
    their number.

    Args:
        features: (N, D).
        labeled_features: (M, D) of the labeled samples; M may be 0.
        budget: number of picks, at most N.
        rng: the query's random stream.
        neighbours: most neighbours that typicality considers.
        max_clusters: most clusters.
        min_cluster: clusters with fewer samples, labeled ones included, come last.

    Returns:
        Distinct positions (budget,) into the candidates, first pick first.

    Raises:
        ValueError: if an array is not finite or has another shape, there are fewer candidates
            than the budget, or a setting is below 1.
    """
    features, labeled = _of_one_width(features, labeled_features)
    check_budget(budget, len(features))
    if min(neighbours, max_clusters, min_cluster) < 1:
        raise ValueError(
            f"Expected settings of at least 1, but got {neighbours=}, {max_clusters=}, "
            f"{min_cluster=}"
        )
    points = _normalized(np.concatenate([labeled, features]))
    count = min(len(labeled) + budget, max_clusters)
    _, labels = kmeans(points, count, rng)
    large, small = _in_order(labels, len(labeled), count, min_cluster)
    with threadpool_limits(1):
        picked = _in_turn(points[len(labeled) :], large, budget, neighbours, rng)
        picked += _in_turn(points[len(labeled) :], small, budget - len(picked), neighbours, rng)
    return np.array(picked, dtype=np.int64)


def _of_one_width(
    features: np.ndarray, labeled_features: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates (N, D) and labeled samples (M, D), checked."""
    features = rows(features, "features")
    labeled = rows(labeled_features, "labeled features")
    if features.shape[1] != labeled.shape[1]:
        raise ValueError(
            f"Expected one width D, but got features {features.shape} and labeled ones "
            f"{labeled.shape}"
        )
    return features, labeled


def _in_order(
    labels: np.ndarray, labeled: int, count: int, least: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The candidates of each cluster, of those with the fewest labeled samples first, then by size.

    Args:
        labels: the cluster of each labeled sample, then of each candidate.
        labeled: number of labeled samples.
        count: of the clusters.
        least: samples of a large cluster.

    Returns:
        Positions of the candidates in large clusters, and in small ones.
    """
    sizes = np.bincount(labels, minlength=count)
    covered = np.bincount(labels[:labeled], minlength=count)
    order = np.lexsort((-sizes, covered))
    members = [np.flatnonzero(labels[labeled:] == cluster) for cluster in range(count)]
    large = [members[cluster] for cluster in order if sizes[cluster] >= least]
    small = [members[cluster] for cluster in order if sizes[cluster] < least]
    return large, small


def kmeans(
    points: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's k-means in float32, with at most 20 iterations.

    It starts from one k-means++ seeding, with one draw for each seed.

    On one thread, as the sums of several are added in the order in which these finish: the last
    digits would differ from run to run. On one core 1,000 clusters of 10,000 points with D = 512
    take about 3 s, of 50,000 points 15 to 40 s; no array larger than the points is held.

    Args:
        points: (N, D), `_normalized`.
        count: number of clusters, at most N.
        rng: seeds the clusters.

    Returns:
        Centroids (count, D) and each point's cluster (N,); a cluster is empty if there are fewer
        distinct points.
    """
    with threadpool_limits(1), warnings.catch_warnings():
        # it warns where there are fewer distinct points than clusters
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = int(rng.integers(len(points)))
        seeds = points[spread([points], first, count, rng)].astype(np.float32)
        clusters = KMeans(count, init=seeds, n_init=1, max_iter=ITERATIONS, random_state=0)
        clusters.fit(points.astype(np.float32))
    return clusters.cluster_centers_.astype(np.float64), clusters.labels_


def _normalized(points: np.ndarray) -> np.ndarray:
    """Move points around 0 and scale them to at most 1.

    Clusters stay the same, and float32 has its digits where they matter.
    """
    centred = points - points.mean(axis=0)
    return centred / (np.abs(centred).max() or 1.0)


def _nearest_free(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest point of each centroid that no earlier centroid took.

    Returns distinct positions (len(centroids),).
    """
    squares = (points**2).sum(axis=1)
    picked = np.empty(len(centroids), dtype=np.int64)
    for start in range(0, len(centroids), BLOCK):
        # a centroid's own square is the same for all points and left out
        distances = squares - 2 * centroids[start : start + BLOCK] @ points.T
        for at, row in enumerate(distances, start):
            row[picked[:at]] = np.inf
            picked[at] = row.argmin()
    return picked


def _in_turn(
    points: np.ndarray,
    clusters: list[np.ndarray],
    budget: int,
    neighbours: int,
    rng: np.random.Generator,
) -> list[int]:
    """Pick up to `budget` positions: the most typical member of each cluster in turn.

    It ends earlier when all clusters are empty.
    """
    queue = deque(members for members in clusters if len(members))
    picked: list[int] = []
    while queue and len(picked) < budget:
        members = queue.popleft()
        if len(members) <= LOOKED_AT:
            some = members
        else:
            some = np.sort(rng.choice(members, LOOKED_AT, replace=False))
        picked.append(int(some[_most_typical(points[some], neighbours)]))
        if len(members) > 1:
            queue.append(members[members != picked[-1]])
    return picked


def _most_typical(points: np.ndarray, neighbours: int) -> int:
    """The first point with the smallest mean distance to its nearest others."""
    count = min(neighbours, len(points) // 2)
    if not count:
        return 0
    distances, _ = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points).kneighbors()
    return int(distances.mean(axis=1).argmin())
