"""PPAL's weights and medoids, by hand computation."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from acquisition import matching
from acquisition.box_steps import BagMedoids, DifficultyCalibrated
from acquisition.query import ask
from acquisition.step import QueryError, Seen
from acquisition.strategies import named_strategies
from models.process.seeding import stream
from tests.acquisition.test_bag_distances import EAST, bags, drawn

QUALITY = np.array([[[0.8, 1], [0.2, 1], [0, 0]]], dtype=np.float32)


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
