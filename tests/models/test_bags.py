"""Bags of predicted boxes: features by hand computation, qualities, and what fills up."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import InstanceData

from models.networks.bags import bag_of, noisy, quality_of, stability_of

from mmdet.structures import DetDataSample  # isort: skip


def found(*boxes: tuple[list[float], int, float]) -> InstanceData:
    """Boxes with labels and scores."""
    corners = torch.tensor([b[0] for b in boxes]).reshape(-1, 4)
    return InstanceData(
        bboxes=corners,
        labels=torch.tensor([b[1] for b in boxes], dtype=torch.long),
        scores=torch.tensor([b[2] for b in boxes]),
    )


def test_a_feature_is_the_mean_of_the_map_under_the_box():
    ramp = torch.arange(8.0).expand(8, 8)  # the place of a cell
    tap = torch.stack([ramp, torch.ones(8, 8)])[None].repeat(2, 1, 1, 1)
    images = [found(([0, 0, 16, 16], 1, 0.5), ([16, 8, 48, 56], 0, 0.9)), found()]
    bag = bag_of(images, tap, 64, 2, most=3)  # a cell is 8 pixels wide
    assert bag.label.tolist() == [[0, 1, -1], [-1] * 3] and bag.label.dtype == torch.int64
    assert bag.score.tolist() == [[pytest.approx(0.9), 0.5, 0.0], [0.0] * 3]
    # cells 2 to 5 and 0 to 1 of the ramp
    torch.testing.assert_close(bag.feature[0], torch.tensor([[3.5, 1], [0.5, 1], [0, 0]]))
    assert not bag.feature[1].any() and bag.classes == 2


def test_the_surest_boxes_are_kept():
    boxes = found(*[([0, 0, 8, 8], 0, score) for score in (0.2, 0.9, 0.4)])
    bag = bag_of([boxes], torch.ones(1, 1, 4, 4), 32, 1, most=2)
    assert bag.score.tolist() == [[pytest.approx(0.9), pytest.approx(0.4)]]


def test_the_quality_of_a_class_is_that_of_the_best_box_of_it():
    truth = [
        InstanceData(
            bboxes=torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [40, 40, 50, 50]]),
            labels=torch.tensor([0, 1, 0]),
        ),
        InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)),
        InstanceData(bboxes=torch.tensor([[0.0, 0, 10, 10]]), labels=torch.tensor([1])),
    ]
    predicted = [
        found(([0, 0, 10, 5], 0, 0.8), ([0, 0, 10, 10], 0, 0.2), ([0, 0, 10, 10], 2, 0.9)),
        found(([0, 0, 10, 10], 0, 0.9)),
        found(),
    ]
    quality = quality_of(predicted, truth, 3)
    best = 0.8**0.6 * 0.5**0.4  # 0.663, against 0.2^0.6 = 0.381
    torch.testing.assert_close(
        quality,
        torch.tensor([[[best, 2], [0, 1], [0, 0]], [[0.0, 0]] * 3, [[0, 0], [0, 1], [0, 0]]]),
    )


def test_stability_is_the_mean_overlap_with_the_nearest_box():
    boxes = [found(([0, 0, 10, 10], 0, 0.3), ([20, 20, 30, 30], 1, 0.9)), found()]
    first = [found(([0, 0, 10, 5], 1, 0.9), ([20, 20, 30, 30], 1, 0.9)), found()]
    second = [found(), found(([0, 0, 10, 10], 0, 0.3))]
    stability = stability_of(boxes, [first, second], most=3)
    # in the bag's order, the surest first; the class does not matter
    torch.testing.assert_close(stability, torch.tensor([[0.5, 0.25, 0], [0, 0, 0]]))


def test_noise_is_the_same_for_images_of_a_size_and_ends_where_the_image_does():
    def sample(height: int, width: int) -> DetDataSample:
        return DetDataSample(metainfo=dict(img_shape=(height, width)))

    images = torch.ones(2, 3, 40, 50)
    std = torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1)
    both = noisy(images, [sample(40, 50), sample(30, 40)], 8, std)
    alone = noisy(images[1:, :, :30, :40], [sample(30, 40)], 8, std)
    assert torch.equal(both[1, :, :30, :40], alone[0])
    assert (both[1, :, 30:] == 1).all() and (both[1, :, :, 40:] == 1).all()
    torch.testing.assert_close(
        (both[0] - 1).std(dim=(1, 2)), 8 / std.flatten(), rtol=0.05, atol=0.0
    )
    other = noisy(images, [sample(40, 50), sample(30, 40)], 16, std)
    assert not torch.allclose((other[0] - 1) / 2, both[0] - 1, atol=0.1)
