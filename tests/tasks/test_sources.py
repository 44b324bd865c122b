"""What each task says its samples are made of, against the files as they were written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.base import Sourced
from tasks.classification import Classification
from tasks.detection import Detection
from tasks.pose import Pose
from tests import devkit, imagekit, posekit
from tests.toy import Toy


@pytest.fixture
def unread(monkeypatch):
    """No test here needs a pixel of an image file."""

    def refused(*arguments):
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(cv2, "imdecode", refused)


def boxes(name: str) -> list[list]:
    """The scene's boxes by class, 0-based as mmdet reads them."""
    objects = devkit.SCENES[name][1]
    return sorted(
        [c, x1 - 1.0, y1 - 1.0, x2 - 1.0, y2 - 1.0, d] for c, x1, y1, x2, y2, d in objects
    )


@pytest.mark.parametrize("form", ["voc", "coco"])
def test_detection_tells_images_and_boxes(form: str, tmp_path: Path, unread):
    if form == "voc":
        task = devkit.detection(devkit.make_voc(tmp_path))
        folder = tmp_path / "VOC2007/JPEGImages"
    else:
        lists = dict(train=["images:train.json"], test=["images:test.json"])
        task = devkit.detection(devkit.make_coco(tmp_path), format="coco", **lists)
        folder = tmp_path / "images"
    found = task.sources("pool")
    assert isinstance(task, Sourced) and len(found) == len(task.dataset("pool"))
    for source, name in zip(found, devkit.ORDER, strict=True):
        assert source.file == folder / f"{name}.jpg" and source.content is None
        assert json.loads(source.label) == {"boxes": boxes(name)}


def test_the_order_of_boxes_is_not_their_label(tmp_path: Path):
    before = devkit.detection(devkit.make_voc(tmp_path)).sources("pool")
    path = tmp_path / "VOC2007/Annotations/000012.xml"
    head, first, second = path.read_text().split("<object>")
    last = second.removesuffix("</annotation>")
    path.write_text(f"{head}<object>{last}<object>{first}</annotation>")
    assert devkit.detection(tmp_path).sources("pool") == before
    path.write_text(path.read_text().replace("<name>cat", "<name>dog"))
    changed = devkit.detection(tmp_path).sources("pool")
    assert [a == b for a, b in zip(changed, before, strict=True)] == [False] + [True] * 5


def test_folders_tell_images_and_classes(tmp_path: Path, unread):
    task = imagekit.classification(imagekit.make_folder(tmp_path))
    for split, name in (("pool", "train"), ("test", "test")):
        found = task.sources(split)
        paths = sorted((tmp_path / name).glob("*/*.png"))
        assert [source.file for source in found] == paths
        assert [json.loads(source.label) for source in found] == [
            {"label": p.parent.name} for p in paths
        ]
    assert len(task.sources("test")) == sum(imagekit.SIZES["test"].values())


def test_cifar_tells_digests_of_its_pixels(tmp_path: Path, monkeypatch):
    task = imagekit.classification(imagekit.make_cifar10(tmp_path, monkeypatch), format="cifar10")
    for split, count in (("pool", 20), ("test", 4)):
        found, data = task.sources(split), task.dataset(split)
        assert len(found) == count and {source.file for source in found} == {None}
        for source, (image, label) in zip(found, (data[i] for i in range(count)), strict=True):
            pixels = image.permute(1, 2, 0).contiguous().numpy().tobytes()
            assert source.content == hashlib.sha256(pixels).digest()
            assert json.loads(source.label) == {"label": f"class{label}"}


@pytest.mark.parametrize("measure", ["PCKh", "PCK"])
def test_persons_tell_their_image_and_all_that_is_known_of_them(
    measure: str, tmp_path: Path, unread
):
    task = posekit.pose(posekit.make_mpii(tmp_path), measure=measure)
    for split, name in (("pool", "train"), ("test", "valid")):
        persons = json.loads((tmp_path / f"annot/{name}.json").read_text())
        found = task.sources(split)
        assert [source.file for source in found] == [
            tmp_path / "images" / p["image"] for p in persons
        ]
        for k, (source, person) in enumerate(zip(found, persons, strict=True)):
            label = json.loads(source.label)
            flags = person["joints_vis"]
            assert [joint is not None for joint in label["joints"]] == [flag == 1 for flag in flags]
            shown = [j for j in label["joints"] if j is not None]
            stored = [j for j, flag in zip(person["joints"], flags, strict=True) if flag]
            np.testing.assert_allclose(shown, np.array(stored) - 1)
            judged_by_heads = split == "test" and measure == "PCKh"
            assert ("head" in label) == ("truth" in label) == judged_by_heads
            if judged_by_heads:  # posekit's heads are squares, larger from person to person
                assert label["head"] == pytest.approx(0.6 * 2**0.5 * (12 + k))
                assert label["truth"] == label["joints"]


def test_what_is_not_annotated_is_no_part_of_the_label(tmp_path: Path):
    root = posekit.make_mpii(tmp_path)
    before = posekit.pose(root).sources("pool")
    path = root / "annot/train.json"
    persons = json.loads(path.read_text())
    unknown = persons[0]["joints_vis"].index(0)
    persons[0]["joints"][unknown] = [7.0, 9.0]
    path.write_text(json.dumps(persons))
    assert posekit.pose(root).sources("pool") == before
    persons[0]["joints"][persons[0]["joints_vis"].index(1)] = [7.0, 9.0]
    path.write_text(json.dumps(persons))
    assert posekit.pose(root).sources("pool")[0].label != before[0].label


def test_sources_are_those_of_the_limited_test_set(tmp_path: Path):
    """A test set of less samples tells of these alone, in its order."""
    voc = devkit.detection(devkit.make_voc(tmp_path / "voc"), test_limit=2)
    paths = [Path(voc.dataset("test")[i]["data_samples"].img_path) for i in range(2)]
    assert [source.file for source in voc.sources("test")] == paths
    folder = imagekit.classification(imagekit.make_folder(tmp_path / "folder"), test_limit=4)
    names = [folder.classes[folder.dataset("test")[i][1]] for i in range(4)]
    assert [json.loads(source.label)["label"] for source in folder.sources("test")] == names
    mpii = posekit.pose(posekit.make_mpii(tmp_path / "mpii"), test_limit=3)
    persons = [mpii.dataset("test")[i]["person"] for i in range(3)]
    assert [source.file for source in mpii.sources("test")] == [
        mpii._test_people.paths[i] for i in persons
    ]


def test_a_task_need_not_tell_any():
    assert not isinstance(Toy(), Sourced)
    assert all(issubclass(kind, Sourced) for kind in (Detection, Classification, Pose))
