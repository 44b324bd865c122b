"""Images that are in a data set more than once: across the splits a fault, within one a note."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tasks import twins
from tasks.base import Source
from tasks.detection import Detection
from tasks.pose import Pose
from tasks.twins import same_content, shared_images
from tests import commands, devkit, imagekit, posekit
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools import al_sweep
from tools.experiment import preflight
from tools.experiment.config import load
from tools.experiment.options import ConfigError
from tools.sweep import jobs

CONFIG = str(REPOSITORY / "configs/cls_sandbox.py")


class Told:
    """Sources as they are given."""

    def __init__(self, pool: Sequence[Source], test: Sequence[Source] = ()) -> None:
        self.given = {"pool": pool, "test": test}

    def sources(self, split):
        return self.given[split]


class ToldToy(Told, Toy):
    """A task of one's own that tells its sources."""

    def __init__(self) -> None:
        Toy.__init__(self)
        Told.__init__(
            self,
            [Source(None, "", bytes([k])) for k in range(60)],
            [Source(None, "", b"\x07")] * 20,
        )


class BrokenToy(Toy):
    def sources(self, split):
        raise KeyError("no such split")


def files(folder: Path, *contents: bytes) -> list[str]:
    """A file for each content."""
    for k, content in enumerate(contents):
        (folder / f"{k}.png").write_bytes(content)
    return [str(folder / f"{k}.png") for k in range(len(contents))]


# ---------------------------------------------------------------- which files are the same


def test_files_are_the_same_by_content_links_too(tmp_path: Path):
    a, b, c, d, e = files(tmp_path, b"x" * 9000, b"y" * 9000, b"x" * 9000, b"x" * 8999, b"")
    link, hard = str(tmp_path / "link.png"), str(tmp_path / "hard.png")
    os.symlink(b, link)
    os.link(d, hard)
    assert same_content([a, b, c, d, e, link, hard]) == {
        a: a,
        b: b,
        c: a,
        d: d,
        e: e,
        link: b,
        hard: d,
    }


@pytest.mark.parametrize("place", [0, 1, 8_999, 9_000, 4_500, 17_999])
def test_one_byte_makes_another_file_wherever_it_is(tmp_path: Path, place: int):
    content = bytearray(np.random.default_rng(0).bytes(18_000))
    before = bytes(content)
    content[place] ^= 1
    a, b = files(tmp_path, before, bytes(content))
    assert same_content([a, b]) == {a: a, b: b}


def test_files_of_a_size_of_their_own_are_not_opened(tmp_path: Path, monkeypatch):
    many = files(tmp_path, *(b"x" * k for k in range(50)), b"y" * 20)
    opened = []
    real_middle, real_digest = twins._middle, twins._digest
    monkeypatch.setattr(twins, "_middle", lambda file: opened.append(file) or real_middle(file))
    monkeypatch.setattr(twins, "_digest", lambda file: opened.append(file) or real_digest(file))
    assert same_content(many) == {file: file for file in many}
    assert sorted(opened) == sorted([many[20], many[50]])  # and neither was read to its end


def test_a_file_that_is_gone_is_like_no_other(tmp_path: Path):
    (a,) = files(tmp_path, b"x")
    gone, lost = str(tmp_path / "gone.png"), str(tmp_path / "lost.png")
    assert same_content([a, gone, lost]) == {a: a, gone: gone, lost: lost}


@pytest.mark.slow
def test_twenty_thousand_files_take_seconds(tmp_path: Path):
    rng = np.random.default_rng(0)
    many = []
    for k in range(20_000):
        many.append(str(tmp_path / f"{k}.png"))
        with open(many[-1], "wb") as file:
            file.write(rng.bytes(200 + k % 100))
    shutil.copy(many[3], many[17_000])
    start = time.perf_counter()
    found = same_content(many)
    assert time.perf_counter() - start < 60  # about 3 s alone on a core
    assert {file for file in many if found[file] != file} == {many[17_000]}


# ---------------------------------------------------------------- what is said of samples


def test_samples_of_an_array_are_known_by_their_content():
    pool = [
        Source(None, "cat", b"a"),
        Source(None, "dog", b"b"),
        Source(None, "cat", b"b"),
        Source(None, "cat"),
    ]
    test = [Source(None, "cat", b"c"), Source(None, "cat", b"a"), Source(None, "cat")]
    (fault,), notes = shared_images(Told(pool, test))
    assert fault == (
        "test set: expected no image of the pool, but got 1 of 3 samples that are: test sample 1 = "
        "pool sample 0; "
        "take them out of one of the two, or set test_in_pool=True in the config where that is "
        "meant"
    )
    assert notes == [
        "pool: 1 images are there more than once: pool sample 1 = pool sample 2",
        "pool: 1 of these have annotations that differ: pool sample 1 is dog, pool sample 2 is cat",
    ]


def test_samples_of_one_file_are_no_doubles_unless_their_annotation_is_one():
    path = Path("/data/a.jpg")
    assert shared_images(Told([Source(path, "left"), Source(path, "right")])) == ([], [])
    twice = [Source(path, "left"), Source(path, "right"), Source(path, "left")]
    assert shared_images(Told(twice)) == (
        [],
        ["pool: 1 images are there more than once: /data/a.jpg"],
    )


def test_one_path_written_in_two_ways_is_one_file(tmp_path: Path):
    files(tmp_path, b"x")
    (fault,), _ = shared_images(
        Told(
            [Source(tmp_path / "0.png", "")],
            [Source(tmp_path / "sub/../0.png", ""), Source(tmp_path / "1.png", "")],
        )
    )
    assert "1 of 2 samples" in fault


def test_many_doubles_are_three_examples(tmp_path: Path):
    paths = files(tmp_path, *[b"x", b"y", b"z", b"w"] * 5)
    _, (note,) = shared_images(Told([Source(Path(path), "") for path in paths]))
    assert note.startswith("pool: 4 images are there more than once: ")
    assert f"{paths[0]} = {paths[4]} = {paths[8]} = ...; {paths[1]} = " in note and note.endswith(
        "= ...; ..."
    )


# ---------------------------------------------------------------- the tasks


@pytest.mark.parametrize("form", ["voc", "coco"])
def test_a_detection_test_image_under_another_name_is_found(tmp_path: Path, form: str):
    if form == "voc":
        root = devkit.make_voc(tmp_path)
        home = root / "VOC2007"
        for name in ("000012", "000003"):
            shutil.copy(home / f"JPEGImages/{name}.jpg", home / f"JPEGImages/t{name}.jpg")
            shutil.copy(home / f"Annotations/{name}.xml", home / f"Annotations/t{name}.xml")
        imagekit.write_image(home / "JPEGImages/new.jpg", imagekit.pixels(9, 120, 90))
        shutil.copy(home / "Annotations/000012.xml", home / "Annotations/new.xml")
        (home / "ImageSets/Main/test.txt").write_text("t000012\nnew\nt000003\n")
        task, folder = devkit.detection(root), home / "JPEGImages"
    else:
        root = devkit.make_coco(tmp_path)
        data = json.loads((root / "test.json").read_text())
        shutil.copytree(root / "images", root / "other")
        data["images"] = [
            image for image in data["images"] if image["file_name"] in ("000012.jpg", "000003.jpg")
        ]
        kept = {image["id"] for image in data["images"]}
        data["annotations"] = [box for box in data["annotations"] if box["image_id"] in kept]
        (root / "test.json").write_text(json.dumps(data))
        task = devkit.detection(
            root, format="coco", train=["images:train.json"], test=["other:test.json"]
        )
        folder = root / "other"
    assert task.check() == []
    (fault,), notes = shared_images(task)
    count, prefix = ("2 of 3", "t") if form == "voc" else ("2 of 2", "")
    assert (
        f"but got {count} samples that are: {folder}/{prefix}000012.jpg = " in fault and notes == []
    )


def test_lists_that_are_trained_and_tested_on_are_found(tmp_path: Path):
    task = devkit.detection(devkit.make_voc(tmp_path), test=["VOC2007/trainval"])
    (fault,), notes = shared_images(task)
    assert "but got 6 of 6 samples that are" in fault and notes == []


def test_boxes_that_differ_on_a_copy_are_told(tmp_path: Path):
    root = devkit.make_voc(tmp_path)
    home = root / "VOC2007"
    shutil.copy(home / "JPEGImages/000012.jpg", home / "JPEGImages/copy.jpg")
    text = (home / "Annotations/000012.xml").read_text()
    (home / "Annotations/copy.xml").write_text(text.replace("<name>cat", "<name>person"))
    imagekit.write_image(home / "JPEGImages/new.jpg", imagekit.pixels(9, 120, 90))
    (home / "Annotations/new.xml").write_text(text)
    (home / "ImageSets/Main/trainval.txt").write_text("000012\ncopy\n")
    (home / "ImageSets/Main/test.txt").write_text("new\n")
    faults, notes = shared_images(devkit.detection(root))
    assert faults == [] and len(notes) == 2
    assert notes[0] == (
        f"pool: 1 images are there more than once: {home}/JPEGImages/000012.jpg = "
        f"{home}/JPEGImages/copy.jpg"
    )
    assert "1 of these have annotations that differ" in notes[1] and '"cat"' in notes[1]


def test_one_image_in_two_classes_is_told(tmp_path: Path):
    root = imagekit.make_folder(tmp_path)
    shutil.copy(root / "train/cat/000.png", root / "train/dog/x.png")
    os.link(root / "train/cat/001.png", root / "train/cat/y.png")
    faults, notes = shared_images(imagekit.classification(root))
    assert faults == []
    assert notes == [
        f"pool: 2 images are there more than once: {root}/train/cat/000.png = "
        f"{root}/train/dog/x.png; "
        f"{root}/train/cat/001.png = {root}/train/cat/y.png",
        f'pool: 1 of these have annotations that differ: {root}/train/cat/000.png is {{"label": '
        f'"cat"}}, '
        f'{root}/train/dog/x.png is {{"label": "dog"}}',
    ]


def test_cifars_rows_are_compared(tmp_path: Path, monkeypatch):
    root = imagekit.make_cifar10(tmp_path, monkeypatch)
    assert shared_images(imagekit.classification(root, format="cifar10")) == ([], [])
    task = imagekit.classification(root, format="cifar10")
    task.pictures.tested.held[2] = task.pictures.pool.held[17]
    (fault,), notes = shared_images(task)
    assert "1 of 4 samples that are: test sample 2 = pool sample 17" in fault and notes == []


def test_persons_of_one_image_are_no_doubles_and_one_in_both_lists_is_a_fault(tmp_path: Path):
    root = posekit.make_mpii(tmp_path)
    assert shared_images(posekit.pose(root)) == ([], [])
    shutil.copy(root / "images/train003.jpg", root / "images/test001.jpg")  # of 3 and of 2 persons
    (fault,), notes = shared_images(posekit.pose(root))
    assert (
        f"2 of 6 samples that are: {root}/images/test001.jpg = {root}/images/train003.jpg" in fault
    )
    assert notes == []
    os.symlink(root / "images/train000.jpg", root / "images/link.jpg")
    persons = json.loads((root / "annot/train.json").read_text())
    persons.append(persons[0] | {"image": "link.jpg"})
    (root / "annot/train.json").write_text(json.dumps(persons))
    _, notes = shared_images(posekit.pose(root))
    assert len(notes) == 2 and "1 images are there more than once" in notes[0]
    # one of the two has one person less
    assert "1 of these have annotations that differ" in notes[1]


def test_real_data_raise_no_alarm(real_data: Path):
    lists = dict(train=["VOC2007/trainval"], test=["VOC2007/test"], pretrained=None)
    assert shared_images(Detection(str(real_data / "VOCdevkit"), **lists)) == ([], [])
    assert shared_images(Pose(str(real_data / "mpii"))) == ([], [])


# ---------------------------------------------------------------- before a run


def options(root: Path, **more) -> dict:
    return {
        "task.data_root": str(root),
        "budget.initial": 4,
        "budget.query": 2,
        "task.network": "resnet10_cifar_w8",
        "task.input_size": 32,
        **more,
    }


def overlapping(tmp_path: Path) -> Path:
    root = imagekit.make_folder(tmp_path / "data")
    shutil.copy(root / "train/cat/000.png", root / "test/cat/z.png")
    shutil.copy(root / "train/cat/001.png", root / "train/cat/z.png")
    return root


def test_across_is_a_fault_that_a_setting_allows(tmp_path: Path):
    root = overlapping(tmp_path)
    (problem,), notes = preflight.findings(load(CONFIG, options=options(root)), False)
    assert "test set: expected no image of the pool, but got 1 of 7 samples" in problem
    assert len(notes) == 1 and "pool: 1 images are there more than once" in notes[0]
    allowed = load(CONFIG, options=options(root, test_in_pool=True))
    problems, notes = preflight.findings(allowed, False)
    assert problems == [] and allowed.config["test_in_pool"] is True
    assert notes[-1] == (
        f"test set: 1 of 7 samples that are: {root}/test/cat/z.png = {root}/train/cat/000.png; "
        "test_in_pool allows it"
    )


def test_the_setting_is_yes_or_no():
    with pytest.raises(
        ConfigError, match=r"test_in_pool: input should be a valid boolean.*, but got 'maybe'"
    ):
        load(CONFIG, options={"test_in_pool": "maybe"})


def test_notes_are_said_and_the_exit_status_is_0(tmp_path: Path, capsys):
    root = overlapping(tmp_path)
    given = [f"{key}={value}" for key, value in options(root).items()]
    arguments = [
        CONFIG,
        "--dry-run",
        "--work-dir",
        str(tmp_path / "run"),
        "--wandb",
        "disabled",
        "--cfg-options",
    ]
    assert commands.train([*arguments, *given], lambda *_: None) == 2
    assert (
        "error: cls_sandbox: 1 problem(s)\n  test set: expected no image" in capsys.readouterr().out
    )
    assert commands.train([*arguments, *given, "test_in_pool=True"], lambda *_: None) == 0
    said = capsys.readouterr().out
    assert f"note: pool: 1 images are there more than once: {root}/train/cat/001.png" in said
    assert "note: test set: 1 of 7 samples that are" in said and "labels" in said


def test_a_sweep_says_a_note_once(tmp_path: Path):
    arguments = al_sweep.parser().parse_args(
        [CONFIG, "--strategies", "random", "entropy", "--seeds", "0", "1"]
    )
    arguments.work_dir = tmp_path / "runs"
    arguments.cfg_options = list(options(overlapping(tmp_path), test_in_pool=True).items())
    said: list[str] = []
    assert len(jobs.planned(arguments, said.append)) == 4
    assert [line.split(":")[:2] for line in said] == [["note", " pool"], ["note", " test set"]]


def test_tasks_of_ones_own_are_looked_at_by_what_they_tell(tmp_path: Path):
    config = str(REPOSITORY / "tests/examples/toy_config.py")
    (problem,), notes = preflight.findings(load(config, options={"task.type": ToldToy}), False)
    assert "20 of 20 samples that are: test sample 0 = pool sample 7" in problem
    assert notes == [
        "test: 1 images are there more than once: test sample 0 = test sample 1 = test sample 2 = "
        "..."
    ]
    assert preflight.findings(load(config), False) == ([], [])  # it tells none
    (problem,), _ = preflight.findings(load(config, options={"task.type": BrokenToy}), False)
    assert "task: expected `sources` to return where samples come from, but got KeyError" in problem
