"""Does a task keep the contract of tasks/base.py?

    python tools/check_task.py configs/det_sandbox.py

A task of one's own to begin with:  python tools/check_task.py --new mytask.py

The checks are in `tools/contract`; this is their command line.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from rich.console import Console

from tools.contract import CHECKS, Subject, scaffold, verdicts
from tools.display.streams import command
from tools.experiment.config import Experiment, load
from tools.experiment.options import USAGE_ERROR, ConfigError, option

FAILED = 1


def parser() -> argparse.ArgumentParser:
    """The options of `check_task.py`."""
    parse = argparse.ArgumentParser(
        prog="check_task.py",
        description="Check everything that the loop, the queries and the module expect of a task.",
    )
    what = parse.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "config", nargs="?", help="a file that names the task, such as configs/det_sandbox.py"
    )
    what.add_argument(
        "--new",
        type=Path,
        metavar="MYTASK.py",
        help="write a task to begin with, which works as it is, "
        "and its config beside it; writes over nothing",
    )
    parse.add_argument("--smoke", action="store_true", help="the config's smoke variant")
    parse.add_argument(
        "--check",
        choices=("fast", "full"),
        default="fast",
        help="full: decode every image beforehand",
    )
    parse.add_argument(
        "--traceback", action="store_true", help="show where in the code a check failed"
    )
    parse.add_argument(
        "--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
        help="settings over the config's, such as task.data_root=data/mine",
    )  # fmt: skip
    return parse


def main(argv: Sequence[str]) -> int:
    """Check, and say a line for each check.

    Args:
        argv: without the program's name.

    Returns:
        The exit status: 0, 1 where a check failed, 2 where config or adapter cannot be loaded.
    """
    arguments = parser().parse_args(argv)
    console = Console(soft_wrap=True, markup=False, highlight=False)  # paths may hold [brackets]
    if arguments.new is not None:
        return _write(arguments.new, console)
    try:
        experiment = load(
            arguments.config, smoke=arguments.smoke, options=dict(arguments.cfg_options)
        )
    except ConfigError as error:
        console.print(f"error: {error}")
        return USAGE_ERROR
    return _report(experiment, console, arguments)


def _write(path: Path, console: Console) -> int:
    try:
        adapter, config = scaffold.write(path)
    except scaffold.ScaffoldError as error:
        console.print(f"error: --new: {error}")
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
    kind, count = type(experiment.task), Counter[str]()
    console.print(f"{experiment.name}: {kind.__module__}.{kind.__qualname__}")
    for verdict in verdicts(Subject(experiment.task, arguments.check == "full")):
        count[verdict.status] += 1
        console.print(str(verdict))
        if arguments.traceback and verdict.error is not None:
            console.print("".join(traceback.format_exception(verdict.error)))
    left = len(CHECKS) - count.total()
    console.print(
        f"{len(CHECKS)} checks: {count['ok']} ok, {count['FAILED']} failed, {count['skipped']} "
        "skipped" + (f", {left} left out, for there is nothing to read" if left else "")
    )
    return FAILED if count["FAILED"] else 0


if __name__ == "__main__":
    command(main)
