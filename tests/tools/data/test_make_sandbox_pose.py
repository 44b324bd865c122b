"""`make_sandbox.py pose`: MPII's files are read back with other means and compared with
what was drawn.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from tasks.pose import Pose
from tasks.pose.faults import mpii_faults
from tasks.pose.people import MPII_BONES, MPII_JOINTS
from tests.tools.data.test_make_sandbox import TOOL, snapshot
from tools import make_sandbox as ms
from tools.data.sandbox import figure as mf
from tools.data.sandbox import pose as mp

POOL, TEST, SEED, HARD = 120, 60, 5, 0.3
LISTS = {"train": "train", "test": "valid"}
LEFT, RIGHT = ([k for k, code in enumerate(mp.CODES) if code[0] == side] for side in "lr")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mp.make_pose(tmp_path_factory.mktemp("sandbox"), POOL, TEST, SEED, HARD)


def records(figures: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((figures / f"annot/{name}.json").read_text())


def drawn(split: int, hard: bool, count: int = 40) -> list[mp.Person]:
    return [mp.draw_person(SEED, split, k, hard) for k in range(count)]


def test_the_files_are_mpiis(figures: Path) -> None:
    assert (
        mpii_faults(
            figures,
            {"train": "annot/train.json", "test": "annot/valid.json"},
            16,
            "annot/gt_valid.mat",
            full=True,
        )
        == []
    )
    assert sorted(p.name for p in figures.iterdir()) == [
        "annot",
        "hard.txt",
        "images",
        "sandbox.json",
    ]
    names = [r["image"] for name in ("train", "valid") for r in records(figures, name)]
    assert names == [f"{k:06d}.jpg" for k in range(1, POOL + TEST + 1)]
    assert sorted(p.name for p in (figures / "images").iterdir()) == names
    for name in names:
        assert cv2.imread(str(figures / "images" / name)).shape == (96, 96, 3)


def test_cocos_keypoints_are_the_same_persons(figures: Path) -> None:
    """0-based pixels, joints by MPII's names, boxes that hold every joint in the image."""
    for name in ("train", "valid"):
        data = json.loads((figures / f"annot/person_keypoints_{name}.json").read_text())
        persons = records(figures, name)
        assert [image["file_name"] for image in data["images"]] == [r["image"] for r in persons]
        assert tuple(data["categories"][0]["keypoints"]) == MPII_JOINTS
        bones = [(a - 1, b - 1) for a, b in data["categories"][0]["skeleton"]]
        assert {frozenset(bone) for bone in bones} == {frozenset(bone) for bone in MPII_BONES}
        for annotation, r in zip(data["annotations"], persons, strict=True):
            points = np.array(annotation["keypoints"]).reshape(16, 3)
            seen = np.array(r["joints_vis"]) == 1
            assert np.array_equal(points[:, 2], 2 * seen) and (points[~seen] == 0).all()
            np.testing.assert_allclose(points[seen, :2], np.array(r["joints"])[seen] - 1, atol=2e-3)
            x, y, width, height = annotation["bbox"]
            assert (points[seen, :2] >= [x, y]).all()
            assert (points[seen, :2] <= [x + width, y + height]).all()
            assert 0 <= x < x + width <= 96.01 and 0 <= y < y + height <= 96.01
            assert annotation["area"] == pytest.approx(width * height / 2, abs=0.01)
    lists = {k: f"images:annot/person_keypoints_{v}.json" for k, v in LISTS.items()}
    task = Pose(str(figures), format="coco", network="simple:resnet10t", input_size=64, **lists)
    assert task.check(full=True) == []
    assert (len(task.dataset("pool")), len(task.dataset("test"))) == (POOL, TEST)


def test_records_say_what_was_drawn(figures: Path) -> None:
    """Pixels count from 1; what is not annotated is at -1."""
    hard = set((figures / "hard.txt").read_text().splitlines())
    for split, name in enumerate(("train", "valid")):
        for k, r in enumerate(records(figures, name)):
            person = mp.draw_person(SEED, split, k, f"images/{r['image']} person 1" in hard)
            joints, seen = np.array(r["joints"]), np.array(r["joints_vis"]) == 1
            assert np.array_equal(seen, person.annotated) and (joints[~seen] == -1).all()
            assert np.abs(joints[seen] - 1 - person.joints[seen]).max() <= 0.0005
            assert (joints[seen] >= 1).all() and (joints[seen] <= 96).all()
            assert np.abs(np.array(r["center"]) - 1 - person.centre).max() <= 0.0005
            decoded = cv2.imread(str(figures / "images" / r["image"])).astype(float)
            assert np.abs(decoded - person.image).mean() < 6  # JPEG's own


def test_the_mat_file_is_mpiis(figures: Path) -> None:
    mat, valid = loadmat(figures / "annot/gt_valid.mat"), records(figures, "valid")
    assert [str(code[0]) for code in mat["dataset_joints"][0]] == list(mp.CODES)
    assert np.array_equal(mat["pos_gt_src"].transpose(2, 0, 1), [r["joints"] for r in valid])
    assert np.array_equal(mat["jnt_missing"].T, 1 - np.array([r["joints_vis"] for r in valid]))
    low, high = mat["headboxes_src"].transpose(0, 2, 1)
    heights = 200 * np.array([r["scale"] for r in valid])
    sizes = 0.6 * np.linalg.norm(high - low, axis=1)
    assert sizes == pytest.approx(0.6 * 2**0.5 * 1.1 * 0.2 * heights, rel=1e-3)
    # px in a crop of 64: the threshold is more than a heatmap cell
    assert (sizes * 64 / (1.25 * heights)).min() > 9
    assert (high - low)[:, 0] == pytest.approx((high - low)[:, 1], abs=0.003)  # rounded
    for r, a, b in zip(valid, low, high, strict=True):
        for k in (8, 9):
            assert (
                not r["joints_vis"][k]
                or (np.array(r["joints"][k]) > a).all()
                and (r["joints"][k] < b).all()
            )


def test_the_hard_share_is_known_and_exact(figures: Path) -> None:
    hard = (figures / "hard.txt").read_text().splitlines()
    numbers = [int(name.removeprefix("images/").removesuffix(".jpg person 1")) for name in hard]
    assert numbers == sorted(set(numbers))
    assert (sum(k <= POOL for k in numbers), len(numbers)) == (36, 54)


def test_about_a_tenth_of_the_joints_is_not_annotated() -> None:
    easy, hard = (1 - np.mean([p.annotated for p in drawn(0, hard, 150)]) for hard in (False, True))
    assert 0.02 < easy < hard < 0.3
    assert 0.05 < 0.7 * easy + 0.3 * hard < 0.15


@pytest.mark.parametrize("hard", [False, True])
def test_the_crop_of_hrnet_holds_the_figure(hard: bool) -> None:
    """HRNet's crop: 1.25 * 200 px * scale a side around the centre, moved down by 15 px * scale."""
    for person in drawn(0, hard):
        crop = person.joints[person.annotated] - (person.centre + [0, 15 * person.scale])
        assert np.abs(crop).max() < 0.5 * 250 * person.scale


def test_limbs_have_the_lengths_of_a_person() -> None:
    lengths = {
        (0, 1): 0.235,
        (1, 2): 0.245,
        (3, 4): 0.245,
        (4, 5): 0.235,
        (6, 7): 0.28,
        (7, 8): 0.04,
        (8, 9): 0.2,
        (10, 11): 0.165,
        (11, 12): 0.175,
        (13, 14): 0.175,
        (14, 15): 0.165,
    }
    assert sum(lengths[pair] for pair in ((0, 1), (1, 2), (6, 7), (7, 8), (8, 9))) == pytest.approx(
        1
    )
    for person in drawn(0, True):
        for (a, b), length in lengths.items():
            distance = np.linalg.norm(person.joints[a] - person.joints[b])
            assert distance == pytest.approx(length * 200 * person.scale)
        assert np.allclose(person.joints[6], person.joints[[2, 3]].mean(0))
        assert np.allclose(person.joints[7], person.joints[[12, 13]].mean(0))


def test_sides_are_swapped_from_behind() -> None:
    """Seen from the front the person's right shoulder and hip are to the left in the image."""
    straight = mp.EASY._replace(turn=0, lean=0)
    for facing in (1.0, 0.5, -0.5, -1.0):
        joints = mf.pose(np.random.default_rng(0), straight, facing)
        assert (
            np.sign(joints[13, 0] - joints[12, 0])
            == np.sign(joints[3, 0] - joints[2, 0])
            == np.sign(facing)
        )
        assert joints[13, 0] - joints[12, 0] == pytest.approx(0.26 * facing)


def test_limbs_swing_away_from_the_body() -> None:
    apart = mp.EASY._replace(
        turn=0, lean=0, shoulder=(30, 60), elbow=(8, 30), hip=(20, 40), knee=(8, 20)
    )
    for seed, facing in ((0, 1.0), (1, -1.0)):
        x = mf.pose(np.random.default_rng(seed), apart, facing)[:, 0] * facing
        assert (
            x[0] < x[1] < x[2] < x[3] < x[4] < x[5]
            and x[10] < x[11] < x[12] < x[13] < x[14] < x[15]
        )


def test_a_turn_is_clockwise() -> None:
    # y is down
    assert mf.rotated(np.array([[1.0, 0], [0, 2]]), 90) == pytest.approx(
        np.array([[0, 1], [-2, 0]])
    )


def test_strokes_are_where_the_joints_say() -> None:
    """The mask's centre of mass is the stroke's middle, its area that of a bar with round ends."""
    canvas, points = mf.Canvas(), np.array([[20.3, 40.6], [31.7, 49.1]])
    canvas.stroke(points, 6, np.array([255.0, 255, 255]))
    mask = canvas.onto(np.zeros((96, 96, 3), np.uint8)).astype(float).max(-1) > 70
    assert np.argwhere(mask).mean(0)[::-1] == pytest.approx(points.mean(0), abs=0.15)
    assert mask.sum() == pytest.approx(
        6 * np.linalg.norm(points[1] - points[0]) + 9 * np.pi, rel=0.08
    )


def test_left_is_bluish_and_right_reddish() -> None:
    """At the middle of arms and legs that nothing else covers, as most are not."""
    excess = {side: [] for side in ("left", "right")}
    for person in drawn(0, False, 60):
        for side in excess:
            for chain in (mf.ARMS[side], mf.LEGS[side]):
                x, y = person.joints[list(chain[1:])].mean(0).round().astype(int)
                if max(x, y) < 95 and min(x, y) > 0:
                    patch = person.image[y - 1 : y + 2, x - 1 : x + 2].astype(float).mean((0, 1))
                    excess[side].append(patch[0] - patch[2])
    assert np.mean(np.array(excess["left"]) > 0) > 0.9 < np.mean(np.array(excess["right"]) < 0)
    assert np.median(excess["left"]) > 40 and np.median(excess["right"]) < -40


def test_hard_persons_are_duller_smaller_and_turned() -> None:
    scales = {hard: [p.scale for p in drawn(0, hard)] for hard in (False, True)}
    tilts = {hard: [abs(np.arctan2(*(p.joints[7] - p.joints[6]) * [1, -1])) for p in drawn(0, hard)]
             for hard in (False, True)}  # fmt: skip
    assert max(scales[True]) < min(scales[False])
    assert np.median(tilts[True]) > 2.5 * np.median(tilts[False])
    assert (
        np.mean([p.annotated.all() for p in drawn(0, True)])
        < 0.5
        < np.mean([p.annotated.all() for p in drawn(0, False)])
    )


def test_joints_behind_a_bar_are_those_that_it_paints_over() -> None:
    rng, hidden = np.random.default_rng(0), 0
    for _ in range(50):
        joints = rng.uniform(10, 85, (16, 2)).round()
        image = np.full((96, 96, 3), 255, np.uint8)
        behind = mp.draw_bar(rng, image, joints)
        covered = image[joints[:, 1].astype(int), joints[:, 0].astype(int)].min(-1)
        assert (covered[behind] < 255).all()
        hidden += behind.sum()
        painted = image.min(-1) < 250
        x, y = joints[~behind].astype(int).T
        assert painted[y, x].mean() < 0.3  # the rim
    assert hidden > 50


def test_no_two_images_are_alike_and_seeds_differ(figures: Path, tmp_path: Path) -> None:
    images = {k: v for k, v in snapshot(figures).items() if k.endswith(".jpg")}
    assert len(set(images.values())) == POOL + TEST
    other = mp.make_pose(tmp_path, 20, 10, SEED + 1, HARD)
    assert not set(images.values()) & {v for k, v in snapshot(other).items() if k.endswith(".jpg")}


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """One set is made here, one by the command in a process of its own with another hash seed."""
    here = mp.make_pose(tmp_path / "here", 30, 10, 2, 0.4)
    command = [
        "pose",
        "--pool",
        "30",
        "--test",
        "10",
        "--seed",
        "2",
        "--hard",
        "0.4",
        "--root",
        tmp_path / "there",
    ]
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(TOOL.parent.parent)}
    done = subprocess.run(
        [sys.executable, TOOL, *command],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (
        "30 + 10 persons, 16 hard, " in done.stdout
        and "% of the joints not annotated" in done.stdout
    )
    assert snapshot(here) == snapshot(tmp_path / "there/figures")
    # the time would be there
    assert b"Created on" not in (here / "annot/gt_valid.mat").read_bytes()[:116]


def test_a_larger_pool_begins_with_the_smaller_one(tmp_path: Path) -> None:
    few, many = (mp.make_pose(tmp_path / str(n), n, 20, 0, 0.3) for n in (40, 80))
    assert records(few, "train") == records(many, "train")[:40]
    for r in records(few, "train"):
        assert (few / "images" / r["image"]).read_bytes() == (
            many / "images" / r["image"]
        ).read_bytes()
    assert (few / "annot/gt_valid.mat").read_bytes() == (many / "annot/gt_valid.mat").read_bytes()


def test_a_rerun_draws_nothing_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pose", "--root", str(tmp_path), "--pool", "5", "--test", "3"]
    assert ms.main(arguments) == 0
    before = snapshot(tmp_path)
    monkeypatch.setattr(mp, "draw_person", lambda *_: pytest.fail("a person was drawn again"))
    assert ms.main(arguments) == 0 and "is there already" in capsys.readouterr().out
    assert ms.main([*arguments, "--seed", "1"]) == 1
    assert (
        "figures is kept, as it was not made with these settings (seed: 0 there, 1 now"
        in capsys.readouterr().err
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": 0}, "pool: expected at least 1 person, got 0"),
        ({"test": 0, "seed": -1}, "test: .* got 0; seed: expected a number >= 0, got -1"),
        (
            {"pool": 999_999},
            "pool . test: expected at most 999999 persons, as names have six digits, got 1000002",
        ),
        ({"hard": float("nan")}, r"hard: expected a share in \[0, 1\], got nan"),
    ],
)
def test_impossible_settings_are_named(
    tmp_path: Path, changes: dict[str, float], message: str
) -> None:
    settings = {"pool": 5, "test": 3, "seed": 0, "hard": 0.5} | changes
    with pytest.raises(ValueError, match=message):
        mp.make_pose(tmp_path / "new", **settings)
    assert (
        ms.main(
            ["pose", f"--root={tmp_path / 'new'}", *(f"--{k}={v}" for k, v in settings.items())]
        )
        == 1
    )
    assert not (tmp_path / "new").exists()
