"""A grid of settings: values as those of --cfg-options, a folder and a name for each cell."""

from __future__ import annotations

import argparse
import itertools
import re
from pathlib import Path

import pytest

from tests import commands
from tests.conftest import REPOSITORY
from tests.tools.sweep.test_al_sweep import imitate
from tests.tools.train.test_noisy_people import written
from tests.toy import Toy
from tools import al_sweep
from tools.compare.grouping import group
from tools.experiment.config import load
from tools.experiment.options import option
from tools.experiment.shared import Shared
from tools.record.finding import read_all
from tools.sweep.grid import Axis, axis, cells, word

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")


@pytest.mark.parametrize(
    "text, values",
    [
        ("50,100", (50, 100)),
        ("scratch,warm", ("scratch", "warm")),
        ("None, 1e-3,True", (None, 1e-3, True)),
        ("[64,32],(1, 2),[[3],4]", ([64, 32], (1, 2), [[3], 4])),
        ("'a,b',\"it's\",{'x': 1, 'y': [2, 3]}", ("a,b", "it's", {"x": 1, "y": [2, 3]})),
        ("[bolt,nut],data/mine", (["bolt", "nut"], "data/mine")),
        ("a=b", ("a=b",)),
    ],
)
def test_values_are_those_of_cfg_options(text, values):
    assert axis(f"some.key={text}") == Axis("some.key", values)
    for value, given in zip(values, axis(f"k={text}").values, strict=True):
        assert option(f"k={value!r}")[1] == given, "as a run's command has it"


@pytest.mark.parametrize(
    "text, message",
    [
        ("budget.query", "expected key=value,value, but got 'budget.query'"),
        ("=1,2", "expected key=value,value, but got '=1,2'"),
        ("k=1,,2", "k: expected values with commas between them, but got '1,,2'"),
        ("k=", "k: expected values with commas between them, but got ''"),
        ("k=1,2,1", "k: expected each value once, but got 1"),
        ("k=5,5.0", "k: expected each value once, but got 5.0"),
        ("k=[1],[ 1 ]", "k: expected each value once, but got [1]"),
    ],
)
def test_what_is_no_axis_is_named(text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(message)):
        axis(text)


def test_cells_are_all_combinations_by_short_names_where_these_tell():
    made = cells([Axis("budget.initial", (50, 100)), Axis("training.start", ("scratch", "warm"))])
    assert [cell.name for cell in made] == [
        "initial=50,start=scratch",
        "initial=50,start=warm",
        "initial=100,start=scratch",
        "initial=100,start=warm",
    ]
    assert made[1].settings == (("budget.initial", 50), ("training.start", "warm"))
    alike = cells([Axis("training.batch_size", (1,)), Axis("scoring.batch_size", (2,))])
    assert [cell.name for cell in alike] == ["training.batch_size=1,scoring.batch_size=2"]
    assert [cell.name for cell in cells([])] == [""]


def test_values_that_differ_have_names_that_differ_and_are_one_folder():
    values = [50, "50", 50.0, None, "None", [1, 2], (1, 2), "1_2", "a/b", "a b", "..", "", "x" * 99]
    words = [word(value) for value in values]
    assert len(set(words)) == len(words)
    assert all(re.fullmatch(r"[\w.+-]{0,47}", w, re.ASCII) for w in words)
    assert not any(set(w) == {"."} for w in (f"k={w}" for w in words))


def sweep(tmp_path: Path, *more: str, strategies=("random",), seeds=(0,), config=TOY) -> int:
    where = ["--work-dir", str(tmp_path / "work"), "--wandb", "disabled"]
    return al_sweep.main(
        [config, "--strategies", *strategies, "--seeds", *map(str, seeds), *where, *more]
    )


def test_each_cell_has_folders_names_settings_and_first_models_of_all(
    tmp_path, monkeypatch, capsys
):
    imitate(tmp_path, monkeypatch)
    grid = ["--grid", "budget.initial=10,12", "budget.query=4,6"]
    options = ["--cfg-options", "budget.cycles=2"]
    assert sweep(tmp_path, *grid, "--dry-run", *options, seeds=(0, 1)) == 0
    said = capsys.readouterr().out
    root = tmp_path / "work" / "toy_config"
    names = ["initial=10,query=4", "initial=10,query=6", "initial=12,query=4", "initial=12,query=6"]
    folders = [root / name / "random" / f"seed{n}" for name, n in itertools.product(names, (0, 1))]
    expected = [
        *(f"{folder}: 0 of 2 cycles" for folder in folders),
        "8 runs, 0 of them finished before",
    ]
    assert said.splitlines() == expected
    assert not root.exists()
    assert sweep(tmp_path, *grid, *options) == 0
    said = capsys.readouterr().out
    assert "4 runs, 0 of them finished before" in said
    assert [line for line in said.splitlines() if line in names] == names, "a table for each"
    assert "initial=12,query=6: random, seed 0: score 0.500" in said
    notes = [(root / name / "notes").read_text() for name in names]
    for name, told in zip(names, notes, strict=True):
        initial, query = re.findall(r"\d+", name)
        assert f'"--name", "toy_config,{name}"' in told
        assert f'"budget.cycles=2", "budget.initial={initial}", "budget.query={query}"' in told
        assert f'"--first-models", "{root / "first_models"}"' in told
    assert sweep(tmp_path, *grid, "--dry-run", *options) == 0
    assert "4 runs, 4 of them finished before" in capsys.readouterr().out


@pytest.mark.parametrize(
    "grid, lines",
    [
        (["budget.initail=10,12"], ["budget.initail: unknown; did you mean 'initial'?"]),
        (
            ["budget.initial=1,12", "budget.query=4,6"],
            ["initial=1,query=4 and 1 more: budget.initial: input should be greater than or equal"],
        ),
        (
            ["budget.initial=10,61"],
            ["initial=61: budget.initial: expected at most 60 (the whole pool), but got 61"],
        ),
        (["budget.query=5,True"], ["query=True: budget.query: expected a number, but got True"]),
        (
            ["budget.query=3,4", "budget.query=6"],
            ["--grid: expected each key once, but got budget.query twice"],
        ),
        (["seed=0,1"], ["--grid: expected --seeds for seed"]),
        (["module.mode=joint,off"], ["--grid: expected --module for module.mode"]),
        (["budget.cycles=2,3"], ["--grid: budget.cycles is in --cfg-options, too; leave one out"]),
    ],
)
def test_bad_keys_and_values_are_named_before_any_run(tmp_path, capsys, grid, lines):
    assert sweep(tmp_path, "--grid", *grid, "--cfg-options", "budget.cycles=2", seeds=(0, 1)) == 2
    said = capsys.readouterr().out
    assert all(line in said for line in lines), said
    assert "1 problem(s)" in said and not (tmp_path / "work").exists()


def test_seeds_of_parts_starts_and_weights_are_axes(tmp_path, capsys):
    grid = ["seeds.model=0,1,2", "training.start=scratch,warm", "module.weight=0.1,1"]
    assert sweep(tmp_path, "--grid", *grid, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "12 runs, 0 of them" in said and "/model=2,start=warm,weight=0.1/random/seed0:" in said


FIXED = ["--cfg-options", "seeds.set=0", "seeds.query=0"]


@pytest.mark.parametrize(
    "grid, where",
    [("seeds.model=0,1", ""), ("seeds.model=None,0", "model=0: ")],
)
def test_seeds_that_would_be_one_run_are_refused(tmp_path, capsys, grid, where):
    assert sweep(tmp_path, "--grid", grid, "--dry-run", *FIXED, seeds=(0, 1, 2)) == 2
    said = capsys.readouterr().out
    assert f"  {where}--seeds: expected one, as seeds.set, seeds.model and seeds.query are" in said
    assert "which would be the same run 3 times; take --seeds 0, or leave" in said
    assert "1 problem(s)" in said
    assert sweep(tmp_path, "--grid", grid, "--dry-run", *FIXED) == 0


def test_seeds_of_simulated_people_are_runs_of_their_own(tmp_path, capsys):
    more = ["--dry-run", *FIXED, "seeds.model=0"]
    assert sweep(tmp_path, *more, seeds=(0, 1), config=str(written(tmp_path))) == 0
    assert "2 runs, 0 of them" in capsys.readouterr().out


def test_runs_of_cells_are_compared_apart_under_their_names(tmp_path):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    def begun(folder: Path, name: str, query: int) -> int:
        options = ["--cfg-options", "budget.cycles=2", f"budget.query={query}"]
        where = ["--work-dir", str(folder), "--wandb", "disabled"]
        return commands.train([TOY, *where, "--name", name, *options], stopped)

    for query in (4, 6):
        folder = tmp_path / f"query={query}" / "random" / "seed0"
        assert begun(folder, f"toy_config,query={query}", query) == 130
    compared = group(read_all([tmp_path])[0])
    assert [one.config for one in compared] == ["toy_config,query=4", "toy_config,query=6"]
    assert begun(tmp_path / "run", "a\nb", 4) == 2


def test_an_adapter_is_shared_as_long_as_its_settings_are_the_same():
    class Kind:
        def __init__(self, size: int) -> None:
            self.size = size

    shared = Shared()
    first = shared.make(Kind, {"size": 1})
    assert shared.make(Kind, {"size": 1}) is first
    assert shared.make(Kind, {"size": 2}) is not first
    assert shared.make(Kind, {"size": 1}) is not first, "only the last one is kept"


def test_data_that_runs_share_are_checked_once(tmp_path, monkeypatch):
    looked: list[bool] = []
    monkeypatch.setattr(Toy, "check", lambda self, full=False: looked.append(full) or [])
    more = ["--grid", "budget.query=4,6", "--dry-run"]
    assert sweep(tmp_path, *more, strategies=("random", "coreset")) == 0
    assert looked == [False]
    assert sweep(tmp_path, "--grid", "task.size=60,64", "--dry-run") == 0
    assert looked == [False] * 3, "other data are another look"


def test_an_adapter_that_learns_from_simulated_people_is_shared_with_nobody(tmp_path):
    """It keeps what the people of one seed gave."""
    config, shared = written(tmp_path), Shared()
    tasks = [load(config, make=shared.make, options={"seed": seed}).task for seed in (0, 1)]
    assert tasks[0] is not tasks[1]
    truths = [load(config, make=shared.make, options={"oracle": None}).task for _ in range(2)]
    assert truths[0] is truths[1] and truths[0] not in tasks
