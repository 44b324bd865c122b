"""Runs that take turns in one process leave what they leave in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests import imagekit
from tests.conftest import REPOSITORY
from tests.tools.record.test_folder import files
from tests.tools.sweep.test_al_sweep import TOY
from tests.tools.train.test_al_train import outcome, timeless
from tools import al_sweep
from tools.record.fingerprint import fingerprint
from tools.sweep.series import Adapters
from tools.sweep.turns import in_turn

FROZEN = REPOSITORY / "configs" / "cls_timm_folder.py"
LONG = ("budget.cycles=12", "budget.query=2")
# what holds seconds, dates or process numbers
TIMED = ("metrics.jsonl", "seconds.txt", ".lock", "train.log", "checkpoint.pth")


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # where the toy is


def sweep(where: Path, *more: str, config: object = TOY, options=("budget.cycles=2",)) -> int:
    common = ["--work-dir", str(where), "--wandb", "disabled"]
    return al_sweep.main([str(config), *more, *common, "--cfg-options", *options])


def same(one: Path, other: Path) -> None:
    """Two run folders are equal to the byte, times aside."""
    before, now = files(one), files(other)
    assert before.keys() == now.keys() and len(before) > 8
    differing = {name for name in before if before[name] != now[name]}
    assert {Path(name).name for name in differing} <= set(TIMED)
    assert timeless(one) == timeless(other) and outcome(one) == outcome(other)
    for name in before:
        if name.endswith(".pth"):
            states = [
                torch.load(run / name, weights_only=True)["state_dict"] for run in (one, other)
            ]
            assert states[0].keys() == states[1].keys()
            assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.slow
def test_runs_in_turn_leave_the_bytes_of_runs_alone(tmp_path: Path, capsys):
    alone, turns = tmp_path / "alone", tmp_path / "turns"
    grid = ["--strategies", "coreset", "random", "learning_loss", "--seeds", "0", "1"]
    assert sweep(turns, *grid, "--in-process") == 0
    assert capsys.readouterr().out.startswith("6 runs, 0 of them finished before")
    # of a seed and kind of first training: the one that had none to take over
    assert sweep(alone, "--strategies", "coreset", "learning_loss", "--seeds", "1") == 0
    for strategy in ("coreset", "learning_loss"):
        run = Path("toy_config") / strategy / "seed1"
        same(alone / run, turns / run)
        log = (turns / run).with_suffix(".log").read_text(encoding="utf-8")
        assert log.count("area under the curve") == 1, "each has its own output"


@pytest.mark.slow
def test_runs_on_frozen_features_too(tmp_path: Path):
    """The last of three in turn, with all data, features and weights taken over."""
    images = imagekit.make_folder(tmp_path / "images")
    options = [
        f"task.data_root={images}",
        f"task.cache={tmp_path / 'features'}",
        "budget.initial=4",
        "budget.query=2",
        "committee.passes=2",
        "committee.members=2",
    ]
    seeds = ["--smoke", "--seeds", "0"]
    turns, alone = tmp_path / "turns", tmp_path / "alone"
    given = ["--strategies", "ensemble_bald", "badge", "learning_loss", *seeds, "--in-process"]
    assert sweep(turns, *given, config=FROZEN, options=options) == 0
    last = ["--strategies", "learning_loss", *seeds, "--no-cache"]
    assert sweep(alone, *last, config=FROZEN, options=options) == 0
    run = Path("cls_timm_folder-smoke/learning_loss/seed0")
    same(alone / run, turns / run)


@pytest.mark.slow
def test_after_a_run_that_fails_or_is_killed_the_next_one_has_a_new_process(tmp_path: Path):
    with in_turn(1) as place:
        job = _job(tmp_path, "random", *LONG)
        wrong = replace(job, command=(*job.command, "--bogus"))
        assert place.start(wrong).wait() == 2 and place.free == []
        assert "unrecognized arguments: --bogus" in job.line(2, 1.0)
        turn = place.start(job)
        _until(lambda: job.cycle > 0, turn)
        turn.send_signal(signal.SIGKILL)
        assert turn.wait() == -signal.SIGKILL and place.free == []
        other = _job(tmp_path, "placebo", "budget.cycles=2")
        assert place.start(other).wait() == 0 and len(place.free) == 1
        process = place.free[0].process
    assert process.returncode == 0, "it ended with the sweep"


def _job(tmp_path: Path, strategy: str, *options: str):
    from tools.sweep.jobs import planned

    given = [TOY, "--strategies", strategy, "--seeds", "0", "--work-dir", str(tmp_path)]
    arguments = al_sweep.parser().parse_args([*given, "--cfg-options", *options])
    return planned(arguments, print)[0]


def _until(condition, turn) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert turn.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_signal_ends_the_run_in_order_and_the_same_command_goes_on(tmp_path: Path):
    command = [sys.executable, str(REPOSITORY / "tools/al_sweep.py"), TOY, "--in-process"]
    command += ["--strategies", "random", "--seeds", "0", "--wandb", "disabled"]
    command += ["--work-dir", str(tmp_path / "turns"), "--cfg-options", *LONG]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    state = tmp_path / "turns/toy_config/random/seed0/state.json"
    deadline = time.monotonic() + 60
    while not (state.exists() and json.loads(state.read_text())["cycle"] > 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    log = state.parent.with_suffix(".log").read_text(encoding="utf-8")
    assert "stopped by SIGTERM" in log and not (state.parent / "done").exists()
    assert al_sweep.main(command[2:]) == 0, "it goes on"
    assert json.loads(state.read_text())["cycle"] == 12 and (state.parent / "done").exists()


def test_workers_of_ray_hold_one_run_each(tmp_path: Path, capsys):
    given = ["--strategies", "random", "--seeds", "0", "--in-process", "--ray", "auto"]
    assert sweep(tmp_path, *given) == 2
    assert "--in-process: expected without --ray" in capsys.readouterr().out


def test_adapters_are_shared_as_long_as_settings_and_data_are_the_same(tmp_path: Path):
    root = imagekit.make_folder(tmp_path / "images")
    kind, settings = imagekit.Classification, dict(data_root=str(root), network="resnet10_cifar_w8")
    adapters = Adapters()
    first = adapters.make(kind, settings)
    assert adapters.make(kind, settings) is not first, "nothing is known of what it read"
    first = adapters.make(kind, settings)
    adapters.before = fingerprint(first)
    assert adapters.make(kind, dict(settings)) is first
    other = adapters.make(kind, settings | {"test_limit": 3})
    assert other is not first and other.test_limit == 3
    again = adapters.make(kind, settings)
    assert again is not first
    image = next((root / "train").glob("*/*.png"))
    image.write_bytes(image.read_bytes() + b"\0")
    assert adapters.make(kind, settings) is not again, "an image changed"
    adapters.before = fingerprint(adapters.make(kind, settings))
    image.unlink()
    fresh = adapters.make(kind, settings)
    assert len(fresh.dataset("pool")) == sum(imagekit.SIZES["train"].values()) - 1
