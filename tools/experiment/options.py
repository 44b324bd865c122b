"""What the commands share of their command lines: settings as `key=value`, exit statuses,
and a report of errors.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from typing import Any

from acquisition.pool import Budget
from tasks import grouping
from tasks.base import Task

ALL_TOLD = "`al_train.py CONFIG --dry-run --every-fault` prints all of them"

USAGE_ERROR, STOPPED = 2, 130


def option(text: str) -> tuple[str, Any]:
    """`key=value` with a Python literal, a list in brackets, or a word or path as value."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"expected key=value, but got {text!r}")
    try:
        return key, _value(value)
    except RecursionError as error:
        raise argparse.ArgumentTypeError(
            f"{key}: expected a value, but got too many brackets in brackets"
        ) from error


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    # the last two: of brackets in brackets
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        listed = text.startswith("[") and text.endswith("]")
        return [_value(item.strip()) for item in text[1:-1].split(",")] if listed else text


class ConfigError(Exception):
    """Everything wrong with a config or what it names, a line each; of many alike the first ones
    and their number.

    Args:
        where: the config.
        problems: the lines.
        task: the adapter and
        budget: the budget where nothing is wrong with them: what can still be looked at for one
            whole report.
    """

    def __init__(
        self,
        where: str,
        problems: Sequence[str],
        task: Task | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.where, self.problems, self.task, self.budget = where, list(problems), task, budget
        lines = grouping.told(self.problems)
        super().__init__(self._text(lines if lines == self.problems else [*lines, ALL_TOLD]))

    @property
    def whole(self) -> str:
        """The text with every problem."""
        return self._text(self.problems)

    def _text(self, lines: Sequence[str]) -> str:
        return "\n  ".join([f"{self.where}: {len(self.problems)} problem(s)", *lines])
