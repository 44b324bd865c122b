"""A run with a file that cannot be read is named by `al_verify`, which goes on with the others.

Its status says so.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tools import al_train, al_verify
from tools.verify.checks import CHECKS

pytestmark = pytest.mark.slow

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
READ = (
    "config.json",
    "config.py",
    "cycles/02/checkpoint.pth",
    "facts.json",
    "metrics.jsonl",
    "queries/00.npz",
    "queries/02.npz",
    "samples.txt",
    "state.json",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs of one seed; tests copy them."""
    root = tmp_path_factory.mktemp("runs")
    for leg in ("random", "learning_loss"):
        given = [TOY, "--wandb", "disabled", "--work-dir", str(root / leg), "--strategy", leg]
        assert al_train.main(given) == 0
    return [root / "learning_loss", root / "random"]


def folder(file: Path) -> None:
    """Reading it raises IsADirectoryError, for root, too."""
    file.unlink()
    file.mkdir()


def loop(file: Path) -> None:
    """Reading it raises OSError (too many links), and `Path.exists` says that it is not there."""
    file.unlink()
    file.symlink_to(file)


def noise(file: Path) -> None:
    """No text, no json, no npz."""
    file.write_bytes(bytes(range(128, 256)) * 3)


@pytest.mark.parametrize("spoil", [folder, loop, noise], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", READ)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_that_cannot_be_read_is_named_and_the_other_run_is_checked(
    runs, tmp_path, capsys, name, spoil
):
    spoilt, good = (Path(shutil.copytree(run, tmp_path / run.name)) for run in runs)
    spoil(spoilt / name)
    assert al_verify.main([str(spoilt), str(good)]) == 1
    said = capsys.readouterr().out
    first, found, rest = said.partition(f"{good}: 3 of 3 cycles\n")
    assert (
        found
        and "FAILED" not in rest.partition("together: ")[0]
        and rest.count("  ok ") >= len(CHECKS) - 1
    )
    assert any("FAILED" in line and Path(name).name in line for line in first.splitlines())


def test_a_disk_that_fails_under_a_check_ends_that_check_alone(runs, capsys, monkeypatch):
    def fails(run):
        yield from ()
        raise OSError(5, os.strerror(5), "somewhere")

    monkeypatch.setitem(CHECKS, "rows", fails)
    assert al_verify.main([str(runs[1])]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    told = "it cannot be checked (OSError: [Errno 5] Input/output error: 'somewhere')"
    assert [line.split(maxsplit=2) for line in lines] == [["FAILED", "rows", told]]
