"""Parts of a command line that the commands share: `key=value`, exit statuses, error reports.

Commands import this before they know that there is something to do: it needs neither torch nor
NumPy.
"""

from __future__ import annotations

import argparse
import ast
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.process.text import error_line
from tasks import grouping

ALL_TOLD = "`al_train.py CONFIG --dry-run --every-fault` prints all of them"

USAGE_ERROR, STOPPED = 2, 130


def option(text: str) -> tuple[str, Any]:
    """`key=value` with a Python literal, a list in brackets, or a word or path as value."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"expected key=value, but got {text!r}")
    try:
        return key, literal(value)
    except RecursionError as error:
        raise argparse.ArgumentTypeError(
            f"{key}: expected a value, but got too many brackets in brackets"
        ) from error


def task_option(text: str) -> tuple[str, Any]:
    """`task.key=value`, where settings over a run's find its data, and nothing else."""
    key, value = option(text)
    if not key.startswith("task."):
        raise argparse.ArgumentTypeError(
            f"expected settings of the task, which find its data, but got {key}"
        )
    return key, value


def literal(text: str) -> Any:
    """A Python literal, a list in brackets of such, or a word or path."""
    try:
        return ast.literal_eval(text)
    # the last two: of brackets in brackets
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        if text.startswith("[") and text.endswith("]"):
            return [literal(item.strip()) for item in text[1:-1].split(",")]
        return text


def at_least(least: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` on."""

    def number(text: str) -> int:
        """Return the number that a text says."""
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {least}, but got {text!r}"
            )
        return int(text)

    return number


class ConfigError(Exception):
    """Everything wrong with a config or with what it names, one line each.

    Of many faults alike, the message shows the first ones and the count.

    Args:
        where: the config.
        problems: the lines.
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, list(problems)
        lines = grouping.told(self.problems)
        if lines != self.problems:
            lines = [*lines, ALL_TOLD]
        super().__init__(self._text(lines))

    @property
    def whole(self) -> str:
        """The text with every problem."""
        return self._text(self.problems)

    def _text(self, lines: Sequence[str]) -> str:
        return "\n  ".join([f"{self.where}: {len(self.problems)} problem(s)", *lines])


def add_trust(parse: argparse.ArgumentParser) -> None:
    """`--trust`, of commands that read run folders."""
    parse.add_argument(
        "--trust",
        action="append",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="a folder whose code may be run: of a task, strategy or signal of your own that a "
        "run names. Once for each folder; nothing in a run folder itself is run",
    )


def add_moved(parse: argparse.ArgumentParser) -> None:
    """`--cfg-options` and `--trust`, of commands that look at the data of runs."""
    parse.add_argument(
        "--cfg-options",
        nargs="+",
        type=task_option,
        default=[],
        metavar="task.key=value",
        help="settings of the task over the run's, as where data moved: task.data_root=data/mine",
    )
    add_trust(parse)


def add_ray(parse: argparse.ArgumentParser, what: str) -> None:
    """`--ray`, of commands that can leave work to a cluster; `what` is that work, in words."""
    parse.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help=f"{what} on the Ray cluster at host:port, or auto: on that of this machine; without "
        "an address on that of RAY_ADDRESS, otherwise on a new one on this machine",
    )


def add_run(parse: argparse.ArgumentParser) -> None:
    """A run whose network is used, its cycle, and how its task is found."""
    parse.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parse.add_argument(
        "--cycle",
        type=int,
        metavar="N",
        help="the cycle, from 0; the newest by default. Others are kept by "
        "training.keep_weights=all",
    )
    add_moved(parse)


def require(config: str | Path) -> None:
    """Refuse a config that is not there.

    Raises:
        ConfigError: with the nearest name beside it.
    """
    if not _is_file(config):
        raise ConfigError(
            str(config),
            [f"no such file; expected a config such as configs/det_ssd_voc.py{_beside(config)}"],
        )


def missing(*configs: str) -> bool:
    """Whether a config is not there; prints an error for the first such one."""
    try:
        for config in configs:
            require(config)
    except ConfigError as error:
        print(error_line(error))
        return True
    return False


def _is_file(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # a name that is too long
        return False


def _beside(path: str | Path) -> str:
    folder = Path(path).parent
    near = difflib.get_close_matches(Path(path).name, [p.name for p in folder.glob("*.py")], n=1)
    if not near:
        return ""
    return f"; did you mean {folder / near[0]}?"
