"""`make_sandbox.py cls`: the folder of images is read back with other means and compared
with what was drawn.
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.classification import Classification
from tests.tools.data.test_make_sandbox import TOOL, snapshot
from tools import make_sandbox as ms
from tools.data.sandbox import classification as mc

POOL, TEST, SEED, HARD = 270, 90, 5, 0.3


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mc.make_classification(tmp_path_factory.mktemp("sandbox"), POOL, TEST, SEED, HARD)


def test_the_folder_is_what_the_task_reads(shapes: Path) -> None:
    task = Classification(str(shapes), network="resnet10_cifar_w8")
    assert task.check(full=True) == []
    assert task.classes == mc.CLASSES and len(mc.CLASSES) == 9
    assert len(task.dataset("pool")) == POOL and len(task.dataset("test")) == TEST
    assert np.bincount([task.dataset("pool")[i][1] for i in range(POOL)]).tolist() == [30] * 9
    assert sorted(p.name for p in shapes.iterdir()) == ["hard.txt", "sandbox.json", "test", "train"]


def test_the_hard_share_is_known_and_exact(shapes: Path) -> None:
    hard = (shapes / "hard.txt").read_text().split()
    assert all((shapes / path).is_file() for path in hard) and len(set(hard)) == len(hard)
    assert [sum(path.startswith(split) for path in hard) for split in ("train", "test")] == [81, 27]


def drawn(hard: bool, name: str) -> list[np.ndarray]:
    """30 images of a class, float BGR."""
    first = mc.CLASSES.index(name)
    return [mc.draw_image(SEED, 0, first + 9 * k, hard)[0].astype(float) for k in range(30)]


@pytest.mark.parametrize(
    ("name", "channel"), [("blue_square", 0), ("green_circle", 1), ("red_triangle", 2)]
)
def test_images_have_the_colour_of_their_class(name: str, channel: int) -> None:
    """Somewhere in an easy image the class's channel is far above the other two.

    In hard ones less so.
    """
    excess = {}
    for hard in (False, True):
        images = [cv2.blur(image, (3, 3)) for image in drawn(hard, name)]
        others = [c for c in range(3) if c != channel]
        excess[hard] = [np.quantile(i[..., channel] - i[..., others].max(-1), 0.95) for i in images]
    assert min(excess[False]) > 25
    assert np.median(excess[True]) < 0.7 * np.median(excess[False])


def test_masks_are_shapes_inside_the_image() -> None:
    """A circle covers pi r^2, a square 2 r^2, a triangle 3/4 sqrt(3) r^2."""
    rng = np.random.default_rng(0)
    for name, area in (("circle", np.pi), ("square", 2.0), ("triangle", 0.75 * 3**0.5)):
        for radius in (7.0, 10.0, 13.0):
            alpha = mc.mask(rng, mc.SHAPES[name], radius, mc.EASY)
            assert alpha.sum() == pytest.approx(area * radius**2, rel=0.08)
            assert not alpha[[0, -1]].any() and not alpha[:, [0, -1]].any()


def test_no_two_images_are_alike_and_seeds_differ(shapes: Path, tmp_path: Path) -> None:
    images = {k: v for k, v in snapshot(shapes).items() if k.endswith(".png")}
    assert len(set(images.values())) == POOL + TEST
    other = mc.make_classification(tmp_path, 18, 9, SEED + 1, HARD)
    assert not set(images.values()) & {v for k, v in snapshot(other).items() if k.endswith(".png")}


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """One set is made here, one by the command in a process of its own with another hash seed."""
    here = mc.make_classification(tmp_path / "here", 30, 10, 2, 0.4)
    command = [
        "cls",
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
    assert "30 + 10 images of 9 classes, 16 hard" in done.stdout
    assert snapshot(here) == snapshot(tmp_path / "there/shapes")


def test_a_larger_pool_begins_with_the_smaller_one(tmp_path: Path) -> None:
    few, many = (
        snapshot(mc.make_classification(tmp_path / str(n), n, 20, 0, 0.3)) for n in (40, 80)
    )
    shared = [name for name in few if name.endswith(".png")]
    assert len(shared) == 60 and all(few[name] == many[name] for name in shared)


def test_a_rerun_draws_nothing_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["cls", "--root", str(tmp_path), "--pool", "9", "--test", "9"]
    assert ms.main(arguments) == 0
    before = snapshot(tmp_path)
    monkeypatch.setattr(mc, "draw_image", lambda *_: pytest.fail("an image was drawn again"))
    assert ms.main(arguments) == 0 and "is there already" in capsys.readouterr().out
    assert ms.main([*arguments, "--seed", "1"]) == 1
    assert (
        "shapes is kept, as it was not made with these settings (seed: 0 there, 1 now)"
        in capsys.readouterr().err
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": 8}, r"pool: expected 9 \(an image a class\) to 1000000 images, got 8"),
        ({"test": 0, "seed": -1}, "test: .* got 0; seed: expected a number >= 0, got -1"),
        ({"hard": float("nan")}, r"hard: expected a share in \[0, 1\], got nan"),
    ],
)
def test_impossible_settings_are_named(
    tmp_path: Path, changes: dict[str, float], message: str
) -> None:
    settings = {"pool": 9, "test": 9, "seed": 0, "hard": 0.5} | changes
    with pytest.raises(ValueError, match=message):
        mc.make_classification(tmp_path / "new", **settings)
    assert (
        ms.main(["cls", f"--root={tmp_path / 'new'}", *(f"--{k}={v}" for k, v in settings.items())])
        == 1
    )
    assert not (tmp_path / "new").exists()
