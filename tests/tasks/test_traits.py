"""What each task says of its samples, against the annotation as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.base import Described
from tasks.pose.people import MPII_JOINTS
from tests import devkit, imagekit, posekit
from tests.toy import Toy

SIZE = "size of a box (as a share of the image's side)"


@pytest.mark.parametrize("form", ["voc", "coco"])
def test_boxes_tell_class_and_size(form: str, tmp_path: Path):
    if form == "voc":
        task = devkit.detection(devkit.make_voc(tmp_path))
    else:
        task = devkit.detection(
            devkit.make_coco(tmp_path),
            format="coco",
            train=["images:train.json"],
            test=["images:test.json"],
        )
    found = [task.traits(i) for i in range(len(devkit.ORDER))]
    for row, (size, objects) in zip(found, devkit.SCENES.values(), strict=True):
        assert row["class"] == [o[0] for o in objects]
        areas = [(o[3] - o[1]) * (o[4] - o[2]) / (size[0] * size[1]) for o in objects]
        assert row[SIZE] == pytest.approx([a**0.5 for a in areas])
    assert found[1] == {"class": [], SIZE: []}  # an image without boxes
    # by hand: 11 to 60 on 120 x 90 pixels
    assert found[0][SIZE][0] == pytest.approx(49 / (120 * 90) ** 0.5)


def test_images_tell_their_class(tmp_path: Path):
    task = imagekit.classification(imagekit.make_folder(tmp_path))
    assert [task.traits(i)["class"] for i in range(12)] == [["bird"]] * 3 + [["cat"]] * 5 + [
        ["dog"]
    ] * 4


def test_persons_tell_their_joints_and_height(tmp_path: Path):
    task = posekit.pose(posekit.make_mpii(tmp_path))
    persons = json.loads((tmp_path / "annot/train.json").read_text())
    for i, person in enumerate(persons):
        row = task.traits(i)
        shown = [name for name, v in zip(MPII_JOINTS, person["joints_vis"], strict=True) if v]
        assert row["annotated joint"] == shown
        assert row["height of a person (pixels)"] == pytest.approx([200 * person["scale"]])
    assert any(0 < sum(person["joints_vis"]) < 16 for person in persons)


def test_a_task_need_not_tell_any():
    assert not isinstance(Toy(), Described)
