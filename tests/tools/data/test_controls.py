"""`make_sandbox.py --control`: what the sets are said to hold is counted in their files."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.classification import Classification
from tasks.detection import Detection
from tasks.pose import Pose
from tests.tools.data.test_make_sandbox import read_boxes, read_list, snapshot
from tools import make_sandbox
from tools.data.sandbox import (
    CONTROL_SIZES,
    SHARES,
    classification,
    controls,
    detection,
    draw,
    pose,
)
from tools.data.sandbox.controls import Spot, moved, spots

FOLDERS = {"cls": "shapes", "det": "VOCdevkit", "pose": "figures"}
LARGER = (96, 36)
POOL, TEST = 32, 16  # the pool has 4 nights, the test set 2 frames of each


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("controls")
    for task in FOLDERS:
        for control in SHARES:
            draw(task, root, POOL, TEST, control=control)
    return root


def settings(control: str, task: str = "det", **changes: float) -> dict:
    made = {"task": task, "control": control, "seed": 0, "pool": 240, "hard": SHARES[control][0]}
    return made | changes


# ---------------------------------------------------------------- shares


def test_a_positive_pool_shows_few_days_often_and_each_night_once():
    """240 samples: 12.5% are 30 nights, and the other 210 are 70 frames of each of 3 days."""
    assert CONTROL_SIZES == (240, 120)
    pool = spots(settings("positive"), 0, 240)
    assert [spot.number for spot in pool] == list(range(240))
    assert Counter(s.place for s in pool if s.other) == dict.fromkeys(range(30), 1)
    assert Counter(s.place for s in pool if not s.other) == dict.fromkeys(range(3), 70)


def test_its_test_set_weighs_days_and_nights_evenly():
    test = spots(settings("positive"), 1, 120)
    assert Counter(s.place for s in test if s.other) == dict.fromkeys(range(30), 2)
    assert Counter(s.place for s in test if not s.other) == dict.fromkeys(range(3), 20)


def test_a_negative_pool_has_false_labels_and_its_test_set_none():
    pool, test = (spots(settings("negative"), k, n) for k, n in enumerate(CONTROL_SIZES))
    assert sum(s.other for s in pool) == 120 and not any(s.other for s in test)
    assert [s.place for s in pool] == list(range(240))


@pytest.mark.parametrize(("task", "folder"), FOLDERS.items())
def test_hard_txt_names_the_samples_of_the_other_kind(task: str, folder: str, drawn: Path):
    place = "VOC2007/ImageSets/Main/hard.txt" if task == "det" else "hard.txt"
    counts = {
        control: len((drawn / f"{folder}_{control}" / place).read_text().splitlines())
        for control in SHARES
    }
    assert counts == {"positive": 4 + 8, "negative": round(0.5 * POOL)}


# ---------------------------------------------------------------- near copies


def test_moved_images_repeat_their_border():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert moved(image, 1, 0).tolist() == [[0, 0, 1], [3, 3, 4]]
    assert moved(image, 0, -1).tolist() == [[3, 4, 5], [3, 4, 5]]
    assert (moved(image, 0, 0) == image).all()


def frames(task: str, other: bool, place: int, count: int = 6) -> list:
    drawings = {"cls": classification, "det": detection, "pose": pose}[task].DRAWINGS
    return [
        drawings.sample(settings("positive", task), 0, Spot(number, other, place))
        for number in range(count)
    ]


def image_of(sample) -> np.ndarray:
    return getattr(sample, "image", sample[0]).astype(float)


@pytest.mark.parametrize("task", FOLDERS)
def test_frames_of_a_place_are_near_copies_and_places_are_not(task: str):
    """Moved by at most 2 px against each other, frames differ by noise of 2 levels a frame:
    2 x 2 / sqrt(pi) = 2.26 levels on average.
    """
    here = [image_of(s) for s in frames(task, False, 0)]
    there = image_of(frames(task, False, 1, 1)[0])

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        inner = a[3:-3, 3:-3]
        shifts = [(y, x) for y in range(1, 6) for x in range(1, 6)]
        size = np.array(inner.shape[:2])
        return min(
            float(np.abs(inner - b[y : y + size[0], x : x + size[1]]).mean()) for y, x in shifts
        )

    assert [apart(here[0], other) for other in here[1:]] == pytest.approx([2.26] * 5, abs=0.15)
    assert apart(here[0], there) > 20


@pytest.mark.parametrize("task", FOLDERS)
def test_little_light_is_left_at_night(task: str):
    """The brightest pixel that a day can have is 255, and .35 of it is 89."""
    nights = [image_of(s) for s in frames(task, True, 0)]
    days = [image_of(s) for s in frames(task, False, 0)]
    assert max(np.quantile(night, 0.999) for night in nights) < 89 + 4 * controls.FLICKER
    assert np.mean(nights) < 0.5 * np.mean(days)


def test_boxes_move_with_the_objects():
    for image, objects in frames("det", False, 1):
        assert image.shape == (128, 128, 3) and objects
        for thing in objects:
            x, y, width, height = cv2.boundingRect((thing.alpha >= 0.5).astype(np.uint8))
            assert thing.box == (x + 1, y + 1, x + width, y + height)
    assert len({o.box for _, objects in frames("det", False, 1) for o in objects[:1]}) > 1


def test_joints_move_with_the_figure():
    """Between two frames all joints, the head box and the centre move by the same whole pixels."""
    first, *rest = frames("pose", True, 2)
    steps = set()
    for person in rest:
        step = person.joints - first.joints
        assert np.allclose(step, step[0]) and np.allclose(step, step.round())
        assert np.allclose(person.centre - first.centre, step[0])
        assert np.allclose(person.head - first.head, step[0])
        steps.add(tuple(step[0].round().tolist()))
    assert len(steps) > 1 and max(abs(x) for step in steps for x in step) <= 2


# ---------------------------------------------------------------- false labels


def test_false_labels_say_nothing_of_the_image():
    """Of 400 hard images a ninth has the class that was drawn, as by chance: 44.4, and three
    standard deviations of 6.3 around it.
    """
    made = settings("negative", "cls")
    right = 0
    for number in range(400):
        image, label = classification.DRAWINGS.sample(made, 0, Spot(number, True, number))
        drawn, true = classification.draw_image(0, 0, number, True)
        assert (image == drawn).all()
        right += label == true
    assert abs(right - 400 / 9) < 3 * (400 / 9 * 8 / 9) ** 0.5


def test_false_boxes_and_joints_are_those_of_another_drawing():
    for number in range(5):
        spot = Spot(number, True, number)
        image, objects = detection.DRAWINGS.sample(settings("negative"), 0, spot)
        drawn, true = detection.draw_scene(0, 0, number, True)
        assert (image == drawn).all()
        assert not {o.box for o in objects} & {o.box for o in true}
        person = pose.DRAWINGS.sample(settings("negative", "pose"), 0, spot)
        was = pose.draw_person(0, 0, number, True)
        assert (person.image == was.image).all()
        assert np.abs(person.joints - was.joints).max() > 5


@pytest.mark.parametrize("task", FOLDERS)
def test_clear_samples_of_a_negative_control_keep_their_labels(task: str):
    module = {"cls": classification, "det": detection, "pose": pose}[task]
    found = module.DRAWINGS.sample(settings("negative", task), 0, Spot(3, False, 3))
    same = (module.DRAWINGS.draw_clear or partial(module.DRAWINGS.draw, hard=False))(0, 0, 3)
    assert (image_of(found) == image_of(same)).all()
    if task == "pose":
        assert (found.joints == same.joints).all()
    else:
        assert repr(found[1]) == repr(same[1])


def test_clear_images_of_the_negative_control_are_plain_ones():
    """Nearer to the middle than a sandbox's, whose shapes are anywhere."""
    made = settings("negative", "cls")
    for number in range(20):
        image, name = classification.DRAWINGS.sample(made, 0, Spot(number, False, number))
        assert name == classification.CLASSES[number % 9]
        most = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[..., 1] > 150  # the grey behind has less
        assert np.abs(np.argwhere(most).mean(0) - 15.5).max() < 4


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("control", SHARES)
def test_the_tasks_read_them(control: str, tmp_path: Path):
    for task_name in FOLDERS:  # so many that each class has a sample
        draw(task_name, tmp_path, *LARGER, control=control)
    classes = ("circle", "square", "triangle")
    tasks = (
        Classification(str(tmp_path / f"shapes_{control}"), network="resnet10_cifar_w8"),
        Detection(
            str(tmp_path / f"VOCdevkit_{control}"), train=["VOC2007/trainval"], test=["VOC2007/test"],
            classes=classes, network="small_ssd", pretrained=None,
        ),
        Pose(str(tmp_path / f"figures_{control}"), stacks=1, features=8, depth=1, input_size=64),
    )  # fmt: skip
    for task in tasks:
        assert task.check(full=True) == []
        assert (len(task.dataset("pool")), len(task.dataset("test"))) == LARGER


def test_boxes_in_the_files_are_those_drawn(drawn: Path):
    voc = drawn / "VOCdevkit_negative/VOC2007"
    made = json.loads((voc.parent / "sandbox.json").read_text())
    assert made["control"] == "negative"
    ids = read_list(voc, "trainval")
    assert set(read_list(voc, "hard")) == {ids[s.number] for s in spots(made, 0, POOL) if s.other}
    for spot in spots(made, 0, POOL):
        objects = detection.DRAWINGS.sample(made, 0, spot)[1]
        assert read_boxes(voc, ids[spot.number]) == [
            (o.name, int(o.difficult), o.box) for o in objects
        ]


def test_the_same_settings_give_the_same_bytes_and_another_seed_other_ones(
    drawn: Path, tmp_path: Path
):
    draw("cls", tmp_path, POOL, TEST, control="positive")
    draw("cls", tmp_path / "other", POOL, TEST, seed=1, control="positive")
    first = snapshot(drawn / "shapes_positive")
    assert snapshot(tmp_path / "shapes_positive") == first
    other = set(snapshot(tmp_path / "other/shapes_positive").values())
    assert not other & {v for name, v in first.items() if name.endswith(".png")}


def test_a_control_has_a_folder_and_sizes_of_its_own(tmp_path: Path, capsys):
    assert make_sandbox.main(["cls", "--root", str(tmp_path), "--control", "negative"]) == 0
    assert "shapes_negative: 240 + 120 images of 9 classes, 120 hard" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["shapes_negative"]


@pytest.mark.parametrize(
    ("control", "hard", "wanted"),
    [
        ("positive", "0.01", "one sample at night and one by day"),
        ("positive", "1", "one sample at night and one by day"),
        ("negative", "0.01", "one sample with false labels"),
    ],
)
def test_a_control_needs_samples_of_its_kinds(control, hard, wanted, tmp_path: Path, capsys):
    options = ["--control", control, "--pool", "30", "--hard", hard]
    assert make_sandbox.main(["det", "--root", str(tmp_path), *options]) == 1
    said = capsys.readouterr().err
    assert (
        f"hard: expected a share of the pool, got {float(hard)} of 30, that is at least {wanted}"
        in said
    )
    assert not list(tmp_path.iterdir())


def test_an_unknown_control_is_refused_with_those_there_are(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        make_sandbox.main(["det", "--root", str(tmp_path), "--control", "sure"])
    assert "invalid choice: 'sure' (choose from" in capsys.readouterr().err
