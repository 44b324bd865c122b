"""Classes in a csv: what is read, what is a note, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.classification import Classification
from tests import contract, imagekit

CLASSES = ("bird", "cat", "dog")
TRAIN = "file,class\nb/1.png,cat\na.png,bird\nc.png,dog\nb/2.png,cat\n"
TEST = "class,by,file\ndog,A,t2.png\nbird,B,t1.png\n"
IMAGES = ("b/1.png", "a.png", "c.png", "b/2.png", "t2.png", "t1.png", "new.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(IMAGES):
        imagekit.write_image(tmp_path / name, imagekit.pixels(seed))
    (tmp_path / "train.csv").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "test.csv").write_text(TEST, encoding="utf-8")
    return tmp_path


def task_of(root: Path, **settings: Any) -> Classification:
    given: dict[str, Any] = dict(format="csv", train="train.csv", test="test.csv", classes=CLASSES)
    return imagekit.classification(root, **(given | settings))


def faults(root: Path, train: str | bytes, **settings: Any) -> list[Any]:
    content = train if isinstance(train, bytes) else train.encode()
    (root / "train.csv").write_bytes(content)
    return task_of(root, **settings).check()


def test_rows_are_the_samples_in_their_order(root: Path):
    task = task_of(root)
    assert contract.failures(task) == {}
    assert [task.name(i) for i in range(4)] == ["b/1.png", "a.png", "c.png", "b/2.png"]
    found = [(s.file, json.loads(s.label)["label"]) for s in task.sources("test")]
    assert found == [(root / "t2.png", "dog"), (root / "t1.png", "bird")]
    assert [task.dataset("train")[i][1] for i in range(4)] == [1, 0, 2, 1]
    assert contract.evaluated(task, 2).keys() == {"accuracy", *(f"accuracy/{n}" for n in CLASSES)}


def test_limits_and_tables_elsewhere(root: Path, tmp_path_factory):
    other = tmp_path_factory.mktemp("labels") / "t.csv"
    other.write_text(TEST, encoding="utf-8")
    task = task_of(root, test=str(other), test_limit=1)
    assert task.check() == []
    assert [s.file.name for s in task.sources("test")] == ["t2.png"]
    assert len(task.dataset("test")) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings_of_spreadsheets(encoding: str, root: Path):
    text = TRAIN.replace("\n", "\r\n").replace("b/1", "b\\1")
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (root / "train.csv").write_bytes(mark + text.encode(encoding))
    task = task_of(root)
    assert task.check() == []
    assert task.name(0) == "b/1.png"
    assert any("Windows' separators" in note for note in task.notes())


@pytest.mark.parametrize(
    "train, kind, said",
    [
        (TRAIN + "a.png,dog\n", "file twice", "line 6: expected every image once in a table"),
        (TRAIN + "new.png,cow\n", "unknown class", "line 6: expected a class of the setting"),
        (TRAIN + "new.png, cat\n", "unknown class", "got ' cat'; did you mean 'cat'"),
        (TRAIN + "new.png,\n", "no class", "line 6: expected a class, but got none"),
        (TRAIN + "new.png\n", "short line", "line 6: expected 2 columns"),
        (TRAIN + "../new.png,cat\n", "file", "line 6: expected a one-line path below"),
        (TRAIN + ",cat\n", "file", "line 6"),
        (TRAIN + "gone.png,cat\n", "missing image", "gone.png"),
        (TRAIN.replace("dog", "cat"), "missing class", "none of 1 of 3 classes: 'dog'"),
        (TRAIN.replace(",", ";"), "columns", "columns separated by commas"),
        (TRAIN.replace("class", "file", 1), "columns", "got ['file', 'file']"),
        ("", "columns", "got []"),
        ("file,class\n", "empty table", "expected an image at least"),
        ('file,class\n"a.png,cat\n', "broken csv", "unexpected end of data"),
        (b"file,class\n\xff\xfea.png,cat\n", "broken csv", "utf-8"),
    ],
)
def test_what_is_wrong_is_named(train: str | bytes, kind: str, said: str, root: Path):
    found = faults(root, train)
    assert [fault.kind for fault in found] == [kind]
    assert said in found[0], found[0]


def test_a_table_that_is_not_there(root: Path):
    (fault,) = task_of(root, train="tarin.csv").check()
    assert fault.kind == "missing csv" and str(root / "tarin.csv") in fault
    (fault,) = task_of(root / "gone").check()
    assert fault.kind == "missing data_root"


def test_images_of_another_size_are_named_by_their_csv(root: Path):
    (fault,) = task_of(root, input_size=64, test="train.csv").check()[:1]
    assert fault.where == str(root / "train.csv") and "64 x 64" in fault


def test_rows_of_other_classes_are_left_out_where_that_is_said(root: Path):
    (root / "train.csv").write_text(TRAIN + "new.png,cow\n", encoding="utf-8")
    task = task_of(root, others="drop")
    assert task.check() == [] and len(task.dataset("pool")) == 4
    assert any(note.endswith("left out: 1 of 'cow'") for note in task.notes())


@pytest.mark.parametrize(
    "settings, said",
    [
        (dict(train=None), "train: expected a csv for format='csv', but got None"),
        (dict(test=""), "test: expected a csv for format='csv', but got ''"),
        (dict(classes=None), "classes: expected the names of the classes for format='csv'"),
        (dict(train="../x.csv"), "train: expected a csv below data_root, or an absolute path"),
        (dict(format="folder"), "train: expected None for format='folder'"),
        (
            dict(format="folder", train=None, test=None, unlabeled="kept"),
            "unlabeled: expected 'fault' for format='folder', but got 'kept'",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, said: str, root: Path):
    with pytest.raises(ValueError, match=said):
        task_of(root, **settings)
