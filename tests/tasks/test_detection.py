"""The detection adapter: contract, data as it is on disk, losses, metrics against mmdet,
pycocotools and by hand.
"""

from __future__ import annotations

import io
import itertools
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.process.seeding import seeded
from tasks.base import DataError
from tasks.detection import Detection, pipelines
from tasks.detection.classes import VOC_CLASSES
from tasks.detection.metrics import VocMap
from tests import contract, devkit
from tests.devkit import detection

from mmdet.evaluation import VOCMetric  # isort: skip  # after the tasks, which install what mmdet needs
from mmdet.structures.bbox import HorizontalBoxes  # isort: skip


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    return devkit.make_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    return devkit.make_coco(tmp_path_factory.mktemp("coco"))


def coco_detection(root: Path, **settings) -> Detection:
    return detection(
        root, format="coco", train=["images:train.json"], test=["images:test.json"], **settings
    )


@pytest.fixture(params=["voc", "coco"])
def task(request, voc: Path, coco: Path) -> Detection:
    return detection(voc) if request.param == "voc" else coco_detection(coco)


def test_the_adapter_keeps_the_contract(task: Detection):
    contract.check_all(task)
    assert contract.evaluated(task).keys() >= {"mAP", "AP/cat", "AP/dog", "AP/person"}


def test_every_image_is_in_the_pool_in_the_lists_order(voc: Path):
    """Images without objects, with difficult ones alone and tiny ones are kept: nothing
    shifts an index.
    """
    task = detection(voc)
    for split in ("train", "pool"):
        names = [
            task.dataset(split)[i]["data_samples"].img_id for i in range(len(task.dataset(split)))
        ]
        assert tuple(names) == devkit.ORDER
    assert [task.effort(i) for i in range(6)] == [2, 0, 1, 3, 1, 1]


def test_two_years_are_one_pool(voc: Path, tmp_path: Path):
    both = devkit.make_voc(tmp_path)
    (both / "VOC2007").rename(both / "VOC2012")
    (both / "VOC2007").symlink_to(voc / "VOC2007")
    task = detection(both, train=["VOC2007/test", "VOC2012/trainval"])
    paths = [task.dataset("pool")[i]["data_samples"].img_path for i in range(10)]
    assert len(task.dataset("pool")) == 10
    assert ["VOC2012" in p for p in paths] == [False] * 4 + [True] * 6


@pytest.mark.parametrize(("difficult", "trained", "ignored"), [("ignore", 2, 1), ("train", 3, 0)])
def test_difficult_boxes_are_ignored_or_trained_on(
    voc: Path, difficult: str, trained: int, ignored: int
):
    task = detection(voc, difficult=difficult)
    for split in ("train", "pool"):
        sample = task.dataset(split)[3]["data_samples"]
        assert (len(sample.gt_instances), len(sample.ignored_instances)) == (trained, ignored)
    network = task.build().eval()
    judged = task.predict(network, contract.a_batch(task, "test", [3]))[0]
    # evaluation goes by the annotation
    assert (len(judged.gt_instances), len(judged.ignored_instances)) == (2, 1)


def test_boxes_are_in_the_networks_pixels_for_losses_and_in_the_images_for_evaluation(voc: Path):
    task = detection(voc)
    sample = task.dataset("pool")[0]["data_samples"]  # 120 x 90 pixels, resized to 128 x 128
    scaled = torch.tensor([[10.0, 10, 59, 59]]) * torch.tensor([128 / 120, 128 / 90] * 2)
    torch.testing.assert_close(sample.gt_instances.bboxes.tensor[:1], scaled)
    judged = task.predict(task.build().eval(), contract.a_batch(task, "test", [0]))[0]
    torch.testing.assert_close(judged.gt_instances.bboxes[0], torch.tensor([10.0, 10, 59, 59]))


def test_the_pools_loss_is_the_loss_of_the_same_image_unaugmented_in_training(voc: Path):
    """Were the pool's boxes left in the image's pixels, its true losses would be of other boxes."""
    task = detection(voc)
    with seeded(1):
        network = task.build().eval()
    want = frozenset({"loss"})
    with torch.no_grad():
        seen = task.forward(network, contract.a_batch(task, "pool", [0]), want).loss.item()
        drawn = {
            round(task.forward(network, contract.a_batch(task, "train", [0]), want).loss.item(), 4)
            for _ in range(20)
        }
    assert len(drawn) == 2 and round(seen, 4) in drawn  # mirrored or not


def test_an_image_without_objects_has_no_loss_and_no_gradient(voc: Path):
    task = detection(voc)
    network = task.build().train()
    loss = task.forward(network, contract.a_batch(task, "pool", [1, 2]), frozenset({"loss"})).loss
    assert loss.tolist() == [0.0, 0.0]  # no object, and a difficult one alone
    loss.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


ALL = frozenset({"loss", "probs"})


def test_weights_are_of_the_boxes_that_are_predicted(task: Detection):
    with seeded(1):
        network = task.build().eval()
    with torch.no_grad():
        output = task.forward(network, contract.a_batch(task, "test", [0, 1, 2]), ALL)
        found = task.predict(network, contract.a_batch(task, "test", [0, 1, 2]))
    assert (
        output.probs.shape == (3, 1360, 4)
        and len({len(row.unique()) for row in output.weight}) == 1
    )
    for row, probs, judged in zip(output.weight, output.probs, found, strict=True):
        boxes = judged.pred_instances
        assert torch.equal(row.nonzero()[:, 0], boxes.prior_ids.unique()) and len(boxes) == 200
        assert torch.equal(probs[boxes.prior_ids, boxes.labels], boxes.scores)


def test_annotations_change_no_distribution_and_no_weight(voc: Path):
    task = detection(voc)
    network = task.build().eval()
    outputs = []
    for other in (None, 1, 5):  # its own annotation, none, and another image's
        batch = contract.a_batch(task, "pool", [0, 3])
        if other is not None:
            labels = task.dataset("pool")[other]["data_samples"]
            for sample in batch["data_samples"]:
                sample.gt_instances, sample.ignored_instances = (
                    labels.gt_instances,
                    labels.ignored_instances,
                )
                sample.set_metainfo({"instances": labels.instances})
        with torch.no_grad():
            outputs.append(task.forward(network, batch, ALL))
    assert len({tuple(output.loss.tolist()) for output in outputs}) == 3
    for output in outputs[1:]:
        assert torch.equal(output.probs, outputs[0].probs) and torch.equal(
            output.weight, outputs[0].weight
        )


def test_a_network_that_is_sure_of_the_background_has_no_weight(voc: Path):
    task = detection(voc)
    network = task.build().eval()
    with torch.no_grad():
        for layer in network.bbox_head.cls_convs:
            layer[-1].weight.zero_()
            layer[-1].bias.copy_(torch.tensor([0.0, 0, 0, 20]).repeat(4))
        output = task.forward(network, contract.a_batch(task, "pool", [0, 1]), frozenset({"probs"}))
    assert output.loss is None and not output.weight.any()
    torch.testing.assert_close(output.probs[..., 3], torch.ones(2, 1360))


@pytest.mark.parametrize(
    ("want", "runs"),
    [((), (0, 0)), (("loss",), (1, 0)), (("probs",), (1, 1)), (("loss", "probs"), (1, 1))],
)
def test_head_and_suppression_run_where_they_are_wanted_and_once(
    voc: Path, monkeypatch, want, runs
):
    """Predicted losses need the taps alone."""
    task, ran = detection(voc), []
    network = task.build().eval()
    for method in ("forward", "predict_by_feat"):
        original = getattr(network.bbox_head, method)

        def watched(*a, original=original, method=method, **k):
            ran.append(method)
            return original(*a, **k)

        monkeypatch.setattr(network.bbox_head, method, watched)
    output = task.forward(network, contract.a_batch(task, "pool", [0, 1]), frozenset(want))
    assert (ran.count("forward"), ran.count("predict_by_feat")) == runs
    assert {field for field in ALL if getattr(output, field) is not None} == set(want)
    assert (output.weight is None) == (output.probs is None)


def test_the_test_limit_cuts_the_test_set(voc: Path, coco: Path):
    assert len(detection(voc, test_limit=2).dataset("test")) == 2
    task = coco_detection(coco, test_limit=2)
    metric, samples = task.evaluator(), [_perfect(task, i) for i in range(2)]
    metric.dataset_meta = task.dataset("test").metainfo
    metric.process({}, samples)
    with redirect_stdout(io.StringIO()):
        found = metric.evaluate(2)
    assert found["mAP"] == pytest.approx(1.0)  # the other images' objects are not counted as missed


@pytest.mark.parametrize("preset", ["ssd", "mmdet", "flip"])
def test_every_augmentation_survives_every_image(voc: Path, preset: str):
    task = detection(voc, augmentation=preset)
    dataset = task.dataset("train")
    shapes, counts = set(), set()
    for seed in range(25):
        with seeded(seed):
            for i in range(len(dataset)):
                sample = dataset[i]
                shapes.add(tuple(sample["inputs"].shape))
                boxes = sample["data_samples"].gt_instances.bboxes.tensor
                counts.add((i, len(boxes)))
                assert ((boxes[:, 2:] - boxes[:, :2]) > 0).all()
                assert (boxes >= 0).all() and (boxes <= 128).all()
    assert shapes == {(3, 128, 128)}
    assert ((3, 1) in counts) == (preset != "flip")  # crops lose objects, mirroring does not


def test_without_augmentation_an_image_is_learned_as_it_is_scored(voc: Path):
    task = detection(voc, augmentation="none")
    train, pool = task.dataset("train"), task.dataset("pool")
    assert len(train) > 3
    for i in range(len(train)):
        one, other = train[i], pool[i]
        assert torch.equal(one["inputs"], other["inputs"])
        boxes = [s["data_samples"].gt_instances.bboxes.tensor for s in (one, other)]
        assert torch.equal(*boxes)


def test_the_ssd_crop_asks_one_box_where_mmdets_asks_all():
    """Two boxes in opposite corners: a crop can overlap one of them by half, but never both."""
    boxes = torch.tensor([[0.0, 0, 95, 95], [105, 105, 200, 200]])
    crop, kept = pipelines.SSDCrop(), set()
    crop._draw.options = [0.5]
    for seed in range(10):
        with seeded(seed):
            results = crop.transform(
                dict(
                    img=np.zeros((200, 200, 3), np.float32),
                    img_shape=(200, 200),
                    gt_bboxes=HorizontalBoxes(boxes),
                    gt_bboxes_labels=np.array([7, 8]),
                    gt_ignore_flags=np.array([False, False]),
                )
            )
        height, width = results["img_shape"]
        box = results["gt_bboxes"].tensor[0]
        overlap = (box[2] - box[0]) * (box[3] - box[1])
        assert results["img"].shape[:2] == (height, width) and len(results["gt_bboxes"]) == 1
        assert overlap / (height * width + 95 * 95 - overlap) >= 0.5
        kept.add(int(results["gt_bboxes_labels"][0]))
    assert kept == {7, 8}


def _perfect(task: Detection, index: int, score: float = 0.9) -> dict:
    judged = task.predict(task.build().eval(), contract.a_batch(task, "test", [index]))[0]
    truth = judged.gt_instances
    judged.pred_instances = InstanceData(
        bboxes=truth.bboxes, labels=truth.labels, scores=torch.full((len(truth),), score)
    )
    return judged.to_dict()


def _sample(truth: list, found: list, difficult: list = ()) -> dict:
    """Boxes as (label, x1, y1, x2, y2) and, where found, a score at the end."""

    def boxes(rows):
        return torch.tensor(rows, dtype=torch.float32) if len(rows) else torch.zeros(0, 6)

    t, d, f = boxes(truth), boxes(difficult), boxes(found)
    return {
        "gt_instances": {"bboxes": t[:, 1:5], "labels": t[:, 0].long()},
        "ignored_instances": {"bboxes": d[:, 1:5], "labels": d[:, 0].long()},
        "pred_instances": {"bboxes": f[:, 1:5], "labels": f[:, 0].long(), "scores": f[:, 5]},
    }


def _voc_map(samples: list, classes=("a", "b"), mode="11points", metric=None) -> dict:
    metric = metric or VocMap(classes, mode)
    metric.dataset_meta = {"classes": classes}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


HALF = _sample(
    [(0, 0, 0, 9, 9), (0, 50, 50, 59, 59)], [(0, 0, 0, 9, 9, 0.9), (0, 20, 20, 29, 29, 0.8)]
)


@pytest.mark.parametrize(("mode", "by_hand"), [("11points", 6 / 11), ("area", 0.5)])
def test_voc_average_precision_by_hand(mode: str, by_hand: float):
    """Half of the objects found first: precision 1 up to recall 0.5, that is at 6 of the
    11 points.
    """
    found = _voc_map([HALF, _sample([], [])], mode=mode)
    assert found["AP/a"] == pytest.approx(by_hand)
    assert found["mAP"] == pytest.approx(by_hand)  # class b has no object and is not in the mean
    assert np.isnan(found["AP/b"])


def test_difficult_objects_are_neither_hits_nor_misses():
    box = (0, 0, 0, 9, 9)
    plain = _sample([(0, 30, 30, 39, 39)], [(0, 30, 30, 39, 39, 0.5)])
    also = _sample([(0, 30, 30, 39, 39)], [(0, 30, 30, 39, 39, 0.5), (*box, 0.9)], difficult=[box])
    assert _voc_map([plain, HALF]) == pytest.approx(_voc_map([also, HALF]), nan_ok=True)
    missed = _sample([(0, 30, 30, 39, 39)], [(0, 30, 30, 39, 39, 0.5), (*box, 0.9)])
    assert _voc_map([missed, HALF])["AP/a"] < _voc_map([plain, HALF])["AP/a"]


@pytest.mark.parametrize("mode", ["11points", "area"])
def test_voc_map_is_mmdets(mode: str):
    """Random scenes with ties in the scores, empty images and no detections, against
    mmdet's own metric, whose sort is not stable, on scores a little lower from each to the next.
    """
    rng = np.random.default_rng(0)
    samples, apart = [], []
    steps = itertools.count()
    for n in range(30):
        corner = rng.integers(0, 60, (rng.integers(0, 4), 2))
        size = rng.integers(5, 40, corner.shape)
        truth = [(int(rng.integers(2)), *c, *(c + s)) for c, s in zip(corner, size, strict=True)]
        jitter = [
            (t[0], *(np.array(t[1:]) + rng.integers(-4, 5, 4)), rng.choice([0.3, 0.5, 0.9]))
            for t in truth
        ]
        wrong = (
            [(int(rng.integers(2)), *rng.integers(0, 40, 2), *rng.integers(50, 90, 2), 0.5)]
            if n % 3
            else []
        )
        found, difficult = jitter + wrong, truth[:1] if n % 5 == 0 else []
        samples.append(_sample(truth, found, difficult))
        lower = [(*row[:-1], row[-1] - 1e-5 * next(steps)) for row in found]
        apart.append(_sample(truth, lower, difficult))
    reference = _voc_map(apart, metric=VOCMetric(eval_mode=mode))
    # without ties it is mmdet's, too
    assert _voc_map(apart, mode=mode)["mAP"] == pytest.approx(reference["pascal_voc/mAP"], abs=1e-7)
    assert _voc_map(samples, mode=mode)["mAP"] == pytest.approx(
        reference["pascal_voc/mAP"], abs=1e-7
    )
    assert 0.05 < reference["pascal_voc/mAP"] < 0.95


def test_no_detection_at_all_scores_zero():
    assert _voc_map([_sample([(0, 0, 0, 9, 9)], [])])["mAP"] == 0.0


def test_coco_map_is_pycocotools(coco: Path, tmp_path: Path):
    task = coco_detection(coco)
    samples = [_perfect(task, i, 0.5 + 0.05 * i) for i in range(6)]
    samples[0]["pred_instances"]["bboxes"] = samples[0]["pred_instances"]["bboxes"] + 6.0
    samples[5]["pred_instances"]["labels"] = (samples[5]["pred_instances"]["labels"] + 1) % 3
    metric = task.evaluator()
    metric.dataset_meta = task.dataset("test").metainfo
    metric.process({}, samples)
    with redirect_stdout(io.StringIO()):
        found = metric.evaluate(6)
        truth = COCO(str(coco / "train.json"))
        rows = []
        for s in samples:
            p = s["pred_instances"]
            for (x1, y1, x2, y2), label, score in zip(
                p["bboxes"].tolist(), p["labels"].tolist(), p["scores"].tolist(), strict=True
            ):
                rows.append(
                    {
                        "image_id": s["img_id"],
                        "category_id": 10 * (label + 1),
                        "score": score,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                    }
                )
        (tmp_path / "found.json").write_text(json.dumps(rows))
        judge = COCOeval(truth, truth.loadRes(str(tmp_path / "found.json")), "bbox")
        judge.evaluate(), judge.accumulate(), judge.summarize()
    for place, key in enumerate(("mAP", "mAP_50", "mAP_75")):
        assert found[key] == pytest.approx(judge.stats[place], abs=1e-12)
    assert 0.1 < found["mAP"] < 0.9
    each = [p[p > -1].mean() for p in np.moveaxis(judge.eval["precision"][:, :, :, 0, -1], 2, 0)]
    assert [found[f"AP/{c}"] for c in devkit.CLASSES] == pytest.approx(each, abs=1e-12)


def test_coco_with_nothing_found_scores_zero(coco: Path):
    task = coco_detection(coco)
    metric = task.evaluator()
    metric.dataset_meta = task.dataset("test").metainfo
    samples = [_perfect(task, i) for i in range(2)]
    for sample in samples:
        sample["pred_instances"] = {k: v[:0] for k, v in sample["pred_instances"].items()}
    metric.process({}, samples)
    with redirect_stdout(io.StringIO()):
        assert metric.evaluate(2)["mAP"] == 0.0


def test_faults_of_data_and_weights_are_all_found_before_anything_runs(voc: Path, tmp_path: Path):
    task = detection(tmp_path, network="ssd300_vgg16", pretrained=str(tmp_path / "vgg.pth"))
    faults = task.check()
    assert any(
        str(tmp_path / "VOC2007/ImageSets/Main/trainval.txt") in f or str(tmp_path) in f
        for f in faults
    )
    assert any("vgg.pth" in f and "task.pretrained=None" in f for f in faults)
    other = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(3)}, other)
    assert any(
        "lacks ['features.0.weight'" in f
        for f in detection(voc, network="ssd300_vgg16", pretrained=str(other)).check()
    )
    assert any(
        "small_ssd" in f
        for f in detection(voc, pretrained="open-mmlab://vgg16_caffe", network="small_ssd").check()
    )


def test_pretrained_convolutions_are_loaded(voc: Path, tmp_path: Path):
    donor = detection(voc, network="ssd300_vgg16").build().backbone.state_dict()
    marked = {k: torch.full_like(v, 0.5) for k, v in donor.items() if int(k.split(".")[1]) < 30}
    torch.save(marked, tmp_path / "vgg.pth")
    task = detection(voc, network="ssd300_vgg16", pretrained=str(tmp_path / "vgg.pth"))
    assert task.check() == []
    state = task.build().backbone.state_dict()
    assert len(marked) == 26 and all(torch.equal(state[k], v) for k, v in marked.items())
    assert not (state["features.31.weight"] == 0.5).any()


def test_real_voc_images_go_through(real_data: Path):
    task = Detection(
        str(real_data / "VOCdevkit"), ["VOC2007/trainval"], ["VOC2007/test"], pretrained=None
    )
    assert task.check() == []
    assert len(task.dataset("pool")) == 1200 and len(task.dataset("test")) == 400
    ids = (real_data / "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt").read_text().split()
    assert [task.dataset("pool").get_data_info(i)["img_id"] for i in range(1200)] == ids
    assert len(VOC_CLASSES) == 20
    with torch.no_grad():
        output = task.forward(
            task.build().eval(), contract.a_batch(task, "pool", [0, 1]), frozenset({"loss"})
        )
    assert (output.loss > 0).all() and [t.shape[1] for t in output.taps] == [
        512,
        1024,
        512,
        256,
        256,
        256,
    ]


def test_coco_is_read_and_judged_without_a_word(coco: Path, capfd):
    task = coco_detection(coco)
    contract.evaluated(task)
    assert capfd.readouterr() == ("", "")


def test_an_image_that_breaks_after_the_check_is_named(voc: Path, tmp_path: Path):
    task = detection(devkit.make_voc(tmp_path))
    assert task.check() == []
    broken = tmp_path / "VOC2007/JPEGImages/000012.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    with pytest.raises(
        DataError, match=r"000012.jpg is no image that OpenCV can decode; `--check full"
    ):
        task.dataset("pool")[0]


def test_a_class_named_twice_is_a_fault(voc: Path):
    faults = detection(voc, classes=[*devkit.CLASSES, "cat"]).check()
    assert any("task.classes: expected each name once" in f for f in faults)


def test_objects_of_other_classes_are_a_fault_or_left_out(voc: Path):
    fewer = {"classes": ["person", "cat"], "train": ["VOC2007/trainval"], "test": ["VOC2007/test"]}
    advice = "Or add it to `classes`, or leave such boxes out: task.others='drop'"
    faults = detection(voc, **fewer).check()
    assert len(faults) == 3 and all(
        "but got 'dog'; known are person, cat." in f and advice in f for f in faults
    )
    task = detection(voc, others="drop", **fewer)
    assert task.check() == []
    assert [task.effort(i) for i in range(6)] == [1, 0, 1, 2, 1, 0]
    said = f"{voc}/VOC2007/Annotations: boxes of classes that `classes` lacks are left out:"
    # of six and of the first four images
    assert task.notes() == [f"{said} 3 of 'dog'", f"{said} 2 of 'dog'"]
