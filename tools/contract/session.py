"""Check a task and print a line for each check, or write a task to begin with."""

from __future__ import annotations

import argparse
import shlex
import traceback
from collections import Counter
from pathlib import Path

from rich.console import Console

from models.process.text import error_line
from tools.contract import CHECKS, Subject, scaffold, verdicts
from tools.display.console import Plain
from tools.experiment.config import Experiment, load
from tools.experiment.options import USAGE_ERROR, ConfigError

FAILED = 1


def main(arguments: argparse.Namespace) -> int:
    """Check a task, or write one.

    Args:
        arguments: the options of `check_task.py`.

    Returns:
        The exit status of `check_task.py`.
    """
    console = Plain()
    if arguments.new is not None:
        return _write(arguments.new, console)
    try:
        # the contract is of labels as they are: simulated people give others to "train" alone
        options = {**dict(arguments.cfg_options), "oracle": None}
        experiment = load(arguments.config, smoke=arguments.smoke, options=options)
    except ConfigError as error:
        console.print(error_line(error))
        return USAGE_ERROR
    return _report(experiment, console, arguments)


def _write(path: Path, console: Console) -> int:
    try:
        adapter, config = scaffold.write(path)
    except scaffold.ScaffoldError as error:
        console.print(error_line(f"--new: {error}"))
        return USAGE_ERROR
    console.print(
        f"wrote {adapter}, a task that works as it is, and {config}. Change it where a TODO is; "
        "try it with:"
    )
    named = shlex.quote(str(config))
    console.print(f"  python tools/check_task.py {named}")
    console.print(f"  python tools/al_train.py {named} --strategy learning_loss --wandb disabled")
    return 0


def _report(experiment: Experiment, console: Console, arguments: argparse.Namespace) -> int:
    kind = type(experiment.task)
    count: Counter[str] = Counter()
    console.print(f"{experiment.name}: {kind.__module__}.{kind.__qualname__}")
    for verdict in verdicts(Subject(experiment.task, arguments.check == "full")):
        count[verdict.status] += 1
        console.print(str(verdict))
        if arguments.traceback and verdict.error is not None:
            console.print("".join(traceback.format_exception(verdict.error)))
    line = (
        f"{len(CHECKS)} checks: {count['ok']} ok, {count['FAILED']} failed, {count['skipped']} "
        "skipped"
    )
    if left := len(CHECKS) - count.total():
        line += f", {left} left out, as there is nothing to read"
    console.print(line)
    return FAILED if count["FAILED"] else 0
