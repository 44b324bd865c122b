"""Checks of run folders, one by one and together, as lines on the terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from models.process.text import error_line, headline, printable
from tools.display.console import Plain
from tools.experiment.options import ConfigError
from tools.record import facts, plans
from tools.record.finding import find
from tools.record.fingerprint import Fingerprint
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import ComparisonError
from tools.verify import across
from tools.verify.checks import CHECKS
from tools.verify.data import Present
from tools.verify.run import Record, Remark, read

FAILED, NO_RUN = 1, 2


def main(arguments: argparse.Namespace) -> int:
    """Check runs, and say what was found.

    Args:
        arguments: the options of `al_verify.py`.

    Returns:
        The exit status of `al_verify.py`.
    """
    report, there = Report(), list[Path]()
    for path in arguments.runs:
        try:
            find([path])
        except ComparisonError as error:
            print(error_line(error), file=sys.stderr)
        else:
            there.append(path)
    found, left_out = find(there)
    for closed in left_out:
        _unreadable(closed.path, closed.why, report)
    data = Data(arguments.trust, dict(arguments.cfg_options))
    runs = [one(path, report, data) for path in found]
    if len(runs) > 1:
        together([run for run in runs if run is not None], report)
    if len(there) < len(arguments.runs):
        return NO_RUN
    return FAILED if report.failed else 0


class Report:
    """Prints a line a check, and remembers whether one failed."""

    def __init__(self) -> None:
        self.console = Plain()
        self.failed = False

    def title(self, text: str) -> None:
        """What the next lines are about."""
        self.console.print(printable(text))

    def line(self, check: str, compared: str, remarks: Sequence[Remark]) -> None:
        """A check: "ok" and what was compared if there are no remarks.

        Else those, the first ten.
        """
        self.failed |= any(remark.status == "FAILED" for remark in remarks)
        for remark in list(remarks[:10]) or [Remark(None, compared, "ok")]:
            where = "" if remark.cycle is None else f"cycle {remark.cycle}: "
            # names and texts are those of the run's files
            text = printable(f"{where}{remark.text}", keep="\n")
            self.console.print(f"  {remark.status:13} {check:14} {text}")
        if len(remarks) > 10:
            self.console.print(f"  {'':13} {check:14} ... and {len(remarks) - 10} more")


class Data:
    """The runs' data as they are now, each set looked at once.

    Args:
        trust: folders with code that may be run.
        options: settings over the runs', where the data have moved.
    """

    def __init__(self, trust: plans.Trust, options: Mapping[str, Any]) -> None:
        self.trust, self.options, self._present = trust, options, Present()

    def now(self, path: Path) -> Fingerprint | None | str:
        """Of the data of a run; why they are not here, where they are not."""
        settings = facts.settings(path).get("task")
        return self._present.of(
            [settings, self.options], lambda: plans.task(path, self.trust, self.options)
        )


def one(path: Path, report: Report, data: Data) -> Record | None:
    """Check one run; None if it cannot be read."""
    folder = RunFolder(path)
    try:
        folder.require_whole()
        run = read(folder, plans.plan(path, data.trust), partial(data.now, path))
        count, cycles = len(run.cycles), run.experiment.budget.cycles
    except (ConfigError, RunFolderError, OSError) as error:
        _unreadable(path, str(error), report)
        return None
    report.title(f"{path}: {count} of {cycles} cycles" + ", not finished" * (count < cycles))
    for name, check in CHECKS.items() if count else ():
        report.line(name, _first_line(check), _remarks(check, run))
    return run


def _remarks(check: Callable[[Record], Iterable[Remark]], run: Record) -> list[Remark]:
    """What a check remarks.

    Of files that anybody may have written, any error in it is one of theirs.
    """
    try:
        return list(check(run))
    except Exception as error:
        return [Remark(None, f"it cannot be checked ({type(error).__name__}: {error})")]


def _unreadable(path: Path, why: str, report: Report) -> None:
    report.title(str(path))
    report.line("readable", "", [Remark(None, why)])


def together(runs: Sequence[Record], report: Report) -> None:
    """Check what runs of one config and seed share."""
    for group in across.groups([run for run in runs if run.cycles]):
        report.title("together: " + ", ".join(str(run.folder.path) for run in group))
        alone = [
            Remark(None, "no other run here is of its config, seed and samples", "not compared")
        ]
        for check in (
            across.initial_sets,
            across.same_data,
            across.first_weights,
            across.first_rows,
        ):
            remarks = list(check(group)) if len(group) > 1 else alone
            report.line(check.__name__.replace("_", " "), _first_line(check), remarks)


def _first_line(check: Callable) -> str:
    """What a check compares, as its docstring says it."""
    return headline(check.__doc__).rstrip(".")
