"""PPAL's weights, distances and medoids, by hand computation and by loops as in the paper."""

from __future__ import annotations

import itertools
import math
import re
import time

import numpy as np
import pytest

from acquisition import matching
from acquisition.box_steps import BagMedoids, DifficultyCalibrated
from acquisition.query import ask
from acquisition.step import QueryError, Seen
from acquisition.strategies import named_strategies
from models.process.seeding import stream

EAST, NORTH, BETWEEN = [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]
MOST = 3
QUALITY = np.array([[[0.8, 1], [0.2, 1], [0, 0]]], dtype=np.float32)


def bags(*samples: list[tuple[int, float, list[float]]]) -> np.ndarray:
    """Each sample's boxes: label, score, feature."""
    rows = np.zeros((len(samples), MOST, 4), np.float32)
    rows[..., 1] = -1
    for i, sample in enumerate(samples):
        for k, (label, score, vector) in enumerate(sample):
            rows[i, k] = [score, label, *vector]
    return rows


def drawn(count: int, seed: int = 0, most: int = 6, classes: int = 3, width: int = 5) -> np.ndarray:
    """Random bags, some of them without boxes."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, most, 2 + width)).astype(np.float32)
    rows[..., 1] = rng.integers(classes, size=(count, most))
    rows[..., 0] = rng.random((count, most)) * (rng.random((count, 1)) > 0.2)
    return rows


def by_loops(samples: np.ndarray) -> np.ndarray:
    """The distances as the paper has them, box by box."""

    def one_way(first: np.ndarray, second: np.ndarray) -> float:
        first, second = (part[part[:, 0] > 0.05].astype(np.float64) for part in (first, second))
        if not len(first):
            return 2.0 if len(second) else 0.0
        total = 0.0
        for box in first:
            same = [other for other in second if other[1] == box[1]]
            cosines = [
                other[2:] @ box[2:] / np.linalg.norm(other[2:]) / np.linalg.norm(box[2:])
                for other in same
            ]
            total += box[0] * (1 - max(cosines) if cosines else 2.0)
        return total / first[:, 0].sum()

    count = len(samples)
    found = np.zeros((count, count))
    for i, j in itertools.permutations(range(count), 2):
        found[i, j] = (one_way(samples[i], samples[j]) + one_way(samples[j], samples[i])) / 2
    return found


def test_weights_of_classes():
    q = np.array([0.0, 0.5, 1.0])
    by_hand = [1 + 0.3 * 0.2 * math.log((math.exp(1 / 0.3) - 1) * (1 - one) + 1) for one in q]
    np.testing.assert_allclose(matching.class_weights(q), by_hand, rtol=1e-12)
    np.testing.assert_allclose(matching.class_weights(q)[[0, 2]], [1.2, 1.0], rtol=1e-12)


def test_entropies_are_weighted_by_the_classes_of_boxes():
    def h(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    found = matching.calibrated(
        bags([(0, 0.9, EAST), (1, 0.5, EAST)], [(1, 1.0, EAST), (0, 0.05, EAST)], []),
        np.array([1.0, 1.5]),
    )
    np.testing.assert_allclose(found, [h(0.9) + 1.5 * h(0.5), 0, 0], rtol=1e-6)


def test_distances_by_hand():
    found = matching.distances(
        bags(
            [(0, 0.6, EAST), (1, 0.2, NORTH)],
            [(0, 0.9, BETWEEN), (0, 0.5, NORTH)],
            [],
            [],
        )
    )
    there = (0.6 * (1 - 0.6) + 0.2 * 2) / 0.8  # the box of class 1 has no match
    back = (0.9 * (1 - 0.6) + 0.5 * 1) / 1.4
    assert found[0, 1] == pytest.approx((there + back) / 2, rel=1e-5)
    np.testing.assert_allclose(found[2], [2, 2, 0, 0])


@pytest.mark.parametrize("block", [1, 7, 1 << 24])
def test_distances_are_those_of_loops_over_boxes(monkeypatch, block):
    monkeypatch.setattr(matching, "BLOCK", block)
    samples = drawn(12)
    assert (samples[..., 0] <= 0.05).all(axis=1).any(), "some have no box"
    found = matching.distances(samples)
    np.testing.assert_allclose(found, by_loops(samples), atol=2e-6)
    assert np.array_equal(found, found.T)


def test_medoids_of_two_clusters_on_a_line():
    places = np.array([0.0, 1.0, 2.0, 50.0, 51.0, 52.0])
    apart = abs(places[:, None] - places[None])
    for seed in range(5):
        assert sorted(matching.medoids(apart, 2, stream(seed)).tolist()) == [1, 4]


def test_medoids_of_equal_samples_are_distinct():
    apart = np.zeros((5, 5))
    for budget in (1, 3, 5):
        found = matching.medoids(apart, budget, stream(0)).tolist()
        assert len(set(found)) == budget
    assert len({matching.medoids(apart, 1, stream(s))[0] for s in range(3)}) == 1, "of the cluster"
    with pytest.raises(ValueError, match=re.escape("from 1 to 5 (all candidates), but got 6")):
        matching.medoids(apart, 6, stream(0))


def test_the_steps_alone_and_in_the_chain():
    samples = drawn(40)
    rows = {"bag": samples}
    labeled = {"quality": QUALITY}
    kept = DifficultyCalibrated(keep=4)(Seen(40, rows, labeled), 5, stream(3))
    weights = matching.class_weights(np.array([0.8, 0.2, 0.0]))
    scores = matching.calibrated(samples, weights)
    assert set(kept.tolist()) == set(np.argsort(-scores)[:20].tolist())
    asked = []

    def score(ids, names):
        asked.append((len(ids), names))
        return rows if len(ids) == 40 else labeled

    steps = named_strategies(None, keep=4)["ppal"].steps
    found = ask(steps, np.arange(40), np.array([99]), 5, stream(3), score)
    assert asked == [(40, ("bag",)), (1, ("quality",))], "labels of labeled samples alone"
    assert set(found.picked.tolist()) <= set(kept.tolist()) and len(found.picked) == 5


def test_ties_one_candidate_the_whole_pool_and_samples_without_boxes():
    def picks(count: int, budget: int, seed: int) -> tuple[int, ...]:
        rows = {"bag": bags(*[[]] * count), "quality": QUALITY}
        steps = named_strategies(None, keep=4)["ppal"].steps

        def score(ids, names):
            return {name: rows[name] for name in names}

        found = ask(steps, np.arange(count), np.array([99]), budget, stream(seed), score)
        return tuple(sorted(found.picked.tolist()))

    assert picks(1, 1, 0) == (0,) and picks(4, 4, 0) == (0, 1, 2, 3)
    assert len({picks(30, 2, seed) for seed in range(10)}) > 5, "by chance"


@pytest.mark.parametrize("step", [DifficultyCalibrated(), BagMedoids()])
def test_boxes_that_are_not_finite_end_the_query(step):
    samples = drawn(4)
    samples[2, 1, 3] = np.inf
    with pytest.raises(QueryError, match="finite scores 'bag', but 1 of 4 are not"):
        step(Seen(4, {"bag": samples}, {"quality": QUALITY}), 2, stream(0))


@pytest.mark.slow
def test_the_second_stage_of_1000_picks_takes_seconds():
    """4,000 samples of 20 boxes in 20 classes, features of 512 numbers."""
    samples = drawn(4000, most=20, classes=20, width=512)
    began = time.perf_counter()
    picks = matching.medoids(matching.distances(samples), 1000, stream(0))
    assert len(set(picks.tolist())) == 1000 and time.perf_counter() - began < 120
