"""Many faults in a screen or two, so that one of another kind is seen among them."""

from __future__ import annotations

import json
import pickle
import random
import time
from pathlib import Path

import pytest

from tasks.faults import Fault
from tasks.grouping import told
from tests import commands, devkit, imagekit
from tests.conftest import REPOSITORY
from tools.experiment.options import ConfigError


def missing(path: str) -> Fault:
    return Fault("missing image", path, "image (a file)", "nothing at this path", "put it there")


def flaw(path: str, number: int, came: str) -> Fault:
    return Fault("bbox", f"{path}, annotations[{number}]", "four numbers", came, "correct it")


def test_a_fault_is_its_sentence_and_knows_its_parts():
    fault = Fault("bbox", "/a.json, annotations[3]", "four numbers", "'x\x1by'", "correct it")
    sentence = "/a.json, annotations[3]: expected four numbers, but got 'x\\x1by'; correct it"
    assert (
        fault == sentence and str(fault) == sentence and json.dumps(fault) == json.dumps(sentence)
    )
    assert type(str(fault)) is str
    again = pickle.loads(pickle.dumps(fault))
    assert again == fault and vars(again) == vars(fault) and again.kind == "bbox"
    assert (again.where, again.came) == ("/a.json, annotations[3]", "'x\x1by'")


@pytest.mark.parametrize("count", [0, 1, 20])
def test_few_are_all_told(count: int):
    faults = [missing(f"/data/{k}.jpg") for k in range(count)]
    assert told(faults) == faults


def test_one_other_fault_is_seen_among_twenty_thousand():
    faults: list[str] = [missing(f"/data/images/{k:05}.jpg") for k in range(20_000)]
    lone = flaw("/data/train.json", 7, "'abc'")
    place = random.Random(0).randrange(len(faults))
    faults.insert(place, lone)
    start = time.perf_counter()
    lines = told(faults)
    assert time.perf_counter() - start < 5
    assert lines == [
        *faults[:3],
        "... and 19,997 more of the kind 'missing image' in /data/images",
        lone,
    ]


def test_the_files_of_a_split_are_counted_apart():
    faults = [
        flaw(f"/data/{name}.json", k, str(k)) for name in ("train", "test") for k in range(50)
    ]
    assert told(faults) == [
        *faults[:3],
        "... and 47 more of the kind 'bbox' in /data/train.json",
        *faults[50:53],
        "... and 47 more of the kind 'bbox' in /data/test.json",
    ]


def test_the_files_of_many_folders_are_counted_together():
    faults = [missing(f"/data/{k % 7}/{k}.jpg") for k in range(70)]
    assert told(faults) == [*faults[:3], "... and 67 more of the kind 'missing image' in 7 folders"]


def test_examples_are_of_different_values():
    faults = [flaw("/data/train.json", k, "'catt'") for k in range(100)]
    faults[60] = flaw("/data/train.json", 60, "'dgo'")
    assert told(faults)[:3] == [faults[0], faults[1], faults[60]]


def test_words_that_differ_in_names_and_numbers_are_alike():
    lines = [f"task.x: expected {k}, but got '{k}.a' in /data/{k}" for k in range(30)]
    assert told([*lines, "task.y: expected 3"]) == [
        *lines[:3],
        "... and 27 more like that",
        "task.y: expected 3",
    ]


@pytest.mark.parametrize("kinds", [5, 6, 12, 40, 400])
def test_many_kinds_stay_within_two_screens(kinds: int):
    faults = [
        Fault(f"kind {k % kinds}", f"/data/{k}.xml", "a", "b", "c") for k in range(kinds * 50)
    ]
    lines = told(faults)
    assert len(lines) <= 81
    shown = {line.kind for line in lines if isinstance(line, Fault)}
    assert len(shown) == min(kinds, 40)
    if kinds > 40:
        assert lines[-1] == f"... and {50 * (kinds - 40):,} more of {kinds - 40} other kinds"


def test_the_error_tells_all_where_it_is_asked_to():
    faults = [missing(f"/data/{k}.jpg") for k in range(21)]
    error = ConfigError("mine.py", faults)
    text = str(error)
    assert (
        text.startswith("mine.py: 21 problem(s)\n  /data/0.jpg: expected image")
        and "/data/20.jpg" not in text
    )
    assert text.endswith("prints all of them") and "--every-fault" in text
    assert error.whole.splitlines()[1:] == [f"  {fault}" for fault in faults]


def test_a_dry_run_on_a_broken_data_set_is_a_screen(tmp_path: Path, capsys):
    """Every image of a VOC folder lost, and one annotation broken."""
    root = devkit.make_voc(tmp_path)
    home = root / "VOC2007"
    names = [f"{k:06}" for k in range(300)]
    template = (home / "Annotations/000012.xml").read_text()
    for name in names:
        (home / f"Annotations/{name}.xml").write_text(template)
        (home / f"JPEGImages/{name}.jpg").unlink(missing_ok=True)
    (home / "Annotations/000200.xml").write_text(template.replace("<xmin>11", "<xmin>eleven"))
    (home / "ImageSets/Main/trainval.txt").write_text("\n".join(names))
    options = [
        f"task.data_root={root}",
        "task.train=[VOC2007/trainval]",
        "task.test=[VOC2007/test]",
    ]
    options += ["task.classes=[cat, dog, person]"]
    config = str(REPOSITORY / "configs/det_sandbox.py")
    arguments = [
        config,
        "--dry-run",
        "--work-dir",
        str(tmp_path / "run"),
        "--cfg-options",
        *options,
    ]
    assert commands.train(arguments, lambda *_: None) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 15
    assert any("297 more of the kind 'missing image'" in line for line in lines)
    assert any(
        "000200.xml, object 1: expected a finite number as <xmin>, but got 'eleven'" in line
        for line in lines
    )


def test_a_folder_of_broken_images_names_the_class_that_is_missing(tmp_path: Path):
    root = imagekit.make_folder(tmp_path)
    for k in range(100):
        (root / f"train/cat/x{k}.png").write_bytes(b"no image")
    (root / "train/wolf").mkdir()
    imagekit.write_image(root / "train/wolf/1.png", imagekit.pixels(0))
    task = imagekit.classification(root, classes=["bird", "cat", "dog"])
    lines = told(task.check())
    assert [line for line in lines if "but got 'wolf'" in line] and len(lines) < 8
