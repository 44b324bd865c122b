"""A dozen kills of the toy's run (`make torture` has hundreds, on every task), and a bug
that they must find.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


def torture(kills: int, *more: str, before: str = "pass") -> subprocess.CompletedProcess:
    """In a process of its own, which has no threads when it forks.

    `before` is code that is run first.
    """
    code = f"import sys; from tests import torture; {before}; sys.exit(torture.main(sys.argv[1:]))"
    keep = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    alone = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-c", code, "--kills", str(kills), *more]
    return subprocess.run(
        command, env=keep | alone, capture_output=True, text=True, timeout=500, cwd=REPOSITORY
    )


def test_killed_a_dozen_times_a_run_ends_the_same():
    done = torture(12)
    assert done.returncode == 0, done.stdout
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows]
    assert [row[0] for row in cells] == ["toy", "toy, W&B"]
    assert sum(int(cell) for row in cells for cell in row[3:7]) >= 12
    assert all(row[7] == row[8] and int(row[7]) > 0 for row in cells), (
        "as many trials as ended the same"
    )


def test_a_resume_that_is_not_exact_is_found():
    # no random state
    bug = (
        "from models.training.hooks import StartEpoch; StartEpoch.before_train_iter = lambda *a, "
        "**k: None"
    )
    done = torture(40, "--only", "toy", before=bug)
    assert done.returncode == 1, done.stdout
    assert "WRONG: " in done.stdout and "differs from" in done.stdout
