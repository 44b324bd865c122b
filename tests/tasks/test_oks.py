"""OKS-AP against pycocotools called directly on the json as it lies on disk."""

from __future__ import annotations

import io
import json
import math
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.per_image import per_image
from tasks.pose.keypoint_people import COCO_JOINTS, OTHER_SIGMA, oks_sigmas
from tasks.pose.oks import OksAp, person_score
from tests import contract, keypointkit
from tests.keypointkit import pose
from tools.contract import Subject

KEYS = ("AP", "AP_50", "AP_75")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return keypointkit.make_coco(tmp_path_factory.mktemp("keypoints"))


def direct(path: Path, detections: list[dict], sigmas=None) -> np.ndarray:
    """pycocotools' numbers for the json at `path` as it is."""
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(detections), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3]


def annotated(path: Path) -> list[dict]:
    """The persons of a json that count."""
    persons = json.loads(path.read_text())["annotations"]
    return [p for p in persons if not p["iscrowd"] and p["num_keypoints"]]


def moved(person: dict, rng: np.random.Generator, spread: float) -> np.ndarray:
    """(J, 2) positions at most some pixels off."""
    points = np.array(person["keypoints"], float).reshape(-1, 3)[:, :2]
    return points + rng.normal(0, spread, points.shape)


def judged(metric: OksAp, joints: list, maxima: list, persons: list[int]) -> dict[str, float]:
    metric.dataset_meta = {}
    samples = [
        BaseDataElement(person=k, joints=joints[k], maxima=maxima[k]).to_dict() for k in persons
    ]
    metric.process({}, samples)
    return metric.evaluate(len(persons))


@pytest.mark.parametrize("seed", range(6))
def test_ap_is_pycocotools_called_directly(root: Path, seed: int):
    """With a crowd and a person without joints in the json, and scores in any order, ties too."""
    path = root / "annotations/test.json"
    persons, rng = annotated(path), np.random.default_rng(seed)
    joints = [moved(person, rng, 0.5 + seed / 2) for person in persons]
    maxima = [rng.choice([0.1, 0.4, 0.9], 17) for _ in persons]
    detections = [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "keypoints": np.c_[at, np.ones(17)].reshape(-1).tolist(),
            "score": person_score(highest),
        }
        for person, at, highest in zip(persons, joints, maxima, strict=True)
    ]
    metric = pose(root).evaluator()
    found = judged(metric, joints, maxima, list(range(len(persons))))
    assert tuple(found) == KEYS
    kept = per_image(metric)
    assert kept is not None
    np.testing.assert_allclose(kept.metric(np.ones((1, kept.images))), [found["AP"]], rtol=1e-12)
    np.testing.assert_allclose(list(found.values()), direct(path, detections))
    if seed < 3:
        assert 0.01 < found["AP"] < 1


def test_own_joints_have_their_own_sigmas(tmp_path: Path):
    names = ("nose", "left_paw", "right_paw", "tail")
    root = keypointkit.make_coco(tmp_path / "own", joints=names)
    path = root / "annotations/test.json"
    persons, rng = annotated(path), np.random.default_rng(3)
    joints = [moved(person, rng, 1.5) for person in persons]
    maxima = [rng.random(4) for _ in persons]
    detections = [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "keypoints": np.c_[at, np.ones(4)].reshape(-1).tolist(),
            "score": person_score(highest),
        }
        for person, at, highest in zip(persons, joints, maxima, strict=True)
    ]
    everybody = list(range(len(persons)))
    seen = []
    for given in (None, [0.05, 0.1, 0.1, 0.2]):
        task = pose(root, oks_sigmas=given)
        sigmas = given or [0.026, OTHER_SIGMA, OTHER_SIGMA, OTHER_SIGMA]
        found = judged(task.evaluator(), joints, maxima, everybody)
        np.testing.assert_allclose(list(found.values()), direct(path, detections, sigmas))
        assert task.check() == []
        seen.append(found["AP"])
        told = [note for note in task.notes() if "OKS takes 0.067" in note]
        assert len(told) == (given is None)
        if given is None:
            assert "3 joints that COCO does not have: 'left_paw', 'right_paw', 'tail'" in told[0]
    assert seen[0] < seen[1]


def test_cocos_sigmas_are_pycocotools():
    with redirect_stdout(io.StringIO()):
        expected = COCOeval(iouType="keypoints").params.kpt_oks_sigmas
    np.testing.assert_allclose(oks_sigmas(COCO_JOINTS, None), expected)
    assert round(float(expected.mean()), 3) == OTHER_SIGMA


def test_perfect_predictions_have_an_ap_of_one_and_far_ones_of_zero(root: Path):
    persons = annotated(root / "annotations/test.json")
    right = [moved(person, np.random.default_rng(0), 0.0) for person in persons]
    everybody = list(range(len(persons)))
    sure = [np.ones(17)] * len(persons)
    found = judged(pose(root).evaluator(), right, sure, everybody)
    assert found == dict.fromkeys(KEYS, pytest.approx(1.0))
    away = [joints + 500 for joints in right]
    assert judged(pose(root).evaluator(), away, sure, everybody) == dict.fromkeys(KEYS, 0.0)


def test_persons_that_a_limit_leaves_out_are_no_misses(root: Path):
    task = pose(root, test_limit=3)
    persons = annotated(root / "annotations/test.json")
    right = [moved(person, np.random.default_rng(0), 0.0) for person in persons]
    tested = [sample["person"] for sample in task.dataset("test")]
    assert tested == [0, 2, 4]  # of images with one and with two persons
    found = judged(task.evaluator(), right, [np.ones(17)] * len(persons), tested)
    assert found["AP"] == pytest.approx(1.0)


def test_where_nobody_is_judged_ap_is_no_number(root: Path):
    found = pose(root).evaluator().compute_metrics([])
    assert found.keys() == set(KEYS) and all(map(math.isnan, found.values()))


def test_small_persons_alone_leave_a_number(root: Path):
    """pycocotools leaves persons under 32 x 32 pixels out of medium and large, not out of AP."""
    task = pose(root)
    assert (task._test_people.areas < 32**2).any()
    assert contract.evaluated(task)["AP"] >= 0


def test_a_score_is_the_mean_of_the_maxima_above_a_fifth():
    assert person_score([0.1, 0.2, 0.3, 0.5]) == pytest.approx(0.4)
    assert person_score([0.2, -0.1]) == 0.0


def test_predictions_are_in_pixels_of_the_image_with_the_heatmaps_maxima(root: Path):
    task = pose(root)
    network, batch = Subject(task).network, contract.a_batch(task, "test", [0, 1])
    with torch.no_grad():
        predicted = task.predict(network, batch)
        heatmaps = network(task._normalised(batch["image"]))[1][0]
    for k, one in enumerate(predicted):
        assert one.person == k and one.joints.shape == (17, 2)
        np.testing.assert_array_equal(one.maxima, heatmaps[k].amax(dim=(1, 2)).numpy())
