"""Data that changed under a run: a resume is refused, al_verify fails and al_compare
refuses, naming what and where.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.base import Source
from tasks.data import canonical
from tests.conftest import REPOSITORY
from tests.tools.compare.test_al_compare import Page
from tests.tools.record.test_folder import files
from tests.tools.verify.test_al_verify import sign_all
from tests.toy import Toy
from tools import al_compare, al_train, al_verify
from tools.record import data
from tools.record.fingerprint import FILE
from tools.record.folder import RunFolder, RunFolderError
from tools.record.receipt import packed
from tools.train import loop

pytestmark = pytest.mark.slow

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")


class Kept(Toy):
    """The toy with labels and images on disk.

    Images are known by their size alone, and are no part of a sample.
    """

    def __init__(self, data_root: str) -> None:
        super().__init__()
        self.root = Path(data_root)
        for split in ("train", "pool", "test") if self.root.exists() else ():
            name = "test" if split == "test" else "pool"
            self._data[split].y = np.array(
                json.loads((self.root / f"{name}.json").read_text()), np.float32
            )

    def check(self, full: bool = False) -> list[str]:
        return (
            []
            if self.root.exists()
            else [f"{self.root}: expected the data, but got nothing at this path"]
        )

    def sources(self, split) -> list[Source]:
        images = [self.root / split / f"{i}.img" for i in range(len(self._data[split]))]
        return [
            Source(i, canonical(y=float(y)))
            for i, y in zip(images, self._data[split].y, strict=True)
        ]

    def pinned(self) -> dict:
        return {"task.settings": json.loads((self.root / "settings.json").read_text())}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The data of a `Kept`."""
    found = tmp_path / "data"
    for split, size, seed in (("pool", 60, 1), ("test", 20, 2)):
        (found / split).mkdir(parents=True)
        labels = np.random.default_rng(seed).uniform(1, 4, size).round(3).tolist()
        (found / f"{split}.json").write_text(json.dumps(labels))
        for i in range(size):
            (found / split / f"{i}.img").write_bytes(f"{split} {i}, ".encode() * (i + 1))
    (found / "settings.json").write_text('{"layers": {"width": 3}, "depth": 2}')
    return found


def train(root: Path, where: Path, *more: str) -> int:
    options = ["task.type=tests.tools.record.test_data_changed.Kept", f"task.data_root={root}"]
    return al_train.main(
        [TOY, "--wandb", "disabled", "--work-dir", str(where), *more, "--cfg-options", *options]
    )


def relabel(name: str, index: int) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        labels = json.loads((root / f"{name}.json").read_text())
        labels[index] += 0.5
        (root / f"{name}.json").write_text(json.dumps(labels))

    return change


def another_image(name: str, index: int) -> Callable[[Path], None]:
    return lambda root: (root / name / f"{index}.img").write_bytes(b"repaired")  # type: ignore[return-value]


CHANGES = {
    "the labels of the pool differ in 1 of 60 samples, first in sample 31 (vector 31)": relabel(
        "pool", 31
    ),
    "the images of the pool differ in 1 of 60 samples, first in sample 4 (vector 4)": another_image(
        "pool", 4
    ),
    "the labels of the test set differ in 1 of 20 samples, first in sample 7 (7.img)": relabel(
        "test", 7
    ),
    "the images of the test set differ in 1 of 20 samples, first in sample 19 "
    "(19.img)": another_image("test", 19),
    "task.settings.layers.width differs: 3 and 4": lambda root: (root / "settings.json").write_text(
        '{"layers": {"width": 4}, "depth": 2}'
    ),
}


def stopped(root: Path, where: Path, monkeypatch, cycle: int = 1) -> None:
    """A run that was stopped in a cycle, before its commit."""
    commit = RunFolder.commit

    def stopping(self, row, *rest):
        if row["cycle"] == cycle:
            raise KeyboardInterrupt
        return commit(self, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "commit", stopping)
        assert train(root, where) == 130


# ---------------------------------------------------------------- al_train


@pytest.mark.parametrize("cycle", [0, 1])
@pytest.mark.parametrize("told", CHANGES)
def test_a_stopped_run_does_not_go_on_with_other_data(
    told, cycle, root, tmp_path, monkeypatch, capsys
):
    stopped(root, tmp_path / "run", monkeypatch, cycle)
    shutil.copytree(root, tmp_path / "before")
    CHANGES[told](root)
    kept = {name: content for name, content in files(tmp_path / "run").items() if name != ".lock"}
    for more in ([], ["--dry-run"]):
        capsys.readouterr()
        assert train(root, tmp_path / "run", *more) == 2
        said = capsys.readouterr().out
        what = (
            "was begun with other data or files; put them back as they were, or start anew with another "
            "--work-dir:"
        )
        assert f"{tmp_path}/run {what}\n  {told}\n" in said
    assert {
        name: content for name, content in files(tmp_path / "run").items() if name != ".lock"
    } == kept
    shutil.rmtree(root), shutil.move(tmp_path / "before", root)
    assert train(root, tmp_path / "run") == 0, "put back"


def test_a_run_of_which_nothing_was_trained_begins_with_the_data_as_they_are(
    root, tmp_path, monkeypatch
):
    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "run_cycle", killed)
        assert train(root, tmp_path / "run") == 130
    before = data.whole(tmp_path / "run")
    relabel("test", 3)(root)
    assert train(root, tmp_path / "run") == 0
    after = data.whole(tmp_path / "run")
    assert [part for part in before if before[part] != after[part]] == ["test/labels"]


@pytest.mark.parametrize("spoil", ["lose", "exchange"])
def test_a_run_that_lost_its_fingerprint_does_not_go_on(spoil, root, tmp_path, monkeypatch, capsys):
    stopped(root, tmp_path / "run", monkeypatch)
    stopped(root, tmp_path / "other", monkeypatch)
    relabel("test", 3)(root)
    stopped(root, tmp_path / "third", monkeypatch)
    relabel("test", 3)(root)
    (tmp_path / "run" / FILE).unlink()
    if spoil == "exchange":
        shutil.copy(tmp_path / "third" / FILE, tmp_path / "run" / FILE)
    came = {"lose": r"\(none\)", "exchange": r"\w{12}"}[spoil]
    monkeypatch.setattr(data, "check", lambda *arguments: None)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        RunFolderError,
        match=rf"{FILE}: expected the hash \w{{12}} of the last receipt, but got {came};",
    ):
        data.check_receipt(folder.path, folder.receipt(0))
    assert train(root, tmp_path / "run") == 2
    assert f"{FILE}: expected the hash" in capsys.readouterr().out


def test_a_damaged_fingerprint_is_named(root, tmp_path, monkeypatch, capsys):
    stopped(root, tmp_path / "run", monkeypatch)
    path = tmp_path / "run" / FILE
    path.write_bytes(path.read_bytes()[:100])
    assert train(root, tmp_path / "run") == 2
    assert f"{path} is damaged (" in capsys.readouterr().out


def without_fingerprint(path: Path) -> Path:
    """As a version before left it."""
    (path / FILE).unlink()
    folder = RunFolder(path)
    for file in sorted((path / "queries").iterdir()):
        query, receipt = folder.saved(int(file.stem))
        np.savez(
            file,
            **packed(query, {name: value for name, value in receipt.items() if name != "data"}),
        )
    sign_all(folder)
    return path


def test_a_run_of_before_goes_on_and_records_nothing(root, tmp_path, monkeypatch):
    stopped(root, tmp_path / "run", monkeypatch)
    without_fingerprint(tmp_path / "run")
    relabel("pool", 3)(root)
    assert train(root, tmp_path / "run") == 0
    assert not (tmp_path / "run" / FILE).exists(), "what its first cycle saw nobody knows"
    assert "data" not in RunFolder(tmp_path / "run").receipt(2)


# ---------------------------------------------------------------- al_verify


def verify(capsys, *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    return al_verify.main(
        [*map(str, arguments), "--trust", str(REPOSITORY)]
    ), capsys.readouterr().out


@pytest.mark.parametrize("told", CHANGES)
def test_al_verify_names_what_changed(told, root, tmp_path, capsys):
    assert train(root, tmp_path / "run") == 0
    code, said = verify(capsys, tmp_path / "run")
    assert (
        code == 0
        and "  ok            data           Images and labels of pool and test set are those"
        in said
    )
    CHANGES[told](root)
    code, said = verify(capsys, tmp_path / "run")
    assert code == 1 and said.count("FAILED") == 1
    assert f"  FAILED        data           {told}: not what the run was made of" in said


def test_al_verify_finds_data_that_moved(root, tmp_path, capsys):
    assert train(root, tmp_path / "run") == 0
    moved = shutil.move(root, tmp_path / "elsewhere")
    code, said = verify(capsys, tmp_path / "run")
    assert code == 0 and "  not compared  data           the data cannot be read (" in said
    assert (
        f"No such file or directory: '{root}" in said
        and "if they have moved, add --cfg-options task.data_root=..." in said
    )
    code, said = verify(capsys, tmp_path / "run", "--cfg-options", f"task.data_root={moved}")
    assert code == 0 and "  ok            data " in said
    with pytest.raises(SystemExit, match="2"):
        verify(capsys, tmp_path / "run", "--cfg-options", "seed=3")
    assert (
        "expected settings of the task, which find its data, but got seed"
        in capsys.readouterr().err
    )


def test_al_verify_downloads_nothing(root, tmp_path, capsys, monkeypatch):
    """A task's check may fetch weights, from wherever the folder of somebody else says."""
    assert train(root, tmp_path / "run") == 0

    def check(self, full: bool = False) -> list[str]:
        raise AssertionError("the check was called")

    monkeypatch.setattr(Kept, "check", check)
    code, said = verify(capsys, tmp_path / "run")
    assert code == 0 and "  ok            data " in said


def test_data_of_several_runs_are_looked_at_once(root, tmp_path, capsys, monkeypatch):
    for seed in ("0", "1"):
        assert train(root, tmp_path / seed, "--seed", seed) == 0
    looked, sources = [], Kept.sources
    monkeypatch.setattr(
        Kept, "sources", lambda self, split: looked.append(split) or sources(self, split)
    )
    code, said = verify(capsys, tmp_path / "0", tmp_path / "1")
    assert code == 0 and said.count("  ok            data ") == 2 and looked == ["pool", "test"]


def test_of_a_folder_of_before_it_is_not_recorded(root, tmp_path, capsys):
    assert train(root, tmp_path / "run") == 0
    without_fingerprint(tmp_path / "run")
    code, said = verify(capsys, tmp_path / "run")
    assert (
        code == 0
        and "  not compared  data           not recorded: an earlier version made the run, or"
        in said
    )


# ---------------------------------------------------------------- runs together


def two(root: Path, tmp_path: Path, change: Callable[[Path], None]) -> tuple[Path, Path]:
    """Runs of two strategies with one first training, between which the data were changed."""
    places = (tmp_path / "runs/placebo/seed0", tmp_path / "runs/random/seed0")
    assert train(root, places[0], "--strategy", "placebo") == 0
    change(root)
    assert train(root, places[1], "--strategy", "random", "--module", "joint") == 0
    return places


def compare(tmp_path: Path, capsys) -> tuple[int, str]:
    capsys.readouterr()
    code = al_compare.main(
        [str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--trust", str(REPOSITORY)]
    )
    return code, capsys.readouterr().out


@pytest.mark.parametrize("told", CHANGES)
def test_runs_on_other_data_are_not_compared(told, root, tmp_path, capsys):
    one, other = two(root, tmp_path, CHANGES[told])
    code, said = compare(tmp_path, capsys)
    assert code == 2 and f"{one} and {other}: {told}" in said and not (tmp_path / "out").exists()
    assert ("the same first weights, but score" in said) == ("labels of the test set" in told)
    code, said = verify(capsys, one, other)
    assert code == 1 and f"  FAILED        same data      {other} and {one}: {told}" in said
    assert "ok            initial sets" in said


def test_first_rows_must_be_the_same_where_first_weights_are(root, tmp_path, capsys):
    """Also of runs that recorded nothing of their data."""
    one, other = map(without_fingerprint, two(root, tmp_path, relabel("test", 7)))
    rows = [RunFolder(path).rows(1)[0] for path in (one, other)]
    scores = " and ".join(repr(row["score"]) for row in rows)
    told = f"the same first weights, but score {scores}: not tested on the same data"
    code, said = compare(tmp_path, capsys)
    assert code == 2 and f"{one} and {other}: {told}, or a row was edited" in said
    code, said = verify(capsys, one, other)
    assert code == 1 and said.count("FAILED") == 1
    assert f"  FAILED        first rows     cycle 0: {one} and {other}: {told}" in said


def test_runs_on_the_same_data_are_compared_and_first_rows_are_the_same(root, tmp_path, capsys):
    two(root, tmp_path, lambda root: None)
    code, said = compare(tmp_path, capsys)
    assert code == 0 and "not known" not in said
    assert (
        json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))[0]["unrecorded"]
        == []
    )
    code, said = verify(capsys, tmp_path / "runs")
    assert (
        code == 0 and "  ok            first rows " in said and "  ok            same data " in said
    )


def test_what_is_not_recorded_is_said(root, tmp_path, capsys):
    _, other = two(root, tmp_path, lambda root: None)
    without_fingerprint(other)
    code, said = compare(tmp_path, capsys)
    line = "no record of the images, labels and test set of random-joint, seed 0"
    assert code == 0 and f"unknown: {line}" in said
    assert json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))[0][
        "unrecorded"
    ] == [line]
    page = Page((tmp_path / "out/report.html").read_text(encoding="utf-8"))
    assert "It is unknown whether all runs had the same data:" in page.said and line in page.said
