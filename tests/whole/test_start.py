"""A command that has nothing to do yet answers before anything large is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acquisition import names
from acquisition.signals import SIGNALS
from acquisition.strategies import named_strategies
from tests.conftest import REPOSITORY
from tools.benchmarks import names as measured
from tools.benchmarks import subjects
from tools.data.published import NAMES, sets

COMMANDS = sorted(p.stem for p in (REPOSITORY / "tools").glob("*.py") if p.stem != "__init__")
LARGE = {"torch", "torchvision", "mmengine", "mmdet", "mmcv", "sklearn", "scipy", "wandb"}
LARGE |= {"matplotlib", "numpy", "cv2", "PIL", "pydantic", "ray"}
MISSING = str(REPOSITORY / "configs" / "det_sandbix.py")
NO_FILE = (
    f"error: {MISSING}: 1 problem(s)\n  {MISSING}: no such file; expected a config such as "
    f"configs/det_ssd_voc.py; did you mean {REPOSITORY / 'configs' / 'det_sandbox.py'}?\n"
).replace(f"  {MISSING}: no", "  no")
# the arguments that name a config that is not there, and the exit status
CONFIGS = {
    "al_train": ([MISSING], 2),
    "al_sweep": ([MISSING, "--strategies", "random", "--seeds", "0"], 2),
    "check_task": ([MISSING], 2),
    "wandb_board": ([MISSING], 2),
    "uncertainty": ([MISSING, "--labels", "9"], 1),
    "bench": (["cycle", "--config", MISSING], 1),
}
# a value that is none of those that can be chosen, and what is said of it
CHOICES = {
    "al_train": (["x.py", "--wandb", "onlin"], "'onlin' (choose from"),
    "al_sweep": (["x.py", "--wandb", "onlin"], "'onlin' (choose from"),
    "bench": (["score", "--network", "resnet19"], "'resnet19' (choose from"),
    "matrix": (["--root", ".", "--strategies", "randon"], "'randon' (choose from"),
    "prepare_data": (["cifar11", "--root", "."], "'cifar11' (choose from"),
    "uncertainty": (["x.py", "--labels", "1", "--signals", "entropi"], "'entropi' (choose from"),
}
RUN = """
import contextlib, io, json, runpy, sys

command, runs, out = json.loads(sys.argv[1])
answers = []
for arguments in runs:
    sys.argv = [command, *arguments]
    said = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        try:
            runpy.run_path(command, run_name="__main__")
        except SystemExit as end:
            status = end.code
        sys.stdout.flush(), sys.stderr.flush()
        texts = [stream.buffer.getvalue().decode() for stream in (sys.stdout, sys.stderr)]
    answers.append([status, "".join(texts)])
with open(out, "w") as file:
    json.dump([answers, sorted(sys.modules)], file)
"""


def answers(command: str, runs: list[list[str]], out: Path) -> tuple[list, set[str]]:
    """Exit status and text of each call, and the packages that all of them imported."""
    given = json.dumps([str(REPOSITORY / "tools" / f"{command}.py"), runs, str(out)])
    subprocess.run(
        [sys.executable, "-c", RUN, given], check=True, cwd=out.parent, env={**os.environ}
    )
    said, modules = json.loads(out.read_text())
    return said, {name.partition(".")[0] for name in modules}


def test_there_are_commands():
    assert len(COMMANDS) > 12 and CONFIGS.keys() | CHOICES.keys() <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_answers_before_anything_large_is_imported(command: str, tmp_path: Path):
    missing, status = CONFIGS.get(command, ([], None))
    wrong, text = CHOICES.get(command, ([], None))
    runs = [
        ["--help"],
        ["--no-such-option"],
        *([missing] if missing else []),
        *([wrong] if wrong else []),
    ]
    said, packages = answers(command, runs, tmp_path / "answers")
    assert said[0][0] == 0 and f"usage: {command}.py" in said[0][1]
    assert said[1][0] == 2 and f"{command}.py: error: " in said[1][1]
    if missing:
        assert said[2] == [status, NO_FILE]
    if wrong:
        assert said[-1][0] == 2 and text in said[-1][1]
    assert "argparse" in packages and "tools" in packages
    assert not packages & LARGE


def test_names_that_are_known_before_are_those_of_what_can_be_done():
    assert tuple(named_strategies()) == names.STRATEGIES
    assert tuple(SIGNALS) == names.SIGNALS
    assert tuple(subjects.PAPER) == measured.NETWORKS
    assert tuple(sets.SETS) == NAMES
