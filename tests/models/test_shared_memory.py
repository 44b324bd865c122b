"""Shared memory that is too small for the batches of data-loading workers: said before the
run, and never a hang.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from models.process import shared_memory
from models.process.shared_memory import SharedMemoryError, enough, lack, size
from models.training.loading import loader
from tests.commands import train as main
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools.experiment import preflight
from tools.experiment.config import load

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
SMALL = "mount -t tmpfs -o size=1M tmpfs /dev/shm && exec timeout 120 {python} -c {code}"
REAL = """
import torch
from models.training.loading import loader
from models.process.shared_memory import SharedMemoryError, enough

class Images(torch.utils.data.Dataset):
    def __len__(self): return 64
    def __getitem__(self, index): return torch.zeros(3, 300, 300)

try:
    with enough():
        list(loader(Images(), range(64), 16, 2, lambda samples: {"x": torch.stack(samples)}))
except SharedMemoryError as error:
    print(error)
"""


class Numbers(Dataset):
    """Sample i is a row of i."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((1000,), float(index))


class Full:
    """What says what torch says when it is to be sent."""

    def __reduce__(self) -> Any:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on "
            "device (28)"
        )


def rows_of(collate: Callable[[Sequence[Any]], Any]) -> list[Any]:
    return list(loader(Numbers(), range(12), 4, 2, collate))


def test_a_batch_that_finds_no_room_is_an_error_that_says_what_to_do():
    with pytest.raises(SharedMemoryError) as found, enough():
        rows_of(lambda samples: {"x": Full() if samples[0][0] == 4 else torch.stack(samples)})
    text = str(found.value)
    assert re.match(
        r"the data-loading workers need more shared memory \(/dev/shm has [\d,.]+ MB free; Runtime",
        text,
    )
    assert (
        "unable to allocate shared memory(shm)" in text
        and "No space left on device (28)); give the" in text
    )
    assert text.endswith("take fewer workers: --cfg-options training.workers=0 scoring.workers=0")


def test_the_signal_of_older_systems_is_the_same_error():
    said = (
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
        "dataloader's workers are "
    )
    with (
        pytest.raises(
            SharedMemoryError, match=r"pid 7\) is killed by signal: Bus error.*scoring.workers=0"
        ),
        enough(),
    ):
        raise RuntimeError(
            said + "out of shared memory. Please try to raise your shared memory limit."
        )


def test_a_signal_that_only_the_cause_names_is_the_same_error():
    """As torch 2.6 says it where it finds the worker dead while it waits for a batch."""
    cause = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible")
    with (
        pytest.raises(SharedMemoryError, match="more shared memory .*killed by signal: Bus error"),
        enough(),
    ):
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly") from cause


@pytest.mark.slow
def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="another"), enough():
        raise RuntimeError("another")
    with pytest.raises(
        AttributeError, match="a data-loading worker that sends its batch(.|\n)*lambda"
    ):
        rows_of(lambda samples: {"x": lambda: 0})  # Python's own queue would print this and go on


@pytest.mark.slow
def test_batches_that_can_be_sent_come_in_order():
    found = [
        batch["x"][:, 0].tolist() for batch in rows_of(lambda samples: {"x": torch.stack(samples)})
    ]
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.skipif(
    not shutil.which("unshare") or os.geteuid() != 0, reason="needs to mount a small /dev/shm"
)
@pytest.mark.slow
def test_with_a_megabyte_of_shared_memory():
    given = SMALL.format(python=sys.executable, code='"$CODE"')
    variables = {**os.environ, "CODE": REAL, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", given], env=variables, capture_output=True, text=True
    )
    if "permission denied" in done.stderr or "unshare failed" in done.stderr:
        pytest.skip(f"may not mount: {done.stderr}")
    assert done.stdout.startswith(
        "the data-loading workers need more shared memory (/dev/shm has "
    ), done.stderr
    assert (
        "give the container more (docker run --shm-size=8g" in done.stdout and done.returncode == 0
    )


def test_bytes_of_a_batch_are_numpys():
    images, boxes = (
        torch.zeros(4, 3, 10, 10),
        [torch.zeros(2, 4, dtype=torch.float64), torch.zeros(0, 4)],
    )
    expected = np.zeros((4, 3, 10, 10), np.float32).nbytes + np.zeros((2, 4)).nbytes
    assert (
        size({"inputs": images, "boxes": boxes, "names": ["a", "b"], "n": 3, "none": None})
        == expected
    )


def test_what_is_read_ahead_is_held_against_what_is_free(monkeypatch):
    usage = shutil.disk_usage("/")
    # 1.08 MB; by hand: 2 ahead x 4 workers x 32 = 256 of them, 276.48 MB
    sample = {"x": torch.zeros(1, 3, 300, 300)}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: replace_free(usage, 276_480_000))
    assert lack([sample], 32, 4, "training.workers") is None
    monkeypatch.setattr(shutil, "disk_usage", lambda path: replace_free(usage, 276_479_999))
    told = (
        "training.workers: 4 x 2 batches of 32 in shared memory take 276.5 MB, but /dev/shm has "
        "276.5 MB free; give"
    )
    assert str(lack([sample], 32, 4, "training.workers")).startswith(told)
    assert lack([sample], 32, 0, "training.workers") is None, (
        "the process itself hands nothing over"
    )
    monkeypatch.setattr(shared_memory, "PLACE", Path("/nowhere"))
    assert lack([sample], 32, 4, "training.workers") is None, "nobody knows"


def replace_free(usage: Any, free: int) -> Any:
    return usage._replace(free=free)


@pytest.mark.parametrize("part", ["training", "scoring"])
@pytest.mark.slow
def test_it_is_said_before_the_run_where_there_are_workers(monkeypatch, part, tmp_path, capsys):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(
        shared_memory,
        "shutil",
        type("Shutil", (), {"disk_usage": lambda p: usage._replace(free=100)}),
    )
    given = [
        TOY,
        "--dry-run",
        "--work-dir",
        str(tmp_path / "run"),
        "--wandb",
        "disabled",
        "--cfg-options",
    ]
    assert main([*given, "scoring.workers=0"], lambda *_: None) == 0
    assert main([*given, f"{part}.workers=3"], lambda *_: None) == 2
    told = (
        f"{part}.workers: 3 x 2 batches of {dict(training=4, scoring=8)[part]} in shared memory "
        "take 0.0 MB"
    )
    assert told in capsys.readouterr().out
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    experiment = load(TOY, options={f"{part}.workers": 3})
    assert f"{part}.workers: 6 x 2 batches" in "\n".join(preflight.problems(experiment, full=False))


def test_a_size_that_nobody_knows_is_no_problem(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(
        shared_memory,
        "shutil",
        type("Shutil", (), {"disk_usage": lambda p: usage._replace(free=0)}),
    )
    experiment = load(TOY, options={"scoring.workers": 3, "scoring.batch_size": "auto"})
    assert preflight.problems(experiment, full=False) == []

    class Odd(Toy):
        def collate(self, samples):
            if len(samples) == 1:
                raise ValueError("two at least")
            return super().collate(samples)

    experiment = replace(load(TOY, options={"scoring.workers": 3}), task=Odd())
    assert [
        line for line in preflight.problems(experiment, full=False) if "shared memory" in line
    ] == []
