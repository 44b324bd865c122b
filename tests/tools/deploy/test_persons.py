"""Boxes of persons from a COCO json: which are taken, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.deploy.images import ImageFile
from tools.deploy.persons import persons
from tools.deploy.trained import DeployError

FILES = [ImageFile(Path(f"/x/{name}"), name, (96, 64)) for name in ("a.jpg", "sub/b.jpg")]
BOX = [1.0, 2.0, 30.0, 40.0]
GOOD = dict(image_id=1, category_id=1, bbox=BOX)
IMAGES = [dict(id=1, file_name="a.jpg"), dict(id=2, file_name=r"sub\b.jpg")]
PERSON, CAR = dict(id=1, name="person"), dict(id=2, name="car")


def read(
    folder: Path, annotations: list[Any], categories: tuple = (PERSON, CAR)
) -> tuple[list[tuple], list[str]]:
    """The boxes with their files, and the notes but that of images without a box."""
    path = folder / "boxes.json"
    content = dict(images=IMAGES, annotations=annotations, categories=categories)
    path.write_text(json.dumps(content), encoding="utf-8")
    subjects, notes = persons(path, FILES, 0.3)
    said = [note.removeprefix(f"{path}: ") for note in notes if "have no box" not in note]
    return [(one.path.name, one.box) for one in subjects], said


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (dict(iscrowd=1), "are around crowds"),
        (dict(category_id=2, bbox=[1, 1, 5, 0]), "are of other categories than 'person'"),
        (dict(score=0.2, bbox=None), "have a score below 0.3"),
        (dict(image_id=7, bbox=[1, 1, 5, 0]), "are of images that are not among those of --images"),
        (dict(bbox=[96, 1, 5, 5]), "lie outside of their image"),
        (dict(bbox=[1, -9, 5, 9]), "lie outside of their image"),
    ],
)
def test_what_is_left_out_is_counted_and_stops_nothing(change: dict, note: str, tmp_path: Path):
    boxes, (said,) = read(tmp_path, [GOOD | change, GOOD, GOOD | change])
    assert boxes == [("a.jpg", tuple(BOX))]
    assert said.startswith(f"2 boxes {note}") and said.endswith(": left out")


@pytest.mark.parametrize(
    "change", [{}, dict(iscrowd=0), dict(score=0.3), dict(image_id="1"), dict(category_id=1.0)]
)
def test_what_is_taken(change: dict, tmp_path: Path):
    assert read(tmp_path, [GOOD | change]) == ([("a.jpg", tuple(BOX))], [])


def test_a_name_with_windows_separators_is_a_path(tmp_path: Path):
    assert read(tmp_path, [GOOD | dict(image_id=2)]) == ([("b.jpg", tuple(BOX))], [])


def test_of_two_categories_person_both_are_taken_and_without_one_all(tmp_path: Path):
    twice = [GOOD, GOOD | dict(category_id=2)]
    for categories in ((PERSON, CAR | PERSON | {"id": 2}), (CAR, CAR | {"id": 1})):
        boxes, said = read(tmp_path, twice, categories)
        assert len(boxes) == 2 and said == []


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (7, r"annotations\[0\]: expected an object with the id .* but got 7; correct"),
        (GOOD | dict(image_id=[1]), r"'image_id', but got \[1\]; correct"),
        (GOOD | dict(bbox=[1, 1, 5, 0]), r"expected a 'bbox' .* but got \[1, 1, 5, 0\]; correct"),
        (GOOD | dict(bbox=None), r"expected a 'bbox' .* but got None; correct"),
    ],
)
def test_what_is_no_box_of_a_person_is_refused(annotation: Any, message: str, tmp_path: Path):
    with pytest.raises(DeployError, match=message):
        read(tmp_path, [annotation])
