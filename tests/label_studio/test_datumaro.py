"""A second opinion on the files: datumaro reads ours to the same shapes, and we read those that
it writes.

It rounds to hundredths of a pixel, so a fiftieth is what is compared. Where it differs, its format's
own documentation decides, and the test says so.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.labelable import Labeling
from tests.label_studio.drawing import batch_of, boxes, make_image, pose
from tests.label_studio.environment import lane
from tools.label.formats import coco, cvat, label_studio, voc, yolo
from tools.label.labels import PoolImage, Shape

pytestmark = pytest.mark.slow

LANE = lane()

SCRIPT = Path(__file__).with_name("second_opinion.py")
SIZES = {"a.jpg": (640, 480), "sub/b c.jpg": (500, 375), "turned.jpg": (320, 400)}
OBJECTS = Labeling("boxes", ("cat", "big dog"))
JOINTS = ("head", "left hand", "right hand")
PERSONS = Labeling("poses", ("person",), JOINTS, ((0, 1), (0, 2)), (0, 2, 1))
SPECIES = Labeling("classes", ("cat", "big dog"))
BOXES = {
    "a.jpg": boxes(("big dog", (300.1, 100.2, 33.3, 44.4)), ("cat", (0, 0, 640, 480))),
    "sub/b c.jpg": (),
    "turned.jpg": boxes(("cat", (10.123456789, 20.987654321, 300.5, 250.25))),
}
POSES = {
    "a.jpg": (
        pose((100.25, 50.5, 90.125, 200.75), (150.5, 60.125, 2), (110.3, 140.7, 1), (0, 0, 0)),
        pose((300, 100, 80, 90), (340.1, 110.9, 2), (310.5, 150.5, 2), (370.25, 151.75, 1)),
    ),
    "sub/b c.jpg": (),
    "turned.jpg": (pose((20, 30, 50, 60), (0, 0, 0), (30.25, 40.75, 2), (0, 0, 0)),),
}
Ask = Callable[..., Any]
Row = tuple[str, list[float]]


@pytest.fixture
def ask() -> Ask:
    """Run the script by the lane's Python."""

    def run(*arguments: object, given: object = None) -> Any:
        command = [LANE / "bin/python", SCRIPT, *map(str, arguments)]
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, encoding="utf-8", timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout or "null")

    return run


@pytest.fixture
def images(tmp_path: Path) -> list[PoolImage]:
    root = tmp_path / "photos"
    return [make_image(root, key, size, "turned" in key) for key, size in SIZES.items()]


def without_suffix(name: str) -> str:
    return name.rpartition(".")[0]


def boxes_in(shapes: Sequence[Mapping[str, Any]]) -> list[Row]:
    rows = [(shape["label"], shape["box"]) for shape in shapes if shape["kind"] == "bbox"]
    return sorted(rows)


def same(found: list[Row], wanted: list[Row]) -> None:
    """The same labels and numbers in the same order, up to a fiftieth."""
    assert [label for label, _ in found] == [label for label, _ in wanted]
    for (_, some), (_, others) in zip(found, wanted, strict=True):
        assert some == pytest.approx(others, abs=0.02)


# ---------------------------------------------------------------- ours, read by it


def plain(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    return list(box)


def counted_from_one(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """A box of VOC as datumaro takes it.

    VOC's development kit counts pixels from 1 ("the top-left pixel in the image has coordinates
    (1,1)"), and mmdet takes that 1 off; datumaro does not, so it sees a box one pixel further.
    The last pixel is the image's side.
    """
    x, y, width, height = box
    right, bottom = min(x + width + 1, size[0]), min(y + height + 1, size[1])
    return [x + 1, y + 1, right - x - 1, bottom - y - 1]


@pytest.mark.parametrize(
    ("module", "form", "seen"),
    [
        (cvat, "cvat", plain),
        (coco, "coco_instances", plain),
        (yolo, "yolo", plain),
        (voc, "voc_detection", counted_from_one),
    ],
    ids=["cvat", "coco", "yolo", "voc"],
)
def test_it_reads_our_boxes(
    module: Any, form: str, seen: Any, images: list[PoolImage], ask: Ask, tmp_path: Path
):
    module.write(batch_of(images, OBJECTS, tmp_path / "photos", BOXES), tmp_path / form)
    found = ask("read", form, tmp_path / form)
    if form == "yolo":  # where it takes a folder for the name of a subset
        found["sub/b c"] = found.pop("b c")
        assert found["sub/b c"]["subset"] == "sub"
    assert set(found) == {without_suffix(key) for key in SIZES}
    for image in images:
        it = found[without_suffix(image.key)]
        assert it["size"] == list(image.size)
        wanted = [(s.label, seen(s.box, image.size)) for s in BOXES[image.key]]
        same(boxes_in(it["shapes"]), sorted(wanted))


def test_it_reads_our_poses_in_coco(images: list[PoolImage], ask: Ask, tmp_path: Path):
    coco.write(batch_of(images, PERSONS, tmp_path / "photos", POSES), tmp_path / "coco")
    found = ask("read", "coco_person_keypoints", tmp_path / "coco")
    for key, shapes in POSES.items():
        it = sorted(found[without_suffix(key)]["shapes"], key=lambda shape: shape["group"])
        wanted = [("person", list(shape.box)) for shape in shapes]
        same([(one["label"], one["box"]) for one in it if one["kind"] == "bbox"], wanted)
        joints = [one["joints"] for one in it if one["kind"] == "points"]
        assert len(joints) == len(shapes)
        for some, shape in zip(joints, shapes, strict=True):
            flat = [[joint.x, joint.y, joint.visibility] for joint in shape.joints]
            for joint, other in zip(some, flat, strict=True):
                assert joint == pytest.approx(other, abs=0.02)


def test_it_reads_the_joints_of_our_skeletons_in_cvat(
    images: list[PoolImage], ask: Ask, tmp_path: Path
):
    """It knows no <skeleton>, so each joint is a point of its own, and none is outside: CVAT's
    documentation of its XML 1.1 has both, and our reader is tested on that.
    """
    cvat.write(batch_of(images, PERSONS, tmp_path / "photos", POSES), tmp_path / "cvat")
    found = ask("read", "cvat", tmp_path / "cvat")
    for key, shapes in POSES.items():
        it = found[without_suffix(key)]["shapes"]
        wanted = [
            (label, [joint.x, joint.y], str(joint.visibility == 1))
            for shape in shapes
            for label, joint in zip(JOINTS, shape.joints, strict=True)
        ]
        same([(one["label"], one["joints"][0][:2]) for one in it], [row[:2] for row in wanted])
        assert [one["attributes"]["occluded"] for one in it] == [row[2] for row in wanted]


def test_it_reads_our_classes_in_cvat(images: list[PoolImage], ask: Ask, tmp_path: Path):
    drafts = {"a.jpg": (Shape("big dog"),), "turned.jpg": (Shape("cat"),)}
    cvat.write(batch_of(images, SPECIES, tmp_path / "photos", drafts), tmp_path / "cvat")
    found = ask("read", "cvat", tmp_path / "cvat")
    labels = {name: [(s["kind"], s["label"]) for s in it["shapes"]] for name, it in found.items()}
    assert labels == {"a": [("label", "big dog")], "sub/b c": [], "turned": [("label", "cat")]}


@pytest.mark.parametrize(
    ("labeling", "drafts"),
    [(OBJECTS, BOXES), (PERSONS, POSES), (SPECIES, {"a.jpg": (Shape("cat", score=0.5),)})],
    ids=["boxes", "poses", "classes"],
)
def test_label_studios_own_library_finds_nothing_wrong(
    labeling: Labeling, drafts: Any, images: list[PoolImage], ask: Ask, tmp_path: Path
):
    """Its server checks neither; and a control that the configuration does not have is found."""
    folder = tmp_path / "out"
    label_studio.write(batch_of(images, labeling, tmp_path / "photos", drafts), folder)
    config, tasks = folder / label_studio.CONFIG, folder / label_studio.TASKS
    assert ask("check", config, tasks) == []
    wrong = tasks.read_text(encoding="utf-8").replace('"from_name": "', '"from_name": "x')
    tasks.write_text(wrong, encoding="utf-8")
    assert any("xlabel" in error or "xclass" in error for error in ask("check", config, tasks))


# ---------------------------------------------------------------- its own, read by us


def written(
    ask: Ask, form: str, folder: Path, labeling: Labeling, images: list[PoolImage], drawn: Any
) -> None:
    """Have datumaro write the shapes; the turned image is in the other subset."""
    wanted = {
        without_suffix(image.key): {
            "path": str(image.path),
            "subset": "val" if image.turned else "train",
            "shapes": [
                {
                    "label": s.label,
                    "box": s.box,
                    "joints": [[j.x, j.y, j.visibility] for j in s.joints],
                }
                for s in drawn[image.key]
            ],
        }
        for image in images
    }
    given = {
        "classes": labeling.classes,
        "joints": labeling.joints,
        "bones": labeling.bones,
        "images": wanted,
    }
    ask("write", form, folder, given=given)


def entries(module: Any, folder: Path, labeling: Labeling, images: list[PoolImage]) -> Any:
    """The shapes that we read, by the image's name without folders of subsets and suffixes."""
    found = module.read(folder, labeling, {image.key: image for image in images})
    assert [entry.faults for entry in found] == [()] * len(found)
    return {without_suffix(e.name) if "." in e.name else e.name: e.shapes for e in found}


def taken_off(box: Sequence[float]) -> list[float]:
    """A box that datumaro wrote as VOC: it counts from 0, and we take off VOC's 1."""
    return [box[0] - 1, box[1] - 1, *box[2:]]


@pytest.mark.parametrize(
    ("module", "form", "seen"),
    [
        (cvat, "cvat", list),
        (coco, "coco_instances", list),
        (yolo, "yolo", list),
        (yolo, "yolo_ultralytics", list),
        (voc, "voc_detection", taken_off),
    ],
    ids=["cvat", "coco", "yolo", "yolo_ultralytics", "voc"],
)
def test_we_read_its_boxes(
    module: Any, form: str, seen: Any, images: list[PoolImage], ask: Ask, tmp_path: Path
):
    written(ask, form, tmp_path / form, OBJECTS, images, BOXES)
    found = entries(module, tmp_path / form, OBJECTS, images)
    if form == "voc_detection":  # for which it writes no file of an image without objects
        found["sub/b c"] = ()
    assert set(found) == {without_suffix(key) for key in SIZES}
    for key, shapes in BOXES.items():
        it = sorted((shape.label, list(shape.box)) for shape in found[without_suffix(key)])
        same(it, sorted((shape.label, seen(shape.box)) for shape in shapes))


def test_we_read_its_poses(images: list[PoolImage], ask: Ask, tmp_path: Path):
    written(ask, "coco_person_keypoints", tmp_path / "out", PERSONS, images, POSES)
    found = entries(coco, tmp_path / "out", PERSONS, images)
    assert set(found) == {without_suffix(key) for key in SIZES}
    for key, shapes in POSES.items():
        it = found[without_suffix(key)]
        same([(s.label, list(s.box)) for s in it], [(s.label, list(s.box)) for s in shapes])
        some = [[j.x, j.y, j.visibility] for shape in it for j in shape.joints]
        others = [[j.x, j.y, j.visibility] for shape in shapes for j in shape.joints]
        assert len(some) == len(others)
        for joint, other in zip(some, others, strict=True):
            assert joint == pytest.approx(other, abs=0.02)
