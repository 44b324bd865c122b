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

FAILED = 1
NO_RUN = 2


def main(arguments: argparse.Namespace) -> int:
    """Check runs, and print the results.

    Args:
        arguments: the options of `al_verify.py`.

    Returns:
        The exit status of `al_verify.py`.
    """
    report = Report()
    paths = []
    for path in arguments.runs:
        try:
            find([path])
        except ComparisonError as error:
            print(error_line(error), file=sys.stderr)
        else:
            paths.append(path)
    folders, left_out = find(paths)
    for closed in left_out:
        _unreadable(closed.path, closed.why, report)
    data = Data(arguments.trust, dict(arguments.cfg_options))
    runs = [one(path, report, data) for path in folders]
    if len(runs) > 1:
        together([run for run in runs if run is not None], report)
    if len(paths) < len(arguments.runs):
        return NO_RUN
    return FAILED if report.failed else 0


class Report:
    """Prints a line for each check, and remembers whether one failed."""

    def __init__(self) -> None:
        self.console = Plain()
        self.failed = False

    def title(self, text: str) -> None:
        """Print the subject of the next lines."""
        self.console.print(printable(text))

    def line(self, check: str, compared: str, remarks: Sequence[Remark]) -> None:
        """Print a check's first ten remarks; without a remark, "ok" and what was compared."""
        self.failed |= any(remark.status == "FAILED" for remark in remarks)
        for remark in list(remarks[:10]) or [Remark(None, compared, "ok")]:
            text = remark.text
            if remark.cycle is not None:
                text = f"cycle {remark.cycle}: {text}"
            text = printable(text, keep="\n")  # it contains names and texts of the run's files
            self.console.print(f"  {remark.status:13} {check:14} {text}")
        if len(remarks) > 10:
            self.console.print(f"  {'':13} {check:14} ... and {len(remarks) - 10} more")


class Data:
    """The runs' data as they are now; each set is read once.

    Args:
        trust: folders with code that may be run.
        options: settings over the runs', if the data have moved.
    """

    def __init__(self, trust: plans.Trust, options: Mapping[str, Any]) -> None:
        self.trust = trust
        self.options = options
        self._present = Present()

    def now(self, path: Path) -> Fingerprint | None | str:
        """Return the fingerprint of a run's data, see `Present.of`."""
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
        count = len(run.cycles)
        cycles = run.experiment.budget.cycles
    except (ConfigError, RunFolderError, OSError) as error:
        _unreadable(path, str(error), report)
        return None
    title = f"{path}: {count} of {cycles} cycles"
    if count < cycles:
        title += ", not finished"
    report.title(title)
    if count:
        for name, check in CHECKS.items():
            report.line(name, _first_line(check), _remarks(check, run))
    return run


def _remarks(check: Callable[[Record], Iterable[Remark]], run: Record) -> list[Remark]:
    """The remarks of a check.

    An error in it is a remark, too, as anybody may have written the run's files.
    """
    try:
        return list(check(run))
    except Exception as error:
        return [Remark(None, f"it cannot be checked ({type(error).__name__}: {error})")]


def _unreadable(path: Path, why: str, report: Report) -> None:
    report.title(str(path))
    report.line("readable", "", [Remark(None, why)])


def together(runs: Sequence[Record], report: Report) -> None:
    """Check that runs of one config and seed share what they must."""
    for group in across.groups([run for run in runs if run.cycles]):
        report.title("together: " + ", ".join(str(run.folder.path) for run in group))
        alone = Remark(None, "no other run here has its config, seed and samples", "not compared")
        for check in (
            across.initial_sets,
            across.same_data,
            across.first_weights,
            across.first_rows,
        ):
            remarks = [alone]
            if len(group) > 1:
                remarks = list(check(group))
            report.line(check.__name__.replace("_", " "), _first_line(check), remarks)


def _first_line(check: Callable) -> str:
    """What a check compares, by its docstring."""
    return headline(check.__doc__).rstrip(".")
