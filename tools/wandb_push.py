"""Send run folders to W&B:  python tools/wandb_push.py work_dirs/det_ssd_voc

For runs made with `--wandb disabled`, or after a lost upload: the same W&B run as `al_train.py`'s, by id, group, job
type, tags and config, with each committed row once: online those that the server lacks, offline those that no offline
file of the run holds yet. Sent online, offline files are marked as sent, so that `wandb sync` leaves them out.

The exit status is 0 where all is well, 1 where a run could not be read or sent, 2 where there is no run, 130 after
Ctrl-C; the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

if not __package__:  # run as a file: its folder is first on the path, where its names would hide others
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place).resolve() != HERE)]

from rich.console import Console

from models.process.stopping import listening
from tasks.base import Task
from tasks.faults import printable
from tools.mirror import fragments, identity
from tools.experiment import preflight
from tools.compare.finding import find
from tools.record.reading import ComparisonError, read, Run, sample_names
from tools.experiment.config import ConfigError
from tools.record import code, plans
from tools.record.folder import RunFolder, RunFolderError
from tools.display.streams import command
from tools.mirror.tracking import Identity, Picture, resolve_mode, Tracker

FAILED, USAGE_ERROR, STOPPED = 1, 2, 130
HOW = "W&B: offline; to upload"  # how the tracker begins to tell it for one run; here one command is told for all


class PushError(Exception):
    """A run that could not be sent; the message says why."""


class Pictures:
    """A run's pictures where its data are here; the first failure is said, and the run goes without them.

    Args:
        folder: of the run.
        said: what is said of the run.
        trust: folders with code that may be run: of tasks that are not losstap's own.
    """

    def __init__(self, folder: RunFolder, said: list[str], trust: plans.Trust) -> None:
        self.folder, self.said, self.trust = folder, said, trust
        self.task: Task | None = None
        self.lacking = False

    def __call__(self, cycle: int) -> list[Picture]:
        """A cycle's images with their captions."""
        try:
            if self.task is None and not self.lacking:
                self.task = self._task()
            return [] if self.task is None else identity.pictures(self.task, self.folder)(cycle)
        except Exception as error:  # adapters are anybody's, and data may be gone in any way
            self.task, self.lacking = None, True
            self.said.append(f"pictures left out: {type(error).__name__}: {printable(' '.join(str(error).split()))}")
            return []

    def _task(self) -> Task:
        """Ids mean something in the data that the run had: another set would show other images."""
        task = plans.task(self.folder.path, self.trust)
        if preflight.names(task) != sample_names(self.folder.path):
            raise RunFolderError("the data here are others than the run's, by their names in samples.txt")
        return task


class Sent(NamedTuple):
    """What came of one run.

    Attributes:
        text: for people.
        unsent: folders of offline files that `wandb sync` has still to upload.
    """

    text: str
    unsent: Sequence[Path] = ()


def push(path: Path, mode: str, trust: plans.Trust = ()) -> Sent:
    """Send one run.

    Raises:
        RunFolderError: where it is in use or damaged.
        ConfigError: where its config cannot be built.
        PushError: where W&B failed.
    """
    folder, said = RunFolder(path), list[str]()
    folder.require_whole()
    with folder.locked():
        run, plan = read(path, trust), plans.plan(path, trust)
        count = f"{len(run.rows)} of {plan.budget.cycles} cycles"
        who = identity.identity(plan, run.config)
        if not run.rows:
            return Sent(f"{count}: nothing to send")
        held = _held(path)
        there, waiting = fragments.fragments(path), fragments.unsent(path)
        if mode == "offline" and {row["cycle"] for row in run.rows} <= held:
            return Sent(f"{count}, 0 sent: {there[-1]} is of the same W&B run; {_advice(waiting)}", waiting)
        before = set(_offline(path))
        with _whole_or_not_at_all(path):
            tracker = _send(who, run, mode, said, Pictures(folder, said, trust))
            text = "; ".join([f"{count}, {tracker.sent} sent", *said])
            if tracker.failed:
                raise PushError(text)
        made = sorted(set(_offline(path)) - before)  # W&B may still write them
    if mode == "online" and waiting:
        said.append(f"{len(waiting)} offline before, and marked as sent: `wandb sync` leaves them out")
    told = "; ".join([f"{count}, {tracker.sent} sent", *(line for line in said if not line.startswith(HOW))])
    return Sent(told, [*waiting, *made] if mode == "offline" else ())


@contextmanager
def _whole_or_not_at_all(path: Path) -> Iterator[None]:
    """Clear the offline files that the block began and did not end: they lack rows, and would stand for the run.

    What came to a server stays there: the same command sends the rest.
    """
    before = set(_offline(path))
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            import wandb

            wandb.teardown()  # waits for wandb's own process, which still writes
        for begun in set(_offline(path)) - before:
            shutil.rmtree(begun, ignore_errors=True)
        raise


def _held(path: Path) -> set[int]:
    try:
        run_id = fragments.kept_id(path)
    except ValueError as error:
        raise PushError(str(error)) from error
    fragments.tidy(path)
    return set() if run_id is None else fragments.held(path, run_id)


def _offline(path: Path) -> list[Path]:
    """Folders of all offline fragments in a run folder, empty ones too."""
    return list(path.glob("wandb/offline-run-*"))


def _advice(waiting: Sequence[Path]) -> str:
    if waiting:
        return "`wandb sync` it, or move it away to have it written anew"
    return "--mode online sends what the server lacks"


def _send(who: Identity, run: Run, mode: str, said: list[str], shown: Pictures) -> Tracker:
    """Send what W&B lacks of a run; a run that is not finished ends there as one that was stopped."""
    tracker = Tracker(run.folder, who, mode, run.rows, said.append, shown, fallback=False)
    tracker.finish(identity.totals(run.metric, run.rows) if run.finished else {}, exit_code=0 if run.finished else 1)
    return tracker


def parser() -> argparse.ArgumentParser:
    """The options of `wandb_push.py`."""
    parse = argparse.ArgumentParser(prog="wandb_push.py", description="Send run folders to Weights & Biases.")
    parse.add_argument("runs", nargs="+", type=Path, help="run folders, or folders with some below: work_dirs/<config>")
    parse.add_argument("--mode", choices=("online", "offline"), help="by default WANDB_MODE, else online where logged "
                       "in, else offline: files that `wandb sync` uploads")  # fmt: skip
    code.add_option(parse)
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    arguments = parser().parse_args(argv)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        mode = resolve_mode(arguments.mode)
        paths, left_out = find(arguments.runs)
    except (ValueError, ComparisonError) as error:
        console.print(f"error: {error}")
        return USAGE_ERROR
    if mode == "disabled":
        console.print("error: WANDB_MODE is disabled; add --mode online or --mode offline")
        return USAGE_ERROR
    try:
        with listening():
            status = _push_all(paths, mode, console, arguments.trust)
    except KeyboardInterrupt:
        console.print("stopped; the same command sends what is left")
        return STOPPED
    for closed in left_out:
        console.print(f"{closed.path}: FAILED: {printable(closed.why)}")
    return FAILED if left_out else status


def _push_all(paths: Sequence[Path], mode: str, console: Console, trust: plans.Trust) -> int:
    status, left = 0, list[Path]()
    for path in paths:
        try:
            sent = push(path, mode, trust)
            console.print(f"{path}: {sent.text}")
            left += sent.unsent
        except (RunFolderError, ConfigError, PushError, OSError) as error:
            console.print(f"{path}: FAILED: {printable(str(error), keep=chr(10))}")
            status = FAILED
    if left:
        console.print(f"to upload {'all of it' if len(left) > 1 else 'it'}: wandb sync {shlex.join(map(str, left))}")
    return status


if __name__ == "__main__":
    command(main)
