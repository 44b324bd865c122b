"""What follows a detector's maps, against mmdet's own functions on batches and on lone images."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from models.networks import mmdet_detector
from models.networks.mmdet_config import Blueprint, DetectorError, blueprint, parts
from models.networks.mmdet_heads import Heads, rows_correspond
from models.process.seeding import seeded

from mmdet.structures import DetDataSample  # isort: skip  # after models.networks
from mmdet.utils import dist_utils  # isort: skip

CLASSES = 3
SIDE = 128
WARM = 3  # batches
DENSE = [
    "retinanet/retinanet_r18_fpn_1x_coco.py",
    "yolox/yolox_tiny_8xb8-300e_coco.py",
    "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    "yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py",
]
TWO_STAGES = "faster_rcnn/faster-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py"
SLOW = [
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "tood/tood_r50_fpn_1x_coco.py",
    "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "detr/detr_r50_8xb2-150e_coco.py",
    "dino/dino-4scale_r50_8xb2-12e_coco.py",
]
TWO = pytest.param(TWO_STAGES, marks=pytest.mark.slow)
ALL = [*DENSE, TWO, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
LARGE = {"ssd": 320}  # its maps end early


def side_of(name: str) -> int:
    return LARGE.get(name.split("/")[0], SIDE)


def plan_of(name: str) -> Blueprint:
    """The config with few proposals, queries and layers, so that tests take seconds."""
    plan = blueprint(name)
    for part in parts(plan.model):
        if part.get("type") == "RandomSampler":
            part["num"] = 32
        if "nms_pre" in part and "max_per_img" in part and "score_thr" not in part:
            part.update(nms_pre=100, max_per_img=40)
    if "num_queries" in plan.model:
        plan.model.update(num_queries=20, test_cfg=dict(max_per_img=15))
        plan.model["encoder"]["num_layers"] = 1
        plan.model["decoder"]["num_layers"] = 2
    return plan


def sample(number: int, side: int, boxes: list) -> DetDataSample:
    shape = (side, side)
    made = DetDataSample(
        metainfo=dict(
            img_id=number, ori_shape=shape, img_shape=shape, pad_shape=shape,
            batch_input_shape=shape, scale_factor=(1.0, 1.0),
        )
    )  # fmt: skip
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    made.gt_instances = InstanceData(bboxes=corners, labels=torch.arange(len(corners)) % CLASSES)
    made.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
    )
    return made


def samples_of(side: int) -> list[DetDataSample]:
    """One box, two, none, and two that overlap."""
    unit = side / 16
    boxes = [
        [[unit, 2 * unit, 8 * unit, 9 * unit]],
        [[2 * unit, unit, 12 * unit, 14 * unit], [unit, 8 * unit, 5 * unit, 15 * unit]],
        [],
        [[4 * unit, 4 * unit, 12 * unit, 12 * unit], [5 * unit, 5 * unit, 13 * unit, 13 * unit]],
    ]
    return [sample(i, side, one) for i, one in enumerate(boxes)]


@pytest.fixture(scope="module")
def made() -> dict:
    """The newest detector by the name of its config; tests of one detector follow each other."""
    return {}


def detector_of(made: dict, name: str):
    if name not in made:
        made.clear()
        with seeded(0):
            detector = mmdet_detector.build(plan_of(name), CLASSES).train()
            side = side_of(name)
            with torch.no_grad():
                for _ in range(WARM):  # batch norms that know nothing make all maps alike
                    images = torch.randn(4, 3, side, side)
                    Heads(
                        detector, mmdet_detector.features(detector, images), samples_of(side)
                    ).batch_loss()
        made[name] = detector.eval()
    return made[name]


def heads_of(detector, name: str, ids=(0, 1, 2, 3)) -> Heads:
    side = side_of(name)
    with seeded(1):
        images = torch.randn(4, 3, side, side)
    chosen = [copy.deepcopy(samples_of(side)[i]) for i in ids]
    return Heads(detector, mmdet_detector.features(detector, images[list(ids)]), chosen)


def total(losses: dict) -> torch.Tensor:
    return sum(
        sum(one.mean() for one in value) if isinstance(value, list) else value.mean()
        for name, value in losses.items()
        if "loss" in name
    )


@pytest.mark.parametrize("name", ALL, scope="module")
def test_an_image_loses_the_same_in_a_batch_and_alone(made, name):
    detector = detector_of(made, name)
    with torch.no_grad():
        together = heads_of(detector, name).image_losses()
        alone = [heads_of(detector, name, [i]).image_losses() for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert together.shape == (4,) and together.isfinite().all()
    assert len(set(together[[0, 1, 3]].tolist())) == 3
    torch.testing.assert_close(
        together.flip(0),
        heads_of(detector, name, [3, 2, 1, 0]).image_losses().detach(),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("name", ALL, scope="module")
def test_a_batch_loses_what_mmdet_says(made, name):
    """In training, batch norms and random samplers included."""
    detector = copy.deepcopy(detector_of(made, name)).train()
    side = side_of(name)
    with seeded(1):
        images = torch.randn(4, 3, side, side)
    noted = copy.deepcopy(detector.state_dict())
    with torch.no_grad():
        with seeded(2):
            found = Heads(
                detector, mmdet_detector.features(detector, images), samples_of(side)
            ).batch_loss()
        detector.load_state_dict(noted)
        with seeded(2):
            hub_less = detector.loss(images, samples_of(side)) if "tood" not in name else None
    if hub_less is not None:
        torch.testing.assert_close(found, total(hub_less), rtol=1e-5, atol=1e-5)
    assert found.dim() == 0 and found.isfinite()


@pytest.mark.parametrize("name", ["retinanet/retinanet_r18_fpn_1x_coco.py", TWO])
def test_for_a_lone_image_it_is_mmdets_loss(made, name):
    """Evaluation mode, so that mmdet's own function runs on the same numbers."""
    detector = detector_of(made, name)
    heads = heads_of(detector, name, [1])
    with torch.no_grad(), seeded(5):
        found = heads.image_losses()
        batch = heads.batch_loss()
    if name != TWO_STAGES:  # whose samplers draw from the image's own stream
        torch.testing.assert_close(found[0], batch)
    assert abs(found[0] - batch) < 0.1 * batch


@pytest.mark.slow
def test_the_samplers_of_two_stages_draw_from_the_images_own_stream(made):
    detector = detector_of(made, TWO_STAGES)
    with torch.no_grad():
        found = []
        for seed in (0, 1):
            with seeded(seed):
                before = torch.get_rng_state()
                found.append(heads_of(detector, TWO_STAGES).image_losses())
                assert torch.equal(torch.get_rng_state(), before), "and leave the global one alone"
        with seeded(0):
            first = heads_of(detector, TWO_STAGES).batch_loss()
        with seeded(1):
            second = heads_of(detector, TWO_STAGES).batch_loss()
    assert torch.equal(*found)
    assert first != second, "mmdet's own draw from the global one, or the case tells nothing"


@pytest.mark.parametrize("name", [*DENSE[1:3], TWO])
def test_images_own_losses_teach_batch_norms_nothing(made, name):
    detector = copy.deepcopy(detector_of(made, name)).train()
    heads = heads_of(detector, name)
    heads.batch_loss()
    noted = copy.deepcopy(detector.state_dict())
    heads.image_losses()
    assert all(torch.equal(noted[key], value) for key, value in detector.state_dict().items())
    assert all(module.training for module in detector.modules())


@pytest.mark.slow
def test_losses_are_of_the_form_for_training_in_evaluation_too():
    """FCOS gives out other boxes then."""
    name = "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"
    with seeded(0):
        detector = mmdet_detector.build(blueprint(name), CLASSES).eval()
    with torch.no_grad():
        evaluated = heads_of(detector, name).image_losses()
        detector.bbox_head.training = True
        expected = heads_of(detector, name).image_losses()
        detector.bbox_head.training = False
        heads = heads_of(detector, name)
        boxes = heads.detector.predict(torch.zeros(4, 3, SIDE, SIDE), samples_of(SIDE))
    assert torch.equal(evaluated, expected) and not detector.bbox_head.training
    assert len(boxes) == 4


@pytest.mark.parametrize("name", [DENSE[0], DENSE[1], TWO])
def test_an_image_without_boxes(made, name):
    detector = detector_of(made, name)
    with torch.no_grad():
        own = heads_of(detector, name).image_losses("own")
        zero = heads_of(detector, name).image_losses("zero")
    assert own[2] > 0 and zero[2] == 0
    assert torch.equal(own[[0, 1, 3]], zero[[0, 1, 3]])


def test_processes_have_no_part_in_an_images_loss(made, monkeypatch):
    """mmdet divides by means over processes, which are of this process alone here."""
    asked = []

    class Two:
        is_available = is_initialized = staticmethod(lambda: True)
        ReduceOp = torch.distributed.ReduceOp
        get_world_size = staticmethod(lambda: 2)
        all_reduce = staticmethod(lambda tensor, **_: asked.append(tensor))

    detector = detector_of(made, DENSE[1])
    with torch.no_grad():
        expected = heads_of(detector, DENSE[1]).image_losses()
        monkeypatch.setattr(dist_utils, "dist", Two)
        assert torch.equal(heads_of(detector, DENSE[1]).image_losses(), expected)
        assert asked == []
        heads_of(detector, DENSE[1]).batch_loss()
    assert asked, "mmdet's own loss asks, or the case tells nothing"
    assert dist_utils.dist is Two


@pytest.mark.parametrize("name", ALL, scope="module")
def test_boxes_are_mmdets_own(made, name):
    detector, side = detector_of(made, name), side_of(name)
    with seeded(1):
        images = torch.randn(4, 3, side, side)
    with torch.no_grad():
        found = heads_of(detector, name).boxes()
        expected = detector.predict(images, samples_of(side), rescale=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.bboxes, other.pred_instances.bboxes)
        torch.testing.assert_close(one.scores, other.pred_instances.scores)


@pytest.mark.parametrize("name", ALL, scope="module")
def test_distributions_are_of_the_boxes(made, name):
    detector = copy.deepcopy(detector_of(made, name))
    with torch.no_grad():
        for head in (detector, getattr(detector, "bbox_head", None)):
            if getattr(head, "test_cfg", None) and "score_thr" in head.test_cfg:
                head.test_cfg.score_thr = 0.0  # else random weights predict nothing
        heads = heads_of(detector, name)
        probs, weight = heads.distributions()
        boxes = heads.boxes()
    torch.testing.assert_close(probs.sum(dim=2), torch.ones(probs.shape[:2]))
    assert set(weight.unique().tolist()) <= {0.0, 1.0} and (probs >= 0).all()
    for row, kept, found in zip(probs, weight, boxes, strict=True):
        if probs.shape[2] == 2:
            torch.testing.assert_close(row[kept > 0][:, 0], found.scores.clamp(0, 1))
        else:  # each box's score is that of its class in one of the rows that count
            scores = row[kept > 0][:, :CLASSES].flatten()
            assert all((scores - score).abs().min() < 1e-5 for score in found.scores)
            assert 0 < kept.sum() <= len(found.scores)


@pytest.mark.slow
def test_rows_of_ssd_alone_correspond(made):
    name = "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py"
    assert rows_correspond(detector_of(made, name))
    assert not rows_correspond(detector_of(made, DENSE[0]))


def test_an_image_without_predicted_boxes_weighs_nothing(made):
    detector = copy.deepcopy(detector_of(made, DENSE[0]))
    detector.bbox_head.test_cfg.score_thr = 1.0
    with torch.no_grad():
        probs, weight = heads_of(detector, DENSE[0]).distributions()
    assert probs.shape == (4, 1, 2) and (probs == 0.5).all() and not weight.any()


# the detector itself


def test_taps_are_the_maps_of_the_neck():
    plan = blueprint(DENSE[0])
    with seeded(0):
        detector = mmdet_detector.build(plan, CLASSES).eval()
    taps = mmdet_detector.declare_taps(plan, detector)
    assert [(tap.name, tap.channels) for tap in taps] == [(f"level{k}", 256) for k in range(5)]
    maps = mmdet_detector.features(detector, torch.zeros(1, 3, 96, 64))
    assert [tuple(one.shape[2:]) for one in maps[:3]] == [(12, 8), (6, 4), (3, 2)]


def test_declaring_and_trying_draw_from_no_global_stream():
    plan = blueprint(DENSE[0])
    detector = mmdet_detector.build(plan, CLASSES)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    mmdet_detector.declare_taps(plan, detector)
    mmdet_detector.try_out(plan, CLASSES)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_an_operator_that_is_missing_is_named_with_the_detector():
    model = blueprint(DENSE[0]).model
    model.test_cfg.nms = dict(type="soft_nms", iou_threshold=0.5)
    model.test_cfg.score_thr = 0.0
    with pytest.raises(DetectorError, match=r"\(RetinaNet\) cannot be trained here: .*`softnms`"):
        mmdet_detector.try_out(blueprint(dict(model)), CLASSES)


def test_three_maps_an_image_are_refused():
    model = dict(blueprint(DENSE[0]).model, neck=dict(type=Twice))
    detector = mmdet_detector.build(blueprint(model), CLASSES)
    with pytest.raises(DetectorError, match="expected maps .2, C, H, W. of 2 images"):
        mmdet_detector.declare_taps(blueprint(model), detector)


class Twice(torch.nn.Module):
    """A neck that hands out each image's maps twice."""

    def forward(self, maps):
        return tuple(torch.cat([one, one]) for one in maps)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, what",
    [
        ("ddod/ddod_r50_fpn_1x_coco.py", "bbox_head.cls_num_pos_samples_per_level"),
        ("dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py", "roi_head.iou_history"),
    ],
)
def test_a_detector_whose_loss_depends_on_losses_before_it_is_refused(name, what):
    """Nothing of it is in its weights, so that no resume could be exact."""
    with pytest.raises(DetectorError, match=f"keeps numbers from one batch to the next .*{what}"):
        mmdet_detector.try_out(blueprint(name), CLASSES)


@pytest.mark.slow
def test_a_detector_that_cannot_be_trained_image_by_image_is_refused():
    model = blueprint("tridentnet/tridentnet_r50-caffe_1x_coco.py").model
    model["train_cfg"]["rpn_proposal"].update(nms_pre=50, max_per_img=20)  # of 12,000 and 500
    model["test_cfg"]["rpn"].update(nms_pre=50, max_per_img=20)
    with pytest.raises(DetectorError, match=r"\(TridentFasterRCNN\) cannot be trained here"):
        mmdet_detector.try_out(blueprint(model), CLASSES)


def test_a_config_that_mmdet_cannot_build():
    model = dict(blueprint(DENSE[0]).model, backbone=dict(type="ResNot"))
    with pytest.raises(DetectorError, match="RetinaNet cannot be built: KeyError: .*ResNot"):
        mmdet_detector.build(blueprint(model), CLASSES)
