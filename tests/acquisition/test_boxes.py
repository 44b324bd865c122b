"""What boxes say of their image: entropy with suppression, and prototypes, by hand computation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

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


# hierarchical aggregation


def placed(*images: list[tuple[int, float, list[float]]]) -> Bag:
    """Each image's boxes: label, score, corners."""
    found = bag(*([(one, sure, EAST) for one, sure, _ in image] for image in images))
    corners = torch.zeros(len(images), MOST, 4)
    for i, image in enumerate(images):
        for k, (_, _, box) in enumerate(image):
            corners[i, k] = torch.tensor(box)
    return replace(found, box=corners)


def gathered(image: list[tuple[int, float, list[float]]]) -> float:
    """The aggregation in loops, overlaps by torchvision."""
    boxes_of = [(label, h(score), box) for label, score, box in image if score > 0.3]
    total = 0.0
    for *_, place in boxes_of:
        levels: dict = {}
        for label, unsure, box in boxes_of:
            if box is place or box_iou(torch.tensor([place]), torch.tensor([box])).item() > 0.5:
                side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
                level = levels.setdefault(math.floor(math.log2(side)), {})
                level.setdefault(label, []).append(unsure)
        total += max(sum(map(np.mean, level.values())) for level in levels.values())
    return total


HERE, NEARLY, AWAY = [0.0, 0.0, 20.0, 20.0], [1.0, 0.0, 21.0, 20.0], [50.0, 50.0, 90.0, 90.0]
SMALLER = [0.0, 0.0, 15.9, 15.9]  # of another; overlap .63


def test_hua_by_hand():
    images = [
        [(0, 0.6, HERE), (1, 0.7, NEARLY)],  # two objects, each with both classes
        [(0, 0.6, HERE), (0, 0.7, NEARLY)],  # of one class: the mean, twice
        [(0, 0.6, HERE), (1, 0.9, SMALLER)],  # of two levels: the larger one, twice
        [(0, 0.6, HERE), (1, 0.3, NEARLY), (1, 0.8, AWAY)],  # the second does not count
    ]
    by_hand = [2 * (h(0.6) + h(0.7)), h(0.6) + h(0.7), 2 * h(0.6), h(0.6) + h(0.8)]
    assert boxes.hua(placed(*images)).tolist() == pytest.approx(by_hand, rel=1e-5)
    assert [gathered(image) for image in images] == pytest.approx(by_hand, rel=1e-9)


def test_hua_against_loops():
    rng = np.random.default_rng(0)
    images = []
    for _ in range(40):
        image = []
        for _ in range(rng.integers(0, MOST + 1)):
            left, top = rng.uniform(0, 8, 2)
            width, height = rng.uniform(10, 30, 2)
            corners = [left, top, left + width, top + height]
            image.append((int(rng.integers(3)), float(rng.uniform(0.1, 1)), corners))
        images.append(image)
    expected = [gathered(image) for image in images]
    found = boxes.hua(placed(*images))
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert max(expected) > 3 and 0.0 in expected
    alone = torch.cat([boxes.hua(placed(image)) for image in images])
    assert torch.equal(alone, found)


def test_hua_of_odd_boxes():
    flat = [5.0, 5.0, 5.0, 9.0]
    assert boxes.hua(placed([(0, 0.6, flat)])).tolist() == [pytest.approx(h(0.6), rel=1e-5)]
    assert boxes.hua(placed([], [(0, 1.0, HERE)])).tolist() == [0.0, 0.0]
    assert boxes.hua(placed([(0, math.nan, HERE)])).isnan().all()
    with pytest.raises(ValueError, match="a bag with the corners of its boxes"):
        boxes.hua(bag([(0, 0.5, EAST)]))


def test_hua_counts_one_box_of_a_class_and_size_in_a_group():
    """Three boxes of one object: two of a class are averaged, the third's class is added."""
    image = [(0, 0.6, HERE), (0, 0.8, HERE), (2, 0.5, HERE)]
    expected = 3 * ((h(0.6) + h(0.8)) / 2 + h(0.5))
    assert boxes.hua(placed(image)).tolist() == [pytest.approx(expected, rel=1e-5)]
