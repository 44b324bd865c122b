"""Two processes on the CPU: the numbers of one process with the same weights, and every
file written once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from acquisition.pool import Pool
from models.process.seeding import stream
from models.training.trainer import warm_start
from tests import commands
from tests.conftest import REPOSITORY
from tools.experiment.config import load
from tools.record.folder import RunFolder
from tools.train import cycle as cycle_parts

pytestmark = pytest.mark.slow

OPTIONS = {
    "budget.initial": 11,
    "budget.query": 4,
    "budget.cycles": 2,
    "training.epochs": 40,
    "module.detach_epoch": 1,
}
CONFIG = REPOSITORY / "tests" / "examples" / "toy_config.py"


def start(folder: Path, *more: str) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "tools/al_train.py",
        str(CONFIG),
        "--launcher",
        "pytorch",
        "--wandb",
        "disabled",
        "--work-dir",
        str(folder),
        *more,
        "--cfg-options",
        *[f"{key}={value}" for key, value in OPTIONS.items()],
    ]
    alone = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        env=os.environ | alone,
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen) -> str:
    said, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    return said


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run by two processes, and what was said."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    return folder, finish(start(folder))


def test_everything_is_said_and_written_once(pair):
    folder, said = pair
    assert (
        said.count("cycle 1/2")
        == said.count("cycle 2/2")
        == said.count("area under the curve")
        == 1
    )
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["labeled"] for row in rows] == [11, 15]
    with np.load(folder / "queries/00.npz") as query:
        assert len(set(query["picked"].tolist())) == 4
        assert sorted(query["candidates"].tolist()) == sorted(set(range(60)) - set(initial()))
        assert np.isfinite(query["signal/predicted_loss"]).all()


def initial() -> list[int]:
    return stream(0, 0, "initial set").choice(60, 11, replace=False).tolist()


def test_evaluation_and_ranking_are_those_of_one_process(pair, tmp_path):
    """A test sample counted twice, or batch norm that differs between the processes, would
    give other numbers.
    """
    folder, _ = pair
    experiment = load(CONFIG, options=OPTIONS)
    row = RunFolder(folder).rows(2)[1]
    last = Pool(60, RunFolder(folder).resume(60).labeled, cycle=1)
    cycle = cycle_parts.Cycle(experiment, RunFolder(tmp_path), last)
    with cycle_parts.start(cycle) as runner:
        warm_start(runner.model, folder / "cycles/01")
        assert runner.test()["score"] == pytest.approx(row["score"], rel=1e-5)
        ranking = cycle_parts.ranking_quality(cycle, runner.model, None)
    assert ranking["ranking/control/n"] == 10
    assert ranking == {key: value for key, value in row.items() if key.startswith("ranking/")}


def test_told_to_stop_both_stop_after_the_same_iteration_and_end_as_those_undisturbed(
    pair, tmp_path
):
    folder = tmp_path / "run"
    process, deadline = start(folder), time.monotonic() + 120
    while not (folder / "cycles/00/checkpoint.pth").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)  # to the launcher, which passes it on
    said, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "after iteration " in said and said.count("the same command goes on") == 1, said
    assert errors.count("SIGTERM: finishing this iteration") == 1, "the first process says it"
    finish(start(folder))
    assert (folder / "state.json").read_bytes() == (pair[0] / "state.json").read_bytes()
    assert timeless(folder) == timeless(pair[0])


def test_a_process_that_dies_ends_the_run_and_the_same_command_goes_on(pair, tmp_path):
    folder, rank = tmp_path / "run", 1
    process, deadline = start(folder), time.monotonic() + 120
    while not (folder / "cycles/00/checkpoint.pth").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    victim = next(
        pid for pid in children(process.pid) if f"\0RANK={rank}\0" in f"\0{environment(pid)}\0"
    )
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert (
        f"rank      : {rank} (local_rank: {rank})" in errors and "Signal 9 (SIGKILL)" in errors
    ), errors
    assert not (folder / "done").exists()
    finish(start(folder))
    assert (folder / "state.json").read_bytes() == (pair[0] / "state.json").read_bytes()
    assert timeless(folder) == timeless(pair[0])


def children(pid: int) -> list[int]:
    """Processes that it started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def timeless(folder: Path) -> list[dict]:
    return [
        {k: v for k, v in row.items() if not k.startswith("seconds/")}
        for row in RunFolder(folder).rows(2)
    ]


def test_another_number_of_processes_is_another_run(pair, capsys):
    options = [f"{key}={value}" for key, value in OPTIONS.items()]
    assert (
        commands.train([str(CONFIG), "--work-dir", str(pair[0]), "--cfg-options", *options], None)
        == 2
    )
    assert "processes: 2 there, '(missing)' now" in capsys.readouterr().out
