"""tools/make_sandbox.py: the devkit it writes is read back with other means and compared
with what was drawn.
"""

import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from tools import make_sandbox
from tools.data.sandbox import common
from tools.data.sandbox import detection as ms

TOOL = Path(make_sandbox.__file__)
POOL, TEST, SEED, HARD = 300, 100, 5, 0.3
Drawn = list[tuple[str, bool, list[ms.Object]]]


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ms.make_detection(tmp_path_factory.mktemp("sandbox"), POOL, TEST, SEED, HARD) / "VOC2007"


def read_list(voc: Path, name: str) -> list[str]:
    return (voc / f"ImageSets/Main/{name}.txt").read_text().splitlines()


def read_boxes(voc: Path, image_id: str) -> list[tuple[str, int, tuple[int, ...]]]:
    """(name, difficult, (xmin, ymin, xmax, ymax)) of each object.

    Int() fails on anything but whole numbers.
    """
    found = []
    for thing in ET.parse(voc / f"Annotations/{image_id}.xml").getroot().iterfind("object"):
        box = tuple(
            int(thing.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax")
        )
        found.append((thing.findtext("name", ""), int(thing.findtext("difficult", "")), box))
    return found


def read_image(voc: Path, image_id: str) -> np.ndarray:
    image = cv2.imread(str(voc / f"JPEGImages/{image_id}.jpg"))
    assert image is not None
    return image


@pytest.fixture(scope="module")
def drawn(voc: Path) -> Drawn:
    """(id, hard, objects) of every scene, drawn again from what the lists say."""
    hard = set(read_list(voc, "hard"))
    rows = [
        (i, i in hard, split, k)
        for split in (0, 1)
        for k, i in enumerate(read_list(voc, ("trainval", "test")[split]))
    ]
    return [
        (i, is_hard, ms.draw_scene(SEED, split, k, is_hard)[1]) for i, is_hard, split, k in rows
    ]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """Distance of the median colours inside the mask (H, W) and 2 to 5 px outside of it,
    in BGR levels.
    """
    near, far = (cv2.dilate(mask.astype(np.uint8), np.ones((n, n), np.uint8)) > 0 for n in (5, 11))
    return float(
        np.linalg.norm(np.median(image[mask], axis=0) - np.median(image[far & ~near], axis=0))
    )


def test_lists_and_files_are_the_devkits(voc: Path) -> None:
    trainval, test, hard = (read_list(voc, name) for name in ("trainval", "test", "hard"))
    assert trainval + test == [f"{k:06d}" for k in range(1, POOL + TEST + 1)]
    assert len(trainval) == POOL and len(test) == TEST
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        assert sorted(p.name for p in (voc / folder).iterdir()) == [
            f"{i}.{ending}" for i in trainval + test
        ]
    assert (
        hard == sorted(set(hard))
        and len(set(hard) & set(trainval)) == 90
        and len(set(hard) & set(test)) == 30
    )
    assert sorted(p.name for p in voc.parent.iterdir()) == ["VOC2007", "sandbox.json"]


def test_annotations_have_the_devkits_fields_and_the_images_size(voc: Path) -> None:
    names = set()
    for image_id in read_list(voc, "trainval") + read_list(voc, "test"):
        root = ET.parse(voc / f"Annotations/{image_id}.xml").getroot()
        image = read_image(voc, image_id)
        size = tuple(int(root.findtext(f"size/{key}", "")) for key in ("height", "width", "depth"))
        assert image.shape == size == (128, 128, 3)
        assert root.tag == "annotation" and root.findtext("folder") == "VOC2007"
        assert root.findtext("filename") == f"{image_id}.jpg"
        for thing in root.iterfind("object"):
            assert [child.tag for child in thing] == [
                "name",
                "pose",
                "truncated",
                "difficult",
                "bndbox",
            ]
            assert thing.findtext("pose") == "Unspecified" and thing.findtext("truncated") == "0"
            names.add(thing.findtext("name"))
    assert names == {"circle", "square", "triangle"}


def test_boxes_are_the_tight_boxes_of_the_masks_and_inside(voc: Path, drawn: Drawn) -> None:
    checked = 0
    for image_id, _, objects in drawn:
        written = read_boxes(voc, image_id)
        assert [(o.name, int(o.difficult)) for o in objects] == [
            (name, difficult) for name, difficult, _ in written
        ]
        for thing, (_, _, (xmin, ymin, xmax, ymax)) in zip(objects, written, strict=True):
            x, y, width, height = cv2.boundingRect((thing.alpha >= 0.5).astype(np.uint8))
            assert (xmin, ymin, xmax, ymax) == (x + 1, y + 1, x + width, y + height)
            assert 1 <= xmin < xmax <= 128 and 1 <= ymin < ymax <= 128
            checked += 1
    assert checked > 800


def test_names_are_the_masks_shapes(drawn: Drawn) -> None:
    """A circle fills pi/4 of its smallest turned rectangle, a square all of it, a triangle half."""
    fills: dict[str, list[float]] = {"circle": [], "square": [], "triangle": []}
    for _, _, objects in drawn:
        for thing in objects:
            covered = (
                cv2.resize(thing.alpha, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR) > 0.5
            )
            width, height = cv2.minAreaRect(np.argwhere(covered).astype(np.float32))[1]
            fills[thing.name].append(float(thing.alpha.sum()) * 16 / ((width + 1) * (height + 1)))
    for name, expected in {"circle": np.pi / 4, "square": 1.0, "triangle": 0.5}.items():
        assert len(fills[name]) > 200
        np.testing.assert_allclose(fills[name], expected, atol=0.08, err_msg=name)


def test_the_jpeg_shows_an_object_where_its_box_says(voc: Path) -> None:
    """Read from the files alone: in easy scenes the middle of a box has one colour, noise
    aside, and stands out.
    """
    hard, checked = set(read_list(voc, "hard")), 0
    for image_id in set(read_list(voc, "trainval")) - hard:
        image = read_image(voc, image_id).astype(float)
        for _, _, (xmin, ymin, xmax, ymax) in read_boxes(voc, image_id):
            x, y = (xmin + xmax) // 2 - 1, (ymin + ymax) // 2 - 1
            middle = image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3)
            # columns beside the box
            border = image[ymin - 1 : ymax, [xmin - 3, min(xmax + 1, 127)]].reshape(-1, 3)
            assert middle.std(0).max() < 14, image_id
            assert np.linalg.norm(middle.mean(0) - np.median(border, axis=0)) > 40, image_id
            checked += 1
    assert checked > 300


def test_objects_overlap_little(voc: Path) -> None:
    overlaps = []
    for image_id in read_list(voc, "trainval") + read_list(voc, "test"):
        grids = []
        for _, _, (xmin, ymin, xmax, ymax) in read_boxes(voc, image_id):
            grid = np.zeros((128, 128), bool)
            grid[ymin - 1 : ymax, xmin - 1 : xmax] = True
            grids.append(grid)
        assert len(grids) <= 4
        overlaps += [(a & b).sum() / (a | b).sum() for a, b in combinations(grids, 2)]
    assert len(overlaps) > 300 and 0 < max(overlaps) <= 0.2


def test_hard_objects_are_smaller_and_of_lower_contrast(voc: Path, drawn: Drawn) -> None:
    sides: dict[bool, list[int]] = {True: [], False: []}
    contrasts: dict[bool, list[float]] = {True: [], False: []}
    invisible: list[float] = []
    for image_id, hard, objects in drawn:
        image = read_image(voc, image_id)
        for thing in objects:
            xmin, ymin, xmax, ymax = thing.box
            sides[hard].append(max(xmax - xmin, ymax - ymin) + 1)
            (invisible if thing.difficult else contrasts[hard]).append(
                contrast(image, thing.alpha >= 0.5)
            )
    assert (
        min(sides[True]) >= 14
        and max(sides[True]) <= 24 <= min(sides[False])
        and max(sides[False]) <= 60
    )
    assert np.median(contrasts[True]) < 0.5 * np.median(contrasts[False])
    assert np.quantile(contrasts[True], 0.9) < np.quantile(contrasts[False], 0.1)
    assert np.median(invisible) < 0.5 * np.median(contrasts[True])


def test_the_real_cases_occur(voc: Path) -> None:
    hard, all_ids = set(read_list(voc, "hard")), read_list(voc, "trainval") + read_list(voc, "test")
    empty = [i for i in all_ids if not read_boxes(voc, i)]
    difficult = [i for i in all_ids for _, flag, _ in read_boxes(voc, i) if flag]
    assert 0.005 * len(all_ids) <= len(empty) <= 0.05 * len(all_ids)
    assert (
        2 <= len(difficult) <= 0.1 * sum(len(read_boxes(voc, i)) for i in hard)
        and set(difficult) <= hard
    )


@pytest.mark.parametrize("count", [0, 1, 7, 20, 33, 250])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1 / 3, 0.5, 0.999, 1.0])
def test_the_hard_share_is_exact(count: int, share: float) -> None:
    flags = common.hard_flags(0, 0, count, share)
    assert len(flags) == count and sum(flags) == round(share * count)


def test_hardness_has_no_pattern_in_the_ids() -> None:
    flags = np.array(common.hard_flags(0, 0, 2000, 0.3))
    assert len({tuple(block) for block in flags.reshape(-1, 20)}) > 90
    # every tenth scene is a fair sample
    assert abs(flags.reshape(-1, 10).mean(0) - 0.3).max() < 0.12
    assert (
        common.hard_flags(1, 0, 2000, 0.3) != flags.tolist() != common.hard_flags(0, 1, 2000, 0.3)
    )


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """One set is made here, one by a process of its own with another hash seed."""
    here = ms.make_detection(tmp_path / "here", 30, 10, 2, 0.4)
    command = ["det", "--pool", "30", "--test", "10", "--seed", "2", "--hard", "0.4", "--root"]
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(TOOL.parent.parent)}
    subprocess.run(
        [sys.executable, TOOL, *command, tmp_path / "there"], check=True, env=environment
    )
    assert snapshot(here) == snapshot(tmp_path / "there/VOCdevkit")
    other = ms.make_detection(tmp_path / "other", 30, 10, 3, 0.4)
    assert not set(snapshot(here / "VOC2007/JPEGImages").values()) & set(
        snapshot(other / "VOC2007/JPEGImages").values()
    )


@pytest.mark.parametrize(("small", "shared"), [(40, 40), (50, 40)])
def test_a_larger_pool_begins_with_the_smaller_one(tmp_path: Path, small: int, shared: int) -> None:
    few, many = (
        ms.make_detection(tmp_path / str(n), n, 20, 0, 0.3) / "VOC2007" for n in (small, 80)
    )
    ids = read_list(few, "trainval")[:shared]
    assert ids == read_list(many, "trainval")[:shared]
    for name in [f"JPEGImages/{i}.jpg" for i in ids] + [f"Annotations/{i}.xml" for i in ids]:
        assert (few / name).read_bytes() == (many / name).read_bytes()
    assert set(read_list(few, "hard")) & set(ids) == set(read_list(many, "hard")) & set(ids)
    # other ids, the same scenes
    for a, b in zip(read_list(few, "test"), read_list(many, "test"), strict=True):
        assert (few / f"JPEGImages/{a}.jpg").read_bytes() == (
            many / f"JPEGImages/{b}.jpg"
        ).read_bytes()


def test_pool_and_test_share_no_scene(voc: Path) -> None:
    assert len(set(snapshot(voc / "JPEGImages").values())) == POOL + TEST


def test_a_rerun_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["det", "--root", str(tmp_path), "--pool", "9", "--test", "3", "--hard", "1"]
    assert make_sandbox.main(arguments) == 0
    assert "9 + 3 images, 12 hard, 0 empty; boxes: circle " in capsys.readouterr().out
    before = snapshot(tmp_path)
    monkeypatch.setattr(ms, "draw_scene", lambda *_: pytest.fail("a scene was drawn again"))
    assert make_sandbox.main(arguments) == 0
    assert "is there already" in capsys.readouterr().out and snapshot(tmp_path) == before


def test_other_settings_are_refused_and_nothing_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    devkit = ms.make_detection(tmp_path, 6, 2, 0, 0.5)
    before = snapshot(tmp_path)
    with pytest.raises(
        FileExistsError, match=r"\(pool: 6 there, 7 now; hard: 0.5 there, 0.25 now\)"
    ):
        ms.make_detection(tmp_path, 7, 2, 0, 0.25)
    assert (
        make_sandbox.main(
            [
                "det",
                "--root",
                str(tmp_path),
                "--pool",
                "6",
                "--test",
                "2",
                "--hard",
                "0.5",
                "--seed",
                "1",
            ]
        )
        == 1
    )
    assert (
        f"{devkit} is kept" in (error := capsys.readouterr().err)
        and "(seed: 0 there, 1 now)" in error
    )
    assert snapshot(tmp_path) == before and [p.name for p in tmp_path.iterdir()] == ["VOCdevkit"]


@pytest.mark.parametrize("note", [None, json.dumps({"drawing": 0})])
def test_a_devkit_of_other_origin_is_refused(tmp_path: Path, note: str | None) -> None:
    (tmp_path / "VOCdevkit/VOC2007").mkdir(parents=True)
    if note:
        (tmp_path / "VOCdevkit/sandbox.json").write_text(note)
    with pytest.raises(FileExistsError, match="drawing: (None|0) there, 1 now"):
        ms.make_detection(tmp_path, 6, 2, 0, 0.5)
    assert not list((tmp_path / "VOCdevkit/VOC2007").iterdir())


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, seen = ms.DRAWINGS.draw, []

    def interrupted(*args: int) -> object:
        seen.append(args)
        if len(seen) == 5:
            assert [p.name.partition(".tmp-")[0] for p in tmp_path.iterdir()] == ["VOCdevkit"]
            raise KeyboardInterrupt
        return draw(*args)

    monkeypatch.setattr(ms, "DRAWINGS", replace(ms.DRAWINGS, draw=interrupted))
    with pytest.raises(KeyboardInterrupt):
        ms.make_detection(tmp_path, 10, 2, 0, 0.3)
    assert len(seen) == 5 and not list(tmp_path.iterdir())


def test_a_killed_process_leaves_no_devkit(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, TOOL, "det", "--root", tmp_path, "--pool", "50000"])
    building = tmp_path / f"VOCdevkit.tmp-{process.pid}"
    deadline = time.monotonic() + 60
    while not list(building.glob("VOC2007/Annotations/000009.xml")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == [building.name]
    assert (ms.make_detection(tmp_path, 5, 0, 0, 0.3) / "sandbox.json").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": 0}, "pool: expected at least 1 scene, got 0"),
        ({"pool": -3, "seed": -1}, "pool: .* got -3; seed: expected a number >= 0, got -1"),
        ({"test": -1}, "test: expected at least 0 scenes, got -1"),
        ({"pool": 999_999}, r"pool \+ test: expected at most 999999 .* got 1000001"),
        ({"hard": 1.01}, r"hard: expected a share in \[0, 1\], got 1.01"),
        ({"hard": float("nan")}, "hard: .* got nan"),
    ],
)
def test_impossible_settings_are_named(
    tmp_path: Path, changes: dict[str, float], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"pool": 4, "test": 2, "seed": 0, "hard": 0.5} | changes
    with pytest.raises(ValueError, match=message):
        ms.make_detection(tmp_path / "new", **settings)
    assert (
        make_sandbox.main(
            ["det", f"--root={tmp_path / 'new'}", *(f"--{k}={v}" for k, v in settings.items())]
        )
        == 1
    )
    assert "error: " in capsys.readouterr().err and not (tmp_path / "new").exists()
