"""Kinds of random that look at predicted classes, and ClaSP, by hand and by exact probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from acquisition.class_steps import ClaSP, RandomForeground, RandomMatched, RandomStratified
from acquisition.step import QueryError, Seen
from models.process.seeding import stream

RANDOM = [RandomStratified(), RandomForeground(), RandomMatched()]


def seen(counts, cycle: int = 0, cycles: int = 1, **rows) -> Seen:
    counts = np.asarray(counts, dtype=np.float32)
    return Seen(len(counts), {"predicted_counts": counts, **rows}, {}, cycle, cycles)


def one_hot(classes: list[int], count: int) -> np.ndarray:
    return np.eye(count)[classes]


def test_stratified_is_even_over_classes_and_uniform_within_them():
    given = seen(np.concatenate([one_hot([0] * 6 + [1] * 2 + [2], 4), np.zeros((1, 4))]))
    strata = np.array([0] * 6 + [1] * 2 + [2, 3])
    rng, firsts, singles = stream("stratified"), np.zeros(10), np.zeros(4)
    for _ in range(1500):
        picked = RandomStratified()(given, 6, rng)
        assert np.bincount(strata[picked]).tolist() in ([2, 2, 1, 1], [3, 1, 1, 1])
        assert sorted(strata[picked[:4]].tolist()) == [0, 1, 2, 3]
        firsts[picked[:4]] += 1
        singles[strata[RandomStratified()(given, 1, rng)[0]]] += 1
    assert chisquare(firsts[:6]).pvalue > 0.01 and chisquare(firsts[6:8]).pvalue > 0.01
    assert chisquare(singles).pvalue > 0.01


def test_a_sample_of_several_classes_counts_for_one_of_them():
    given, rng, drawn = seen([[3, 1], [0, 5]]), stream("several"), np.zeros(2)
    for _ in range(800):
        # of two classes the second sample is surely in the second: the first decides the order
        drawn[RandomStratified()(given, 1, rng)[0]] += 1
    assert drawn.min() > 200


def test_foreground_comes_first():
    given = seen([[0, 0], [1, 0], [0, 0], [0, 7], [0, 0]])
    rng, thirds = stream("foreground"), np.zeros(5)
    for _ in range(600):
        picked = RandomForeground()(given, 3, rng)
        assert set(picked[:2].tolist()) == {1, 3}
        thirds[picked[2]] += 1
    assert chisquare(thirds[[0, 2, 4]]).pvalue > 0.01


def test_matched_costs_what_random_costs_on_average():
    rng = stream("matched")
    counts = rng.geometric(0.1, size=(200, 1))
    picks = [RandomMatched()(seen(counts), 20, rng) for _ in range(300)]
    costs = np.array([counts[picked].sum() for picked in picks])
    plain = np.array([counts[rng.permutation(200)[:20]].sum() for _ in range(300)])
    assert costs.mean() == pytest.approx(20 * counts.mean(), rel=0.02)
    assert costs.std() < plain.std() / 2
    often = np.bincount(np.concatenate(picks), minlength=200)
    assert chisquare(often).pvalue > 0.001  # 200 samples in 20 parts of 10: evenly


def test_clasp_by_hand_where_chance_is_cold():
    """Two thirds of six in turn over three classes, then the two highest of all."""
    entropy = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1, 0.05])
    given = seen(one_hot([0, 0, 0, 0, 1, 1, 2, 2], 4), 4, 5, entropy=entropy)
    for seed in range(5):
        picked = ClaSP("entropy", coldest=1e12)(given, 6, stream(seed)).tolist()
        assert set(picked[:3]) == {0, 4, 6} and picked[3] in (1, 5, 7)
        rest = [i for i in range(8) if i not in picked[:4]]
        assert picked[4:] == rest[:2]


def test_clasp_is_power_sampling_that_cools():
    scores, rng = np.array([4.0, 2.0, 1.0, 1.0]), stream("clasp")
    for cycle, beta in ((0, 1.0), (1, 10.0)):
        given = seen(np.ones((4, 1)), cycle, 3, entropy=scores)
        drawn = np.zeros(4)
        for _ in range(3000):
            drawn[ClaSP("entropy")(given, 1, rng)[0]] += 1
        shares = scores**beta / (scores**beta).sum()
        likely = shares * 3000 >= 5
        expected = np.append(shares[likely], shares[~likely].sum() or 1e-9) * 3000
        found = np.append(drawn[likely], drawn[~likely].sum())
        keep = expected > 1
        assert (
            chisquare(found[keep], expected[keep] / expected[keep].sum() * found[keep].sum()).pvalue
            > 0.01
        )


def test_clasp_of_scores_of_zero_and_of_no_class():
    given = seen(np.zeros((5, 3)), entropy=np.zeros(5))
    rng = stream("zero")
    drawn = np.bincount([ClaSP("entropy")(given, 1, rng)[0] for _ in range(800)], minlength=5)
    assert chisquare(drawn).pvalue > 0.01
    with pytest.raises(QueryError, match="'entropy' of at least 0, .* but got -1"):
        ClaSP("entropy")(seen(np.ones((2, 1)), entropy=np.array([1.0, -1.0])), 1, stream(0))
    with pytest.raises(QueryError, match="finite scores 'entropy', but 1 of 2 are not"):
        ClaSP("entropy")(seen(np.ones((2, 1)), entropy=np.array([1.0, np.nan])), 1, stream(0))


@pytest.mark.parametrize("step", [*RANDOM, ClaSP("entropy")], ids=lambda s: type(s).__name__)
def test_every_sample_once_one_candidate_and_what_is_not_finite(step):
    rng = stream("all")
    counts = rng.integers(3, size=(30, 4))
    given = seen(counts, entropy=rng.random(30))
    for budget in (1, 7, 30):
        picked = step(given, budget, rng)
        assert len(picked) == budget == len(set(picked.tolist()))
    assert step(seen([[1, 0]], entropy=np.ones(1)), 1, rng).tolist() == [0]
    with pytest.raises(QueryError, match="finite scores 'predicted_counts', but 1 of 2 are not"):
        step(seen([[1, np.nan], [0, 1]], entropy=np.ones(2)), 1, rng)
