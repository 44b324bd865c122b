"""What data are known by: which of images and labels changed, and in which sample.

Not where they lie.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.base import Task
from tests import devkit, imagekit, posekit
from tests.toy import Toy
from tools.record.fingerprint import NAMES, PARTS, difference, fingerprint, unpacked

JPEG = "VOC2007/JPEGImages"
COCO = dict(format="coco", train=["images:train.json"], test=["images:test.json"])
Change = Callable[[Path], None]


def text_of(path: str, old: str, new: str) -> Change:
    """Replace text in a file, where it comes first."""

    def change(root: Path) -> None:
        before = (root / path).read_text(encoding="utf-8")
        assert old in before
        (root / path).write_text(before.replace(old, new, 1), encoding="utf-8")

    return change


def more_bytes(path: str) -> Change:
    """An image of the same name and pixels that is a byte longer."""

    def change(root: Path) -> None:
        with (root / path).open("ab") as file:
            file.write(b"\0")

    return change


def another_joint(name: str, person: int) -> Change:
    def change(root: Path) -> None:
        persons = json.loads((root / f"annot/{name}.json").read_text(encoding="utf-8"))
        persons[person]["joints"][persons[person]["joints_vis"].index(1)][0] += 1
        (root / f"annot/{name}.json").write_text(json.dumps(persons), encoding="utf-8")

    return change


# adapter, what writes its data, a change of them, the parts that differ, and what is said of the
# first sample
CASES: dict[str, tuple] = {
    "voc, labels of the pool": (
        devkit.detection,
        devkit.make_voc,
        text_of("VOC2007/Annotations/000021.xml", "<name>cat", "<name>dog"),
        {
            "pool/labels": "the labels of the pool differ in 1 of 6 samples, first in sample 4 "
            f"({JPEG}/000021.jpg)"
        },
    ),
    "voc, an image of both": (
        devkit.detection,
        devkit.make_voc,
        more_bytes("VOC2007/JPEGImages/000007.jpg"),
        {
            "pool/images": "the images of the pool differ in 1 of 6 samples, first in sample 2 "
            f"({JPEG}/000007.jpg)",
            "test/images": "the images of the test set differ in 1 of 4 samples, first in sample 2 "
            "(000007.jpg)",
        },
    ),
    "voc, a shorter test set": (
        devkit.detection,
        devkit.make_voc,
        text_of("VOC2007/ImageSets/Main/test.txt", "000003\n", ""),
        {
            "test/images": "the images of the test set differ in 1 of 4 samples, first in sample 3 "
            "(000003.jpg)",
            "test/labels": "the labels of the test set differ in 1 of 4 samples, first in sample 3 "
            "(000003.jpg)",
        },
    ),
    "coco, labels of the test set": (
        lambda root: devkit.detection(root, **COCO),
        devkit.make_coco,
        lambda root: devkit.write_json(
            root / "test.json", _first_box_moved(devkit.read_json(root / "test.json"))
        ),
        {
            "test/labels": "the labels of the test set differ in 1 of 6 samples, first in sample 0 "
            "(000012.jpg)"
        },
    ),
    "pose, a joint of the pool": (
        posekit.pose,
        posekit.make_mpii,
        another_joint("train", 1),
        {"pool/labels": "the labels of the pool differ in 1 of "},
    ),
    "folders, an image of the test set": (
        imagekit.classification,
        imagekit.make_folder,
        lambda root: more_bytes(_an_image(root, "test"))(root),
        {"test/images": "the images of the test set differ in 1 of "},
    ),
}


def _first_box_moved(content: dict) -> dict:
    content["annotations"][0]["bbox"][0] += 1
    return content


def _an_image(root: Path, split: str) -> str:
    return str(sorted((root / split).glob("*/*.png"))[1].relative_to(root))


def names(task: Task) -> list[str]:
    return [task.name(i) for i in range(len(task.dataset("pool")))]


@pytest.mark.parametrize("case", CASES)
def test_what_changed_is_told_with_its_part_and_first_sample(case, tmp_path):
    adapter, make, change, expected = CASES[case]
    root = make(tmp_path / "data")
    task = adapter(root)
    assert task.check() == []
    before, called = fingerprint(task), names(task)
    assert difference(before, fingerprint(adapter(root)), called) == [], "the same again"
    change(root)
    found = difference(before, fingerprint(adapter(root)), called)
    assert len(found) == len(expected) and all(map(str.startswith, found, expected.values())), found
    after = fingerprint(adapter(root))
    assert {part for part in PARTS if before.whole[part] != after.whole[part]} == set(expected)


@pytest.mark.parametrize("case", CASES)
def test_moved_data_are_the_same(case, tmp_path):
    adapter, make, _, _ = CASES[case]
    before = fingerprint(adapter(make(tmp_path / "here")))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert fingerprint(adapter(tmp_path / "there")).whole == before.whole


def test_cifars_images_are_known_by_their_pixels(tmp_path, monkeypatch):
    root = imagekit.make_cifar10(tmp_path, monkeypatch)
    task = imagekit.classification(root, format="cifar10")
    before = fingerprint(task)
    assert {part: len(found) for part, found in before.digests.items()} == {
        "pool/images": 20, "pool/labels": 20, "test/images": 4, "test/labels": 4,
    }  # fmt: skip
    assert before.tested == ("",) * 4
    task.pictures.tested.held[2, 0, 0, 0] += 1
    del task.pictures._test_pixels  # the digests that were kept
    assert difference(before, fingerprint(task), []) == [
        "the images of the test set differ in 1 of 4 samples, first in sample 2"
    ]


def test_a_digest_is_that_of_name_and_size_and_that_of_the_label(tmp_path):
    """By hand."""
    root = devkit.make_voc(tmp_path)
    found = fingerprint(devkit.detection(root))
    size = (root / "VOC2007/JPEGImages/000005.jpg").stat().st_size
    texts = {"images": f"000005.jpg\n{size}", "labels": '{"boxes": []}'}
    for part, text in texts.items():
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        assert found.digests[f"pool/{part}"][1] == int.from_bytes(digest, "little"), part
    whole = b"".join(int(n).to_bytes(8, "little") for n in found.digests["test/labels"])
    assert found.whole["test/labels"] == hashlib.sha256(whole).hexdigest()


def test_what_is_packed_comes_back_and_other_arrays_are_refused(tmp_path):
    found = fingerprint(devkit.detection(devkit.make_voc(tmp_path)))
    again = unpacked(found.packed())
    assert again.whole == found.whole and again.tested == found.tested == tuple(
        f"{n}.jpg" for n in devkit.ORDER[:4]
    )
    for name, wrong, match in (
        (
            "pool/labels",
            np.zeros(3),
            r"pool/labels: expected \(N,\) of uint64, but got float64 of shape \(3,\)",
        ),
        (
            "test/images",
            np.zeros((3, 1), np.uint64),
            r"test/images: .* but got uint64 of shape \(3, 1\)",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            unpacked({**found.packed(), name: wrong})
    with pytest.raises(KeyError, match=NAMES):
        unpacked({name: values for name, values in found.packed().items() if name != NAMES})


def test_a_task_that_does_not_tell_its_sources_has_none():
    assert fingerprint(Toy()) is None
