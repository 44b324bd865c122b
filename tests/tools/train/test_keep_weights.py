"""`training.keep_weights`: each cycle's weights, and by default nothing new."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
import torch

from models.training.checkpoint import CHECKPOINT, read
from tests import commands
from tests.conftest import REPOSITORY
from tools import al_verify
from tools.experiment import cost
from tools.record.folder import RunFolder
from tools.record.receipt import weights_digest
from tools.train.loop import run

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
ALL = ("--cfg-options", "training.keep_weights=all")


def main(folder: Path, *more: str, loop=run) -> int:
    given = [TOY, "--smoke", "--wandb", "disabled", "--work-dir", str(folder), *more]
    return commands.train(given, loop)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "run"
    assert main(folder, *ALL) == 0
    return folder


def test_each_cycles_weights_are_those_of_its_receipt(kept: Path, capsys):
    folder = RunFolder(kept)
    assert folder.committed == 2
    states = [read(folder.weights_file(cycle)) for cycle in range(2)]
    for cycle, state in enumerate(states):
        assert set(state) == {"state_dict"}
        assert weights_digest(state["state_dict"]) == folder.receipt(cycle)["weights"]
    newest = read(folder.training_folder(1) / CHECKPOINT)["state_dict"]
    assert all(torch.equal(newest[k], v) for k, v in states[1]["state_dict"].items())
    assert al_verify.main([str(kept), "--trust", str(REPOSITORY)]) == 0, capsys.readouterr().out


def test_nothing_else_of_a_run_is_other_than_without(kept: Path, tmp_path: Path):
    assert main(tmp_path / "run") == 0
    assert names(kept) - names(tmp_path / "run") == {"weights/00.pth", "weights/01.pth"}
    assert names(tmp_path / "run") <= names(kept)
    with_all, without = RunFolder(kept), RunFolder(tmp_path / "run")
    for cycle in range(2):
        ours, theirs = with_all.receipt(cycle), without.receipt(cycle)
        differing = {key for key in ours if ours[key] != theirs[key]}
        assert differing <= {"settings", "before"}  # the settings are others, and receipts a chain


def test_a_run_that_was_killed_before_the_commit_keeps_the_same_bytes(kept: Path, tmp_path: Path):
    """Weights of a cycle that was not committed are written anew."""

    def killed(*arguments) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunFolder, "commit", lambda *_: (_ for _ in ()).throw(OSError("killed")))
            run(*arguments)

    assert main(tmp_path / "run", *ALL, loop=killed) == 2
    folder = RunFolder(tmp_path / "run")
    assert folder.committed == 0 and folder.weights_file(0).exists()
    folder.weights_file(0).write_bytes(b"half")
    assert main(tmp_path / "run", *ALL) == 0
    for cycle in range(2):
        here, there = (RunFolder(f).weights_file(cycle) for f in (tmp_path / "run", kept))
        assert here.read_bytes() == there.read_bytes()


def test_the_disk_that_they_take_is_asked_for(tmp_path: Path, capsys, monkeypatch):
    # see test_al_train.py: 242 parameters of 4 bytes, three checkpoints with two moments each, and
    # the weights of two cycles
    needed = 3 * 3 * 4 * 242 + 2 * 4 * 242
    usage = namedtuple("usage", "total used free")
    free = [needed - 1]
    monkeypatch.setattr(cost.shutil, "disk_usage", lambda path: usage(10**9, 0, free[0]))
    assert main(tmp_path / "run", "--dry-run", *ALL) == 2
    assert "--work-dir: expected 0 MB of free disk" in capsys.readouterr().out
    free[0] = needed
    assert main(tmp_path / "run", "--dry-run", *ALL) == 0


def test_another_value_is_refused(tmp_path: Path, capsys):
    assert main(tmp_path / "run", "--cfg-options", "training.keep_weights=every") == 2
    said = capsys.readouterr().out
    assert "training.keep_weights: " in said and "'every'" in said
