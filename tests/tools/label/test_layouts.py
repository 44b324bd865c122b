"""Images and labels of an export in folders of any names: each image is read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.label.damagekit import IMAGES
from tests.tools.label.labelkit import BOXES
from tools.label.checking import Checked, check
from tools.label.formats import FORMATS, recognised

XML = (
    "<annotation><filename>{}</filename><object><name>cat</name><bndbox><xmin>11</xmin>"
    "<ymin>11</ymin><xmax>31</xmax><ymax>41</ymax></bndbox></object></annotation>"
)
TEXT = "1 0.1 0.25 0.1 0.3\n"
VOC = [
    *(("JPEGImages", "Annotations"), ("images", "Annotations"), ("images", "annotations")),
    *(("images", "labels"), ("images", "."), (".", "xml"), (".", "."), ("JPEGImages", "xml")),
]
YOLO = [
    *(("images", "labels"), (".", "labels"), ("photos", "labels"), ("images", "txt")),
    *(("Images", "Labels"), (".", "."), ("images/train", "labels/train")),
]


def put(root: Path, folder: str, name: str, text: str = "") -> None:
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def checked(root: Path, name: str) -> Checked:
    """What an export of two labeled images says, and of one that has no labels."""
    assert recognised(root) == name
    return check(FORMATS[name].load().read(root, BOXES, IMAGES), IMAGES, BOXES)


def exported(root: Path, images: str, labels: str, suffix: str, text: str) -> None:
    for key in IMAGES:
        put(root, images, key)
    for key in ("a/1.jpg", "b/2.jpg"):
        label = key.replace(".jpg", suffix)
        put(root, labels, label, text.format(Path(key).name))


@pytest.mark.parametrize(("images", "labels"), VOC)
def test_voc(images: str, labels: str, tmp_path: Path):
    exported(tmp_path, images, labels, ".xml", XML)
    found = checked(tmp_path, "voc")
    assert found.faults == {} and found.unclear == ("a/2.jpg",)
    assert [answer.key for answer in found.answers] == ["a/1.jpg", "b/2.jpg"]
    assert [answer.shapes[0].box for answer in found.answers] == [(10.0, 10.0, 20.0, 30.0)] * 2


@pytest.mark.parametrize(("images", "labels"), YOLO)
def test_yolo(images: str, labels: str, tmp_path: Path):
    exported(tmp_path, images, labels, ".txt", TEXT)
    put(tmp_path, ".", "classes.txt", "dog\ncat\n")
    found = checked(tmp_path, "yolo")
    assert found.faults == {} and found.unclear == ("a/2.jpg",)
    assert [answer.key for answer in found.answers] == ["a/1.jpg", "b/2.jpg"]
    box = found.answers[0].shapes[0].box  # of an image of 200 x 100
    assert box == pytest.approx((10.0, 10.0, 20.0, 30.0))


def test_an_image_that_the_export_holds_twice_without_labels_waits_once(tmp_path: Path):
    exported(tmp_path, "images", "labels", ".txt", TEXT)
    put(tmp_path, "previews", "a/2.jpg")
    put(tmp_path, "previews", "a/1.jpg")
    put(tmp_path, ".", "classes.txt", "dog\ncat\n")
    found = checked(tmp_path, "yolo")
    assert found.faults == {} and found.unclear == ("a/2.jpg",)
