"""k-means' nearest samples and TypiClust against scikit-learn and the public
implementation's logic.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, pairwise_distances_argmin

from acquisition import clustering
from acquisition.clustering import kmeans, nearest_to_centroids, typiclust


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blobs(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Groups (sum of sizes, 6) far apart, and each sample's group; shuffled."""
    centres = np.eye(6)[: len(sizes)] * 100
    features, groups = make_blobs(sizes, 6, centers=centres, cluster_std=1.0, random_state=seed)
    return features.astype(np.float32), groups


def test_nearest_to_centroids_is_sklearns_on_groups_far_apart():
    sizes = [9, 30, 5, 17, 12]
    features, groups = blobs(sizes)
    reference = KMeans(5, n_init=10, random_state=0).fit(features)
    assert adjusted_rand_score(reference.labels_, groups) == 1
    found = nearest_to_centroids(features, 5, stream(1))
    assert set(found.tolist()) == set(
        pairwise_distances_argmin(reference.cluster_centers_, features).tolist()
    )
    assert groups[found].tolist() == [1, 3, 4, 0, 2]  # the largest cluster first
    assert found.dtype == np.int64


@pytest.mark.parametrize("shift, scale", [(0, 1), (1e3, 1), (0, 1e-25), (0, 1e25)])
def test_neither_the_origin_nor_the_scale_decides(shift: float, scale: float):
    features = blobs([9, 30, 5, 17])[0].astype(np.float64)
    expected = nearest_to_centroids(features, 4, stream(1))
    np.testing.assert_array_equal(
        nearest_to_centroids((features + shift) * scale, 4, stream(1)), expected
    )


def test_kmeans_is_about_as_good_as_sklearns():
    points = stream(2).uniform(-1, 1, size=(800, 4))
    reference = [KMeans(40, n_init=1, random_state=seed).fit(points).inertia_ for seed in range(5)]
    for seed in range(5):
        centroids, labels = kmeans(points, 40, stream(seed))
        assert ((points - centroids[labels]) ** 2).sum() < 1.05 * np.mean(reference)
        np.testing.assert_allclose(centroids[7], points[labels == 7].mean(axis=0), atol=0.05)
        np.testing.assert_array_equal(labels, pairwise_distances_argmin(points, centroids))
    # another stream, other clusters
    assert not np.array_equal(kmeans(points, 40, stream(0))[1], labels)


def test_kmeans_does_not_touch_numpys_global_state_and_repeats():
    points = stream(2).uniform(-1, 1, size=(300, 4))
    before = np.random.get_state()[1].tolist()
    first, second = (kmeans(points, 20, stream(5)) for _ in range(2))
    assert np.random.get_state()[1].tolist() == before
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_a_centroid_takes_its_nearest_free_sample(seed: int):
    """More centroids than a block, most of them beside the same few samples, against one
    loop over all distances.
    """
    rng = stream(seed)
    points = rng.uniform(-1, 1, size=(150, 3))
    centroids = rng.normal(0, 0.1, size=(140, 3))
    distances = cdist(centroids, points)
    expected: list[int] = []
    for row in distances:
        expected.append(next(i for i in row.argsort() if i not in expected))
    assert (distances.argmin(axis=1) != expected).sum() > 50
    assert clustering._nearest_free(points, centroids).tolist() == expected


def test_the_larger_cluster_takes_a_sample_that_two_want(monkeypatch):
    features = np.array([[0.0], [4.0], [5.0], [9.0]])
    # as normalized; both are nearest to the sample at 4
    centroids = (np.array([[4.1], [2.1]]) - 4.5) / 4.5
    for labels, expected in ([1, 1, 1, 0], [1, 2]), ([0, 1, 0, 0], [1, 0]), ([0, 1, 1, 0], [1, 0]):
        monkeypatch.setattr(
            clustering, "kmeans", lambda *_, labels=labels: (centroids, np.array(labels))
        )
        assert nearest_to_centroids(features, 2, stream()).tolist() == expected


def test_the_whole_pool_and_a_single_candidate():
    features = stream().normal(size=(7, 2))
    assert nearest_to_centroids(features, 7, stream()).tolist() == list(range(7))
    assert nearest_to_centroids(np.zeros((1, 2)), 1, stream()).tolist() == [0]
    assert sorted(typiclust(features, features[:0], 7, stream())) == list(range(7))
    assert typiclust(np.zeros((1, 2)), np.zeros((3, 2)), 1, stream()).tolist() == [0]


def public_typiclust(
    features, labels, labeled: int, budget: int, neighbours: int, min_cluster: int
) -> list[int]:
    """`select_samples` of the public code, with distances as in the paper.

    The first `labeled` samples are labeled.
    """
    labels = labels.copy()
    ids, sizes = np.unique(labels, return_counts=True)
    existing = [int((labels[:labeled] == i).sum()) for i in ids]
    table = sorted(zip(existing, -sizes, ids, strict=True))
    table = [row for row in table if -row[1] >= min_cluster]
    labels[:labeled] = -1
    selected = []
    for i in range(budget):
        indices = (labels == table[i % len(table)][2]).nonzero()[0]
        count = min(neighbours, len(indices) // 2)
        distances = np.sort(cdist(features[indices], features[indices]), axis=1)[:, 1 : count + 1]
        typicality = 1 / (distances.mean(axis=1) + 1e-5)
        selected.append(int(indices[typicality.argmax()]))
        labels[selected[-1]] = -1
    return [i - labeled for i in selected]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("labeled, budget", [(0, 4), (30, 7), (12, 45)])
def test_typiclust_is_the_public_one_with_the_same_clusters(
    labeled: int, budget: int, seed: int, monkeypatch
):
    rng = stream(seed)
    features, clusters = rng.normal(size=(400, 5)), min(labeled + budget, 12)
    # the first two may be too small
    shares = np.array([1, 1, 30, 25, 20, 16, 14, 12, 10, 9, 8, 8][:clusters])
    labels = rng.choice(clusters, 400, p=shares / shares.sum())
    expected = public_typiclust(features, labels, labeled, budget, 20, 5)
    monkeypatch.setattr(
        clustering, "kmeans", lambda points, count, rng: (np.zeros((count, 5)), labels)
    )
    found = typiclust(features[labeled:], features[:labeled], budget, stream(), max_clusters=12)
    assert found.tolist() == expected


def test_typiclust_takes_clusters_without_labels_first_then_the_largest():
    features, groups = blobs([30, 12, 25, 8])
    labeled = features[groups == 0][:1]

    def picks(budget: int, **settings) -> list[int]:
        return groups[typiclust(features, labeled, budget, stream(3), **settings)].tolist()

    assert picks(3) == [2, 1, 3]  # one labeled + three asked for: four clusters
    assert picks(6, max_clusters=4) == [2, 1, 3, 0, 2, 1]
    assert picks(6, max_clusters=4, min_cluster=9) == [2, 1, 0, 2, 1, 0]
    assert picks(6, max_clusters=4, min_cluster=26) == [0] * 6
    assert picks(6, max_clusters=4, min_cluster=8) == [2, 1, 3, 0, 2, 1]  # exactly as large counts


def test_typiclust_takes_the_middle_of_a_cluster():
    line = np.array([[0.0], [1.0], [1.9], [2.7], [3.4], [4.7], [100.0]])
    # to the two nearest: 2.7 has 0.75 on average; without it 1.0 has 0.95, and 1.9 has 1.2
    assert typiclust(line, line[:0], 2, stream(), neighbours=2, max_clusters=1).tolist() == [3, 1]


def test_typiclust_does_not_count_labeled_samples_as_neighbours():
    candidates = np.array([[0.0], [3.0], [10.0], [11.0], [12.0]])
    labeled = np.array([[0.1], [0.2], [-0.1], [-0.2]])
    assert typiclust(candidates, labeled, 1, stream(), max_clusters=1).tolist() == [3]


def test_typiclust_fills_the_budget_from_small_clusters_and_passes_over_empty_ones():
    features, groups = blobs([7, 3, 2])
    found = typiclust(
        features, features[groups == 1] + 0.1, 12, stream(), max_clusters=3, min_cluster=4
    )
    assert sorted(found) == list(range(12))
    assert groups[found].tolist() == [0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 2, 2]
    found = typiclust(features[groups == 0], features[groups != 0], 7, stream(), max_clusters=3)
    assert sorted(found) == list(range(7))


FEW = st.tuples(st.integers(1, 9), st.integers(0, 5)).flatmap(
    lambda n: st.tuples(
        *(arrays(np.float32, (m, 2), elements=st.sampled_from([0, 1, -2, 1e4])) for m in n)
    )
)


@settings(max_examples=25, deadline=None)
@given(FEW, st.data())
def test_always_as_many_distinct_positions_as_asked_for(pair, data):
    features, labeled = pair
    budget, most = data.draw(st.integers(1, len(features))), data.draw(st.integers(1, 4))
    for pick in (
        lambda rng: nearest_to_centroids(features, budget, rng),
        lambda rng: typiclust(features, labeled, budget, rng, max_clusters=most, min_cluster=most),
        lambda rng: typiclust(features, labeled, budget, rng),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = pick(stream())
        assert (
            found.shape == (budget,)
            and len(set(found.tolist())) == budget
            and found.dtype == np.int64
        )
        assert set(found.tolist()) <= set(range(len(features)))
        np.testing.assert_array_equal(pick(stream()), found)


@pytest.mark.parametrize("budget", [0, -1, 4])
def test_budgets_out_of_range(budget: int):
    for pick in (
        lambda: nearest_to_centroids(np.ones((3, 2)), budget, stream()),
        lambda: typiclust(np.ones((3, 2)), np.ones((5, 2)), budget, stream()),
    ):
        with pytest.raises(
            ValueError,
            match=rf"Expected a budget from 1 to 3 \(all candidates\), but got {budget}$",
        ):
            pick()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite(bad: float):
    good, broken = np.ones((4, 2)), np.ones((4, 2))
    broken[1, 0] = broken[3, 1] = bad
    said = r"but 2 of 4 are not: rows \[1, 3\]"
    with pytest.raises(ValueError, match=f"Expected finite features, {said}"):
        nearest_to_centroids(broken, 2, stream())
    with pytest.raises(ValueError, match=f"Expected finite features, {said}"):
        typiclust(broken, good, 2, stream())
    with pytest.raises(ValueError, match=f"Expected finite labeled features, {said}"):
        typiclust(good, broken, 2, stream())


def test_shapes_and_settings_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"Expected features \(N, D\) with D of at least 1, but got \(3,\)"
    ):
        nearest_to_centroids(np.ones(3), 1, stream())
    with pytest.raises(
        ValueError, match=r"Expected labeled features \(N, D\) with D of at least 1, but got \(0,\)"
    ):
        typiclust(np.ones((3, 2)), np.ones(0), 1, stream())
    with pytest.raises(
        ValueError, match=r"one width D, but got features \(3, 2\) and labeled ones \(4, 5\)"
    ):
        typiclust(np.ones((3, 2)), np.ones((4, 5)), 1, stream())
    for name in ("neighbours", "max_clusters", "min_cluster"):
        with pytest.raises(
            ValueError, match=f"Expected settings of at least 1, but got .*{name}=0"
        ):
            typiclust(np.ones((3, 2)), np.ones((1, 2)), 1, stream(), **{name: 0})
