"""Detectors of mmdet as networks of the detection task: settings, input, contract, training."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from models.networks.mmdet_config import blueprint
from models.process.seeding import seeded
from tasks.base import no_committee
from tasks.detection import Detection
from tasks.detection.counted import counted
from tasks.detection.networks import SSDNetwork, network_of
from tasks.detection.pipelines import META, Canvas, FitInside
from tests import contract, devkit
from tests.devkit import detection
from tests.toy import model_of

from mmdet.structures.bbox import HorizontalBoxes  # isort: skip  # after the tasks

RETINANET = "retinanet/retinanet_r18_fpn_1x_coco.py"


def thin(**changes) -> dict:
    """RetinaNet with 16 channels and one convolution in its head."""
    model = copy.deepcopy(dict(blueprint(RETINANET).model))
    model["neck"].update(out_channels=16)
    model["bbox_head"].update(in_channels=16, feat_channels=16, stacked_convs=1)
    return dict(type="mmdet", config=model, size=(64, 48)) | changes


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    return devkit.make_voc(tmp_path_factory.mktemp("voc"))


def task_of(root: Path, **changes) -> Detection:
    return detection(root, network=thin(**changes))


@pytest.mark.slow
@pytest.mark.parametrize("train_on", ["batch", "images"])
def test_a_detector_of_mmdet_keeps_the_contract(voc, train_on):
    task = task_of(voc, train_on=train_on)
    boxes = {"counts", "bag", "quality", "stability"}
    assert task.fields == {"loss", "probs"} | boxes | (
        {"objective"} if train_on == "batch" else set()
    )
    contract.check_all(task)
    assert contract.evaluated(task).keys() >= {"mAP", "AP/cat"}


# settings


@pytest.mark.parametrize(
    "given, reason",
    [
        ("ssd300", "network: 'ssd300' is unknown; did you mean 'ssd300_vgg16'.*mmdet"),
        (dict(type="mmdat", config=RETINANET), "network.type: expected 'mmdet', but got 'mmdat'"),
        (dict(type="mmdet"), "network.config: missing, such as"),
        (
            dict(type="mmdet", config=RETINANET, sizes=1),
            "network.sizes: unknown; did you mean 'size'",
        ),
        (dict(type="mmdet", config=RETINANET, size=(8, 64)), "network.size: .*32, but got 8"),
        (dict(type="mmdet", config=RETINANET, size=64), "network.size: .*, but got 64"),
        (
            dict(type="mmdet", config=RETINANET, train_on="all"),
            "network.train_on: .*'batch' or 'images'",
        ),
        (
            dict(type="mmdet", config=RETINANET, empty_loss=0),
            "network.empty_loss: .*'own' or 'zero'",
        ),
        (dict(type="mmdet", config="nothing.py"), "network.config: expected a config of mmdet"),
        (dict(type="mmdet", config=3), "network.config: "),
    ],
)
def test_wrong_settings_are_refused_where_they_stand(given, reason):
    with pytest.raises(ValueError, match=reason):
        network_of(given, 3, None)


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(ValueError) as error:
        network_of(dict(type="mmdet", sizes=1, train_on="all"), 3, None)
    assert all(
        f"network.{name}" in str(error.value) for name in ("sizes", "train_on", "config: missing")
    )


def test_a_model_that_does_not_say_its_size_needs_one():
    with pytest.raises(ValueError, match=r"RetinaNet does not say .*; set network.size="):
        network_of({k: v for k, v in thin().items() if k != "size"}, 3, None)


def test_the_configs_own_size():
    network = network_of(dict(type="mmdet", config=RETINANET), 3, None)
    assert network.canvas == Canvas(1333, 800, True, (104, 116, 124))
    assert network.most == 100


def test_backbone_means_vgg_for_ssd():
    found = SSDNetwork("ssd300_vgg16", 3, "backbone", "mean")
    assert found.pretrained == "open-mmlab://vgg16_caffe"


def test_an_operator_that_is_missing_is_a_fault_before_any_training(voc):
    network = thin()
    network["config"]["test_cfg"].update(nms=dict(type="soft_nms", iou_threshold=0.5), score_thr=0)
    faults = detection(voc, network=network).check()
    assert len(faults) == 1
    assert faults[0].startswith("task.network: RetinaNet (RetinaNet) cannot be trained here")
    assert "`softnms`" in faults[0]


def test_committees_are_refused_with_the_reason(voc):
    assert "two passes predict different boxes" in no_committee(task_of(voc))
    assert no_committee(detection(voc)) == ""


# input


@pytest.mark.parametrize(
    "shape, scale", [((40, 80), 0.8), ((100, 50), 0.48), ((48, 64), 1.0), ((1, 400), 0.16)]
)
def test_an_image_is_fitted_into_its_canvas(shape, scale):
    height, width = shape
    image = np.full((*shape, 3), 200, np.uint8)
    box = np.array([[0.1 * width, 0.2 * height, 0.9 * width, height]], np.float32)
    given = dict(
        img=image, img_shape=shape, ori_shape=shape, gt_bboxes=HorizontalBoxes(torch.tensor(box))
    )
    found = FitInside(Canvas(64, 48, True, (1, 2, 3))).transform(given)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    assert found["img"].shape == (48, 64, 3) and found["img_shape"] == size
    assert (found["img"][: size[0], : size[1]] == 200).all()
    assert (found["img"][size[0] :] == [1, 2, 3]).all()
    assert (found["img"][:, size[1] :] == [1, 2, 3]).all()
    factor = np.array([size[1] / width, size[0] / height])
    assert found["scale_factor"] == pytest.approx(factor)
    expected = box * np.tile(factor, 2)
    np.testing.assert_allclose(found["gt_bboxes"].tensor.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("preset", ["ssd", "mmdet", "flip"])
def test_every_augmentation_ends_in_the_canvas(voc, preset):
    task = detection(voc, network=thin(), augmentation=preset)
    with seeded(0):
        shapes = {tuple(task.dataset("train")[i]["inputs"].shape) for i in range(4)}
    assert shapes == {(3, 48, 64)}


def test_boxes_are_predicted_in_the_pixels_of_the_file(voc):
    """A network that finds the truth in its input's pixels is right in the file's."""
    task = task_of(voc)
    sample = task.dataset("test")[0]
    truth = sample["data_samples"].gt_instances.bboxes
    factor = torch.tensor(sample["data_samples"].metainfo["scale_factor"]).repeat(2)
    own = torch.tensor(
        [i["bbox"] for i in sample["data_samples"].instances if not i["ignore_flag"]]
    )
    corners = truth.tensor if isinstance(truth, HorizontalBoxes) else truth
    torch.testing.assert_close(corners / factor, own.float(), atol=1e-3, rtol=1e-3)
    assert META[-1] == "scale_factor"


# training


def a_batch(task: Detection) -> dict:
    with seeded(0):
        return task.collate([task.dataset("train")[i] for i in range(4)])


def test_training_minimises_mmdets_loss_and_the_module_learns_the_images(voc):
    task = task_of(voc)
    with seeded(3):
        network = task.build().train()
    want = frozenset({"loss", "objective"})
    output = task.forward(network, a_batch(task), want)
    assert output.objective.requires_grad and not output.loss.requires_grad
    data = network.data_preprocessor(a_batch(task))
    expected = network.loss(data["inputs"], data["data_samples"])
    total = sum(sum(one.mean() for one in value) for value in expected.values())
    torch.testing.assert_close(output.objective, total)


def test_training_on_images_has_their_mean_and_a_graph(voc):
    task = task_of(voc, train_on="images")
    with seeded(3):
        network = task.build().train()
    output = task.forward(network, a_batch(task), frozenset({"loss"}))
    assert output.loss.requires_grad and output.objective is None


def test_without_a_module_the_images_losses_are_not_asked_for(voc, monkeypatch):
    task, asked = task_of(voc), []
    forward = task.forward
    monkeypatch.setattr(
        task,
        "forward",
        lambda network, batch, want: asked.append(want) or forward(network, batch, want),
    )
    for mode in ("off", "joint"):
        model = model_of(task, mode=mode)
        losses = model(mode="loss", **a_batch(task))
        assert losses.keys() == {"loss_task"} | ({"loss_rank"} if mode == "joint" else set())
    assert asked == [frozenset({"objective"}), frozenset({"objective", "loss"})]


@pytest.mark.parametrize("empty", ["own", "zero"])
def test_what_an_image_without_boxes_loses_is_a_setting(voc, empty):
    task = task_of(voc, empty_loss=empty)
    bare = next(i for i in range(len(task.dataset("pool"))) if not task.effort(i))
    with seeded(0):
        network = task.build().eval()
    batch = task.collate([task.dataset("pool")[bare]])
    with torch.no_grad():
        loss = task.forward(network, batch, frozenset({"loss"})).loss
    assert (loss.item() > 0) is (empty == "own")


def test_boxes_of_a_score_of_at_least_three_tenths_are_counted_by_class():
    boxes = InstanceData(
        labels=torch.tensor([2, 0, 2, 1]), scores=torch.tensor([0.9, 0.3, 0.31, 0.29])
    )
    nothing = InstanceData(labels=torch.zeros(0, dtype=torch.int64), scores=torch.zeros(0))
    found = counted([boxes, nothing], 4)
    assert found.tolist() == [[1, 0, 2, 0], [0, 0, 0, 0]] and found.dtype == torch.float32
