"""Persons in another unit or on another image: each mistake by its name, and odd persons
that are none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.data import read_image
from tasks.pose import Pose
from tests import posekit
from tools.data.sandbox.pose import make_pose

WIDTH, HEIGHT = 320, 240
SCALE = "'scale' is the person's height divided by 200 pixels"
Change = Callable[[dict[str, Any]], dict[str, Any]]


def standing(x: float, y: float, height: float, image: str) -> dict[str, Any]:
    """A person of 16 joints in a column and half a height wide, as MPII has it: 1-based
    pixels, 200ths.
    """
    steps = np.linspace(-0.5, 0.5, 16)
    joints = np.stack([x + height * 0.25 * np.cos(9 * steps), y + height * steps], 1)
    return {
        "image": image, "center": [x, y], "scale": height / 200,
        "joints": joints.round(3).tolist(), "joints_vis": [1] * 16,
    }  # fmt: skip


def place(k: int) -> tuple[float, float, float]:
    """x, y and height of person k."""
    return 100 + 35 * (k % 6), 120, 100 + 4 * (k % 6)


def people(
    root: Path, change: Change | None = None, count: int = 6, changed: int = 6, **saved: Any
) -> Path:
    """`count` persons in either list, the first `changed` of the pool changed, an image each."""
    (root / "images").mkdir(parents=True)
    (root / "annot").mkdir()
    rng = np.random.default_rng(0)
    for split in ("train", "valid"):
        persons = []
        for k in range(count):
            name = f"{split}{k}.jpg"
            pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            Image.fromarray(pixels).save(root / "images" / name, **saved)
            persons.append(standing(*place(k), name))
        if split == "train" and change is not None:
            persons[:changed] = [change(person) for person in persons[:changed]]
        (root / f"annot/{split}.json").write_text(json.dumps(persons))
    return root


def task(root: Path) -> Pose:
    return posekit.pose(root, heads=None, measure="PCK")


def of_pool(root: Path) -> list[str]:
    """The faults, all of which are of the pool's list."""
    found = task(root).check()
    assert all(fault.startswith(f"{root / 'annot/train.json'}, persons[") for fault in found), found
    return found


# ---------------------------------------------------------------- units


def normalised(person: dict[str, Any], *keys: str) -> dict[str, Any]:
    return person | {key: (np.array(person[key]) / [WIDTH, HEIGHT]).tolist() for key in keys}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda p: standing(*p["center"], 20, p["image"]) | {"scale": 20},  # a crop of 5,000 px
            ["5% of the crop, here 250 of 5000 px", "'scale' looks like pixels: divide it by 200"],
        ),
        (lambda p: p | {"scale": p["scale"] * 200}, ["'scale' whose crop", "height divided by 200 pixels"]),
        (
            lambda p: normalised(p, "joints"),
            ["16 annotated within 0 and 1", "they look normalised: multiply 'joints' by width and height", SCALE],
        ),
        (
            lambda p: normalised(p, "joints", "center"),
            ["they look normalised: multiply 'joints' and 'center' by width and height", SCALE],
        ),
        (
            lambda p: normalised(p, "joints", "center") | {"scale": p["scale"] * 200},
            ["they look normalised: multiply 'joints' and 'center' by width and height", SCALE],
        ),
        (
            lambda p: normalised(p, "joints", "center") | {"scale": p["scale"] * 200 / HEIGHT},
            ["they look normalised: multiply 'joints' and 'center' by width and height", SCALE],
        ),
        (
            lambda p: normalised(p, "center"),
            ["outside, such as [", "'center' looks normalised: multiply it by width and height"],
        ),
        (lambda p: p | {"scale": p["scale"] / 50}, ["of 16 outside", f"'scale' looks too small: {SCALE}"]),
        (lambda p: p | {"center": [p["center"][0], 5]}, ["of 16 outside", "correct 'center', 'scale' or 'joints'"]),
        (
            lambda p: p | {"joints": (np.array(p["joints"]) / 50 + 100).tolist()},
            ["at least 5% of the crop", "correct 'scale' or 'joints'"],
        ),
    ],
    ids=["scale", "large scale", "joints", "joints and center", "pixels and shares", "all shares", "center",
         "small scale", "elsewhere", "shrunk"],
)  # fmt: skip
def test_another_unit_is_named(change: Change, said: list[str], tmp_path: Path):
    found = of_pool(people(tmp_path, change))
    assert len(found) >= 6
    for index in range(6):
        (fault,) = [
            f for f in found if f"persons[{index}]" in f and all(text in f for text in said)
        ]
        assert "; " in fault


def test_one_such_person_is_a_fault_alone(tmp_path: Path):
    root = people(tmp_path, lambda p: p | {"scale": 20}, changed=1)
    (fault,) = of_pool(root)
    assert "persons[0] (image train0.jpg): expected joints across at least 5% of the crop" in fault
    assert "16 annotated joints across 100.0 px with the scale 20;" in fault  # 2% of 5,000 px


def test_the_border_is_at_a_twentieth_of_the_crop(tmp_path: Path):
    """A person of 100 px: at scale 8 the crop has 2,000 px, of which 5% are 100."""
    assert of_pool(people(tmp_path / "at", lambda p: p | {"scale": 7.99}, changed=1)) == []
    assert len(of_pool(people(tmp_path / "below", lambda p: p | {"scale": 8.01}, changed=1))) == 1


def test_the_border_is_at_half_of_the_joints(tmp_path: Path):
    """The crop is moved down until its upper side, 62.5 - 7.5 px above the centre, is
    below so many joints.
    """

    def moved(share: int) -> Change:
        def change(person: dict[str, Any]) -> dict[str, Any]:
            y = (person["joints"][share - 1][1] + person["joints"][share][1]) / 2
            return person | {"center": [person["center"][0], y + 62.5 - 7.5]}

        return change

    assert of_pool(people(tmp_path / "half", moved(8), changed=1)) == []
    (fault,) = of_pool(people(tmp_path / "more", moved(9), changed=1))
    assert "but got 9 of 16 outside, such as [" in fault


def test_of_a_hundred_persons_one_elsewhere_is_told_and_two_are_faults(tmp_path: Path):
    """Large lists have single ones; the published ones are not refused for that."""

    def elsewhere(person: dict[str, Any]) -> dict[str, Any]:
        return person | {"center": [person["center"][0] - 100, 120]}

    few = task(people(tmp_path / "one", elsewhere, count=100, changed=1))
    assert few.check() == []
    (note,) = few.notes()
    where = f"{tmp_path / 'one/annot/train.json'}"
    assert note.startswith(f"{where}: 1 of 100 persons outside of their crop; {where}, persons[0] ")
    more = task(people(tmp_path / "two", elsewhere, count=100, changed=2))
    assert len(more.check()) == 2 and more.notes() == []


# ---------------------------------------------------------------- odd, and right


def shown(person: dict[str, Any], *joints: int) -> dict[str, Any]:
    return person | {"joints_vis": [int(k in joints) for k in range(16)]}


def close(person: dict[str, Any]) -> dict[str, Any]:
    return person | {"joints": [[person["center"][0] + k / 9, 120] for k in range(16)]}


@pytest.mark.parametrize(
    "change",
    [
        lambda p: shown(p, 3),  # one visible joint
        lambda p: shown(p, 3) | {"joints": [[1, 1]] * 16},  # in the first pixel
        lambda p: shown(p, 3) | {"center": [p["center"][0], 5]},  # and outside of the crop
        lambda p: shown(close(p), 7, 8),  # two close ones
        lambda p: shown(close(p), 6, 7, 8),  # two eyes and a nose
        lambda p: shown(p, *range(5)),  # head and shoulders, the scale that of the whole person
        # leaves
        lambda p: p | {"center": [p["center"][0], 236], "joints": [[x, y + 116] for x, y in p["joints"]]},
        lambda p: p | {"scale": p["scale"] * 5},  # a child in a crop of its parents
        lambda p: shown(p),  # nobody
    ],
)  # fmt: skip
def test_odd_persons_are_none(change: Change, tmp_path: Path):
    root = people(tmp_path, change, changed=3)
    assert of_pool(root) == [] and task(root).notes() == []


def test_the_sandbox_has_none(tmp_path: Path):
    figures = Pose(str(make_pose(tmp_path, 200, 60, 3, 0.5)))
    assert figures.check() == [] and figures.notes() == []


def test_mpiis_persons_are_none(real_data: Path):
    found = Pose(str(real_data / "mpii"))
    assert found.check() == [] and found.notes() == []


# ---------------------------------------------------------------- EXIF


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def on_the_turned(person: dict[str, Any]) -> dict[str, Any]:
    """Stored (x, y) of 320 x 240 -> where it is in the image of 240 x 320 that orientation
    6 turns clockwise.
    """
    turn = [[HEIGHT + 1 - y, x] for x, y in [person["center"], *person["joints"]]]
    return person | {"center": turn[0], "joints": turn[1:]}


def test_crops_are_cut_from_the_pixels_as_stored(tmp_path: Path):
    """As HRNet's, and as MPII's joints lie; joints and pixels move together whatever EXIF says."""
    plain, turned = (
        people(tmp_path / name, **saved) for name, saved in (("a", {}), ("b", {"exif": exif(6)}))
    )
    for split in ("pool", "test"):
        one, other = task(plain).dataset(split)[2], task(turned).dataset(split)[2]
        assert (one["image"] == other["image"]).all() and (one["joints"] == other["joints"]).all()
    path = turned / "images/train2.jpg"
    assert read_image(path).shape == (WIDTH, HEIGHT, 3) != read_image(path, upright=False).shape
    assert task(turned).thumbnail(2).tobytes() == task(plain).thumbnail(2).tobytes()


def test_that_is_told_once_where_an_image_has_an_orientation(tmp_path: Path):
    for orientation in (1, 3, 6):
        root = people(tmp_path / str(orientation), exif=exif(orientation))
        tried = task(root)
        assert tried.check() == []
        expected = (
            f"12 images such as {root / 'images/train0.jpg'} have an EXIF orientation, "
            "which is not followed"
        )
        assert [note[: len(expected)] for note in tried.notes()] == [expected] * (orientation > 1)


def test_joints_of_the_turned_image_are_a_fault_that_names_exif(tmp_path: Path):
    found = of_pool(people(tmp_path, on_the_turned, exif=exif(6)))
    low = [k for k in range(6) if max(x for x, _ in standing(*place(k), "")["joints"]) > HEIGHT]
    assert len(found) == len(low) > 0  # of the others the stored image has every joint, too
    for fault in found:
        assert (
            f"expected joints on the pixels as stored, ({WIDTH}, {HEIGHT}) (width, height), but "
            "got [" in fault
        )
        assert "inside only as EXIF orientation 6 turns it; EXIF is not followed for poses" in fault
        assert "mogrify -auto-orient" in fault


def test_a_crop_that_only_the_turned_image_meets_names_exif_alone(tmp_path: Path):
    def low(person: dict[str, Any]) -> dict[str, Any]:
        return standing(120, 300, 30, person["image"])

    found = of_pool(people(tmp_path, low, exif=exif(8)))
    assert len(found) == 6 and all("EXIF orientation 8" in fault for fault in found)
    upright = of_pool(people(tmp_path / "upright", low))
    assert not any("EXIF" in fault for fault in upright) and len(upright) == 6
