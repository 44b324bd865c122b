"""A pool without labels and a test set with nothing to judge by are faults.

Classes and joints without are notes.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import scipy.io
import torch
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.detection import Detection
from tasks.detection.metrics import beside_truth
from tasks.pose.people import MPII_JOINTS
from tests import commands, devkit, imagekit, posekit
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools.experiment import preflight
from tools.experiment.config import load
from tools.train import showing

Box = tuple[str, int]  # class, and 1 where difficult or a crowd


def detection(
    root: Path, form: str, pool: list[list[Box]], test: list[list[Box]], **settings
) -> Detection:
    """Images of these boxes, a list an image; test images are others."""
    home = root / "VOC2007"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (home / folder).mkdir(parents=True)
    ids: dict[str, list[str]] = {"trainval": [], "test": []}
    number = 0
    for split, images in (("trainval", pool), ("test", test)):
        content = {
            "images": [],
            "annotations": [],
            "categories": [{"id": i, "name": c} for i, c in enumerate("ab", 1)],
        }
        for boxes in images:
            number += 1
            ids[split].append(f"{number:03}")
            imagekit.write_image(
                home / f"JPEGImages/{number:03}.jpg", imagekit.pixels(number, 60, 60)
            )
            objects = "".join(
                f"<object><name>{c}</name><difficult>{d}</difficult><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>40</xmax>"
                "<ymax>40</ymax></bndbox></object>"
                for c, d in boxes
            )
            size = "<size><width>60</width><height>60</height><depth>3</depth></size>"
            (home / f"Annotations/{number:03}.xml").write_text(
                f"<annotation>{size}{objects}</annotation>"
            )
            content["images"].append(
                {"id": number, "file_name": f"{number:03}.jpg", "width": 60, "height": 60}
            )
            for c, d in boxes:
                content["annotations"].append(
                    {
                        "id": 100 * number + len(content["annotations"]),
                        "image_id": number,
                        "iscrowd": d,
                        "category_id": 1 + "ab".index(c),
                        "bbox": [4, 4, 35, 35],
                        "area": 35 * 35,
                    }
                )
        (root / f"{split}.json").write_text(json.dumps(content))
        (home / f"ImageSets/Main/{split}.txt").write_text("\n".join(ids[split]))
    if form == "coco":
        folder = "VOC2007/JPEGImages"
        lists = dict(format="coco", train=[f"{folder}:trainval.json"], test=[f"{folder}:test.json"])
        return devkit.detection(root, classes=["a", "b"], **lists, **settings)
    return devkit.detection(root, classes=["a", "b"], **settings)


def scores(task: Detection, detected: bool) -> dict[str, float]:
    """What the evaluator says where all boxes are found, or none is."""
    test = task.dataset("test")
    metric = task.evaluator()
    metric.dataset_meta = test.metainfo
    for k in range(len(test)):
        sample = test[k]["data_samples"]
        boxes = [box for box in sample.instances if detected]
        corners = torch.tensor([box["bbox"] for box in boxes], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([box["bbox_label"] for box in boxes], dtype=torch.long)
        found = InstanceData(bboxes=corners, labels=labels, scores=torch.full((len(boxes),), 0.9))
        metric.process({}, [beside_truth(sample, found).to_dict()])
    return metric.evaluate(len(test))


FORMS = pytest.mark.parametrize("form", ["voc", "coco"])
BOTH: list[Box] = [("a", 0), ("b", 0)]


# ---------------------------------------------------------------- detection


@FORMS
@pytest.mark.parametrize(
    ("test", "came"),
    [
        ([[], [], []], "none in 3 images"),
        ([[("a", 1)], [("b", 1), ("b", 1)], []], "3 in 3 images, all of them diff"),
    ],
)
def test_a_test_set_without_a_box_that_counts_is_a_fault(
    tmp_path: Path, form: str, test: list, came: str
):
    (fault,) = detection(tmp_path, form, [BOTH] * 3, test).check()
    assert fault.startswith(
        "task.test: expected a box in the test set that its evaluation counts, but got " + came
    )


@FORMS
@pytest.mark.parametrize("detected", [True, False])
def test_without_a_box_to_judge_by_no_score_is_a_number(tmp_path: Path, form: str, detected: bool):
    """pycocotools' word for nothing is -1, and mmdet's mean of nothing 0."""
    for number, test in enumerate(([[], []], [[("a", 1)], [("b", 1)]])):
        found = scores(detection(tmp_path / str(number), form, [BOTH], test), detected)
        assert "mAP" in found and all(math.isnan(value) for value in found.values()), found


@FORMS
def test_nothing_found_of_boxes_that_count_is_a_score_of_0(tmp_path: Path, form: str):
    assert scores(detection(tmp_path, form, [BOTH], [BOTH, []]), detected=False)["mAP"] == 0.0


def test_pycocotools_itself_says_minus_1(tmp_path: Path):
    """What the evaluator must not hand on."""
    detection(tmp_path, "coco", [BOTH], [[], []])
    with redirect_stdout(io.StringIO()):
        content = json.loads((tmp_path / "test.json").read_text()) | {"info": {}}
        (tmp_path / "test.json").write_text(json.dumps(content))
        truth = COCO(str(tmp_path / "test.json"))
        box = {"image_id": 2, "category_id": 1, "bbox": [4, 4, 35, 35], "score": 0.9}
        evaluation = COCOeval(truth, truth.loadRes([box]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == -1


@FORMS
def test_a_class_without_a_box_is_a_note_and_not_in_the_mean(tmp_path: Path, form: str):
    task = detection(tmp_path, form, [[("a", 0)], []], [[("b", 0)], [("a", 1)]])
    assert task.check() == []
    assert task.notes() == [
        "pool: no box of 1 of 2 classes: 'b'; nothing of them can be learned",
        "test: no box of 1 of 2 classes: 'a'; their AP is not a number and not in mAP",
    ]
    found = scores(task, detected=True)
    assert found["mAP"] == found["AP/b"] == pytest.approx(1.0) and math.isnan(found["AP/a"])


@FORMS
@pytest.mark.parametrize(
    ("pool", "difficult", "came"),
    [
        ([[], [], []], "ignore", "none in 3 images; name lists with annotations as task.train"),
        (
            [[("a", 1)], [("b", 1)], []],
            "ignore",
            "2 in 3 images, all of them difficult or crowds; name lists",
        ),
        ([[("a", 1)], [("b", 1)], []], "train", None),
        ([[("a", 0)], [("b", 1)], []], "ignore", None),
    ],
)
def test_a_pool_without_a_label_is_a_fault(
    tmp_path: Path, form: str, pool: list, difficult: str, came: str | None
):
    found = detection(tmp_path, form, pool, [BOTH], difficult=difficult).check()
    assert len(found) == (came is not None)
    for fault in found:
        assert fault.startswith(
            f"task.train: expected a box to train on in the pool, but got {came}"
        )
        assert ("or set task.difficult=train" in fault) == bool(pool[0])


@FORMS
@pytest.mark.parametrize(("bare", "said"), [(0, False), (2, False), (3, True)])
def test_a_pool_that_mostly_has_no_boxes_is_counted(
    tmp_path: Path, form: str, bare: int, said: bool
):
    task = detection(tmp_path, form, [[]] * bare + [BOTH] * (4 - bare), [BOTH])
    assert task.check() == []
    assert task.notes() == ([f"pool: {bare} of 4 images have no box"] if said else [])


@FORMS
def test_a_limited_test_set_is_spread_over_all(tmp_path: Path, form: str):
    """The first images of a list may be all alike.

    Every task takes the samples k * size // limit.
    """
    task = detection(tmp_path, form, [BOTH], [[], [], [], BOTH, [], BOTH], test_limit=2)
    assert task.check() == []
    paths = [Path(task.dataset("test")[k]["data_samples"].img_path).stem for k in range(2)]
    assert paths == ["002", "005"]  # the first and the fourth of the test set
    assert scores(task, detected=True)["mAP"] == pytest.approx(1.0)


@FORMS
def test_a_limit_that_leaves_no_box_is_a_fault(tmp_path: Path, form: str):
    (fault,) = detection(tmp_path, form, [BOTH], [[], BOTH, BOTH, BOTH], test_limit=1).check()
    assert (
        "none in 1 images; name a list with annotations as task.test, or raise task.test_limit (1)"
        in fault
    )


# ---------------------------------------------------------------- pose


def rewritten(root: Path, name: str, change: Callable[[int, dict], dict]) -> None:
    path = root / f"annot/{name}.json"
    persons = [change(k, person) for k, person in enumerate(json.loads(path.read_text()))]
    path.write_text(json.dumps(persons))
    if name == "valid":
        scipy.io.savemat(root / "annot/gt_valid.mat", posekit.heads_of(persons))


def only(*joints: int) -> Callable[[int, dict], dict]:
    """Persons with these joints alone."""

    def change(k: int, person: dict) -> dict:
        places = [[20 + 3 * j, 30 + 2 * j] if j in joints else [-1, -1] for j in range(16)]
        return person | {"joints": places, "joints_vis": [int(j in joints) for j in range(16)]}

    return change


@pytest.mark.parametrize("measure", ["PCK", "PCKh"])
def test_joints_that_are_left_out_of_the_mean_are_nothing_to_judge_by(tmp_path: Path, measure: str):
    root = posekit.make_mpii(tmp_path)
    unscored = [MPII_JOINTS.index(name) for name in ("pelvis", "thorax")]
    rewritten(root, "valid", only(*unscored))
    (fault,) = [
        f
        for f in posekit.pose(root, measure=measure).check()
        if "head" not in getattr(f, "kind", "")
    ]
    expected = (
        f"expected a person with a size and a joint that counts for {measure}, but got none among 6"
    )
    assert fault.startswith(f"{root}/annot/valid.json: {expected}")
    rewritten(root, "valid", only(*unscored, 0))
    assert [
        f for f in posekit.pose(root, measure=measure).check() if "judge" in getattr(f, "kind", "")
    ] == []


def test_a_limit_that_leaves_no_joint_is_a_fault(tmp_path: Path):
    root = posekit.make_mpii(tmp_path)
    rewritten(root, "valid", lambda k, person: person if k else only()(k, person))
    assert [f for f in posekit.pose(root).check() if f.kind == "nothing to judge by"] == []
    (fault,) = [
        f for f in posekit.pose(root, test_limit=1).check() if f.kind == "nothing to judge by"
    ]
    assert (
        "but got none among 1; annotate some" in fault and "or raise task.test_limit (1)" in fault
    )


def test_persons_of_one_joint_have_no_size_for_pck(tmp_path: Path):
    root = posekit.make_mpii(tmp_path)
    rewritten(root, "valid", only(0))
    (fault,) = posekit.pose(root, measure="PCK").check()
    assert "counts for PCK, but got none among 6; annotate some (a size takes" in fault


def test_joints_that_nobody_has_and_persons_without_any_are_noted(tmp_path: Path):
    root = posekit.make_mpii(tmp_path)
    rewritten(root, "train", lambda k, person: only(*([] if k < 7 else [0, 1]))(k, person))
    rewritten(root, "valid", only(1, 2))
    notes = posekit.pose(root, measure="PCK").notes()
    named = "'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'pelvis', ..."
    rest = "'right_ankle', 'left_hip', 'left_knee', 'left_ankle', 'pelvis', ..."
    assert notes == [
        "pool: 7 of 12 persons have no annotated joint",
        f"pool: no person has 14 of 16 joints: {named}; nothing of them can be learned",
        f"test: no person has 14 of 16 joints: {rest}; their PCK is not a number",
    ]
    assert posekit.pose(posekit.make_mpii(tmp_path / "whole")).notes() == []


# ---------------------------------------------------------------- any task, and what a run says


class Unlabeled(Toy):
    def effort(self, index: int) -> int:
        return 0


class LastLabeled(Toy):
    def effort(self, index: int) -> int:
        return int(index == 59)


def test_a_pool_without_a_label_is_a_fault_of_any_task():
    config = str(REPOSITORY / "tests/examples/toy_config.py")
    problems = preflight.problems(load(config, options={"task.type": Unlabeled}), False)
    assert problems == [
        "task: expected labels in the pool, but got an effort of 0 for each of its 60 samples; "
        "label some"
    ]
    assert preflight.problems(load(config, options={"task.type": LastLabeled}), False) == []


def test_a_score_that_is_no_number_is_said_to_be_none():
    row = {"cycle": 0, "labeled": 10, "effort": 12, "mAP": None}
    assert "mAP - (not a number)" in showing.line(row, "mAP", 3)
    assert "mAP 0.000" in showing.line(row | {"mAP": 0.0}, "mAP", 3)


def test_a_dry_run_on_images_without_annotations(tmp_path: Path, capsys):
    task = detection(tmp_path / "data", "coco", [[], []], [[]])
    folder = "VOC2007/JPEGImages"
    options = [
        f"task.data_root={task.root}",
        "task.format=coco",
        f"task.train=[{folder}:trainval.json]",
        f"task.test=[{folder}:test.json]",
        "task.classes=[a, b]",
        "budget.initial=2",
        "budget.query=1",
        "budget.cycles=1",
    ]
    config = str(REPOSITORY / "configs/det_sandbox.py")
    arguments = [
        config,
        "--dry-run",
        "--work-dir",
        str(tmp_path / "run"),
        "--cfg-options",
        *options,
    ]
    assert commands.train(arguments, lambda *_: None) == 2
    said = capsys.readouterr().out
    assert "task.train: expected a box to train on in the pool, but got none in 2 images" in said
    assert (
        "task.test: expected a box in the test set that its evaluation counts, but got none in 1 "
        "images" in said
    )
    assert not (tmp_path / "run").exists()
