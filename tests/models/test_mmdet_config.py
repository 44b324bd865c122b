"""mmdet's configs: found by name, read, fitted to classes, and refused without boxes."""

from __future__ import annotations

import hashlib

import pytest
import torch
from mmengine.runner import checkpoint

from models.networks import mmdet_config, mmdet_detector, weights
from models.networks.mmdet_config import DetectorError, blueprint, of_classes, parts
from models.process.seeding import seeded

RETINANET = "retinanet/retinanet_r18_fpn_1x_coco.py"
YOLOX = "yolox/yolox_tiny_8xb8-300e_coco.py"


@pytest.mark.parametrize(
    "name, size, keep_ratio, pad",
    [
        (RETINANET, (1333, 800), True, (104, 116, 124)),  # the mean of ImageNet, rounded, BGR
        (YOLOX, (416, 416), True, (114, 114, 114)),
        ("ssd/ssd300_coco.py", (300, 300), False, (104, 116, 124)),
        ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", (1333, 800), True, (103, 116, 123)),
    ],
)
def test_size_and_normalisation_are_the_configs(name, size, keep_ratio, pad):
    found = blueprint(name)
    assert (found.size, found.keep_ratio, found.pad) == (size, keep_ratio, pad)


def test_a_size_that_is_written_height_first_is_read_as_mmcv_reads_it(tmp_path):
    """mmcv takes the larger number for the longer side, whatever the order."""
    (tmp_path / "own.py").write_text(
        'model = dict(type="RetinaNet", bbox_head=dict(type="RetinaHead"))\n'
        'test_pipeline = [dict(type="Resize", scale=(800, 1333), keep_ratio=True)]\n'
    )
    assert blueprint(str(tmp_path / "own.py")).size == (1333, 800)


def test_the_whole_detectors_weights_are_those_of_the_table_beside_the_config():
    assert blueprint(RETINANET).checkpoint.endswith(
        "/retinanet_r18_fpn_1x_coco_20220407_171055-614fd399.pth"
    )


def test_a_model_as_a_dict():
    model = blueprint(RETINANET).model
    found = blueprint(dict(model))
    assert (found.name, found.size, found.checkpoint) == ("RetinaNet", None, None)
    assert found.model == model


@pytest.mark.parametrize(
    "name, reason",
    [
        ("retinanet/retinanet_r19_fpn_1x_coco.py", "did you mean 'retinanet_r18_fpn_1x_coco.py'"),
        ("retina.py", r"those of mmdet are in .*configs"),
        ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", "learns masks"),
        ("solo/solo_r50_fpn_1x_coco.py", "learns masks"),
        ("fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py", "needs proposals that another network made"),
        ("ld/ld_r18-gflv1-r101_fpn_1x_coco.py", "its `teacher_config`"),
        ("rpn/rpn_r50_fpn_1x_coco.py", "no head that predicts boxes"),
    ],
)
def test_what_is_no_detector_of_boxes_is_refused(name, reason):
    with pytest.raises(DetectorError, match=reason):
        blueprint(name)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("model = 1 / 0", "cannot be read .ZeroDivisionError"),
        ("x = 1", r"`model = dict\(type=...\)`, but .* has none"),
        ("model = dict(backbone=1)", r"`model = dict\(type=...\)`, but .* has none"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, text, reason):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(DetectorError, match=reason):
        blueprint(str(tmp_path / "own.py"))


@pytest.mark.parametrize("name", [RETINANET, "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"])
def test_the_heads_classes_are_the_tasks(name):
    plan = blueprint(name)
    heads = [part for key in mmdet_config.BOX_HEADS for part in parts(plan.model.get(key))]
    own = [part["num_classes"] for part in heads if "num_classes" in part]
    assert own and set(own) == {80}
    model = of_classes(plan.model, 3)
    heads = [part for key in mmdet_config.BOX_HEADS for part in parts(model.get(key))]
    assert [part["num_classes"] for part in heads if "num_classes" in part] == [3] * len(own)
    assert plan == blueprint(name), "the plan is left as it is"


# weights


def test_without_weights_nothing_is_frozen():
    plan = blueprint(RETINANET)
    with seeded(0):
        found = mmdet_detector.build(plan, 3)
    assert all(parameter.requires_grad for parameter in found.parameters())
    found.train()
    assert all(module.training for module in found.modules())


def test_weights_of_the_backbone_are_those_that_the_config_names(tmp_path, monkeypatch):
    plan = blueprint(RETINANET)
    with seeded(1):
        other = mmdet_detector.build(plan, 3)
    state = {k: v + 1 for k, v in other.backbone.state_dict().items()}
    file = tmp_path / "resnet18.pth"
    torch.save(state, file)
    asked = []
    monkeypatch.setattr(weights, "locate", lambda source: asked.append(source) or file)
    with seeded(0):
        found = mmdet_detector.build(plan, 3, "backbone")
    assert asked == ["torchvision://resnet18"]
    assert all(torch.equal(state[k], v) for k, v in found.backbone.state_dict().items())
    frozen = [n for n, p in found.named_parameters() if not p.requires_grad]
    assert frozen and all(name.startswith("backbone.") for name in frozen), "as the config says"


def test_a_config_without_weights_for_its_backbone(tmp_path):
    faults, notes = mmdet_detector.weight_findings(blueprint(YOLOX), 3, "backbone")
    assert notes == [] and len(faults) == 1
    assert (
        "names weights of ImageNet, but yolox" in faults[0] and "task.pretrained=None" in faults[0]
    )


def test_weights_of_the_whole_detector_of_other_classes(tmp_path):
    plan = blueprint(YOLOX)
    with seeded(1):
        whole = mmdet_detector.build(plan, 80).state_dict()
    digest = hashlib.sha256(b"").hexdigest()[:8]
    file = tmp_path / f"yolox-{digest}.pth"
    torch.save({"meta": {}, "state_dict": whole}, file)
    faults, notes = mmdet_detector.weight_findings(plan, 3, str(file))
    assert faults == [] and len(notes) == 1
    assert "6 of " in notes[0] and "bbox_head.multi_level_conv_cls.0.weight" in notes[0]
    with seeded(0):
        found = mmdet_detector.build(plan, 3, str(file)).state_dict()
    equal = [name for name, value in found.items() if torch.equal(value, whole[name])]
    other = set(found) - set(equal)
    assert {name.split(".")[1] for name in other} == {"multi_level_conv_cls"}


def test_weights_of_another_detector(tmp_path):
    with seeded(1):
        torch.save(mmdet_detector.build(blueprint(RETINANET), 3).state_dict(), tmp_path / "r.pth")
    faults, _ = mmdet_detector.weight_findings(blueprint(YOLOX), 3, str(tmp_path / "r.pth"))
    assert len(faults) == 1 and "Expected weights of this detector" in faults[0]


def test_weights_that_cannot_be_reached_say_three_ways_out(monkeypatch):
    zoo = {"resnet18": "http://127.0.0.1:9/resnet18.pth"}
    monkeypatch.setattr(checkpoint, "get_torchvision_models", lambda: zoo)
    faults, _ = mmdet_detector.weight_findings(blueprint(RETINANET), 3, "backbone")
    assert len(faults) == 1 and "Could not download http://127.0.0.1:9/resnet18.pth" in faults[0]
    assert "task.pretrained=/path/to/weights.pth" in faults[0]
    assert "task.pretrained=None" in faults[0]
