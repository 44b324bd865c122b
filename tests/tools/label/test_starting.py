"""`al_label.py init`: what makes a project, and what is refused before there is one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import labelkit
from tests.tools.label import projectkit
from tests.tools.label.projectkit import Bench, bench
from tools.label import starting, versions
from tools.label.project import opened


@pytest.fixture
def made(tmp_path: Path) -> Bench:
    return bench(tmp_path, "classes")


def init(made: Bench, *more: object, run: Path | None = None) -> tuple[int, str]:
    where = ("--images", made.photos, "--run", run or made.run)
    return made.call("init", made.config, *where, *more)


def table(path: Path, rows: dict[str, str]) -> Path:
    labelkit.write_classes(path, rows)
    return path


def test_a_project_is_made(made: Bench):
    said = made.init("--cfg-options", "label.validation=2", "seed=7")
    assert said.rstrip().endswith(
        f"{made.run}: 14 images to be labeled with classes; the validation slice has 2 of them"
    )
    assert {path.name for path in made.run.iterdir()} >= {"config.py", "images.json"}
    assert not (made.run / "begun").exists()
    assert made.project.experiment.seed == 7 and len(made.project.slice) == 2


def test_the_slice_is_drawn_by_the_seed_and_at_most_a_fifth(tmp_path: Path):
    slices = []
    for place, options in enumerate((["seed=1"], ["seed=1"], ["seed=2"])):
        made = bench(tmp_path / str(place), "classes")
        made.init("--cfg-options", "label.validation=50", *options)
        slices.append(made.project.slice)
    assert slices[0] == slices[1] != slices[2]
    assert {len(one) for one in slices} == {2}  # a fifth of 14


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda b: b.init(), "is a labeling project already; go on with `add` or `next`"),
        (lambda b: labelkit.make_images(b.run, ["a.png"]), "run: expected a folder that is new or"),
        (lambda b: shutil.rmtree(b.photos), "photos: expected the folder of images, but there is"),
        (lambda b: [p.unlink() for p in b.photos.glob("*/*")][:0], "at least 5 images, but got 0"),
        (lambda b: b.config.unlink(), "config.py"),
        (lambda b: b.config.write_text("task = dict(type=dict)\n"), "task"),
        (
            lambda b: b.config.write_text(b.config.read_text() + "label = dict(blind=2, x=1)\n"),
            "label.blind",
        ),
        (
            lambda b: b.config.write_text(
                b.config.read_text().replace("classes=('bolt', 'nut', 'screw'), ", "")
            ),
            "task.classes: expected the names of the classes, but got None; set it in the config, or",
        ),
    ],
)
def test_what_is_not_right_is_said_and_nothing_is_made(made: Bench, change, expected: str):
    change(made)
    before = sorted(made.root.rglob("*"))
    status, said = init(made)
    assert status == 2 and expected in said, said
    assert "Traceback" not in said
    assert sorted(made.root.rglob("*")) == before


def test_a_task_that_people_cannot_label_is_refused(made: Bench):
    made.config.write_text(
        "from tests.toy import Toy\n" + projectkit.REST + "task = dict(type=Toy)\n"
    )
    status, said = init(made)
    assert status == 2
    assert "task.type: expected a task whose labels people can give, but Toy lacks" in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["strategy=oracle_loss"], "'oracle_loss' needs the loss of every image; choose another"),
        (
            ["oracle.type=tasks.noise.Noisy", "oracle.flipped=0.5"],
            "oracle: expected None, as people give the labels, but got simulated people",
        ),
        (["budget.validation=0.1"], "budget.validation: expected 0, as label.validation says"),
        (["scoring.save=[entropy]"], "scoring.save: expected no signals, as a project is not"),
    ],
)
def test_labels_come_from_people_alone(made: Bench, options: list[str], expected: str):
    status, said = init(made, "--cfg-options", *options)
    assert status == 2 and expected in said, said
    assert not made.run.exists()


def test_the_project_lies_outside_of_the_images(made: Bench):
    status, said = init(made, run=made.photos / "day/run")
    assert status == 2 and "--run: expected a folder outside of --images" in said


def test_what_is_labeled_already_comes_in(made: Bench):
    rows = dict.fromkeys(projectkit.NAMES[:6], "nut")
    said = made.init("--labeled", table(made.root / "have.csv", rows))
    assert "6 images are new" in said and "labels version 0: 6 labeled" in said
    found = made.project
    assert {one.answer.key for one in found.labels.labels.values()} == set(rows)
    assert len(found.learnt()) + len(found.judged()) == 6
    assert not found.waiting


def test_a_broken_file_of_labels_makes_no_project_and_a_faulty_one_does(made: Bench):
    have = table(made.root / "have.csv", {projectkit.NAMES[0]: "nut", "what.png": "nut"})
    broken = made.root / "broken.csv"
    broken.write_text("a,b\n1,2\n")
    status, said = init(made, "--labeled", broken)
    assert status == 2 and "broken.csv" in said
    assert made.call("status", made.run)[0] == 2
    status, said = init(made, "--labeled", have)  # the same place is free still
    assert status == 1 and "what.png" in said and "1 images are new" in said
    assert len(made.project.labels.labels) == 1


def test_an_init_that_was_stopped_is_made_anew(made: Bench, monkeypatch):
    have = table(made.root / "have.csv", {projectkit.NAMES[0]: "nut"})

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(starting, "write_index", stopped)
    assert init(made, "--labeled", have)[0] == 130
    assert versions.newest(made.run) == 0, "it came as far as the labels"
    monkeypatch.undo()
    made.init()
    assert versions.newest(made.run) == -1, "what the stopped one had taken is not there"


def test_a_folder_with_a_config_of_somebodys_is_left_alone(made: Bench):
    made.run.mkdir()
    (made.run / "config.py").write_text("mine = 1\n")
    status, said = init(made)
    assert status == 2 and (made.run / "config.py").read_text() == "mine = 1\n"


def test_no_project_and_one_in_use_are_told_apart(made: Bench):
    for part in (["next"], ["status"], ["add", "x.json"], ["labels", "--as", "csv", "--out", "o"]):
        status, said = made.call(part[0], made.run, *part[1:])
        assert status == 2 and "expected a labeling project, but there is none" in said
    made.init()
    assert made.call("add", made.run)[1].count("expected a file, or --pull URL") == 1


@pytest.mark.parametrize("name", ["images.json", "validation.json"])
@pytest.mark.parametrize("content", ["", "[1, 2", "{}", '{"images": [{}]}', "7", "null"])
def test_a_damaged_project_is_named(made: Bench, name: str, content: str):
    made.init()
    (made.run / name).write_text(content)
    status, said = made.call("status", made.run)
    assert status == 2 and f"{name} is damaged" in said and "restore it" in said, said


def test_a_damaged_batch_or_label_is_named(made: Bench):
    made.init()
    made.next(3)
    batch = made.run / "batches/00/batch.json"
    kept = batch.read_text()
    for content in (kept[:-20], kept.replace('"validation"', '"somebody"'), "[]"):
        batch.write_text(content)
        status, said = made.call("status", made.run)
        assert status == 2 and "batch.json is damaged" in said
    batch.write_text(kept)
    (made.run / "batches/02").mkdir()
    shutil.copy(batch, made.run / "batches/02/batch.json")
    status, said = made.call("status", made.run)
    assert status == 2 and "expected batches from 0 on, but got [0, 0]" in said
    shutil.rmtree(made.run / "batches/02")
    labels = made.run / "labels/00.json"
    labels.parent.mkdir()
    for content in ("{", '{"version": 0, "source": {}, "labels": [{"sha256": "a", "state": "x"}]}'):
        labels.write_text(content)
        status, said = made.call("status", made.run)
        assert status == 2 and "00.json is damaged" in said and "version before" in said


def test_the_project_keeps_its_settings_and_its_place(made: Bench, monkeypatch):
    """The config may change or go, the project may move, and commands come from any folder."""
    monkeypatch.chdir(made.root)
    status, _ = made.call("init", "config.py", "--images", "photos", "--run", "run")
    assert status == 0
    made.config.unlink()
    moved = made.root / "elsewhere/bolts"
    moved.parent.mkdir()
    made.run.rename(moved)
    monkeypatch.chdir(moved)
    assert made.call("next", ".", "--count", "4", "--export", "csv")[0] == 0
    page = (moved / "batches/00/page.html").read_text(encoding="utf-8")
    assert "Batch 0 of bolts" in page
    with opened(moved) as project:
        assert project.experiment.label.validation == 3
        assert [one.key for one in project.batches[0].choices]
    assert json.loads((moved / "images.json").read_text())["root"] == str(made.photos)
