"""Predictions on files are those of the run's evaluation, and nothing is left out in silence."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.training.inference import inference
from tasks.detection.coco import read_coco
from tasks.pose.people import MARGIN
from tests.deploykit import json_of, predicted
from tools.deploy.trained import trained
from tools.record import plans

pytestmark = pytest.mark.slow


def last_row(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def of_the_task(run: Path) -> tuple[Any, list]:
    """A run's task, and its own predictions on its test set, one by one."""
    task = plans.task(run)
    network, test = trained(run).network, task.dataset("test")
    move = BaseDataPreprocessor()
    with inference([network]):
        found = [task.predict(network, move(task.collate([test[i]])))[0] for i in range(len(test))]
    return task, found


def test_boxes_are_those_of_the_evaluation_and_give_its_map(coco_run, tmp_path: Path):
    run, home = coco_run
    out = tmp_path / "out"
    assert predicted(run, home / "test", out) == 0
    found = json_of(out / "predictions.json")
    row = last_row(run)
    assert row["mAP"] > 0.01
    with redirect_stdout(StringIO()):
        truth = COCO(str(home / "test.json"))
        ids = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
        names = {image["id"]: image["file_name"] for image in found["images"]}
        results = [{**one, "image_id": ids[names[one["image_id"]]]} for one in found["annotations"]]
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate(), judge.accumulate(), judge.summarize()
    assert judge.stats[0] == pytest.approx(row["mAP"], abs=6e-4)  # the row has three digits
    assert judge.stats[1] == pytest.approx(row["mAP_50"], abs=6e-4)
    _, own = of_the_task(run)
    by_name = {Path(sample.img_path).name: sample.pred_instances for sample in own}
    assert set(by_name) == set(names.values())
    for number, name in names.items():
        here = [one for one in found["annotations"] if one["image_id"] == number]
        boxes = torch.tensor([one["bbox"] for one in here])
        boxes[:, 2:] += boxes[:, :2]
        classes = torch.tensor([one["category_id"] - 1 for one in here])
        apart = torch.cdist(
            boxes, by_name[name].bboxes, compute_mode="donot_use_mm_for_euclid_dist"
        )
        apart += 1000 * (classes[:, None] != by_name[name].labels)
        # in batches a score is another in its last digits, so that equal ones change places
        assert apart.amin(dim=1).max() < 2e-2
        assert sorted(apart.argmin(dim=1).tolist()) == list(range(len(boxes)))


def test_the_json_is_read_by_pycocotools_and_back_as_labels(coco_run, tmp_path: Path):
    run, home = coco_run
    assert predicted(run, home / "test", tmp_path / "out", "--no-pictures") == 0
    assert not (tmp_path / "out/pictures").exists()
    with redirect_stdout(StringIO()):
        read = COCO(str(tmp_path / "out/predictions.json"))
    assert len(read.imgs) == 20 and len(read.anns) > 20
    assert [c["name"] for c in read.dataset["categories"]] == ["circle", "square", "triangle"]
    shutil.copytree(home / "test", tmp_path / "out/images")
    reading = read_coco(
        tmp_path / "out", ["images:predictions.json"], ["circle", "square", "triangle"]
    )
    with pytest.raises(StopIteration) as end:
        next(reading)
    labels = end.value.value
    assert len(labels.images) == 20 and len(labels.annotations) == len(read.anns)


def test_classes_are_those_of_the_evaluation_and_give_its_accuracy(runs, tmp_path: Path):
    run = runs["cls"]
    task, own = of_the_task(run)
    assert predicted(run, task.root / "test", tmp_path / "out") == 0
    with open(tmp_path / "out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(own) == 20
    right = [row["class"] == Path(row["file"]).parent.name for row in rows]
    assert np.mean(right) == pytest.approx(last_row(run)["accuracy"])
    assert [row["class"] for row in rows] == [task.classes[one.predicted] for one in own]
    for row in rows:
        shares = [float(row[f"p_{name}"]) for name in task.classes]
        assert sum(shares) == pytest.approx(1) and row["class"] == task.classes[np.argmax(shares)]


def test_classes_of_an_earlier_cycle_are_other_ones(runs, tmp_path: Path):
    images = plans.task(runs["cls"]).root / "test"
    for cycle in (0, 1):
        assert predicted(runs["cls"], images, tmp_path / str(cycle), "--cycle", cycle) == 0
    texts = [(tmp_path / str(cycle) / "predictions.csv").read_text() for cycle in (0, 1)]
    assert texts[0].splitlines()[0] == texts[1].splitlines()[0] and texts[0] != texts[1]


def boxes_file(path: Path, task) -> Path:
    """The test persons' crops as boxes around which the same crops are cut."""
    people = task._test_people
    images, annotations = {}, []
    for k, file in enumerate(people.paths):
        number = images.setdefault(file.name, len(images) + 1)
        side = people.sides[k] / MARGIN
        left, top = people.centres[k] - side / 2
        box = {"bbox": [float(left), float(top), float(side), float(side)]}
        annotations.append({"id": k + 1, "image_id": number, "category_id": 1, **box})
    listed = [{"id": number, "file_name": name} for name, number in images.items()]
    content = {"images": listed, "annotations": annotations}
    path.write_text(json.dumps({**content, "categories": [{"id": 1, "name": "person"}]}))
    return path


def test_joints_are_those_of_the_evaluation_and_give_its_pckh(runs, tmp_path: Path, capsys):
    run = runs["pose"]
    task, own = of_the_task(run)
    boxes = boxes_file(tmp_path / "boxes.json", task)
    out = tmp_path / "out"
    assert predicted(run, task.root / "images", out, "--boxes", boxes) == 0
    assert "images have no box, and no prediction then" in capsys.readouterr().out
    found = json_of(out / "predictions.json")
    names = {image["id"]: image["file_name"] for image in found["images"]}
    people = task._test_people
    joints = {
        (names[one["image_id"]], tuple(np.round(one["bbox"], 3))): one
        for one in found["annotations"]
    }
    assert len(joints) == len(own) == len(people)
    ordered = []
    for k, file in enumerate(people.paths):
        side = people.sides[k] / MARGIN
        box = [*(people.centres[k] - side / 2), side, side]
        ordered.append(joints[file.name, tuple(np.round(box, 3))])
    spots = [np.array(one["keypoints"]).reshape(-1, 3)[:, :2] for one in ordered]
    for prediction, spot in zip(own, spots, strict=True):
        assert np.allclose(prediction.joints, spot, atol=1e-2)
    metric = task.evaluator()
    distance = np.linalg.norm(np.stack(spots) - metric.truth, axis=2) / metric.sizes[:, None]
    known = metric.counted[:, metric.scored]
    right = ((distance[:, metric.scored] <= 0.5) & known).sum() / known.sum()
    assert right == pytest.approx(last_row(run)["PCKh"])
    one = ordered[0]
    assert one["score"] == pytest.approx(np.mean(one["keypoint_scores"]))
    assert one["num_keypoints"] == 16 and set(one["keypoints"][2::3]) == {2}
    assert [len(c["keypoints"]) for c in found["categories"]] == [16]


def test_without_boxes_an_image_is_one_person_and_that_is_said(runs, tmp_path: Path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    assert cv2.imwrite(str(images / "a.png"), np.full((40, 60, 3), 90, np.uint8))
    assert predicted(runs["pose"], images, tmp_path / "out") == 0
    assert "note: each image is taken as one person" in capsys.readouterr().out
    [one] = json_of(tmp_path / "out/predictions.json")["annotations"]
    assert one["bbox"] == [0, 0, 60, 40] and len(one["keypoints"]) == 48
