"""Every fault of COCO's keypoints by kind, place and value; what is odd and taken, by a note."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.base import DataError
from tests.keypointkit import make_coco, pose

Json = dict[str, Any]
Change = Callable[[Json], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_coco(tmp_path / "data")


def change(root: Path, how: Change, split: str = "train") -> None:
    path = root / f"annotations/{split}.json"
    data = json.loads(path.read_text())
    how(data)
    path.write_text(json.dumps(data))


def annotation(**fields: Any) -> Change:
    """The first person of the json with other fields; None takes one out."""

    def apply(data: Json) -> None:
        first = data["annotations"][0]
        first |= fields
        for name in [name for name, value in fields.items() if value is None]:
            del first[name]

    return apply


def number(place: int, value: object) -> Change:
    """The first person with another number among its keypoints."""
    return lambda data: data["annotations"][0]["keypoints"].__setitem__(place, value)


def category(**fields: Any) -> Change:
    return lambda data: data["categories"][0].update(fields)


def double_id(data: Json) -> None:
    data["images"][1]["id"] = data["images"][0]["id"]


FIRST = "train.json, annotations[0]"
FAULTS: dict[str, tuple[Change, str, str, str]] = {  # the change, the kind, the place, the sentence
    "no keypoints": (
        annotation(keypoints=None), "no keypoints", FIRST,
        "expected 'keypoints' as 51 numbers x, y, v of 17 joints, but got None",
    ),
    "keypoints that are no list": (annotation(keypoints="x"), "no keypoints", FIRST, "got 'x'"),
    "a number too few": (
        annotation(keypoints=[1, 1, 2] * 16), "number of keypoints", FIRST, "but got 48; annotate",
    ),
    "two numbers a joint": (
        annotation(keypoints=[1, 1] * 17), "number of keypoints", FIRST, "but got 34; annotate",
    ),
    "v of 3": (
        number(5, 3), "visibility", FIRST,
        "v as 0 (not annotated), 1 (hidden) or 2 (seen), every third of 'keypoints', but got 3 as "
        "keypoints[5] (1 such)",
    ),
    "v of a half": (number(2, 0.5), "visibility", FIRST, "got 0.5 as keypoints[2]"),
    "NaN": (number(0, math.nan), "keypoints", FIRST, "got nan as keypoints[0] (1 such)"),
    "infinity": (number(4, math.inf), "keypoints", FIRST, "got inf as keypoints[4] (1 such)"),
    "a text": (number(4, "7"), "keypoints", FIRST, "got '7' as keypoints[4] (1 such)"),
    "no box": (annotation(bbox=None), "bbox", FIRST, "four finite numbers x, y, width, height"),
    "a box of no area": (annotation(bbox=[9, 9, -3, 9]), "box of no area", FIRST, "[9, 9, -3, 9]"),
    "a box outside": (annotation(bbox=[70, 9, 30, 9]), "box outside the image", FIRST, "(80, 80)"),
    "no such image": (annotation(image_id=7), "unknown image", FIRST, "but got 7"),
    "no such category": (annotation(category_id=7), "unknown category", FIRST, "but got 7"),
    "a category of no type": (annotation(category_id=None), "unknown category", FIRST, "got None"),
    "no object": (
        lambda data: data["annotations"].__setitem__(0, 3), "broken annotation", FIRST, "got 3",
    ),
    "a person twice": (
        lambda data: data["annotations"].append(data["annotations"][0]), "annotation twice",
        "train.json, annotations[14]", "1 with the same box as annotations[0]",
    ),
    "an image's id twice": (double_id, "image id", "train.json, images[1]", "40 again"),
    "an image's file twice": (
        lambda data: data["images"][1].update(file_name="train000.png"), "file twice",
        "train.json, images[1]", "'train000.png'",
    ),
    "no names of joints": (
        category(keypoints=[]), "no names of joints", "train.json, categories",
        "a category with names of joints as 'keypoints', but got none in ('person',)",
    ),
    "a joint's name twice": (
        category(keypoints=["a", "a"]), "names of joints", "train.json, categories, 'person'",
        "got ['a', 'a']; name every joint once",
    ),
    "a joint without a name": (
        category(keypoints=["a", 3]), "names of joints", "categories, 'person'", "got ['a', 3]",
    ),
    "sides in other words": (
        category(keypoints=[f"{k}_l" for k in range(17)]), "other joints", "task.test",
        "expected the joints of task.train",
    ),
    "no categories": (
        lambda data: data.pop("categories"), "broken json", "train.json", "a list as 'categories'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_place_and_value(root: Path, name: str):
    how, kind, where, said = FAULTS[name]
    change(root, how)
    faults = [fault for fault in pose(root).check() if fault.kind == kind]
    assert len(faults) == 1
    assert faults[0].where.endswith(where)
    assert said in faults[0]


def test_data_without_a_fault_has_none(root: Path):
    assert pose(root).check(full=True) == []


def test_all_faults_are_told_at_once(root: Path):
    change(root, number(0, math.nan))
    change(root, annotation(keypoints=None), "test")
    assert [fault.kind for fault in pose(root).check()] == ["keypoints", "no keypoints"]
    with pytest.raises(DataError, match="finite numbers in 'keypoints', but got nan"):
        pose(root).dataset("pool")


def test_an_image_that_is_missing_is_told(root: Path):
    (root / "images/test002.png").unlink()
    (fault,) = pose(root).check()
    assert fault.kind == "missing image" and fault.where.endswith("images/test002.png")


def test_lists_that_are_none_are_told(root: Path):
    (fault,) = pose(root, train="annotations/train.json").check()
    assert fault.kind == "list name" and "but got 'annotations/train.json'" in fault
    (fault,) = pose(root, test=[]).check()
    assert fault.kind == "list name" and "but got none; name a json at least" in fault
    (fault,) = pose(root, test="images:annotations/no.json").check()
    assert fault.kind == "missing json"
    (fault,) = pose(root / "nowhere").check()
    assert fault.kind == "missing data_root"


def test_splits_whose_joints_differ_are_told(root: Path):
    change(root, category(keypoints=[f"joint{k}" for k in range(17)]), "test")
    (fault,) = pose(root).check()
    assert (fault.kind, fault.where) == ("other joints", "task.test")
    both = ["images:annotations/train.json", "images:annotations/test.json"]
    (fault,) = pose(root, train=both, test=None, test_share=0.5).check()
    assert fault.kind == "other joints" and fault.where.endswith("test.json")


@pytest.mark.parametrize(
    ("settings", "where", "said"),
    [
        ({"joints": ["a", "b"]}, "task.joints", "but got ['a', 'b']; leave it out"),
        ({"oks_sigmas": [0.1] * 4}, "task.oks_sigmas", "expected 17 numbers, one for each of"),
        ({"sides": [("nose", "tail")]}, "task.sides", "['tail'], which are no joints"),
    ],
)
def test_settings_that_do_not_fit_the_json_are_told(root, settings: Json, where: str, said: str):
    (fault,) = pose(root, **settings).check()
    assert fault.where == where and said in fault


def test_names_that_say_sides_in_another_way_are_told(root: Path):
    names = ["nose", "l_ear", "r_ear", *(f"joint{k}" for k in range(14))]
    for split in ("train", "test"):
        change(root, category(keypoints=names), split)
    (fault,) = pose(root).check()
    assert fault.where == "task.sides" and "['l_ear', 'r_ear']" in fault
    assert pose(root, sides=[("l_ear", "r_ear")]).check() == []


def test_a_split_without_anybody_is_told(root: Path):
    def nobody(data: Json) -> None:
        for person in data["annotations"]:
            person |= {"keypoints": [0] * 51, "num_keypoints": 0}

    change(root, nobody, "test")
    (fault,) = pose(root).check()
    assert (fault.kind, fault.where) == ("no annotated joint", "task.test")
    assert "but got none in 8 persons" in fault


def test_a_test_set_cannot_be_drawn_of_one_image(root: Path):
    def one_image(data: Json) -> None:
        data["annotations"] = data["annotations"][:2]

    change(root, one_image)
    (fault,) = pose(root, test=None, test_share=0.5).check()
    assert fault.where == "task.test_share" and "two images with persons at least" in fault


@pytest.mark.parametrize(
    ("factor", "shift"), [(1 / 80, 0), (1, 200)], ids=["normalised", "of another image"]
)
def test_joints_away_from_their_box_are_told(root: Path, factor: float, shift: float):
    def move(data: Json) -> None:
        points = data["annotations"][0]["keypoints"]
        for k in range(17):
            points[3 * k] = points[3 * k] * factor + shift
            points[3 * k + 1] = points[3 * k + 1] * factor + shift

    change(root, move)
    (fault,) = pose(root).check()
    assert fault.kind == "keypoints outside the box" and fault.where.endswith(FIRST)
    assert "both are in pixels of the image" in fault


def test_few_joints_away_from_their_box_are_a_note(root: Path):
    def many(data: Json) -> None:
        first = data["annotations"][0]
        data["annotations"] += [first | {"id": 100 + k, "bbox": first["bbox"][:]} for k in range(1)]
        away = [value + 300 * (k % 3 < 2) for k, value in enumerate(first["keypoints"])]
        box = [first["bbox"][0] + 0.1, *first["bbox"][1:]]
        data["annotations"][-1] |= {"keypoints": away, "bbox": box}
        data["annotations"] += [
            first | {"id": 200 + k, "bbox": [5 + k / 10, 5, 60, 60]} for k in range(100)
        ]

    change(root, many)
    task = pose(root)
    assert task.check() == []
    (note,) = [note for note in task.notes() if "outside of their box" in note]
    assert "1 of 115 persons with most joints outside of their box" in note


NOTES: dict[str, tuple[Change, str]] = {
    "a crowd": (lambda data: None, "1 crowds: not trained on"),
    "a person without joints": (
        lambda data: None,
        "1 persons have no annotated joint: not trained",
    ),
    "ignore": (annotation(ignore=1), "2 crowds: not trained on"),
    "num_keypoints": (annotation(num_keypoints=3), "1 persons have no right 'num_keypoints'"),
    "no num_keypoints": (annotation(num_keypoints=None), "1 persons have no right 'num_keypoints'"),
    "no area": (annotation(area=None), "1 annotations have no number above 0 as 'area'"),
    "no iscrowd": (annotation(iscrowd=None), "1 annotations have no 'iscrowd'"),
    "an id twice": (annotation(id=2), "1 annotations have as 'id' 0, none, no number or another's"),
    "ids as texts": (annotation(image_id="40"), "1 ids are texts or fractions"),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_odd_and_taken_is_told_with_its_count(root: Path, name: str):
    how, said = NOTES[name]
    change(root, how)
    task = pose(root)
    assert task.check() == []
    assert any("train.json" in note and said in note for note in task.notes())
    trained = 11 if name == "ignore" else 12
    assert len(task.dataset("pool")) == trained


def test_an_area_that_is_missing_is_the_boxes(root: Path):
    change(root, annotation(area=None), "test")
    people = pose(root)._test_people
    assert people.areas[0] == people.boxes[0, 2] * people.boxes[0, 3]


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [], None])
def test_who_has_neither_joints_nor_a_box_is_left_out(root: Path, box: list | None):
    """As CVAT exports a skeleton whose points are all outside."""
    change(root, annotation(keypoints=[0] * 51, num_keypoints=0, bbox=box))
    task = pose(root)
    assert task.check() == []
    assert any("2 persons have no annotated joint" in note for note in task.notes())
    assert len(task.dataset("pool")) == 11
    assert task.name(0) == "images/train000.png person 2"  # the number is the json's


def test_an_export_of_cvat_is_read_as_it_is(tmp_path: Path):
    """Its keys, its folders, other labels' categories with empty lists, and no split."""
    root = make_coco(tmp_path / "cvat")
    images = root / "images"
    (images / "default").mkdir()
    data = json.loads((root / "annotations/train.json").read_text())
    for image in data["images"]:
        name = image["file_name"]
        (images / name).rename(images / "default" / name)
        image |= {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    for person in data["annotations"]:
        person |= {"segmentation": [], "attributes": {"occluded": False, "keyframe": True}}
    car = {"id": 2, "name": "car", "supercategory": "", "keypoints": [], "skeleton": []}
    data["categories"].append(car)
    data |= {"licenses": [{"name": "", "id": 0, "url": ""}], "info": {"contributor": ""}}
    (root / "annotations/person_keypoints_default.json").write_text(json.dumps(data))
    task = pose(
        root,
        train="images/default:annotations/person_keypoints_default.json",
        test=None,
        test_share=0.25,
    )
    assert task.check(full=True) == []
    assert len(task.dataset("pool")) + len(task.dataset("test")) == 12


def test_more_persons_than_are_judged_are_a_note(root: Path):
    def many(data: Json) -> None:
        first = data["annotations"][0]
        data["annotations"] += [
            first | {"id": 200 + k, "bbox": [5 + k / 10, 5, 60, 60]} for k in range(21)
        ]

    change(root, many, "test")
    task = pose(root)
    assert task.check() == []
    (note,) = [note for note in task.notes() if "so that AP cannot reach 1" in note]
    assert "1 images have more than 20 persons (up to 22)" in note


def test_weights_that_are_missing_are_a_fault(root: Path):
    (fault,) = pose(root, pretrained="nowhere.pth").check()
    assert fault.startswith("task.pretrained: Expected weights in the file")
    assert "Put the file on this machine" in fault and "task.pretrained=None" in fault
