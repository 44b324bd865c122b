"""The bags of detection: what evaluation gets, whatever the detector and the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.process.seeding import seeded
from tasks.detection import Detection
from tests import contract, devkit
from tests.tasks.test_detection_networks import task_of

FOUND = frozenset({"bag", "quality", "stability"})


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    return devkit.make_voc(tmp_path_factory.mktemp("data") / "VOCdevkit")


def ssd(root: Path) -> tuple[Detection, torch.nn.Module]:
    task = devkit.detection(root)
    with seeded(1):
        return task, task.build().eval()


def retina(root: Path) -> tuple[Detection, torch.nn.Module]:
    """A detector of mmdet whose random scores are low, so that its threshold must be."""
    task = task_of(root)
    with seeded(1):
        network = task.build().eval()
    head = network.bbox_head
    head.test_cfg = head.test_cfg.copy()
    head.test_cfg["score_thr"] = 0.0
    return task, network


@pytest.mark.parametrize("make", [ssd, retina])
def test_a_bag_has_the_surest_boxes_of_evaluation(voc, make):
    task, network = make(voc)
    with torch.no_grad():
        output = task.forward(network, contract.a_batch(task, "test", [0, 1]), FOUND)
        found = task.predict(network, contract.a_batch(task, "test", [0, 1]))
    for i, judged in enumerate(found):
        boxes = judged.pred_instances
        count = min(len(boxes.scores), 100)
        assert count > 5
        torch.testing.assert_close(output.bag.score[i, :count], boxes.scores[:count])
        assert not output.bag.score[i, count:].any() and (output.bag.label[i, count:] == -1).all()
        same = output.bag.label[i, :count] == boxes.labels[:count]
        assert same.float().mean() > 0.9  # but for boxes that are as sure as each other
        assert output.bag.feature[i, :count].abs().sum(dim=1).gt(0).any()
        stable = output.stability[i, :count]
        assert stable.max() <= 1 + 1e-5 and stable.min() >= 0 and stable.max() > 0


@pytest.mark.parametrize("make", [ssd, retina])
def test_a_bag_does_not_depend_on_the_batch(voc, make):
    task, network = make(voc)
    with torch.no_grad():
        both = task.forward(network, contract.a_batch(task, "pool", [0, 1]), FOUND)
        alone = task.forward(network, contract.a_batch(task, "pool", [1]), FOUND)
    torch.testing.assert_close(both.bag.score[1:], alone.bag.score, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.quality[1:], alone.quality, rtol=1e-3, atol=1e-4)
    assert both.quality[0, :, 1].sum() > 0


def test_quality_counts_the_annotated_boxes(voc):
    """Difficult ones are not trained on, and not counted."""
    task, network = ssd(voc)
    batch = contract.a_batch(task, "pool", [0, 1, 2, 3])
    with torch.no_grad():
        quality = task.forward(network, batch, frozenset({"quality"})).quality
    by_hand = [len(sample.gt_instances) for sample in batch["data_samples"]]
    assert quality[..., 1].sum(dim=1).tolist() == by_hand and sum(by_hand) > 0
    assert (quality[..., 0] <= quality[..., 1]).all()
