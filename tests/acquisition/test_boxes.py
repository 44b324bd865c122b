"""What boxes say of their image: entropy with suppression, and prototypes, by hand computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from acquisition import boxes, canary
from models.output import Bag

EAST, NORTH, BETWEEN = [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]  # cosines 0 and 0.7071
MOST = 4


def bag(*images: list[tuple[int, float, list[float]]], classes: int = 3) -> Bag:
    """Each image's boxes: label, score, feature."""
    label = torch.full((len(images), MOST), -1)
    score = torch.zeros(len(images), MOST)
    feature = torch.zeros(len(images), MOST, 2)
    for i, image in enumerate(images):
        for k, (one, sure, vector) in enumerate(image):
            label[i, k], score[i, k], feature[i, k] = one, sure, torch.tensor(vector)
    return Bag(label, score, feature, classes)


def h(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_a_box_like_a_more_uncertain_one_of_its_class_does_not_count():
    found = boxes.enms(
        bag(
            [(0, 0.9, EAST), (0, 0.6, BETWEEN)],  # the second is more uncertain
            [(0, 0.9, EAST), (1, 0.6, BETWEEN)],  # another class
            [(0, 0.9, EAST), (0, 0.6, NORTH)],  # unlike
            [],
        )
    )
    by_hand = [h(0.6), h(0.9) + h(0.6), h(0.9) + h(0.6), 0.0]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-6)


def test_a_suppressed_box_suppresses_nothing():
    """North is unlike east; the one between, that is like both, goes by the first of them."""
    found = boxes.enms(bag([(0, 0.5, EAST), (0, 0.4, BETWEEN), (0, 0.3, NORTH)]))
    assert found.tolist() == pytest.approx([h(0.5) + h(0.3)], rel=1e-6)


def test_of_equally_uncertain_boxes_the_surer_one_counts():
    """Entropies of 0.75 and 0.25 are equal: the first box goes before the second, whose
    suppression of the third then does not take place.
    """
    found = boxes.enms(bag([(0, 0.75, EAST), (0, 0.25, BETWEEN), (0, 0.2, NORTH)]))
    assert found.tolist() == pytest.approx([h(0.75) + h(0.2)], rel=1e-6)


def test_boxes_at_the_floor_do_not_count_and_sure_ones_have_no_entropy():
    found = boxes.enms(bag([(0, 0.05, EAST), (1, 1.0, EAST)], [(0, 0.0501, EAST)]))
    assert found.tolist() == pytest.approx([0.0, h(0.0501)], rel=1e-5)


def test_a_score_that_is_not_a_number_shows():
    broken = bag([(0, math.nan, EAST)])
    assert torch.isnan(boxes.enms(broken)).all()
    assert torch.isnan(boxes.rows_of(broken)).any()
    assert torch.isnan(boxes.prototypes(broken)).any()


def test_prototypes_are_means_weighted_by_entropy():
    found = boxes.prototypes(bag([(0, 0.5, EAST), (0, 0.9, NORTH), (2, 1.0, BETWEEN)], []))
    share = h(0.5) / (h(0.5) + h(0.9))
    by_hand = [[0.9, share, 1 - share], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    assert found.shape == (2, 3, 3)
    np.testing.assert_allclose(found[0], by_hand, rtol=1e-5)
    assert not found[1].any()


def test_a_bag_is_a_row_of_numbers_a_box():
    found = boxes.rows_of(bag([(2, 0.5, EAST)]))
    assert found.tolist() == [[[0.5, 2, 1, 0], *[[0, -1, 0, 0]] * (MOST - 1)]]


def test_canaries_compare_bags_whatever_the_order_of_their_boxes():
    rows = boxes.rows_of(bag([(0, 0.5, EAST), (1, 0.49999, NORTH)])).numpy()
    swapped = rows[:, [1, 0, 2, 3]]
    other = boxes.rows_of(bag([(0, 0.5, EAST), (1, 0.49999, EAST)])).numpy()
    one, two, three = (canary.comparable(values)[0] for values in (rows, swapped, other))
    assert not canary.agree(rows[0], swapped[0], 0.0) and canary.agree(one, two, 0.0)
    assert not canary.agree(one, three, 0.0)
    np.testing.assert_allclose(one, [0.5**2 + 0.49999**2, 0.49999, 0.5, 0.49999], rtol=1e-6)


def test_localisation_by_hand():
    found = boxes.localisation(
        bag(
            [(0, 0.9, EAST), (1, 0.4, EAST), (1, 0.05, EAST)],
            [(0, 1.0, EAST)],
            [],
        ),
        torch.tensor([[0.8, 0.5, 0.9, 0.0], [1.0, 0, 0, 0], [0.0] * 4]),
    )
    by_hand = [0.6 - (0.9 * 0.8 + 0.4 * 0.5) / 1.3, -1.0, -1.0]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-6)
    broken = bag([(0, math.nan, EAST)])
    assert torch.isnan(boxes.localisation(broken, torch.zeros(1, 4))).all()
