"""A dozen kills of a labeling project's commands (`python -m tests.label_torture` has hundreds),
and a bug that they must find.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def torture(kills: int, *more: str, before: str = "pass") -> subprocess.CompletedProcess:
    """In a process of its own, which has no threads when it forks.

    `before` is code that is run first.
    """
    code = (
        f"import sys; from tests import label_torture; {before}; "
        "sys.exit(label_torture.main(sys.argv[1:]))"
    )
    keep = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    alone = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, "--kills", str(kills), *more]
    return subprocess.run(
        command, env=keep | alone, capture_output=True, text=True, timeout=500, cwd=REPOSITORY
    )


def test_killed_a_dozen_times_a_project_ends_the_same():
    done = torture(12, "--most", "12")
    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.findall(r"^(\w+), .*: (\d+)$", done.stdout, re.MULTILINE)
    assert sum(int(count) for _, count in ended) >= 12
    assert {part for part, _ in ended} >= {"next", "add"}
    assert re.search(
        r"^[1-9]\d* projects with 1\d kills ended the same$", done.stdout, re.MULTILINE
    )


def test_a_batch_that_goes_out_before_its_files_is_found():
    bug = (
        "from tools.label import batches, session; write = session._write; "
        "session._write = lambda p, b, *more: (batches.write(p.path, b), write(p, b, *more))"
    )
    done = torture(60, "--most", "15", before=bug)
    assert done.returncode == 1, done.stdout
    assert "WRONG: " in done.stdout or "No such file" in done.stderr
