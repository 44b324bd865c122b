"""A file or name that is missing and nearly there: the sentence names what is."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from models.process.text import nearest
from tasks.faults import path_fault
from tests import devkit, posekit
from tests.tasks.test_coco import task as coco_task

NFC, NFD = (unicodedata.normalize(form, "caf\xe9.jpg") for form in ("NFC", "NFD"))
FORM = "(the same letters in another Unicode form, NFC or NFD)"


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        ("0001.JPG", "0001.jpg", "(but '0001.JPG' is there)"),
        ("0001.jpg", "0001.JPEG", "(but '0001.jpg' is there)"),
        ("0001.jpg", "0001", "(but '0001.jpg' is there)"),
        ("IMG_1.jpg", "img_1.png", "(but 'IMG_1.jpg' is there)"),
        (NFD, NFC, f"(but {NFD!r} is there {FORM})"),
        (NFC, NFD, f"(but {NFC!r} is there {FORM})"),
        ("0001.jpg", "sub/0001.jpg", "has no folder 'sub')"),
        ("0001.jpg", "a/b/0001.jpg", "has no folder 'a')"),
        ("0001.jpg", "0002.jpg", "nothing at this path; do"),
    ],
)
def test_what_is_there_in_place_of_a_missing_file(
    tmp_path: Path, there: str, wanted: str, said: str
) -> None:
    (tmp_path / there).write_text("")
    fault = path_fault(tmp_path / wanted, "image", "do", most=1)
    assert fault is not None and said in fault.came + "; do"


def test_a_link_that_leads_nowhere_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("gone.jpg")
    fault = path_fault(tmp_path / "a.jpg", "image", "do", most=1)
    assert (
        fault is not None
        and fault.came == "nothing at this path (a link to 'gone.jpg', which is not there)"
    )


def test_what_came_since_the_last_look_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    first = path_fault(path, "image", "do", most=1)
    (tmp_path / "a.png").write_text("")
    second = path_fault(path, "image", "do", most=1)
    assert first is not None and first.came == "nothing at this path"
    assert second is not None and "'a.png' is there" in second.came


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("DOG", ("cat", "dog"), "did you mean 'dog'?"),
        ("X ", ("a", "x"), "did you mean 'x'?"),
        (NFD, ("cat", NFC), f"did you mean {NFC!r} {FORM}?"),
        ("bird", ("cat", "dog"), "known are cat, dog."),
    ],
)
def test_the_nearest_name(name: str, names: tuple[str, ...], said: str) -> None:
    assert nearest(name, names) == said


def test_images_of_a_json_under_another_suffix_are_named(tmp_path: Path) -> None:
    devkit.make_coco(tmp_path)
    data = devkit.read_json(tmp_path / "train.json")
    for image in data["images"]:
        image["file_name"] = image["file_name"].replace(".jpg", ".JPG")
    devkit.write_json(tmp_path / "train.json", data)
    faults = coco_task(tmp_path).check()
    assert len(faults) == len(devkit.SCENES) and "(but '000012.jpg' is there)" in faults[0]


def test_images_of_persons_under_a_folder_that_is_not_there(tmp_path: Path) -> None:
    root = posekit.make_mpii(tmp_path / "mpii")
    path = root / "annot/train.json"
    path.write_text(path.read_text().replace('"train0', '"images/train0'))
    faults = posekit.pose(root).check()
    assert faults and all("images has no folder 'images')" in fault for fault in faults)
