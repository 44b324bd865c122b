"""`al_train.py` on the toy task: whole runs, runs that are stopped anywhere, and all that
is refused before one.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from acquisition import ranking, scoring
from models.process import files
from models.process.seeding import stream
from models.training.checkpoint import CHECKPOINT
from models.training.joint import JointModel
from tests import commands
from tests.conftest import REPOSITORY
from tests.toy import NegativeError, Toy
from tools import al_train
from tools.experiment import cost
from tools.experiment.options import ALL_TOLD
from tools.record import committed
from tools.record import files as record
from tools.record import folder as folders
from tools.train import cycle as cycle_parts
from tools.train import session
from tools.train.loop import run, run_cycle

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
ROW = {
    "cycle",
    "labeled",
    "effort",
    "score",
    "seconds/train",
    "seconds/evaluate",
    "seconds/score",
    "seconds/ranking",
}
RANKING = {
    f"ranking/{group}/{key}"
    for group in ("queried", "control")
    for key in ("n", "pairs", "spearman")
}


def main(folder: Path, *more: str, config: str = TOY, loop=run) -> int:
    return commands.train([config, "--wandb", "disabled", "--work-dir", str(folder), *more], loop)


def never(*arguments) -> None:
    raise AssertionError("something was trained")


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless(folder: Path) -> list[dict]:
    """The rows without what differs between two runs of the same."""
    return [{k: v for k, v in row.items() if not k.startswith("seconds/")} for row in rows(folder)]


def labeled(folder: Path) -> list[int]:
    return json.loads((folder / "state.json").read_text())["labeled"]


def outcome(folder: Path) -> dict:
    """All that a run decides: state, rows and queries, these to the byte."""
    queries = {path.name: path.read_bytes() for path in sorted((folder / "queries").iterdir())}
    return {
        "state": (folder / "state.json").read_text(),
        "rows": timeless(folder),
        "queries": queries,
    }


def weights(folder: Path, cycle: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / "cycles" / f"{cycle:02d}" / CHECKPOINT, weights_only=True)[
        "state_dict"
    ]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys() and len(one) > 5
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """An undisturbed run of learning_loss; tests only read it."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    assert main(folder) == 0
    return folder


# ---------------------------------------------------------------- a whole run


def test_a_run_leaves_what_it_should(calm):
    assert {p.name for p in calm.iterdir()} == {
        ".lock",
        "config.json",
        "config.py",
        "facts.json",
        "name.txt",
        "samples.txt",
        "state.json",
        "metrics.jsonl",
        "seconds.txt",
        "queries",
        "cycles",
        "curve.png",
        "done",
    }
    assert (calm / "name.txt").read_text() == "toy_config\n"
    assert [p.name for p in sorted((calm / "queries").iterdir())] == ["00.npz", "01.npz", "02.npz"]
    assert [p.name for p in (calm / "cycles").iterdir()] == ["02"]  # the newest weights


def test_rows_have_the_documented_keys_and_numbers(calm):
    found = rows(calm)
    ids = labeled(calm)
    queried = {key for key in RANKING if key.startswith("ranking/queried")}
    assert len(queried) == 3
    assert [set(row) for row in found] == [ROW | RANKING, ROW | RANKING, ROW | RANKING - queried]
    assert [row["cycle"] for row in found] == [0, 1, 2]
    assert [row["labeled"] for row in found] == [10, 15, 20]
    assert [row["effort"] for row in found] == [
        sum(1 + i % 3 for i in ids[:n]) for n in (10, 15, 20)
    ]
    assert [row["ranking/queried/n"] for row in found[:2]] == [5, 5]
    assert [row["ranking/control/n"] for row in found] == [10, 10, 10]
    assert all(row["seconds/train"] > 0 for row in found)


def test_queries_are_the_highest_scores_of_the_unlabeled(calm):
    ids = labeled(calm)
    assert len(set(ids)) == 20 and set(ids) <= set(range(60))
    for cycle, size in ((0, 10), (1, 15)):
        with np.load(calm / "queries" / f"{cycle:02d}.npz") as arrays:
            candidates, scores = (
                arrays["candidates"].tolist(),
                arrays["signal/predicted_loss"].tolist(),
            )
            picked = arrays["picked"].tolist()
        assert sorted(candidates) == sorted(set(range(60)) - set(ids[:size]))
        by_score = dict(zip(candidates, scores, strict=True))
        assert (
            sorted((by_score[i] for i in picked), reverse=True) == sorted(scores, reverse=True)[:5]
        )
        assert picked == ids[size : size + 5]


def test_the_metric_is_that_of_the_weights_on_the_test_set(calm):
    task = Toy()
    network = task.build()
    state = weights(calm, 2)
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in state.items() if k.startswith("network.")}
    )
    network.eval()
    test = task.dataset("test")
    with torch.no_grad():
        found = network(torch.from_numpy(test.x))[1].numpy()
    assert rows(calm)[2]["score"] == pytest.approx(-np.mean((found - test.y) ** 2), rel=1e-4)


def test_the_module_and_the_network_of_a_run_have_learned(calm, tmp_path):
    short = ["--cfg-options", "budget.cycles=1", "training.epochs=1", "module.detach_epoch=None"]
    assert main(tmp_path / "a", *short, "training.optimizer.lr=0.0") == 0
    still = weights(tmp_path / "a", 0)  # the first weights of cycle 0: nothing moved them
    assert main(tmp_path / "b", *short) == 0
    moved = weights(tmp_path / "b", 0)
    parts = {name.split(".")[0] for name in still}
    assert len(parts) == 2 and "network" in parts
    for part in parts:
        assert any(
            not torch.equal(still[n], moved[n])
            for n in still
            if n.startswith(f"{part}.") and "weight" in n
        )


def test_a_run_says_a_line_a_cycle_a_table_and_the_area(tmp_path, capsys):
    assert main(tmp_path / "a [bold] run", "--strategy", "random") == 0
    text = capsys.readouterr().out
    found = rows(tmp_path / "a [bold] run")
    scores = [row["score"] for row in found]
    for row in found:
        numbers = f"labeled {row['labeled']}  effort {row['effort']}  score {row['score']:.3f}"
        assert f"cycle {row['cycle'] + 1}/3  {numbers}" in text
    area = ((scores[0] + scores[1]) / 2 * 5 + (scores[1] + scores[2]) / 2 * 5) / 10
    assert (
        f"area under the curve {area:.4f}\ncurve: {tmp_path / 'a [bold] run' / 'curve.png'}\n"
        in text
    )
    assert "W&B: disabled" in text
    assert all(set(row) == ROW for row in found)  # without a module nothing is said about one


def test_a_finished_run_is_left_alone(calm, capsys):
    before = {p: p.stat().st_mtime_ns for p in calm.rglob("*")}
    assert main(calm, loop=never) == 0
    text = capsys.readouterr().out
    assert f"{calm} is finished; nothing to do" in text and "area under the curve" in text
    assert {p: p.stat().st_mtime_ns for p in calm.rglob("*")} == before


@pytest.mark.parametrize(
    "more, shown",
    [
        (["--seed", "1"], "seed: 0 there, 1 now"),
        (["--strategy", "random"], "strategy: 'learning_loss' there, 'random' now"),
        (["--cfg-options", "training.epochs=5"], "training.epochs: 4 there, 5 now"),
        (["--amp"], "training.amp: '(missing)' there, True now"),
    ],
)
def test_another_config_in_a_run_folder_is_refused(calm, tmp_path, capsys, more, shown):
    assert main(calm, *more, loop=never) == 2
    assert shown in capsys.readouterr().out
    unfinished = tmp_path / "unfinished"
    shutil.copytree(calm, unfinished)
    (unfinished / "done").unlink()
    assert main(unfinished, *more, loop=never) == 2
    assert shown in capsys.readouterr().out


def test_the_default_folder_is_config_strategy_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    config = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
    arguments = [config, "--wandb", "disabled", "--smoke", "--strategy", "random", "--seed", "7"]
    with pytest.raises(KeyError, match="enough"):
        commands.train(
            arguments, lambda cycle, *rest: seen.append(cycle.folder.path) or {}["enough"]
        )
    assert seen == [Path("work_dirs/toy_config-smoke/random/seed7")]
    assert sorted(p.name for p in (tmp_path / seen[0]).iterdir()) == [
        ".lock",
        "config.json",
        "config.py",
        "facts.json",
        "name.txt",
        "samples.txt",
    ]
    assert (tmp_path / seen[0] / "name.txt").read_text() == "toy_config-smoke\n"


# ---------------------------------------------------------------- dry run

# iterations by hand: 4 epochs x (ceil(10/4) + ceil(15/4) + ceil(20/4)) = 4 x 12; 50 + 45 were
# unlabeled
PLANS = {
    "joint": (
        [],
        "0",
        "joint",
        "10, 15, 20",
        "3 trainings of 4 epochs, 48 iterations of 4",
        "95 samples for 2 queries",
    ),
    "subset": (
        ["subset=47"],
        "0",
        "joint",
        "10, 15, 20",
        "3 trainings of 4",
        "92 samples for 2 queries",
    ),
    "random": (
        ["strategy=random"],
        "0",
        "off",
        "10, 15, 20",
        "48 iterations of 4",
        "0 samples for 2 queries",
    ),
    "one cycle": (
        ["budget.cycles=1"],
        "0",
        "joint",
        "10",
        "1 trainings of 4 epochs, 12 ",
        "0 samples for 0 queries",
    ),
    "batch 6": (
        ["training.batch_size=6", "seed=3"],
        "3",
        "joint",
        "10, 15, 20",
        "36 iterations of 6",
        "95 samples",
    ),
    "saved alone, of all": (
        ["strategy=random", "subset=20", "scoring.save=[loss]"],
        "0",
        "off",
        "10, 15, 20",
        "3 trainings of 4 epochs",
        "95 samples for 2 queries",
    ),
    "saved besides, of a subset": (
        ["subset=20", "scoring.save=[loss]"],
        "0",
        "joint",
        "10, 15, 20",
        "3 trainings of 4 epochs",
        "40 samples for 2 queries",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys, name):
    options, seed, module, labels, training, looked = PLANS[name]
    folder = tmp_path / "run"
    assert (
        main(folder, "--dry-run", *(["--cfg-options", *options] if options else []), loop=never)
        == 0
    )
    assert not folder.exists() and list(tmp_path.iterdir()) == []
    plan = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(plan) == [
        "run",
        "module",
        "folder",
        "data",
        "labels",
        "training",
        "scoring",
        "disk",
    ]
    assert plan["run"].startswith("toy_config, strategy ") and plan["run"].endswith(f"seed {seed}")
    assert plan["module"] == module
    assert plan["folder"] == str(folder)
    assert plan["data"] == "pool 60, test 20"
    assert plan["labels"] == labels
    assert training in plan["training"]
    assert looked in plan["scoring"]


def test_a_dry_run_of_the_smoke_variant(tmp_path, capsys):
    assert main(tmp_path / "run", "--dry-run", "--smoke", loop=never) == 0
    text = capsys.readouterr().out
    assert "toy_config-smoke, strategy learning_loss, seed 0" in text
    assert "2 trainings of 2 epochs, 14 iterations of 4" in text  # 2 x (3 + 4)
    assert "50 samples for 1 query" in text


def test_a_dry_run_on_a_finished_run_leaves_it_alone(calm, capsys):
    before = {p: p.stat().st_mtime_ns for p in calm.rglob("*")}
    assert main(calm, "--dry-run", loop=never) == 0
    assert "3 trainings" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in calm.rglob("*")} == before


# ---------------------------------------------------------------- the same bytes


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.slow
def test_the_same_command_gives_the_same_with_any_number_of_workers(calm, tmp_path, workers):
    options = ["--cfg-options", f"training.workers={workers}", f"scoring.workers={workers}"]
    assert main(tmp_path / "run", *options) == 0
    for name in ("state.json", "queries/00.npz", "queries/01.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (calm / name).read_bytes()
    assert outcome(tmp_path / "run") == outcome(calm)
    assert same(weights(tmp_path / "run", 2), weights(calm, 2))


@pytest.mark.parametrize("asked", [True, False])
def test_deterministic_is_asked_of_torch_for_the_run_alone(tmp_path, asked):
    seen = []

    def loop(cycle, *arguments) -> None:
        settings = cycle.experiment.config
        seen.append(
            (
                torch.are_deterministic_algorithms_enabled(),
                settings["training"].get("deterministic"),
            )
        )
        raise KeyboardInterrupt

    assert main(tmp_path / "run", *["--deterministic"] * asked, loop=loop) == 130
    assert seen == [(True, True) if asked else (False, None)]
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic_on_a_cpu_changes_nothing(calm, tmp_path):
    assert main(tmp_path / "run", "--deterministic") == 0
    assert outcome(tmp_path / "run") == outcome(calm)


# ---------------------------------------------------------------- stopped and resumed


def at_call(number: int, plain, error: BaseException):
    """`plain`, but for the call of this number, which raises."""
    calls = iter(range(1, 10**9))

    def wrapped(*arguments, **keywords):
        if next(calls) == number:
            raise error
        return plain(*arguments, **keywords)

    return wrapped


STOPS = {  # what is called, and the number of the call that is interrupted
    "in the first epoch": (Toy, "forward", 2),  # an epoch of cycle 0 has 3 iterations
    "before the second cycle's training": (Toy, "evaluator", 2),
    # 20 test samples are 3 batches
    "in the second cycle's evaluation": (NegativeError, "process", 5),
    # three files a commit
    "before the second commit's state": (committed, "write_whole", 6),
    "after the last commit": (session.showing, "draw", 1),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.slow
def test_a_stopped_run_goes_on_and_ends_as_one_undisturbed(
    calm, tmp_path, monkeypatch, capsys, stop
):
    folder = tmp_path / "run"
    where, name, number = STOPS[stop]
    with monkeypatch.context() as patch:
        patch.setattr(where, name, at_call(number, getattr(where, name), KeyboardInterrupt()))
        assert main(folder) == 130
    assert "stopped; the same command goes on" in capsys.readouterr().out
    assert not (folder / "done").exists()
    assert main(folder) == 0
    assert outcome(folder) == outcome(calm)
    assert same(weights(folder, 2), weights(calm, 2))
    assert (folder / "done").exists() and (folder / "curve.png").exists()


@pytest.mark.slow
def test_a_training_stopped_between_epochs_does_not_begin_again(calm, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        # in the third epoch of cycle 0
        patch.setattr(Toy, "forward", at_call(8, Toy.forward, KeyboardInterrupt()))
        assert main(folder) == 130
    meta = torch.load(folder / "cycles" / "00" / CHECKPOINT, weights_only=True)["meta"]
    assert (meta["epoch"], meta["iter"]) == (2, 6)
    assert not (folder / "state.json").exists()
    calls = []
    forward = Toy.forward
    monkeypatch.setattr(
        Toy,
        "forward",
        lambda self, n, b, want: calls.append(n.training) or forward(self, n, b, want),
    )
    assert main(folder) == 0
    # the two epochs left of cycle 0, then all of cycles 1 and 2
    assert sum(calls) == 2 * 3 + 4 * 4 + 4 * 5
    assert outcome(folder) == outcome(calm)


def test_a_run_whose_disk_fails_says_so_and_is_not_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scoring, "loader", at_call(1, scoring.loader, OSError("the disk is gone")))
    assert main(tmp_path / "run") == 2
    assert (
        "error: the disk is gone; what was committed is whole, and the same command goes on"
        in capsys.readouterr().out
    )
    assert not (tmp_path / "run" / "done").exists()
    assert not (tmp_path / "run" / "state.json").exists()


# ---------------------------------------------------------------- what strategies and seeds share


@pytest.mark.slow
def test_strategies_of_a_seed_share_the_initial_set_and_the_first_model(tmp_path):
    options = ["--cfg-options", "module.mode=joint", "budget.cycles=1"]
    for strategy in ("random", "learning_loss"):
        assert main(tmp_path / strategy, "--strategy", strategy, *options) == 0
    assert labeled(tmp_path / "random") == labeled(tmp_path / "learning_loss")
    assert timeless(tmp_path / "random") == timeless(tmp_path / "learning_loss")
    assert same(weights(tmp_path / "random", 0), weights(tmp_path / "learning_loss", 0))
    assert main(tmp_path / "other", "--seed", "1", *options) == 0
    assert set(labeled(tmp_path / "other")) != set(labeled(tmp_path / "random"))
    assert not same(weights(tmp_path / "other", 0), weights(tmp_path / "random", 0))


def test_random_with_a_module_shares_row_0_with_learning_loss_and_queries_otherwise(calm, tmp_path):
    assert main(tmp_path, "--strategy", "random", "--cfg-options", "module.mode=joint") == 0
    mine, others = timeless(tmp_path), timeless(calm)
    shared = [key for key in mine[0] if "queried" not in key]
    assert {key: mine[0][key] for key in shared} == {key: others[0][key] for key in shared}
    assert labeled(tmp_path)[:10] == labeled(calm)[:10]
    assert set(labeled(tmp_path)[10:]) != set(labeled(calm)[10:])
    assert set(mine[0]) == (ROW | RANKING) - {
        "seconds/train",
        "seconds/evaluate",
        "seconds/score",
        "seconds/ranking",
    }
    ids = labeled(tmp_path)
    for cycle, size in ((0, 10), (1, 15)):  # each cycle draws from a stream of its own
        rest = np.array(sorted(set(range(60)) - set(ids[:size])))
        assert (
            ids[size : size + 5]
            == rest[stream(0, cycle, "query").permutation(len(rest))[:5]].tolist()
        )


def test_a_run_without_a_module_shares_the_initial_set_too(calm, tmp_path):
    assert main(tmp_path, "--strategy", "random", "--cfg-options", "budget.cycles=1") == 0
    assert labeled(tmp_path) == labeled(calm)[:10]


def test_a_run_is_repeatable_and_scores_the_test_time_view_with_the_weights_just_trained(
    calm, tmp_path, monkeypatch
):
    passes = []
    plain, measured = cycle_parts.score, ranking.score

    def watched(model, samples):
        cycle = max(int(path.name) for path in (tmp_path / "cycles").iterdir())
        passes.append(
            (
                cycle,
                samples.dataset.augment,
                len(samples.dataset),
                same(dict(model.state_dict()), weights(tmp_path, cycle)),
            )
        )
        return model, samples

    monkeypatch.setattr(
        cycle_parts,
        "score",
        lambda model, data, *rest, **named: plain(*watched(model, data), *rest, **named),
    )
    monkeypatch.setattr(
        ranking, "score", lambda model, data, *rest: measured(*watched(model, data), *rest)
    )
    np.random.seed(99)  # whatever the state of the global generators: the run is the same
    torch.manual_seed(99)
    assert main(tmp_path) == 0
    # query and ranking, ranking in the last
    assert passes == [(cycle, False, 60, True) for cycle in (0, 0, 1, 1, 2)]
    assert outcome(tmp_path) == outcome(calm)


@pytest.mark.slow
def test_a_warm_start_goes_on_from_the_last_cycle(tmp_path):
    # with a learning rate of nearly nothing the second cycle's weights are the first cycle's, or
    # are not
    still = [
        "budget.cycles=2",
        "training.epochs=1",
        "module.detach_epoch=None",
        "training.optimizer.lr=1e-12",
    ]
    assert main(tmp_path / "first", "--cfg-options", *still, "budget.cycles=1") == 0
    first = weights(tmp_path / "first", 0)
    names = [name for name in first if name.endswith("weight")]
    assert len(names) > 5
    for start, expected in (("warm", True), ("scratch", False)):
        assert main(tmp_path / start, "--cfg-options", *still, f"training.start={start}") == 0
        second = weights(tmp_path / start, 1)
        linear = [
            torch.allclose(first[n], second[n], atol=1e-7) for n in names if "first.1" not in n
        ]
        # first.1 is batch norm: all ones in any case
        assert all(linear) is expected and any(linear) is expected
    warm, scratch = timeless(tmp_path / "warm"), timeless(tmp_path / "scratch")
    assert warm[0] == scratch[0]
    assert warm[1]["score"] != scratch[1]["score"]


# ---------------------------------------------------------------- refused beforehand


def config(folder: Path, **settings: str) -> str:
    """The toy config with other lines."""
    text = Path(TOY).read_text()
    for key, value in settings.items():
        text += f"\n{key} = {value}\n"
    path = folder / "toy_config.py"
    path.write_text(text)
    return str(path)


def refused(tmp_path: Path, capsys, *more: str, **keywords) -> list[str]:
    """The lines of a refusal: exit status 2, nothing trained, nothing written."""
    assert main(tmp_path / "run", *more, loop=never, **keywords) == 2
    assert not (tmp_path / "run").exists()
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("count", [1, 20, 21, 45])
def test_few_faults_are_all_told_and_many_alike_are_counted(tmp_path, capsys, count):
    faults = [f"/data/{i}.xml: broken [{i}] " + "long " * 30 + "end" for i in range(count)]
    path = config(tmp_path, task=f"dict(type=Toy, faults={[*faults, 'one thing more']!r})")
    lines = refused(tmp_path, capsys, config=path)
    assert lines[0] == f"error: toy_config: {count + 1} problem(s)"
    if count < 20:
        assert lines[1:] == [f"  {fault}" for fault in [*faults, "one thing more"]]
    else:
        assert lines[1:5] == [
            *(f"  {fault}" for fault in faults[:3]),
            f"  ... and {count - 3} more like that",
        ]
        assert lines[5:] == ["  one thing more", f"  {ALL_TOLD}"]
    every = refused(tmp_path, capsys, "--dry-run", "--every-fault", config=path)
    assert every[1:] == [f"  {fault}" for fault in [*faults, "one thing more"]]


def test_faults_stop_a_dry_run_too(tmp_path, capsys):
    path = config(tmp_path, task="dict(type=Toy, faults=['bad file'])")
    assert refused(tmp_path, capsys, "--dry-run", config=path) == [
        "error: toy_config: 1 problem(s)",
        "  bad file",
    ]


@pytest.mark.parametrize(
    "check, full", [([], False), (["--check", "fast"], False), (["--check", "full"], True)]
)
def test_the_check_is_as_full_as_asked_for(tmp_path, monkeypatch, check, full):
    seen = []
    monkeypatch.setattr(Toy, "check", lambda self, full=False: seen.append(full) or [])
    assert main(tmp_path / "run", "--dry-run", *check, loop=never) == 0
    assert seen == [full]


def test_a_budget_beyond_the_pool_is_refused(tmp_path, capsys):
    lines = refused(tmp_path, capsys, "--cfg-options", "task.size=19")
    assert lines[1:] == [
        "  budget: expected at most 19 labels in the end (the whole pool), but got 20"
    ]
    assert main(tmp_path / "run", "--dry-run", "--cfg-options", "task.size=20", loop=never) == 0


def test_views_of_other_lengths_are_refused(tmp_path, capsys, monkeypatch):
    dataset = Toy.dataset
    monkeypatch.setattr(
        Toy, "dataset", lambda self, split: dataset(self, "test" if split == "pool" else split)
    )
    assert "  task: expected train and pool views of one length, but got 60 and 20" in refused(
        tmp_path, capsys
    )


def test_a_task_that_does_not_fit_the_strategy_is_refused_with_its_faults(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Toy, "fields", frozenset({"probs"}))
    path = config(tmp_path, task="dict(type=Toy, faults=['bad file'])")
    assert refused(tmp_path, capsys, config=path)[1:] == [
        "  strategy 'learning_loss' needs ['loss'], but the task gives ['probs']", "  bad file"
    ]  # fmt: skip
    # random needs nothing
    assert main(tmp_path / "run", "--dry-run", "--strategy", "random", loop=never) == 0


def test_learning_loss_without_a_module_is_refused(tmp_path, capsys):
    lines = refused(tmp_path, capsys, "--cfg-options", "module.mode=off")
    assert lines[1:] == [
        "  strategy 'learning_loss' needs the loss-prediction module, but module.mode is 'off'"
    ]


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("strategy, parameters", [("random", 113), ("learning_loss", 113 + 129)])
def test_a_disk_that_is_too_small_is_refused(tmp_path, capsys, monkeypatch, strategy, parameters):
    # three checkpoints of weights and two moments, 4 bytes each: conv 6x8+8, norm 2x8, conv 8x4+4,
    # linear 4+1; module: 8x8+8, 4x8+8, 16+1
    needed = 3 * 3 * 4 * parameters
    asked = []
    free = needed - 1
    monkeypatch.setattr(
        cost.shutil, "disk_usage", lambda path: asked.append(path) or Usage(10**9, 0, free)
    )
    lines = refused(tmp_path, capsys, "--strategy", strategy)
    assert lines[1].startswith("  --work-dir: expected 0 MB of free disk in ")
    assert asked == [tmp_path]  # the nearest folder that is there
    free = needed
    assert main(tmp_path / "run", "--dry-run", "--strategy", strategy, loop=never) == 0


def test_a_wrong_config_is_refused_with_all_problems(tmp_path, capsys):
    lines = refused(tmp_path, capsys, "--cfg-options", "training.epoch=3", "subsets=4")
    assert lines == [
        f"error: {TOY}: 2 problem(s)", "  subsets: unknown; did you mean 'subset'?",
        "  training.epoch: unknown; did you mean 'epochs'?",
    ]  # fmt: skip


def test_an_unknown_strategy_is_refused(tmp_path, capsys):
    assert (
        refused(tmp_path, capsys, "--strategy", "rando")[1]
        == "  strategy: rando: unknown; did you mean 'random'?"
    )


def test_a_missing_config_is_refused(tmp_path, capsys):
    assert (
        "toy_konfig.py: 1 problem(s)"
        in refused(tmp_path, capsys, config=TOY.replace("toy_c", "toy_k"))[0]
    )


def test_a_wrong_wandb_mode_of_the_environment_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    assert commands.train([TOY, "--work-dir", str(tmp_path / "run")], never) == 2
    assert "WANDB_MODE" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_batch_size_of_scoring_is_measured_once_a_run(tmp_path, capsys, monkeypatch):
    """A resumed run must score with the one it began with.

    A damaged number is an error, not another one.
    """
    auto = ["--cfg-options", "scoring.batch_size=auto"]
    monkeypatch.setattr(cycle_parts, "fastest", lambda *_: 13)
    sizes, plain = [], scoring.loader
    monkeypatch.setattr(scoring, "loader", lambda *given: sizes.append(given[2]) or plain(*given))
    folder = tmp_path / "run"
    monkeypatch.setattr(
        folders.RunFolder, "commit", at_call(2, folders.RunFolder.commit, KeyboardInterrupt())
    )
    assert main(folder, *auto) == 130
    assert (folder / "batch_size.txt").read_text() == "13\n" and set(sizes) == {13}
    monkeypatch.setattr(cycle_parts, "fastest", never)
    (folder / "batch_size.txt").write_text("none\n")
    assert main(folder, *auto) == 2
    assert (
        "batch_size.txt: expected a number of samples, but got 'none'; remove it"
        in capsys.readouterr().out
    )
    (folder / "batch_size.txt").write_text("13\n")
    assert main(folder, *auto) == 0 and set(sizes) == {13}


def test_amp_is_for_training_and_scoring(tmp_path, capsys):
    assert main(tmp_path, "--amp", "--dry-run") == 0
    experiment = session._experiment(al_train.parser().parse_args([TOY, "--amp"]))
    assert (experiment.training.amp, experiment.scoring.amp, experiment.scoring.channels_last) == (
        True,
        True,
        True,
    )
    plain = session._experiment(al_train.parser().parse_args([TOY]))
    assert (plain.training.amp, plain.scoring.amp, plain.scoring.channels_last) == (
        False,
        False,
        False,
    )


@pytest.mark.parametrize("size", ["0", "-3", "all", "2.5"])
def test_a_batch_size_that_is_none_is_refused(tmp_path, capsys, size):
    assert main(tmp_path, "--cfg-options", f"scoring.batch_size={size}", loop=never) == 2
    assert "scoring.batch_size: " in capsys.readouterr().out


def test_another_pool_under_a_run_is_refused(calm, tmp_path, capsys):
    shutil.copytree(calm, tmp_path / "run")
    (tmp_path / "run" / "done").unlink()
    state = json.loads((calm / "state.json").read_text())
    (tmp_path / "run" / "state.json").write_text(json.dumps({**state, "size": 61}))
    assert main(tmp_path / "run", loop=never) == 2
    assert (
        "state.json is of a pool of 61 samples, but the data set has 60 now"
        in capsys.readouterr().out
    )


def no_room(patch: pytest.MonkeyPatch, *places: Path) -> None:
    """The disk is full where something is written beside its place."""
    clear = files._clear

    def full(beside: Path) -> None:
        clear(beside)
        if beside in places:
            beside.symlink_to("/dev/full")  # a device whose every write fails for want of room

    patch.setattr(files, "_clear", full)


@pytest.mark.parametrize(
    "file", ["queries/.00.tmp.npz", ".state.tmp.json", "cycles/01/.checkpoint.tmp.pth"]
)
@pytest.mark.slow
def test_a_full_disk_ends_with_a_clear_error_and_the_same_command_goes_on(
    calm, tmp_path, capsys, monkeypatch, file
):
    full = tmp_path / "run" / file
    with monkeypatch.context() as patch:
        no_room(patch, full)
        assert main(tmp_path / "run") == 2
    said = capsys.readouterr().out
    assert "No space left on device" in said and (
        "earlier cycles are whole" in said or "committed is whole" in said
    )
    assert "Traceback" not in said and not full.exists()
    assert main(tmp_path / "run") == 0, "there is room again"
    assert outcome(tmp_path / "run") == outcome(calm)


@pytest.mark.slow
def test_a_file_size_limit_ends_with_a_clear_error_and_the_same_command_goes_on(calm, tmp_path):
    script = REPOSITORY / "tools/al_train.py"
    command = [
        sys.executable,
        script,
        TOY,
        "--wandb",
        "disabled",
        "--work-dir",
        str(tmp_path / "run"),
    ]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))  # a checkpoint of the toy has 13 kB

    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command,
        preexec_fn=limit,
        env=env,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert (
        "File too large" in done.stdout
        and "what was committed is whole, and the same command goes on" in done.stdout
    )
    assert [p.name for p in (tmp_path / "run").rglob("*.pth")] == []
    assert main(tmp_path / "run") == 0
    assert outcome(tmp_path / "run") == outcome(calm)


def test_a_folder_where_nothing_can_be_written_is_an_error(capsys):
    assert main(Path("/proc/losstap/run"), loop=never) == 2
    said = capsys.readouterr().out
    assert said.startswith("error: ") and "/proc" in said and "Traceback" not in said


def test_a_training_that_diverges_is_an_error_of_one_line(tmp_path, capsys):
    assert main(tmp_path, "--cfg-options", "training.optimizer.lr=1e30") == 2
    assert "error: Expected finite losses, but got" in capsys.readouterr().out
    assert not (tmp_path / "state.json").exists()


def test_a_metric_that_is_no_number_does_not_lose_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(NegativeError, "compute_metrics", lambda self, results: {"score": math.nan})
    assert (
        main(
            tmp_path,
            "--strategy",
            "random",
            "--cfg-options",
            "budget.cycles=2",
            "training.epochs=1",
            "module.detach_epoch=None",
        )
        == 0
    )
    assert [row["score"] for row in rows(tmp_path)] == [None, None]
    assert "area under the curve nan" in capsys.readouterr().out


# ---------------------------------------------------------------- command line


def test_help_lists_the_options():
    found = subprocess.run(
        [sys.executable, "tools/al_train.py", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    for option in (
        "--strategy",
        "--seed",
        "--work-dir",
        "--smoke",
        "--wandb {online,offline,disabled}",
        "--amp",
        "--launcher {none,pytorch,slurm}",
        "--check {fast,full}",
        "--dry-run",
        "--cfg-options",
    ):
        assert option in found.stdout, option


@pytest.mark.parametrize(
    "arguments, shown",
    [
        ([], "required: config"),
        ([TOY, "--sed", "1"], "arguments: --sed 1"),
        ([TOY, "--seed", "x"], "'x'"),
        ([TOY, "--wandb", "on"], "'on'"),
    ],  # fmt: skip
)
def test_wrong_arguments_end_with_status_2(capsys, arguments, shown):
    with pytest.raises(SystemExit, match="2"):
        commands.train(arguments, never)
    assert shown in capsys.readouterr().err


# ---------------------------------------------------------------- what is tried beforehand


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("training.optimizer.lr=abc", "training.optimizer: TypeError"),
        ("training.optimizer.lr=-1", "training.optimizer: ValueError: Invalid learning rate: -1"),
        ("training.clip_grad={'max_nrm': 3}", "training.clip_grad: TypeError"),
        (
            "training.schedule=[{'type': 'mmengine.optim.MultiStepLR'}]",
            "training.schedule[0]: TypeError",
        ),
        (
            "training.schedule=[{'type': 'mmengine.optim.LinearLR', 'start_factor': 7, 'end': 5}]",
            "training.schedule[0]: ValueError: Starting multiplicative factor should between 0 and "
            "1",
        ),
    ],
)
def test_arguments_that_optimiser_schedule_or_clipping_refuse_are_found_before_any_training(
    tmp_path, capsys, option, shown
):
    (first, line) = refused(tmp_path, capsys, "--cfg-options", option)
    assert first == "error: toy_config: 1 problem(s)" and line.strip().startswith(shown)


def test_a_dry_run_sees_a_run_folder_of_another_config(calm, capsys):
    assert main(calm, "--dry-run", "--cfg-options", "training.epochs=9", loop=never) == 2
    assert "training.epochs: 4 there, 9 now" in capsys.readouterr().out


def test_a_finished_run_needs_no_data(calm, monkeypatch, capsys):
    monkeypatch.setattr(Toy, "dataset", lambda self, split: 1 / 0)
    assert main(calm, loop=never) == 0
    assert "is finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=/tmp/a b/[c], d", "/tmp/a b/[c], d"),
        ("a.b=3", 3),
        ("a.b=1e-3", 1e-3),
        ("a.b=None", None),
        ("a.b=[VOC2007/trainval, 7]", ["VOC2007/trainval", 7]),
        ("a.b=['x=y']", ["x=y"]),
        ("a.b=open-mmlab://vgg16_caffe", "open-mmlab://vgg16_caffe"),
        ("a.b=", ""),
    ],
)
def test_options_are_literals_lists_or_words(text, value):
    assert al_train.parser().parse_args(["c.py", "--cfg-options", text]).cfg_options == [
        ("a.b", value)
    ]


def test_an_option_without_a_value_is_refused(capsys):
    with pytest.raises(SystemExit):
        al_train.parser().parse_args(["c.py", "--cfg-options", "training.epochs"])
    assert "expected key=value, but got 'training.epochs'" in capsys.readouterr().err


@pytest.mark.parametrize(("shared", "builds"), [(False, 2), (True, 3)])
def test_a_start_builds_the_network_for_the_checks_and_for_the_training(
    tmp_path, monkeypatch, shared: bool, builds: int
):
    """And for the hash of a first training that runs share."""
    built, build = [], Toy.build
    monkeypatch.setattr(Toy, "build", lambda self: built.append(1) or build(self))

    class Begun(Exception):
        pass

    def begin(*_, **__):
        raise Begun

    monkeypatch.setattr(JointModel, "train_step", begin)
    more = ["--first-models", str(tmp_path / "first")] if shared else []
    with pytest.raises(Begun):
        main(tmp_path / "run", "--strategy", "random", *more)
    assert len(built) == builds


def test_a_start_reads_the_state_once(tmp_path, monkeypatch):
    read, text = [], record.text

    def one(cycle, *_):
        cycle.folder.commit(*run_cycle(cycle))
        raise KeyboardInterrupt

    def noted(path: Path, most: int) -> str:
        read.append(path.name)
        return text(path, most)

    assert main(tmp_path, loop=one) == 130
    monkeypatch.setattr(record, "text", noted)
    assert main(tmp_path, loop=one) == 130
    assert read.count("state.json") == 1 and len(rows(tmp_path)) == 2
