"""The command as a process of its own: killed without warning, started again, and read
back from W&B's own file.
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

from tests.conftest import REPOSITORY
from tests.wandb_reader import fragments, read_run

pytestmark = pytest.mark.slow

# a cycle takes about a second
SLOW = ["training.epochs=40", "module.detach_epoch=30", "training.workers=1"]


def command(folder: Path, *more: str) -> list[str]:
    script, config = REPOSITORY / "tools/al_train.py", REPOSITORY / "tests/examples/toy_config.py"
    return [
        sys.executable,
        str(script),
        str(config),
        "--work-dir",
        str(folder),
        "--cfg-options",
        *SLOW,
        *more,
    ]


def start(folder: Path, *more: str) -> subprocess.Popen:
    keep = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    alone = {
        "PYTHONPATH": str(REPOSITORY),
        "WANDB_MODE": "offline",
        "HOME": str(folder.parent),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        command(folder, *more),
        env=keep | alone,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder.parent,
        start_new_session=True,
    )


def finish(folder: Path) -> str:
    process = start(folder)
    said, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, ""), errors
    return said


def started(folder: Path, there: str, *more: str) -> subprocess.Popen:
    """Start the command and wait until a file matches that stays for a while."""
    process, deadline = start(folder, *more), time.monotonic() + 90
    while not any(folder.glob(there)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, there
        time.sleep(0.01)
    return process


def kill_when(folder: Path, there: str) -> None:
    """Kill the command and all that it started as soon as a file matches."""
    process = started(folder, there)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def outcome(folder: Path) -> tuple:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timeless = [{k: v for k, v in row.items() if not k.startswith("seconds/")} for row in rows]
    queries = {path.name: path.read_bytes() for path in sorted((folder / "queries").iterdir())}
    return (folder / "state.json").read_bytes(), timeless, queries


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("calm") / "run"
    said = finish(folder)
    assert said.count("cycle ") == 3 and "area under the curve" in said
    return folder


def test_the_curve_is_in_the_file_that_wandb_wrote(calm: Path):
    (fragment,) = fragments(calm)
    run = read_run(fragment)
    rows = [json.loads(line) for line in (calm / "metrics.jsonl").read_text().splitlines()]
    assert run.curve("score") == [(r["labeled"], r["score"]) for r in rows]
    assert run.config["strategy"] == "learning_loss" and run.config["seed"] == 0
    assert run.summary["final/score"] == rows[-1]["score"]
    area = np.trapezoid([r["score"] for r in rows], [r["labeled"] for r in rows]) / 10
    assert run.summary["area_under_curve"] == pytest.approx(area)
    assert run.exit_code == 0


@pytest.mark.parametrize(
    "there", ["cycles/00/checkpoint.pth", "cycles/01/checkpoint.pth", "queries/01.npz"]
)
def test_killed_and_started_again_it_ends_the_same(calm: Path, tmp_path: Path, there: str):
    folder = tmp_path / "run"
    kill_when(folder, there)
    assert not (folder / "done").exists()
    said = finish(folder)
    assert outcome(folder) == outcome(calm)
    assert [row["cycle"] for place in fragments(folder) for row in read_run(place).history] == [
        0,
        1,
        2,
    ]
    assert "is finished; nothing to do\n" in finish(folder)
    assert said.count("W&B: offline") == 1


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_says_how_to_go_on_and_ends_the_same(
    calm: Path, tmp_path: Path, told: signal.Signals
):
    folder = tmp_path / "run"
    process = started(folder, "cycles/01/checkpoint.pth")
    os.killpg(process.pid, told)  # as a terminal's Ctrl-C: to its whole group
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"stopped by {told.name} after iteration " in said and said.rstrip().endswith(
        "; the same command goes on"
    )
    assert (
        errors.strip()
        == f"{told.name}: finishing this iteration (Ctrl-C once more: ending at once)"
    )
    assert not (folder / "done").exists()
    finish(folder)
    assert outcome(folder) == outcome(calm)
    assert [row["cycle"] for place in fragments(folder) for row in read_run(place).history] == [
        0,
        1,
        2,
    ]


def test_a_second_process_on_the_folder_is_refused_and_the_first_is_not_disturbed(tmp_path: Path):
    folder = tmp_path / "run"
    first = started(folder, "cycles/00/checkpoint.pth", "training.epochs=100000")
    second = start(folder, "training.epochs=100000")
    said, errors = second.communicate(timeout=60)
    assert (second.returncode, errors) == (2, "")
    assert (
        f"is in use by process {first.pid} on " in said
        and "wait, or take another --work-dir" in said
    )
    assert first.poll() is None
    os.kill(first.pid, signal.SIGTERM)
    os.kill(first.pid, signal.SIGTERM)  # schedulers repeat themselves
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 130 and "which is kept; the same command goes on" in said
