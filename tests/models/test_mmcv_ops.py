"""The stand-in for mmcv's compiled operators: NMS against a plain O(N^2) one, all others a
clear error.
"""

from __future__ import annotations

import importlib.util
import math
import sys

import numpy as np
import pytest
import torch

from models.networks import mmcv_ops

mmcv_ops.install()

# imports every operator of mmcv, so after `install`
from mmcv.ops import (  # noqa: E402
    RoIAlign,
    batched_nms,
    deform_conv2d,
    modulated_deform_conv2d,
    nms,
    sigmoid_focal_loss,
    soft_nms,
)
from mmcv.utils import ext_loader  # noqa: E402
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss  # noqa: E402

FOUND = importlib.util.find_spec  # the real one
COMPILED = FOUND("mmcv._ext") is not None
needs_stand_in = pytest.mark.skipif(COMPILED, reason="mmcv has its compiled extension here")


def plain_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, offset: int) -> list[int]:
    """Keep the best box, drop what overlaps it by more than the threshold, and so on.

    Ties by position.
    """
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    kept = []
    while left:
        best, *rest = left
        kept.append(best)
        left = [i for i in rest if iou(boxes[best], boxes[i], offset) <= threshold]
    return kept


def iou(a: np.ndarray, b: np.ndarray, offset: int) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    shared = max(0.0, width) * max(0.0, height)
    area_a, area_b = ((box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b))
    return shared / (area_a + area_b - shared)


def random_boxes(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (size, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 40, (size, 2))], axis=1)
    return boxes, rng.choice([0.1, 0.3, 0.5, 0.9], size)  # four scores only: many ties


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.45, 0.7])
@pytest.mark.parametrize("size", [1, 2, 80])
def test_nms_against_a_plain_one(size, threshold, offset):
    boxes, scores = random_boxes(size, seed=size)
    expected = plain_nms(boxes, scores, threshold, offset)
    found = mmcv_ops._nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold, offset)
    assert found.dtype == torch.int64
    assert found.tolist() == expected
    if size == 80:
        assert 1 < len(expected) < 80, "the case tells nothing where all or none are dropped"


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_of_nothing(offset):
    assert mmcv_ops._nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset).tolist() == []


def test_nms_keeps_a_box_that_overlaps_by_just_the_threshold():
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2]])  # they share 8 of 16
    scores = torch.tensor([0.9, 0.8])
    assert mmcv_ops._nms(boxes, scores, 0.5, 0).tolist() == [0, 1]
    assert mmcv_ops._nms(boxes, scores, 0.499, 0).tolist() == [0]


def test_nms_offset_decides():
    # 4 of 28 (.14) by x2 - x1, 10 of 40 (.25) by x2 - x1 + 1
    boxes = torch.tensor([[0.0, 0, 4, 4], [3, 0, 7, 4]])
    scores = torch.tensor([0.9, 0.8])
    assert mmcv_ops._nms(boxes, scores, 0.2, 0).tolist() == [0, 1]
    assert mmcv_ops._nms(boxes, scores, 0.2, 1).tolist() == [0]


def test_nms_ties_go_to_the_first():
    boxes = torch.tensor([[0.0, 0, 4, 4]] * 3 + [[9, 9, 12, 12]])
    assert mmcv_ops._nms(boxes, torch.full((4,), 0.5), 0.5, 0).tolist() == [0, 3]


def test_nms_takes_half_precision_and_leaves_its_arguments():
    boxes, scores = (
        torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]]).bfloat16(),
        torch.tensor([0.5, 0.9]).bfloat16(),
    )
    before = boxes.clone()
    assert mmcv_ops._nms(boxes, scores, 0.5, 1).tolist() == [1]
    assert torch.equal(boxes, before)


@pytest.mark.parametrize("offset", [0, 1])
def test_mmcvs_own_nms_works_on_it(offset):
    boxes, scores = random_boxes(40, seed=7)
    expected = plain_nms(boxes, scores, 0.4, offset)
    found, kept = nms(
        torch.from_numpy(boxes).float(), torch.from_numpy(scores).float(), 0.4, offset
    )
    assert kept.tolist() == expected
    np.testing.assert_allclose(found.numpy(), np.c_[boxes, scores][expected], rtol=1e-6)


def test_mmcvs_batched_nms_keeps_classes_apart():
    boxes, scores = random_boxes(40, seed=8)
    classes = np.random.default_rng(0).integers(0, 3, 40)
    by_class = [np.flatnonzero(classes == c) for c in range(3)]
    expected = {int(at[i]) for at in by_class for i in plain_nms(boxes[at], scores[at], 0.4, 0)}
    arguments = (
        torch.from_numpy(boxes).float(),
        torch.from_numpy(scores).float(),
        torch.from_numpy(classes),
    )
    _, kept = batched_nms(*arguments, {"type": "nms", "iou_threshold": 0.4})
    assert set(kept.tolist()) == expected and len(kept) == len(expected)
    assert expected != set(plain_nms(boxes, scores, 0.4, 0))


def test_another_operator_says_its_name():
    stand_in = mmcv_ops._load("_ext", ["nms", "roi_align_forward"])
    assert stand_in.nms is mmcv_ops._nms
    with pytest.raises(
        NotImplementedError, match=r"operator `roi_align_forward` needs mmcv's compiled extension"
    ):
        stand_in.roi_align_forward(torch.zeros(1), scale=1.0)


@needs_stand_in
def test_another_operator_says_its_name_when_called_through_mmcv():
    with pytest.raises(NotImplementedError, match="`softnms`"):
        soft_nms(torch.zeros(1, 4), torch.zeros(1))


@needs_stand_in
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("samples", [0, 1, 3])
def test_roi_align_against_bilinear_means(samples, aligned):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 12, 10)
    rois = torch.tensor([[0, 4.0, 4, 20, 28], [1, 0, 8, 16, 24], [1, 8, 8, 30, 40]])
    found = RoIAlign((2, 3), 0.25, samples, aligned=aligned)(maps, rois)
    for row, roi in zip(found, rois, strict=True):
        expected = plain_roi_align(maps[int(roi[0])], roi[1:] * 0.25, (2, 3), samples, aligned)
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


def plain_roi_align(one, box, size, samples, aligned) -> torch.Tensor:
    """Means of bilinear samples in each bin, point by point."""
    left, top, right, bottom = (box - 0.5 if aligned else box).tolist()
    width, height = right - left, bottom - top
    if not aligned:
        width, height = max(width, 1.0), max(height, 1.0)
    across = samples or math.ceil(width / size[1])
    down = samples or math.ceil(height / size[0])
    found = torch.zeros(len(one), *size)
    for i in range(size[0]):
        for j in range(size[1]):
            points = [
                bilinear(
                    one,
                    top + height / size[0] * (i + (a + 0.5) / down),
                    left + width / size[1] * (j + (b + 0.5) / across),
                )
                for a in range(down)
                for b in range(across)
            ]
            found[:, i, j] = torch.stack(points).mean(dim=0)
    return found


def bilinear(one, y: float, x: float) -> torch.Tensor:
    """The map (C, H, W) between four of its cells; 0 beyond one cell outside of it."""
    height, width = one.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(one))
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    v, u = y - y0, x - x0
    above = one[:, y0, x0] * (1 - u) + one[:, y0, x1] * u
    below = one[:, y1, x0] * (1 - u) + one[:, y1, x1] * u
    return above * (1 - v) + below * v


@needs_stand_in
def test_roi_align_of_no_region():
    assert RoIAlign(2)(torch.zeros(1, 3, 4, 4), torch.zeros(0, 5)).shape == (0, 3, 2, 2)


@needs_stand_in
def test_roi_align_by_maxima_is_refused():
    with pytest.raises(NotImplementedError, match="roi_align with pool_mode='max'"):
        RoIAlign(2, pool_mode="max")(torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 3, 3]]))


@needs_stand_in
@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolutions_without_offsets_are_plain_ones(groups):
    torch.manual_seed(0)
    maps, weight = torch.randn(2, 4, 9, 7), torch.randn(6, 4 // groups, 3, 3)
    expected = torch.conv2d(maps, weight, None, 2, 1, 1, groups)
    offset = torch.zeros(2, 2 * 9, *expected.shape[2:])
    found = deform_conv2d(maps, offset, weight, 2, 1, 1, groups)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    bias, half = torch.randn(6), torch.full((2, 9, *expected.shape[2:]), 0.5)
    found = modulated_deform_conv2d(maps, offset, half, weight, bias, 2, 1, 1, groups)
    torch.testing.assert_close(found, expected / 2 + bias.view(1, -1, 1, 1), atol=1e-5, rtol=1e-5)


@needs_stand_in
def test_an_offset_is_y_before_x():
    maps = torch.arange(20.0).reshape(1, 1, 4, 5)
    offset = torch.zeros(1, 2, 4, 5)
    offset[:, 0] = 1  # one row below, of a kernel of one cell
    found = deform_conv2d(maps, offset, torch.ones(1, 1, 1, 1))
    assert torch.equal(found[0, 0, :3], maps[0, 0, 1:]) and not found[0, 0, 3].any()


@needs_stand_in
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_focal_loss_against_mmdets_python(reduction):
    torch.manual_seed(0)
    logits = torch.randn(50, 3, requires_grad=True)
    labels = torch.arange(50) % 4  # 3 is background
    found = sigmoid_focal_loss(logits, labels, 1.5, 0.3, None, reduction)
    hot = torch.eye(4)[labels][:, :3]
    plain = py_sigmoid_focal_loss(logits, hot, None, 1.5, 0.3, "none")
    expected = {"none": plain, "mean": plain.sum() / 50, "sum": plain.sum()}[reduction]
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(one.sum(), logits)[0] for one in (found, expected)]
    torch.testing.assert_close(*gradients)


@needs_stand_in
def test_focal_loss_with_weights_of_classes_is_refused():
    with pytest.raises(NotImplementedError, match="weights of classes"):
        sigmoid_focal_loss(torch.zeros(1, 2), torch.zeros(1).long(), 2.0, 0.25, torch.ones(2))


@needs_stand_in
def test_attention_on_gpus_takes_the_way_of_cpus():
    torch.manual_seed(0)
    module = sys.modules["mmcv.ops.multi_scale_deform_attn"]
    shapes = torch.tensor([[4, 4], [2, 2]])
    value, locations = torch.randn(1, 20, 2, 4), torch.rand(1, 3, 2, 2, 5, 2)
    weights = torch.rand(1, 3, 2, 2, 5).softmax(dim=-1)
    starts = torch.tensor([0, 16])
    found = module.MultiScaleDeformableAttnFunction.apply(
        value, shapes, starts, locations, weights, 64
    )
    expected = module.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    assert found.shape == (1, 3, 8) and torch.equal(found, expected)


def pretend(monkeypatch, **specs) -> None:
    """Let packages be found or not; `_ext` is mmcv's extension."""
    names = {"mmcv": "mmcv", "mmcv._ext": "ext"}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: specs[names[name]] if names[name] in specs else FOUND(name),
    )


def test_install_steps_aside_where_mmcv_has_its_extension(monkeypatch):
    own = object()
    monkeypatch.setattr(ext_loader, "load_ext", own)
    pretend(monkeypatch, ext=object())
    mmcv_ops.install()
    assert ext_loader.load_ext is own


def test_install_where_mmcv_has_none(monkeypatch):
    monkeypatch.setattr(ext_loader, "load_ext", object())
    pretend(monkeypatch, ext=None)
    mmcv_ops.install()
    assert ext_loader.load_ext is mmcv_ops._load


def test_install_without_mmcv(monkeypatch):
    pretend(monkeypatch, mmcv=None)
    with pytest.raises(
        ImportError, match=r"`mmcv-lite` or `mmcv`; install this project with `pip install -e \.`"
    ):
        mmcv_ops.install()
