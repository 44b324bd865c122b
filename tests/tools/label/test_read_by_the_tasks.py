"""A second opinion: what goes out is sound data to the tasks' own readers, with the same boxes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.detection.coco import read_coco
from tasks.detection.voc_faults import voc_faults
from tasks.images import ImageCheck
from tasks.pose.keypoint_json import read_keypoints
from tests.tools.label.labelkit import BOXES, DRAWN, POSES, batch, pool
from tools.label.checking import check
from tools.label.formats import FORMATS
from tools.label.labels import Shape


def finished(reading: Generator) -> Any:
    """What a reading returns, if it has no fault to yield."""
    faults = []
    while True:
        try:
            faults.append(next(reading))
        except StopIteration as stop:
            assert faults == []
            return stop.value


def sent(tmp_path: Path, name: str, kind: str) -> Path:
    root = tmp_path / "pool"
    FORMATS[name].load().write(batch(pool(root), root, kind, None), tmp_path / "out")
    return tmp_path / "out"


def by_file(data: Any) -> dict[str, list[dict[str, Any]]]:
    names = {image["id"]: image["file_name"].removeprefix("images/") for image in data.images}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for annotation in data.annotations:
        found[names[annotation["image_id"]]].append(annotation)
    return found


def test_detection_reads_coco(tmp_path: Path):
    folder = sent(tmp_path, "coco", "boxes")
    lists = ["images:annotations/instances_default.json"]
    data = finished(read_coco(folder, lists, BOXES.classes, look=ImageCheck(full=True)))
    assert data.notes == []
    for key, records in by_file(data).items():
        shapes = DRAWN["boxes"][key]
        assert [tuple(one["bbox"]) for one in records] == [shape.box for shape in shapes]
        assert [BOXES.classes[one["category_id"] - 1] for one in records] == [
            s.label for s in shapes
        ]


def test_pose_reads_coco(tmp_path: Path):
    folder = sent(tmp_path, "coco", "poses")
    lists = ["images:annotations/person_keypoints_default.json"]
    data = finished(read_keypoints(folder, lists, look=ImageCheck(full=True)))
    assert data.joints == POSES.joints and set(data.bones) == set(POSES.bones)
    for key, records in by_file(data).items():
        for one, shape in zip(records, DRAWN["poses"][key], strict=True):
            joints = [number for joint in shape.joints for number in (joint.x, joint.y, joint.visibility)]  # fmt: skip
            assert list(one["keypoints"]) == joints and tuple(one["bbox"]) == shape.box


def test_detection_reads_voc_with_boxes_up_to_the_last_pixel(tmp_path: Path):
    root = tmp_path / "pool"
    whole = batch(pool(root), root, "boxes", None)
    picks = []
    for pick in whole.picks:
        width, height = pick.image.size
        edge = Shape("cat", (0.0, 0.0, float(width), float(height)))
        column = Shape("dog", (width - 1.0, 3.0, 1.0, 10.0))
        corner = Shape("dog", (width - 1.25, height - 1.0, 1.25, 1.0))
        picks.append(replace(pick, drafts=(*(pick.drafts or ()), edge, column, corner)))
    FORMATS["voc"].load().write(replace(whole, picks=tuple(picks)), tmp_path / "out")
    lists = ["JPEGImages:Annotations:ImageSets/Main/default.txt"]
    assert voc_faults(tmp_path / "out", lists, BOXES.classes, look=ImageCheck(full=True)) == []
    entries = FORMATS["voc"].load().read(tmp_path / "out", BOXES, pool(root))
    checked = check(entries, pool(root), BOXES)
    assert not checked.faults and len(checked.answers) == 3
    for answer in checked.answers:
        width, height = pool(root)[answer.key].size
        found = [shape.box for shape in answer.shapes[-2:]]
        assert found == [(width - 2, 3, 1, 10), (width - 2, height - 2, 1, 1)]


def test_such_a_reader_finds_what_is_wrong(tmp_path: Path):
    folder = sent(tmp_path, "voc", "boxes")
    path = folder / "Annotations/a.xml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<xmax>40</xmax>", "<xmax>41</xmax>"), encoding="utf-8")
    lists = ["JPEGImages:Annotations:ImageSets/Main/default.txt"]
    assert [fault.kind for fault in voc_faults(folder, lists, BOXES.classes)] == ["box outside the image"]  # fmt: skip
    with pytest.raises(AssertionError):
        finished(read_coco(folder, ["images:none.json"], BOXES.classes))
