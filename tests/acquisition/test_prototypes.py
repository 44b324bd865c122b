"""DivProto's choice, by hand computation."""

from __future__ import annotations

import re

import numpy as np
import pytest

from acquisition.box_steps import DiversePrototypes, class_quality
from acquisition.prototypes import Limits, diverse
from acquisition.step import QueryError, Seen
from models.process.seeding import stream

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]
ABSENT = [0.0, 0.0, 0.0]
OPEN = Limits(reserved=0.0)  # all places are free


def found(*samples: list[list[float]]) -> np.ndarray:
    """Samples of two classes: best score and prototype of each."""
    return np.array(samples, dtype=np.float32)


def picked(scores, prototypes, budget, labeled=(1, 1), limits=OPEN, seed=0) -> list[int]:
    scores, labeled = np.array(scores, np.float32), np.array(labeled)
    return diverse(scores, prototypes, labeled, budget, stream(seed), limits).tolist()


def test_a_sample_is_rejected_if_each_of_its_classes_is_like_an_earlier_picks():
    samples = found(
        [[0.9, *EAST], [0.9, *NORTH]],
        [[0.9, *EAST], [0.9, *NORTH]],  # both alike
        [[0.9, *EAST], [0.9, *EAST]],  # of the second class none is like it
        [[0.9, *EAST], ABSENT],  # its only class is alike
    )
    assert picked([4, 3, 2, 1], samples, 2) == [0, 2]
    # the rejected ones fill up, highest first
    assert picked([4, 3, 2, 1], samples, 3) == [0, 2, 1]
    assert picked([4, 3, 2, 1], samples, 4) == [0, 2, 1, 3]


def test_as_alike_as_the_limit_is_not_rejected():
    samples = found([[0.9, *EAST], ABSENT], [[0.9, 0.6, 0.8], ABSENT])
    assert picked([2, 1], samples, 1, limits=Limits(alike=0.6, reserved=0)) == [0]
    twins = found([[0.9, *EAST], ABSENT], [[0.9, *EAST], ABSENT], [[0.9, *NORTH], ABSENT])
    assert picked([3, 2, 1], twins, 2, limits=Limits(alike=1.0, reserved=0)) == [0, 1]
    assert picked([3, 2, 1], twins, 2) == [0, 2]


def test_places_are_reserved_for_the_classes_that_are_labeled_least():
    """Of 4 places 3 are for the second class: three samples of the first wait for the free one."""
    angles = np.linspace(0, 3, 6)
    unlike = [[0.9, np.cos(a), np.sin(a)] for a in angles]
    samples = found(*[[one, ABSENT] for one in unlike[:3]], *[[ABSENT, one] for one in unlike[3:]])
    scores = [6, 5, 4, 3, 2, 1]
    limits = Limits(alike=0.99)
    assert picked(scores, samples, 4, labeled=(9, 1), limits=limits) == [0, 3, 4, 5]
    assert picked(scores, samples, 4, labeled=(1, 9), limits=limits) == [0, 1, 2, 3]
    # a class that is not sure enough takes a free place
    samples[3:, 1, 0] = 0.3
    assert picked(scores, samples, 4, labeled=(9, 1), limits=limits) == [0, 1, 2, 3]


def test_equal_scores_are_ordered_by_chance():
    samples = found(*[[[0.9, np.cos(a), np.sin(a)], ABSENT] for a in (0.0, 1.0, 2.0, 3.0)])
    seen = {tuple(picked([1, 1, 1, 1], samples, 2, seed=seed)) for seed in range(20)}
    assert len(seen) > 5
    assert picked([1, 1, 1, 1], samples, 2, seed=1) == picked([1, 1, 1, 1], samples, 2, seed=1)


def test_samples_without_boxes_one_candidate_and_the_whole_pool():
    none = found([ABSENT, ABSENT], [ABSENT, ABSENT])
    assert sorted(picked([0, 0], none, 2)) == [0, 1]
    assert picked([0.5], found([[0.9, *EAST], ABSENT]), 1) == [0]
    with pytest.raises(ValueError, match=re.escape("from 1 to 2 (all candidates), but got 3")):
        picked([0, 0], none, 3)


def test_the_step_reads_labels_of_labeled_samples_alone():
    quality = np.array([[[0.5, 1], [0.0, 0]], [[0.25, 2], [0.0, 0]]], dtype=np.float32)
    np.testing.assert_allclose(class_quality({"quality": quality}), [[0.25, 3], [0, 0]])
    step = DiversePrototypes()
    assert "quality" not in step.needs and step.labeled == ("quality",)
    rows = {
        "enms": np.array([1, 2], np.float32),
        "prototypes": found([[0.9, *EAST], ABSENT], [ABSENT, [0.9, *EAST]]),
    }
    assert step(Seen(2, rows, {"quality": quality}), 1, stream(0)).tolist() == [1]
    with pytest.raises(QueryError, match="Expected labeled samples"):
        step(Seen(2, rows, {"quality": np.zeros(0, np.float32)}), 1, stream(0))


@pytest.mark.parametrize("signal", ["enms", "prototypes"])
def test_scores_that_are_not_finite_end_the_query(signal):
    rows = {"enms": np.ones(3, np.float32), "prototypes": np.ones((3, 2, 3), np.float32)}
    rows[signal][1] = np.nan
    labeled = {"quality": np.ones((1, 2, 2), np.float32)}
    with pytest.raises(QueryError, match=f"finite scores '{signal}', but 1 of 3 are not"):
        DiversePrototypes()(Seen(3, rows, labeled), 1, stream(0))
