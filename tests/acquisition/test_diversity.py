"""Density, BADGE and Gumbel ranks against scikit-learn, explicit outer products and exact
probabilities.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.stats import chisquare
from sklearn.metrics.pairwise import cosine_similarity

from acquisition.diversity import badge, density, gumbel_ranks


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_density_is_the_mean_of_sklearns_cosine_similarities(dtype):
    features = (stream().normal(size=(40, 7)) * np.geomspace(1e-6, 1e6, 40)[:, None]).astype(dtype)
    features[[3, 20]] = 0
    found = density(features)
    np.testing.assert_allclose(
        found, cosine_similarity(features.astype(np.float64)).mean(axis=1), atol=1e-12
    )
    assert (found[[3, 20]] == 0).all() and found.dtype == np.float64


def test_density_by_hand():
    np.testing.assert_allclose(
        density(np.array([[2.0, 0], [0, 3], [1, 0], [0, 0]])), [2 / 4, 1 / 4, 2 / 4, 0]
    )
    assert density(np.array([[0.0, -5.0]])) == [1.0]
    assert density(np.zeros((3, 2))).tolist() == [0, 0, 0]
    assert density(np.zeros((0, 2))).shape == (0,)


def explicit_badge(residuals, features, budget: int, rng: np.random.Generator) -> list[int]:
    """`init_centers` of BADGE's public code on the outer products: D2 holds distances and
    is squared for the draw.
    """
    gradients = (
        np.einsum("nc,nd->ncd", residuals, features).reshape(len(features), -1).astype(np.float64)
    )
    lengths = np.linalg.norm(gradients, axis=1)
    picked = [int(rng.choice([lengths.argmax()]))]
    nearest = np.full(len(gradients), np.inf)
    while len(picked) < budget:
        nearest = np.minimum(nearest, cdist(gradients, gradients[picked[-1:]])[:, 0])
        picked.append(int(rng.choice(len(gradients), p=nearest**2 / (nearest**2).sum())))
    return picked


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_badge_is_k_means_plus_plus_on_the_outer_products(seed: int, dtype):
    rng = stream(seed)
    residuals = rng.dirichlet(np.full(5, 0.1), 60).astype(dtype)
    # confident ones are 1e-6 and less, others near 1
    residuals[np.arange(60), residuals.argmax(axis=1)] -= 1
    features = rng.gamma(0.5, size=(60, 9)).astype(dtype)
    found = badge(residuals, features, 25, stream(seed))
    assert found.tolist() == explicit_badge(residuals, features, 25, stream(seed))
    assert found.dtype == np.int64


def test_badge_tells_close_gradients_apart_that_single_precision_does_not():
    """Gradients of length 1e8 that differ by 1: in float32 their squared distances would
    be noise of size 1e9.
    """
    residuals = np.ones((50, 1), np.float32)
    features = (1e4 + np.stack([np.arange(50) % 2, np.arange(50) // 2 * 100], axis=1)).astype(
        np.float32
    )
    found = badge(residuals, features, 30, stream(3))
    assert found.tolist() == explicit_badge(residuals, features, 30, stream(3))
    # each pair of neighbours is met before any is completed
    assert len({i // 2 for i in found}) == 25


def test_badge_draws_by_squared_distance():
    residuals, features = (
        np.array([[1.0], [-1.0], [0.5], [0.5]]),
        np.array([[3.0], [1.0], [2.0], [-4.0]]),
    )
    gradients = np.array([3.0, -1.0, 1.0, -2.0])  # largest is position 0
    weights = (gradients - 3.0) ** 2
    rng = stream(1)
    drawn = [badge(residuals, features, 2, rng).tolist() for _ in range(2000)]
    assert {first for first, _ in drawn} == {0}
    counts = np.bincount([second for _, second in drawn], minlength=4)
    assert counts[0] == 0
    assert chisquare(counts[1:], 2000 * weights[1:] / weights.sum()).pvalue > 0.01


def test_badge_starts_at_any_of_the_largest():
    residuals, features = (
        np.array([[1.0], [-2.0], [1.0], [2.0]]),
        np.array([[2.0], [-1.0], [1.0], [1.0]]),
    )
    rng = stream(2)
    counts = np.bincount([badge(residuals, features, 1, rng)[0] for _ in range(3000)], minlength=4)
    assert counts[2] == 0
    assert chisquare(counts[[0, 1, 3]]).pvalue > 0.01


@pytest.mark.parametrize("width", [1, 300])
def test_badge_is_uniform_where_all_the_rest_equals_a_pick(width: int):
    """Ten copies of one gradient, whatever rounding makes of their distances, and one that
    is larger.
    """
    row = stream(5).normal(size=(1, width)).astype(np.float32)
    features = np.repeat(row, 11, axis=0)
    residuals = np.repeat(stream(6).normal(size=(1, 3)).astype(np.float32), 11, axis=0)
    residuals[4] *= 2
    rng = stream(7)
    drawn = [badge(residuals, features, 11, rng).tolist() for _ in range(500)]
    assert {row[0] for row in drawn} == {4}
    assert all(sorted(row) == list(range(11)) for row in drawn)
    # the third: nothing has a distance any more
    counts = np.bincount([row[2] for row in drawn], minlength=11)
    assert chisquare(np.delete(counts, 4)).pvalue > 0.01


def test_badge_of_nothing_but_zeros_is_uniform():
    rng = stream(8)
    drawn = [badge(np.zeros((4, 2)), np.ones((4, 3)), 2, rng).tolist() for _ in range(1200)]
    pairs = list(itertools.permutations(range(4), 2))
    assert chisquare([drawn.count(list(pair)) for pair in pairs]).pvalue > 0.01


def test_badge_survives_distances_too_small_for_full_precision():
    residuals = np.array([[0.0], [1e-80], [2e-80]])
    assert sorted(badge(residuals, residuals, 3, stream())) == [0, 1, 2]


def exact(scores: list[float], beta: float, budget: int) -> dict[tuple[int, ...], float]:
    """Probability of each ordered draw without replacement, by rank ** -beta, for scores
    without ties.
    """
    ranks = np.argsort(np.argsort(-np.array(scores))) + 1
    weights = ranks ** -float(beta)
    found = {}
    for drawn in itertools.permutations(range(len(scores)), budget):
        left, probability = weights.sum(), 1.0
        for i in drawn:
            probability *= weights[i] / left
            left -= weights[i]
        found[drawn] = probability
    return found


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_gumbel_ranks_have_the_exact_probabilities(beta: float):
    scores, rng = [0.1, -3.0, 8.0, 0.2], stream(11)
    expected = exact(scores, beta, 2)
    drawn = [tuple(gumbel_ranks(np.array(scores), 2, rng, beta=beta).tolist()) for _ in range(6000)]
    assert sum(expected.values()) == pytest.approx(1) and max(expected, key=expected.get) == (2, 3)
    assert (
        chisquare(
            [drawn.count(pair) for pair in expected], [6000 * p for p in expected.values()]
        ).pvalue
        > 0.01
    )


def test_gumbel_ranks_look_at_ranks_alone():
    scores = stream(1).normal(size=30)
    plain = gumbel_ranks(scores, 12, stream(4))
    np.testing.assert_array_equal(gumbel_ranks(np.exp(5 * scores), 12, stream(4)), plain)
    assert plain.dtype == np.int64


def test_a_large_beta_is_the_plain_top_and_a_small_one_uniform():
    scores = stream(1).permutation(50).astype(np.float32)
    assert (
        gumbel_ranks(scores, 10, stream(), beta=1e6).tolist() == np.argsort(-scores)[:10].tolist()
    )
    assert (
        gumbel_ranks(scores, 10, stream(), beta=np.inf).tolist()
        == np.argsort(-scores)[:10].tolist()
    )
    rng = stream(9)
    counts = np.bincount(
        np.concatenate([gumbel_ranks(scores, 10, rng, beta=1e-9) for _ in range(400)]), minlength=50
    )
    assert chisquare(counts).pvalue > 0.01


def test_equal_scores_are_ranked_by_chance():
    """At a large beta the ranks decide: each of three equal scores comes first as often."""
    rng = stream(10)
    drawn = [
        gumbel_ranks(np.array([1.0, 1.0, 0.0, 1.0]), 4, rng, beta=1e6).tolist() for _ in range(1500)
    ]
    assert {row[3] for row in drawn} == {2}
    assert chisquare(np.bincount([row[0] for row in drawn], minlength=4)[[0, 1, 3]]).pvalue > 0.01


SMALL = st.integers(1, 9).flatmap(  # few values: many duplicates, ties and rows of zeros
    lambda n: st.tuples(
        *(arrays(np.float32, (n, 2), elements=st.sampled_from([0, 1, -2, 1e4])) for _ in range(2))
    )
)


@settings(max_examples=60, deadline=None)
@given(SMALL, st.data())
def test_always_as_many_distinct_positions_as_asked_for(pair, data):
    residuals, features = pair
    budget, seed = data.draw(st.integers(1, len(features))), data.draw(st.integers(0, 99))
    for pick in (
        lambda rng: badge(residuals, features, budget, rng),
        lambda rng: gumbel_ranks(features[:, 0], budget, rng),
    ):
        found = pick(stream(seed))
        assert (
            found.shape == (budget,)
            and len(set(found.tolist())) == budget
            and found.dtype == np.int64
        )
        assert set(found.tolist()) <= set(range(len(features)))
        np.testing.assert_array_equal(pick(stream(seed)), found)


@pytest.mark.parametrize("budget", [0, -1, 4])
def test_budgets_out_of_range(budget: int):
    for pick in (
        lambda: badge(np.ones((3, 2)), np.ones((3, 2)), budget, stream()),
        lambda: gumbel_ranks(np.ones(3), budget, stream()),
    ):
        with pytest.raises(
            ValueError,
            match=rf"Expected a budget from 1 to 3 \(all candidates\), but got {budget}$",
        ):
            pick()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite(bad: float):
    good, broken = np.ones((4, 2)), np.ones((4, 2))
    broken[1, 0] = broken[3, 1] = bad
    said = r"but 2 of 4 are not: rows \[1, 3\]"
    with pytest.raises(ValueError, match=f"Expected finite features, {said}"):
        density(broken)
    with pytest.raises(ValueError, match=f"Expected finite features, {said}"):
        badge(good, broken, 2, stream())
    with pytest.raises(ValueError, match=f"Expected finite residuals, {said}"):
        badge(broken, good, 2, stream())
    with pytest.raises(ValueError, match=f"Expected finite scores, {said}"):
        gumbel_ranks(broken.min(axis=1) * broken.max(axis=1), 2, stream())


def test_shapes_and_settings_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"Expected features \(N, D\) with D of at least 1, but got \(3,\)"
    ):
        density(np.ones(3))
    with pytest.raises(
        ValueError, match=r"Expected features \(N, D\) with D of at least 1, but got \(3, 0\)"
    ):
        density(np.ones((3, 0)))
    with pytest.raises(
        ValueError, match=r"as many residuals as features, but got \(3, 2\) and \(4, 2\)"
    ):
        badge(np.ones((3, 2)), np.ones((4, 2)), 1, stream())
    with pytest.raises(ValueError, match=r"Expected scores \(N,\), but got \(3, 1\)"):
        gumbel_ranks(np.ones((3, 1)), 1, stream())
    for beta in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=f"Expected a beta above 0, but got {beta}"):
            gumbel_ranks(np.ones(3), 1, stream(), beta=beta)
