"""Check that a task keeps the contract of tasks/base.py.

    python tools/check_task.py configs/det_sandbox.py

A task of one's own to begin with:  python tools/check_task.py --new mytask.py

The checks are in `tools/contract`; this is their command line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from tools.display.streams import command
from tools.experiment.options import USAGE_ERROR, missing, option


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
    """Check a task and print a line for each check.

    Args:
        argv: without the program's name.

    Returns:
        The exit status: 0, 1 if a check failed, 2 if config or adapter cannot be loaded.
    """
    arguments = parser().parse_args(argv)
    if arguments.new is None and missing(arguments.config):
        return USAGE_ERROR
    from tools.contract import session  # what it needs takes seconds to import

    return session.main(arguments)


if __name__ == "__main__":
    command(main)
