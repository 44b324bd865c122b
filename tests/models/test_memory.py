"""Freed memory that is kept: pages that the system need not hand out again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from models.process import memory
from tests.conftest import REPOSITORY

FAULTS = """
import resource, sys, torch
from models.process.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for turn in range(120):
    if turn == 100:  # blocks are aligned, so the first few turns split what is free: how many is the heap's affair
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)  # 64 MB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    command = [sys.executable, "-c", FAULTS, mode]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | {
        "PYTHONPATH": str(REPOSITORY)
    }
    return int(
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
@pytest.mark.slow
def test_pages_are_taken_once():
    kept, given_back = faults("keep"), faults("default")
    assert given_back >= 20 * 32, "at least 64 MB in huge pages of 2 MB, each time"
    assert kept < given_back / 10


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
