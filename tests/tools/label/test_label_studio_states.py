"""Label Studio's annotations: which one counts, and what it says of the image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.label import damagekit as kit
from tests.tools.label.labelkit import BOXES, POSES
from tools.label.checking import check
from tools.label.formats import kinds
from tools.label.formats.label_studio import read
from tools.label.labels import Entry


def exported(path: Path, annotations: list[dict], **data: object) -> Entry:
    task = kit.label_studio("boxes")[0]
    task["data"] |= data
    done = [task["annotations"][0] | one for one in annotations]
    path.write_text(json.dumps([task | {"annotations": done}]), encoding="utf-8")
    (entry,) = read(path, BOXES, kit.IMAGES)
    return entry


@pytest.mark.parametrize(
    ("change", "state", "shapes"),
    [
        ({}, "labeled", 2),
        ({"result": []}, "empty", 0),
        ({"was_cancelled": True}, "skipped", 0),
        ({"was_cancelled": True, "result": []}, "skipped", 0),
        ({"was_cancelled": None, "result": []}, "empty", 0),
    ],
)
def test_three_states(change: dict, state: str, shapes: int, tmp_path: Path):
    entry = exported(tmp_path / "x.json", [change])
    assert (entry.state, len(entry.shapes), entry.faults) == (state, shapes, ())
    assert (entry.name, entry.seconds, entry.by) == ("a/1.jpg", 3.5, "1")


@pytest.mark.parametrize(
    ("times", "newest"),
    [
        (("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), 1),
        (("2026-01-02T00:00:00.000001Z", "2026-01-02T00:00:00Z"), 0),
        (("2026-01-02T00:00:00+02:00", "2026-01-01T23:00:00Z"), 1),
        (("no time", "2026-01-01T00:00:00"), 1),
    ],
)
def test_one_person_who_corrected_is_taken_at_the_last_word(times: tuple, newest: int, tmp_path: Path):  # fmt: skip
    regions = kit.RESULTS["boxes"]
    ones = [{"updated_at": time, "result": regions[place:][:1]} for place, time in enumerate(times)]
    entry = exported(tmp_path / "x.json", ones)
    assert entry.faults == () and entry.shapes[0].label == ("cat", "dog")[newest]


def test_two_persons_are_named_and_a_lenient_check_takes_the_newest(tmp_path: Path):
    ones = [
        {"completed_by": {"id": 4, "email": "ann@x.org"}, "updated_at": "2026-01-02T00:00:00Z"},
        {"completed_by": 5, "updated_at": "2026-01-01T00:00:00Z", "result": []},
    ]
    entry = exported(tmp_path / "x.json", ones)
    assert [fault.kind for fault in entry.faults] == [kinds.TWO_PERSONS]
    assert "'5', 'ann@x.org'" in entry.faults[0] and entry.by == "ann@x.org"
    checked = check([entry], kit.IMAGES, BOXES, lenient=True)
    assert len(checked.answers[0].shapes) == 2 and "two persons" not in checked.faults


def test_an_image_that_moved_since_is_known_by_its_content(tmp_path: Path):
    assert exported(tmp_path / "x.json", [{}], key="old/1.jpg").name == "a/1.jpg"
    entry = exported(tmp_path / "x.json", [{}], key="old/1.jpg", sha256="zz")
    assert entry.name == "/data/local-files/?d=pool/a/1.jpg"


def test_a_rotated_box_is_enclosed_if_that_is_wanted(tmp_path: Path):
    # 20, 10, 50 x 40 about its corner, a quarter clockwise: from x -20 to 20, from y 10 to 60
    box = json.loads(json.dumps(kit.RESULTS["boxes"][0]))
    box["value"] |= {"x": 40, "rotation": 90}  # so from 40 to 80
    entry = exported(tmp_path / "x.json", [{"result": [box]}])
    assert entry.shapes[0].box == pytest.approx((40, 10, 40, 50))
    assert check([entry], kit.IMAGES, BOXES).answers == ()
    checked = check([entry], kit.IMAGES, BOXES, lenient=True)
    assert checked.answers[0].shapes[0].box == pytest.approx((40, 10, 40, 50))
    assert "rotated" not in checked.faults and "upright box" in checked.notes[0]
    box["value"]["rotation"] = 360
    assert exported(tmp_path / "x.json", [{"result": [box]}]).faults == ()


def test_seconds_may_be_unknown(tmp_path: Path):
    assert exported(tmp_path / "x.json", [{"lead_time": None}]).seconds is None


def test_an_exif_turned_image_is_read_as_it_is_shown(tmp_path: Path):
    task = kit.label_studio("boxes")[0]
    task["data"] = {"key": "b/2.jpg"}  # 100 wide, 200 high as EXIF turns it
    for region in task["annotations"][0]["result"]:
        region |= {"original_width": 100, "original_height": 200}
    path = tmp_path / "x.json"
    path.write_text(json.dumps([task]), encoding="utf-8")
    (entry,) = read(path, BOXES, kit.IMAGES)
    assert entry.shapes[0].box == pytest.approx((10, 20, 25, 80))
    assert check([entry], kit.IMAGES, BOXES).faults == {}
    stored = replace(entry, size=(200.0, 100.0))
    said = check([stored], kit.IMAGES, BOXES).faults["b/2.jpg"]
    assert [fault.kind for fault in said] == [kinds.WRONG_SIZE] and "EXIF" in said[0]


def test_extra_results_of_other_controls_are_named_in_poses(tmp_path: Path):
    task = kit.label_studio("poses")[0]
    result = task["annotations"][0]["result"]
    result.append({"id": "k0", "type": "choices", "value": {"choices": []}})
    result.append({"id": "k0", "type": "choices", "value": {"choices": ["blurred"]}})
    path = tmp_path / "x.json"
    path.write_text(json.dumps([task]), encoding="utf-8")
    (entry,) = read(path, POSES, kit.IMAGES)
    assert [fault.kind for fault in entry.faults] == [kinds.SHAPE]
