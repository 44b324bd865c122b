"""The stand-in for mmcv's compiled operators: NMS against a plain O(N^2) one, all others a
clear error.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from models.networks import mmcv_ops

mmcv_ops.install()

from mmcv.ops import RoIAlign, batched_nms, nms  # noqa: E402  # imports every operator of mmcv, so after `install`
from mmcv.utils import ext_loader  # noqa: E402

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
    with pytest.raises(NotImplementedError, match="`roi_align_forward`"):
        RoIAlign(2)(torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 3, 3]]))


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
