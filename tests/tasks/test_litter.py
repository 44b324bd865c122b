"""What systems leave in folders of data is skipped and said once.

A class without test images is a note.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.litter import is_litter, listing
from tests import commands, contract, imagekit
from tests.conftest import REPOSITORY
from tests.imagekit import classification

FILES = (
    "Thumbs.db",
    "desktop.ini",
    ".DS_Store",
    "._000.png",
    "THUMBS.DB",
    "Icon\r",
    "Thumbs.db:encryptable",
)
FOLDERS = (
    "@eaDir",
    "__MACOSX",
    ".ipynb_checkpoints",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_litter_is_known_by_its_name(name: str):
    assert is_litter(name)


@pytest.mark.parametrize(
    "name", ["cat", "thumbs", "thumbs.db.png", "icon", "iconic", "macosx", "eadir", "a._b"]
)
def test_data_are_no_litter(name: str):
    assert not is_litter(name)


@pytest.mark.parametrize("place", ["train", "test", "train/cat", "test/dog"])
def test_it_is_skipped_in_every_folder_and_said_once(own_image_folder: Path, place: str):
    before = classification(own_image_folder)
    names = [before.name(i) for i in range(12)]
    for name in FILES:
        (own_image_folder / place / name).write_bytes(b"no image")
    for name in FOLDERS:
        (own_image_folder / place / name).mkdir()
        shutil.copy(
            own_image_folder / "train/cat/000.png", own_image_folder / place / name / "000.png"
        )
    task = classification(own_image_folder)
    assert task.check(full=True) == [] and task.classes == imagekit.CLASSES
    assert [task.name(i) for i in range(12)] == names and len(task.dataset("test")) == 6
    (note,) = task.notes()
    split = place.partition("/")[0]
    assert note.startswith(f"{split}: 13 files and folders without data are skipped: 1 ")


def test_the_note_counts_by_name(own_image_folder: Path):
    for home in listing(own_image_folder / "train"):
        (home / "Thumbs.db").write_text("")
        for k in range(5):
            (home / f"._{k}.png").write_text("")
    (own_image_folder / "train/desktop.ini").write_text("")
    (note,) = classification(own_image_folder).notes()
    assert note == (
        "train: 19 files and folders without data are skipped: 15 '._*', 3 'Thumbs.db', 1 "
        "'desktop.ini'"
    )


def test_clean_data_have_no_note(own_image_folder: Path, tmp_path: Path, monkeypatch):
    assert classification(own_image_folder).notes() == []
    cifar = classification(imagekit.make_cifar100(tmp_path / "c", monkeypatch), format="cifar100")
    (note,) = cifar.notes()
    assert note.startswith(
        "test: no image of 94 of 100 classes: 'fine0', 'fine2', 'fine3', 'fine4', 'fine5', ...;"
    )


@pytest.mark.parametrize("way", ["no folder", "an empty folder", "litter alone"])
def test_a_class_without_test_images_is_a_note_and_its_accuracy_no_number(
    own_image_folder: Path, way: str
):
    home = own_image_folder / "test/cat"
    shutil.rmtree(home)
    if way != "no folder":
        home.mkdir()
    if way == "litter alone":
        (home / "Thumbs.db").write_text("")
    task = classification(own_image_folder)
    assert task.check(full=True) == []
    *_, note = task.notes()
    assert note == "test: no image of 1 of 3 classes: 'cat'; their accuracy is not a number"
    found = contract.evaluated(task)
    assert 0 <= found["accuracy"] <= 1 and found["accuracy/cat"] != found["accuracy/cat"]


def test_a_limited_test_set_is_what_counts(own_image_folder: Path):
    (note,) = classification(own_image_folder, test_limit=1).notes()  # the first image, a bird
    assert note == "test: no image of 2 of 3 classes: 'cat', 'dog'; their accuracy is not a number"


def test_a_dry_run_says_it_once(own_image_folder: Path, tmp_path: Path, capsys):
    (own_image_folder / "train/Thumbs.db").write_text("")
    shutil.rmtree(own_image_folder / "test/cat")
    options = [f"task.data_root={own_image_folder}", "budget.initial=4", "budget.query=2"]
    arguments = [
        str(REPOSITORY / "configs/cls_sandbox.py"),
        "--dry-run",
        "--work-dir",
        str(tmp_path / "run"),
    ]
    assert commands.train([*arguments, "--cfg-options", *options], lambda *_: None) == 0
    said = capsys.readouterr().out
    assert (
        said.count("note: train: 1 files and folders without data are skipped: 1 'Thumbs.db'") == 1
    )
    assert said.count("note: test: no image of 1 of 3 classes: 'cat'") == 1


def test_other_classes_are_left_out_where_that_is_asked_for(own_image_folder: Path):
    """A knowing subset of the classes, of data on which nothing can be moved."""
    whole = classification(own_image_folder)
    kept = ("cat", "bird")
    faults = classification(own_image_folder, classes=kept).check()
    assert len(faults) == 2 and all(
        "or leave such folders out: task.others='drop'" in fault for fault in faults
    )
    task = classification(own_image_folder, classes=kept, others="drop")
    assert task.check(full=True) == [] and task.classes == kept
    names = [whole.name(i) for i in range(12) if "/dog/" not in whole.name(i)]
    assert [task.name(i) for i in range(len(task.dataset("pool")))] == names
    assert [task.traits(i)["class"] for i in range(len(names))] == [
        [name.split("/")[1]] for name in names
    ]
    assert [task.dataset("pool")[i][1] for i in range(len(names))] == [
        kept.index(n.split("/")[1]) for n in names
    ]
    assert (
        len(task.sources("pool")) == len(names)
        and len(task.sources("test")) == len(task.dataset("test")) == 3
    )
    assert task.notes() == [
        "train: images of classes that `classes` lacks are left out: 4 of 'dog'",
        "test: images of classes that `classes` lacks are left out: 3 of 'dog'",
    ]


def test_a_class_of_test_alone_is_left_out_where_that_is_asked_for(own_image_folder: Path):
    shutil.rmtree(own_image_folder / "train/dog")
    (fault,) = classification(own_image_folder).check()
    assert fault.startswith(
        f"{own_image_folder / 'test/dog'}: expected a folder named after a class of train, but got 'dog'"
    )
    task = classification(own_image_folder, others="drop")
    assert task.check() == [] and task.classes == ("bird", "cat") and len(task.dataset("test")) == 3
    assert task.notes() == ["test: images of classes that `classes` lacks are left out: 3 of 'dog'"]


def test_to_leave_classes_out_leaves_other_faults(own_image_folder: Path):
    (own_image_folder / "train/loose.txt").write_text("")
    faults = classification(own_image_folder, classes=("cat", "cow"), others="drop").check()
    assert (
        len(faults) == 2
        and "class folders alone" in "".join(faults)
        and "train/cow" in "".join(faults)
    )
