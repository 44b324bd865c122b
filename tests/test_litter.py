"""What systems leave in folders of data is skipped and said once; a class without test images is a note."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.litter import is_litter, listing
from tests import contract, imagekit
from tests.conftest import REPOSITORY
from tests.imagekit import classification
from tools import cli

FILES = ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.png", "THUMBS.DB", "Icon\r", "Thumbs.db:encryptable")
FOLDERS = ("@eaDir", "__MACOSX", ".ipynb_checkpoints", "$RECYCLE.BIN", "System Volume Information", "lost+found")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagekit.make_folder(tmp_path / "data")


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_litter_is_known_by_its_name(name: str):
    assert is_litter(name)


@pytest.mark.parametrize("name", ["cat", "thumbs", "thumbs.db.png", "icon", "iconic", "macosx", "eadir", "a._b"])
def test_data_are_no_litter(name: str):
    assert not is_litter(name)


@pytest.mark.parametrize("place", ["train", "test", "train/cat", "test/dog"])
def test_it_is_skipped_in_every_folder_and_said_once(folder: Path, place: str):
    before = classification(folder)
    names = [before.name(i) for i in range(12)]
    for name in FILES:
        (folder / place / name).write_bytes(b"no image")
    for name in FOLDERS:
        (folder / place / name).mkdir()
        shutil.copy(folder / "train/cat/000.png", folder / place / name / "000.png")
    task = classification(folder)
    assert task.check(full=True) == [] and task.classes == imagekit.CLASSES
    assert [task.name(i) for i in range(12)] == names and len(task.dataset("test")) == 6
    (note,) = task.notes()
    split = place.partition("/")[0]
    assert note.startswith(f"{split}: 13 files and folders are skipped that are no data: 1 ")


def test_the_note_counts_by_name(folder: Path):
    for home in listing(folder / "train"):
        (home / "Thumbs.db").write_text("")
        for k in range(5):
            (home / f"._{k}.png").write_text("")
    (folder / "train/desktop.ini").write_text("")
    (note,) = classification(folder).notes()
    assert note == (
        "train: 19 files and folders are skipped that are no data: 15 '._*', 3 'Thumbs.db', 1 'desktop.ini'"
    )


def test_clean_data_have_no_note(folder: Path, tmp_path: Path, monkeypatch):
    assert classification(folder).notes() == []
    cifar = classification(imagekit.make_cifar100(tmp_path / "c", monkeypatch), format="cifar100")
    (note,) = cifar.notes()
    assert note.startswith("test: no image of 94 of 100 classes: 'fine0', 'fine2', 'fine3', 'fine4', 'fine5', ...;")


@pytest.mark.parametrize("way", ["no folder", "an empty folder", "litter alone"])
def test_a_class_without_test_images_is_a_note_and_its_accuracy_no_number(folder: Path, way: str):
    home = folder / "test/cat"
    shutil.rmtree(home)
    if way != "no folder":
        home.mkdir()
    if way == "litter alone":
        (home / "Thumbs.db").write_text("")
    task = classification(folder)
    assert task.check(full=True) == []
    *_, note = task.notes()
    assert note == "test: no image of 1 of 3 classes: 'cat'; their accuracy is not a number"
    found = contract.evaluated(task)
    assert 0 <= found["accuracy"] <= 1 and found["accuracy/cat"] != found["accuracy/cat"]


def test_a_limited_test_set_is_what_counts(folder: Path):
    (note,) = classification(folder, test_limit=1).notes()  # the first image, a bird
    assert note == "test: no image of 2 of 3 classes: 'cat', 'dog'; their accuracy is not a number"


def test_a_dry_run_says_it_once(folder: Path, tmp_path: Path, capsys):
    (folder / "train/Thumbs.db").write_text("")
    shutil.rmtree(folder / "test/cat")
    options = [f"task.data_root={folder}", "budget.initial=4", "budget.query=2"]
    arguments = [str(REPOSITORY / "configs/cls_sandbox.py"), "--dry-run", "--work-dir", str(tmp_path / "run")]
    assert cli.main([*arguments, "--cfg-options", *options], run=lambda *_: None) == 0
    said = capsys.readouterr().out
    assert said.count("note: train: 1 files and folders are skipped that are no data: 1 'Thumbs.db'") == 1
    assert said.count("note: test: no image of 1 of 3 classes: 'cat'") == 1
