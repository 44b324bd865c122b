"""Check what runs left behind:  python tools/al_verify.py work_dirs/cls_sandbox/*/seed0

For each run folder: the labeled sets follow from seed and picks, candidates and picks are what they must be, files
agree with each other and with the receipts' hashes, and the strategy, asked again with the saved signals, picks the
same; images and labels, where they are at hand, are those that the run was made of. Across runs of one config and seed:
the initial set, the data, the first weights where the training is the same, and the first row where the weights are. A
run that is not finished is checked as far as it is committed.

The exit status is 0 where all is well, 1 where a check failed, 2 where a folder holds no run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: its folder is first on the path, where its names would hide others
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place).resolve() != HERE)]

from rich.console import Console

from tasks.faults import printable
from tools.train.session import option
from tools.compare.finding import find
from tools.record.reading import ComparisonError
from tools.experiment.config import ConfigError
from tools.record import code, facts, plans
from tools.record.fingerprint import Fingerprint
from tools.record.folder import RunFolder, RunFolderError
from tools.display.streams import command
from tools.verify import across
from tools.verify.checks import CHECKS
from tools.verify.data import Present
from tools.verify.run import Remark, Run, read

FAILED, NO_RUN = 1, 2


class Report:
    """Prints a line a check, and remembers whether one failed."""

    def __init__(self) -> None:
        self.console = Console(soft_wrap=True, markup=False, highlight=False)
        self.failed = False

    def title(self, text: str) -> None:
        """What the next lines are about."""
        self.console.print(printable(text))

    def line(self, check: str, compared: str, remarks: Sequence[Remark]) -> None:
        """A check: "ok" and what was compared where there are no remarks; else those, the first ten."""
        self.failed |= any(remark.status == "FAILED" for remark in remarks)
        for remark in list(remarks[:10]) or [Remark(None, compared, "ok")]:
            where = "" if remark.cycle is None else f"cycle {remark.cycle}: "
            text = printable(f"{where}{remark.text}", keep="\n")  # names and texts are those of the run's files
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
        return self._present.of([settings, self.options], lambda: plans.task(path, self.trust, self.options))


def one(path: Path, report: Report, data: Data) -> Run | None:
    """Check one run; None where it cannot be read."""
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


def _remarks(check: Callable[[Run], Iterable[Remark]], run: Run) -> list[Remark]:
    """What a check remarks; of files that anybody may have written, any error in it is one of theirs."""
    try:
        return list(check(run))
    except Exception as error:
        return [Remark(None, f"it cannot be checked ({type(error).__name__}: {error})")]


def _unreadable(path: Path, why: str, report: Report) -> None:
    report.title(str(path))
    report.line("readable", "", [Remark(None, why)])


def together(runs: Sequence[Run], report: Report) -> None:
    """Check what runs of one config and seed share."""
    for group in across.groups([run for run in runs if run.cycles]):
        report.title("together: " + ", ".join(str(run.folder.path) for run in group))
        alone = [Remark(None, "no other run here is of its config, seed and samples", "not compared")]
        for check in (across.initial_sets, across.same_data, across.first_weights, across.first_rows):
            remarks = list(check(group)) if len(group) > 1 else alone
            report.line(check.__name__.replace("_", " "), _first_line(check), remarks)


def _first_line(check: Callable) -> str:
    """What a check compares, as its docstring says it."""
    return (check.__doc__ or "").partition("\n")[0].rstrip(".")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, help="run folders, or folders with some below: work_dirs/<config>"
    )
    parser.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="task.key=value",
                       help="settings over the runs', to find data that moved: task.data_root=data/mine")  # fmt: skip
    code.add_option(parser)
    arguments, report, there = parser.parse_args(argv), Report(), list[Path]()
    others = [key for key, _ in arguments.cfg_options if not key.startswith("task.")]
    if others:
        parser.error(f"--cfg-options: expected settings of the task, which find its data, but got {others[0]}")
    for path in arguments.runs:
        try:
            find([path])
        except ComparisonError as error:
            print(f"error: {error}", file=sys.stderr)
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


if __name__ == "__main__":
    command(main)
