"""A run that lost files is refused by every command that reads one, naming what is lost.

Nothing is trained over it.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tools.record.test_folder import files
from tools import al_compare, al_train, al_verify, wandb_push
from tools.experiment.config import load
from tools.record.folder import RunFolder, RunFolderError
from tools.record.marks import looks_like_run, lost

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
ESSENTIAL = ("config", "samples.txt", "metrics.jsonl", "state.json")
SUBSETS = [names for count in range(1, 5) for names in itertools.combinations(ESSENTIAL, count)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests copy it."""
    where = tmp_path_factory.mktemp("calm") / "run"
    assert train(where) == 0
    return where


def train(where: Path, *more: str) -> int:
    return al_train.main([TOY, "--wandb", "disabled", "--work-dir", str(where), *more])


def lose(path: Path, names: tuple[str, ...], *more: str) -> str:
    """Remove files; what a message calls the first of them."""
    for name in names:
        for file in path.glob("config.*") if name == "config" else [path / name]:
            file.unlink()
    for name in more:
        (path / name).unlink()
    return "config.py" if names[0] == "config" else names[0]


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_a_finished_run_without_some_of_its_files_is_refused_by_every_command(
    names, calm, tmp_path, capfd
):
    path = Path(shutil.copytree(calm, tmp_path / "toy_config/learning_loss/seed0"))
    first = lose(path, names)
    before = {name: content for name, content in files(path).items() if name != ".lock"}
    told = f"{path} holds a run (done is there) without its {first}"
    for command, status in (
        (lambda: train(path), 2),
        (lambda: train(path, "--dry-run"), 2),
        (lambda: al_verify.main([str(path)]), 1),
        (lambda: al_compare.main([str(path), "--out", str(tmp_path / "out")]), 2),
        (lambda: wandb_push.main([str(path), "--mode", "offline"]), 1),
    ):
        assert command() == status
        said = capfd.readouterr()
        assert (
            told in said.out + said.err
            and "; restore what is lost, or move the folder away" in said.out
        )
        assert all(name in said.out for name in names if name != "config")
    assert {name: content for name, content in files(path).items() if name != ".lock"} == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_so_is_one_that_was_stopped_after_two_cycles(names, calm, tmp_path):
    path = Path(shutil.copytree(calm, tmp_path / "run"))
    first = lose(path, names, "done", "queries/02.npz")
    with pytest.raises(
        RunFolderError, match=rf"holds a run \(cycle 02 is there\) without its {first}"
    ):
        RunFolder(path).check({})


def killed_at(path: Path, *left: str) -> Path:
    """A folder in which a first cycle's process left so much."""
    for name in left:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}\n" if name == "metrics.jsonl" else "")
    return path


STARTS = (
    "config.py",
    "samples.txt",
    "cycles/00/checkpoint.pth",
    "queries/00.npz",
    "metrics.jsonl",
    "seconds.txt",
)


@pytest.mark.parametrize("count", range(len(STARTS) + 1))
def test_what_a_kill_in_the_first_cycle_leaves_has_lost_nothing(count, tmp_path):
    assert lost(killed_at(tmp_path, ".lock", *STARTS[:count]))[0] == []


@pytest.mark.parametrize(
    ("there", "names", "last"),
    [
        ((".lock", "samples.txt"), ["config.py"], "samples.txt"),
        ((".lock", "config.json", "metrics.jsonl"), ["samples.txt"], "metrics.jsonl"),
        (("config.json", "samples.txt", "state.json"), ["metrics.jsonl"], "state.json"),
        (
            ("config.json", "queries/01.npz"),
            ["samples.txt", "metrics.jsonl", "state.json"],
            "cycle 01",
        ),
        (("config.json", "queries/00.npz"), ["samples.txt"], "cycle 00"),
        ((".lock", "done"), ["config.py", "samples.txt", "metrics.jsonl", "state.json"], "done"),
        (("done",), [], ""),  # a file of that name in a folder that holds no run
        (("config.py", "scalars.json"), [], ""),  # as mmengine leaves them
    ],
)
def test_what_is_there_tells_what_is_lost(there, names, last, tmp_path):
    assert lost(killed_at(tmp_path / "run", *there)) == (names, last)
    assert looks_like_run([path.name for path in (tmp_path / "run").iterdir()]) == bool(last)


def test_rows_of_two_cycles_were_followed_by_a_state(tmp_path):
    killed_at(tmp_path, "config.py", "samples.txt")
    (tmp_path / "metrics.jsonl").write_text("{}\n{}\n")
    assert lost(tmp_path) == (["state.json"], "metrics.jsonl with more than a row")


def test_a_run_that_lost_its_last_query_does_not_go_on(calm, tmp_path):
    path = Path(shutil.copytree(calm, tmp_path / "run"))
    config, names = _opened(path)
    shutil.copy(path / "queries/01.npz", path / "queries/02.npz")
    with pytest.raises(
        RunFolderError,
        match=r"02\.npz: expected the receipt with the hash \w{12} of state\.json, but "
        r"got one with the hash \w{12}; restore the file, or move",
    ):
        RunFolder(path).open(config, names)
    (path / "queries/02.npz").unlink()
    with pytest.raises(
        RunFolderError, match=r"the hash \w{12} of state\.json, but got none; restore the file"
    ):
        RunFolder(path).open(config, names)


def _opened(path: Path) -> tuple[dict, list[str]]:
    return load(TOY).config, (path / "samples.txt").read_text(encoding="utf-8").split("\n")[:-1]
