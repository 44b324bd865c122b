"""Distances of bags, by hand computation and by loops over boxes as in the paper."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from acquisition import bag_distances
from acquisition.bag_distances import distances
from acquisition.matching import medoids
from models.process.seeding import stream

EAST, NORTH, BETWEEN = [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]
MOST = 3


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
                other[2:] @ box[2:] / (np.linalg.norm(other[2:]) * np.linalg.norm(box[2:]) or 1)
                for other in same
            ]
            total += box[0] * (1 - max(cosines) if cosines else 2.0)
        return total / first[:, 0].sum()

    count = len(samples)
    found = np.zeros((count, count))
    for i, j in itertools.permutations(range(count), 2):
        found[i, j] = (one_way(samples[i], samples[j]) + one_way(samples[j], samples[i])) / 2
    return found


def test_distances_by_hand():
    found = distances(
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


@pytest.mark.parametrize("tile", [1, 7, 1024])
@pytest.mark.parametrize("classes", [1, 3])
def test_distances_are_those_of_loops_over_boxes(monkeypatch, tile, classes):
    monkeypatch.setattr(bag_distances, "TILE", tile)
    samples = drawn(12, classes=classes)
    assert (samples[..., 0] <= 0.05).all(axis=1).any(), "some have no box"
    samples[3, 0, 2:] = 0  # a feature without a direction has the cosine 0 to all
    before = samples.copy()
    found = distances(samples)
    np.testing.assert_allclose(found, by_loops(samples), atol=2e-6)
    assert np.array_equal(found, found.T) and np.array_equal(samples, before)


def test_equal_bags_are_0_apart_and_nothing_has_no_distances():
    same = np.repeat(drawn(1, seed=3, most=4), 5, axis=0)
    assert (same[..., 0] > 0.05).any()
    np.testing.assert_allclose(distances(same), np.zeros((5, 5)), atol=1e-6)
    assert distances(np.zeros((0, 4, 7), np.float32)).shape == (0, 0)
    assert distances(np.zeros((2, 0, 7), np.float32)).tolist() == [[0, 0], [0, 0]]


def test_groups_hold_each_box_once_and_samples_whole(monkeypatch):
    monkeypatch.setattr(bag_distances, "TILE", 8)
    samples = drawn(30, seed=4)
    chosen = samples[..., 0] > 0.05
    groups = list(bag_distances._groups(samples, chosen))
    boxes = np.concatenate([np.stack([group.sample, group.place], axis=1) for group in groups])
    assert sorted(boxes.tolist()) == np.argwhere(chosen).tolist()
    for group in groups:
        assert len(group.score) <= 8
        ones = np.ones((2, len(group.score)))
        counts = chosen[group.samples].sum(axis=1)
        assert group.by_sample(np.add, ones).tolist() == [counts.tolist()] * 2


@pytest.mark.slow
def test_the_second_stage_of_1000_picks_takes_seconds():
    """4,000 samples of 20 boxes in 20 classes, features of 512 numbers."""
    samples = drawn(4000, most=20, classes=20, width=512)
    began = time.perf_counter()
    picks = medoids(distances(samples), 1000, stream(0))
    assert len(set(picks.tolist())) == 1000 and time.perf_counter() - began < 120
