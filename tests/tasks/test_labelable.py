"""The three tasks on labels so far: what people gave is read back, and what nobody has labeled is
scored in its place and never learned from.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from models.process.seeding import seeded
from models.training.joint import JointModel, ModuleSettings
from tasks.base import DataError, Sourced, Task
from tasks.classification import Classification
from tasks.deployable import Deployable
from tasks.detection import Detection
from tasks.labelable import Labelable, LabelFiles, Labeling
from tasks.pose import Pose
from tasks.pose.people import MPII_BONES, MPII_JOINTS
from tests import contract, labelkit

# in no order of names, so that an order that is found anew is seen
POOL = ("night/9.png", "b.png", "night/10.png", "a.png", "c.png", "d.png")
VALIDATION = ("v2.png", "v1.png", "v3.png")
LABELED, UNLABELED = [0, 2, 3], [1, 4, 5]
LOSS, PROBS = frozenset({"loss"}), frozenset({"probs"})

CLASSES = ("bolt", "nut", "screw")  # nobody has drawn a screw yet
BOXES = {
    "night/9.png": [("bolt", (3.25, 4.5, 20.125, 30.0)), ("nut", (40.0, 8.0, 31.7, 22.9))],
    "night/10.png": [("nut", (0.0, 0.0, 96.0, 64.0))],
    "a.png": [],  # empty
}
BOXES_HELD_OUT = {"v2.png": [("bolt", (10.5, 10.25, 40.0, 30.0))], "v1.png": [], "v3.png": []}

JOINTS = ("nose", "left_paw", "right_paw")
NOBODY: list[tuple[float, float, int]] = []
WHOLE = (0.0, 0.0, 96.0, 64.0)
PERSON = ((10.5, 8.0, 40.0, 50.0), [(20.25, 12.5, 2), (15.0, 40.75, 1), (0, 0, 0)])
OTHER = ((50.0, 5.0, 30.0, 40.0), [(60.0, 12.0, 2), (55.5, 30.0, 2), (70.0, 31.0, 2)])
PEOPLE = {
    "night/9.png": [PERSON, OTHER],
    "b.png": [(WHOLE, NOBODY)],
    "night/10.png": [OTHER],
    "a.png": [],  # labeled: there is nobody, so no sample
    "c.png": [((5.0, 5.0, 30.0, 30.0), NOBODY), ((50.0, 5.0, 30.0, 50.0), NOBODY)],  # found
    "d.png": [(WHOLE, NOBODY)],
}


def detection(**settings: Any) -> Detection:
    given = dict(data_root="/nowhere", train=["none"], classes=CLASSES, network="small_ssd")
    return Detection(**(given | dict(pretrained=None, test_share=0.5) | settings))


def pose(**settings: Any) -> Pose:
    given: dict[str, Any] = dict(data_root="/nowhere", network="simple:resnet10t", input_size=32)
    coco = dict(format="coco", train=["a:b"], test_share=0.5, joints=JOINTS, category="dog")
    return Pose(**(given | coco | settings))


def classification(**settings: Any) -> Classification:
    given: dict[str, Any] = dict(data_root="/nowhere", classes=CLASSES, input_size=32)
    small = dict(network="resnet10_cifar_w8", augmentation="resized_crop")
    return Classification(**(given | small | settings))


TASKS = {"boxes": detection, "poses": pose, "classes": classification}


def project(kind: str, root: Path) -> LabelFiles:
    """Images, of which some are labeled, and their two files."""
    files = labelkit.files(root)
    labelkit.make_images(files.images, (*POOL, *VALIDATION))
    labeling = TASKS[kind]().labeling()
    if kind == "boxes":
        labelkit.write_boxes(files.pool, labeling, {name: BOXES.get(name, []) for name in POOL})
        labelkit.write_boxes(files.validation, labeling, BOXES_HELD_OUT)
    elif kind == "poses":
        labelkit.write_people(files.pool, labeling, {name: PEOPLE[name] for name in POOL})
        held_out = {"v2.png": [PERSON], "v1.png": [], "v3.png": [OTHER]}
        labelkit.write_people(files.validation, labeling, held_out)
    else:
        given = dict.fromkeys(POOL, "") | {
            "night/9.png": "bolt",
            "night/10.png": "nut",
            "a.png": "bolt",
        }
        labelkit.write_classes(files.pool, given)
        labelkit.write_classes(files.validation, dict(zip(VALIDATION, CLASSES, strict=True)))
    return files


def on(kind: str, files: LabelFiles, **settings: Any) -> Any:
    make = TASKS[kind]
    return make(**(make().on_labels(files) | settings))


@pytest.fixture(params=TASKS)
def kind(request) -> str:
    return request.param


def model_of(task: Task) -> JointModel:
    with seeded(0):
        network = task.build()
    return JointModel(network, task.forward, task.predict, task.taps, ModuleSettings(), "off")


# ------------------------------------------------------------------ all three tasks


def test_labeled_empty_and_unlabeled_images_are_samples_without_a_fault(kind: str, tmp_path: Path):
    files = project(kind, tmp_path)
    task = on(kind, files)
    assert isinstance(task, Labelable) and isinstance(task, Sourced)
    assert isinstance(task, Deployable)
    assert task.check(full=True) == []
    images = [str(source.file.relative_to(files.images)) for source in task.sources("pool")]
    expected = list(POOL)
    if kind == "poses":  # by person; nobody is in a.png
        expected = [
            "night/9.png",
            "night/9.png",
            "b.png",
            "night/10.png",
            "c.png",
            "c.png",
            "d.png",
        ]
    assert images == expected
    assert len(task.dataset("pool")) == len(task.dataset("train")) == len(expected)
    for index, name in enumerate(images):
        assert task.name(index).startswith(name)
        task.thumbnail(index)
        task.traits(index)
    found = [source.file.name for source in task.sources("test")]
    assert found == (["v2.png", "v3.png"] if kind == "poses" else list(VALIDATION))


def test_unlabeled_samples_are_scored_and_labeled_ones_learned(kind: str, tmp_path: Path):
    task = on(kind, project(kind, tmp_path))
    assert task.check() == []
    model = model_of(task)
    unlabeled = [i for i in range(len(task.dataset("pool"))) if task.effort(i) == 0]
    if kind == "classes":
        unlabeled = UNLABELED
    assert unlabeled
    samples = Samples(task.dataset("pool"), task.collate, ids=unlabeled)
    rows = score(model, samples, ["entropy"], ScoringSettings(2, workers=0))
    assert rows["entropy"].shape == (len(unlabeled),)
    assert np.isfinite(rows["entropy"]).all()
    labeled = [i for i in range(len(task.dataset("train"))) if i not in unlabeled]
    step = torch.optim.SGD(model.network.parameters(), 0.01)
    model.train()
    batch = task.collate([task.dataset("train")[i] for i in labeled])
    loss = task.forward(model.network, batch, LOSS).loss
    assert loss.shape == (len(labeled),) and torch.isfinite(loss).all() and (loss > 0).all()
    loss.mean().backward()
    before = [p.detach().clone() for p in model.network.parameters()]
    step.step()
    after = list(model.network.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    found = contract.evaluated(task, len(task.dataset("test")))
    assert 0 <= found[task.metric] <= 1


def test_before_the_first_label_everything_can_still_be_scored(kind: str, tmp_path: Path):
    files = project(kind, tmp_path)
    labeling = TASKS[kind]().labeling()
    for path, names in ((files.pool, POOL), (files.validation, VALIDATION)):
        if kind == "boxes":
            labelkit.write_boxes(path, labeling, dict.fromkeys(names, []))
        elif kind == "poses":
            labelkit.write_people(path, labeling, dict.fromkeys(names, [(WHOLE, NOBODY)]))
        else:
            labelkit.write_classes(path, dict.fromkeys(names, ""))
    task = on(kind, files)
    assert task.check() == []
    assert len(task.notes()) > 0
    assert len(task.dataset("pool")) == len(POOL)
    samples = Samples(task.dataset("pool"), task.collate, ids=range(len(POOL)))
    rows = score(model_of(task), samples, ["entropy"], ScoringSettings(3, workers=0))
    assert np.isfinite(rows["entropy"]).all()
    if kind == "poses":  # nobody to judge by is no sample
        assert len(task.dataset("test")) == 0
        assert math.isnan(task.evaluator().compute_metrics([])[task.metric])
    else:
        assert math.isnan(contract.evaluated(task, 3)[task.metric])


def test_a_run_on_complete_data_refuses_what_is_not_labeled(kind: str, tmp_path: Path):
    files = project(kind, tmp_path)
    if kind == "classes":
        faults = on(kind, files, unlabeled="fault").check()
        assert [fault.kind for fault in faults] == ["no class"] * 3 + ["missing class"]
        assert str(faults[0]) == (
            f"{files.pool}, line 3: expected a class, but got none; write its class, or delete "
            "the line"
        )
        assert "none of 1 of 3 classes: 'screw'" in faults[3]
        return
    labeling = TASKS[kind]().labeling()
    assert on(kind, files, unlabeled="fault").check() == []
    if kind == "boxes":
        labelkit.write_boxes(files.pool, labeling, dict.fromkeys(POOL, []))
        expected = "expected a box to train on in the pool, but got none in 6 images"
    else:
        labelkit.write_people(files.pool, labeling, dict.fromkeys(POOL, [(WHOLE, NOBODY)]))
        expected = r"expected a person at least with an annotated joint \(v of 1 or 2\)"
    (fault,) = on(kind, files, unlabeled="fault").check()
    assert fault.where == "task.train"
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(fault)


def test_what_is_wrong_is_refused_in_labels_so_far_too(kind: str, tmp_path: Path):
    files = project(kind, tmp_path)
    (files.images / "c.png").unlink()
    faults = on(kind, files).check()
    assert [fault.kind for fault in faults] == ["missing image"]
    assert str(files.images / "c.png") in faults[0]


def test_features_of_frozen_networks_are_scored_without_labels(tmp_path: Path):
    pytest.importorskip("timm")
    files = project("classes", tmp_path)
    frozen = dict(network="timm:resnet10t", frozen=True, views=1, cache=str(tmp_path / "kept"))
    task = on("classes", files, **frozen)
    assert task.check() == []
    samples = Samples(task.dataset("pool"), task.collate, ids=UNLABELED)
    rows = score(model_of(task), samples, ["entropy"], ScoringSettings(2, workers=0))
    assert np.isfinite(rows["entropy"]).all()
    assert task.dataset("train").__getitems__(LABELED)[1].label == CLASSES.index("nut")
    with pytest.raises(DataError, match="one that nobody has labeled"):
        task.dataset("train").__getitems__([1])


# ------------------------------------------------------------------ what people gave


def test_boxes_are_read_back_as_they_were_written(tmp_path: Path):
    task = on("boxes", project("boxes", tmp_path))
    for index, name in enumerate(POOL):
        found = json.loads(task.sources("pool")[index].label)["boxes"]
        given = sorted(
            [label, x, y, x + w, y + h, 0] for label, (x, y, w, h) in BOXES.get(name, [])
        )
        assert [box[0] for box in found] == [box[0] for box in given]
        corners = np.array([box[1:5] for box in found]), np.array([box[1:5] for box in given])
        assert np.abs(corners[0] - corners[1]).max(initial=0) <= 1e-6
        assert task.effort(index) == len(given)
    notes = "\n".join(task.notes())
    assert "pool: 4 of 6 images have no box" in notes
    assert "pool: no box of 1 of 3 classes: 'screw'" in notes


def test_joints_are_read_back_as_they_were_written(tmp_path: Path):
    task = on("poses", project("poses", tmp_path))
    given = [person for name in POOL for person in PEOPLE[name]]
    assert len(given) == len(task.dataset("pool")) == 7
    for source, (box, joints) in zip(task.sources("pool"), given, strict=True):
        found = json.loads(source.label)
        assert np.abs(np.array(found["box"]) - box).max() <= 1e-6
        points = joints or [(0, 0, 0)] * 3
        assert [joint is None for joint in found["joints"]] == [v == 0 for _, _, v in points]
        for joint, (x, y, _) in zip(found["joints"], points, strict=True):
            assert joint is None or joint == [x, y]
    assert [task.effort(i) for i in range(7)] == [2, 3, 0, 3, 0, 0, 0]
    assert "pool: 4 of 7 persons have no annotated joint" in task.notes()


def test_a_bare_person_of_a_labeled_image_is_no_sample(tmp_path: Path):
    files = project("poses", tmp_path)
    people = {name: PEOPLE[name] for name in POOL}
    people["night/10.png"] = [(WHOLE, NOBODY), OTHER]
    labelkit.write_people(files.pool, pose().labeling(), people)
    names = [on("poses", files).name(i) for i in range(7)]
    assert [name for name in names if "night/10" in name] == ["night/10.png person 2"]


def test_nothing_is_learned_of_an_unlabeled_person(tmp_path: Path):
    for over in ("annotated", "all"):
        task = on("poses", project("poses", tmp_path / over), pose_loss=over)
        batch = task.collate([task.dataset("train")[i] for i in (2, 4, 5, 6)])
        assert task.forward(model_of(task).network, batch, LOSS).loss.tolist() == [0] * 4


def test_persons_by_pck_too(tmp_path: Path):
    task = on("poses", project("poses", tmp_path), measure="PCK")
    assert task.check() == [] and task.metric == "PCK"
    assert 0 <= contract.evaluated(task, 2)["PCK"] <= 1


def test_classes_are_read_back_as_they_were_written(tmp_path: Path):
    task = on("classes", project("classes", tmp_path))
    found = [json.loads(source.label)["label"] for source in task.sources("pool")]
    assert found == ["bolt", None, "nut", "bolt", None, None]
    assert [task.traits(i)["class"] for i in (0, 1)] == [["bolt"], []]
    assert task.check() == []
    notes = "\n".join(task.notes())
    assert "3 of 6 images have no class yet" in notes
    assert "pool: none of 1 of 3 classes: 'screw'; nothing of them can be learned" in notes


@pytest.mark.parametrize("augmentation", ["crop", "resized_crop"])
def test_an_unlabeled_image_cannot_be_trained_on(augmentation: str, tmp_path: Path):
    files = project("classes", tmp_path)
    if augmentation == "crop":
        import cv2

        for path in files.images.rglob("*.png"):
            cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (32, 32)))
    task = on("classes", files, augmentation=augmentation)
    assert task.check() == []
    train = task.dataset("train")
    for read in (lambda: train[1], lambda: [train[i] for i in UNLABELED]):
        with pytest.raises(DataError, match="expected the class of an image to train on"):
            read()
    if hasattr(train, "__getitems__"):
        with pytest.raises(DataError, match="nobody has labeled"):
            train.__getitems__([0, 1])
    assert task.collate([task.dataset("pool")[i] for i in (0, 1)])["labels"].tolist() == [0, -1]
    with pytest.raises(IndexError, match="Target -1"):  # by torch, whoever trains
        batch = task.collate([task.dataset("pool")[1]])
        task.forward(model_of(task).network, batch, LOSS)


def test_unlabeled_test_images_are_not_judged(tmp_path: Path):
    files = project("classes", tmp_path)
    labelkit.write_classes(files.validation, {"v2.png": "", "v1.png": "nut", "v3.png": ""})
    task = on("classes", files)
    metric = task.evaluator()
    metric.process({}, [dict(label=-1, predicted=0), dict(label=1, predicted=1)])
    assert metric.evaluate(2)["accuracy"] == 1.0


# ------------------------------------------------------------------ what is to be drawn


def test_what_people_draw_is_said_without_data():
    assert detection().labeling() == Labeling("boxes", CLASSES)
    assert classification().labeling() == Labeling("classes", CLASSES)
    assert pose().labeling() == Labeling("poses", ("dog",), JOINTS, (), (0, 2, 1))
    mpii = Pose("/nowhere", measure="PCK", heads=None).labeling()
    assert (mpii.classes, mpii.joints, mpii.bones) == (("person",), MPII_JOINTS, MPII_BONES)
    assert mpii.mirrored[0] == MPII_JOINTS.index("left_ankle")


def test_a_setting_that_is_missing_for_it_is_named():
    with pytest.raises(ValueError, match="task.joints: expected the names of the joints"):
        pose(joints=None).labeling()
    with pytest.raises(ValueError, match="task.classes: expected the names of the classes"):
        classification(classes=None).labeling()
    with pytest.raises(ValueError, match="task.classes"):
        classification(classes=None, format="cifar10").labeling()


def test_mpiis_poses_become_cocos(tmp_path: Path):
    mpii = dict(data_root="/nowhere", network="simple:resnet10t", input_size=32, stacks=1)
    labeling = Pose(**mpii).labeling()
    files = labelkit.files(tmp_path)
    labelkit.make_images(files.images, ["a.png", "v.png"])
    joints = [(20.0 + k, 12.0 + k, 2) for k in range(16)]
    for path, name in ((files.pool, "a.png"), (files.validation, "v.png")):
        labelkit.write_people(path, labeling, {name: [(PERSON[0], joints)]})
    task = Pose(**(mpii | Pose.on_labels(files)))
    assert task.check() == [] and task.joints == MPII_JOINTS and task.metric == "AP"
    with pytest.raises(ValueError, match="measure: expected 'OKS' or 'PCK' for format='coco'"):
        Pose(**(mpii | dict(measure="PCKh") | Pose.on_labels(files)))


# ------------------------------------------------------------------ places


def test_a_json_may_lie_anywhere_and_the_images_may_not(tmp_path: Path):
    files = project("boxes", tmp_path)
    for entry, fault in (
        ("../project:pool.json", "got '../project:pool.json'"),
        (":../project/pool.json", "got ':../project/pool.json'"),
        (f"{files.images}:{files.pool}", "list name"),
        (f":{files.pool}", None),
        (f"night:{files.pool}", "missing image"),
    ):
        faults = on("boxes", files, train=[entry]).check()
        if fault is None:
            assert faults == []
        else:
            assert faults and (fault in faults[0] or faults[0].kind == fault)
