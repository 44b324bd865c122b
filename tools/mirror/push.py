"""Sends a run folder to W&B after the run: what the server, or the offline files, lack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from models.process.text import printable
from tasks.base import Task
from tools.mirror import fragments, identity
from tools.mirror.tracking import Identity, Picture, Tracker
from tools.record import plans
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import Run, read
from tools.record.rows import totals

# how the tracker begins to tell it for one run; here one command is told for all
HOW = "W&B: offline; to upload"


class PushError(Exception):
    """A run that could not be sent; the message says why."""


class Pictures:
    """A run's pictures where its data are here; the first failure is said, and the run goes without
    them.

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
            self.said.append(
                f"pictures left out: {type(error).__name__}: "
                f"{printable(' '.join(str(error).split()))}"
            )
            return []

    def _task(self) -> Task:
        """Ids mean something in the data that the run had: another set would show other images."""
        task = plans.task(self.folder.path, self.trust)
        from tools.experiment import preflight  # it needs torch, as tasks do

        if preflight.names(task) != self.folder.sample_names():
            raise RunFolderError(
                "the data here are others than the run's, by their names in samples.txt"
            )
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
        RunFolderError: if it is in use or damaged.
        ConfigError: if its config cannot be built.
        PushError: if W&B failed.
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
            return Sent(
                f"{count}, 0 sent: {there[-1]} is of the same W&B run; {_advice(waiting)}", waiting
            )
        before = set(_offline(path))
        with _whole_or_not_at_all(path):
            tracker = _send(who, run, mode, said, Pictures(folder, said, trust))
            text = "; ".join([f"{count}, {tracker.sent} sent", *said])
            if tracker.failed:
                raise PushError(text)
        made = sorted(set(_offline(path)) - before)  # W&B may still write them
    if mode == "online" and waiting:
        said.append(
            f"{len(waiting)} offline before, and marked as sent: `wandb sync` leaves them out"
        )
    told = "; ".join(
        [f"{count}, {tracker.sent} sent", *(line for line in said if not line.startswith(HOW))]
    )
    return Sent(told, [*waiting, *made] if mode == "offline" else ())


@contextmanager
def _whole_or_not_at_all(path: Path) -> Iterator[None]:
    """Clear the offline files that the block began and did not end: they lack rows, and would stand
    for the run.

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
    """Send what W&B lacks of a run.

    A run that is not finished ends there as one that was stopped.
    """
    tracker = Tracker(run.folder, who, mode, run.rows, said.append, shown, fallback=False)
    tracker.finish(
        totals(run.metric, run.rows) if run.finished else {}, exit_code=0 if run.finished else 1
    )
    return tracker
