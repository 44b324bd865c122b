"""Send what W&B or its offline files lack of a run folder, after the run."""

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

# beginning of the tracker's advice for one run; here one command is printed for all runs
HOW = "W&B: offline; to upload"


class PushError(Exception):
    """A run that could not be sent; the message says why."""


class Pictures:
    """Gives a run's pictures if its data are on this machine.

    The first failure is reported, and the run is sent without them.

    Args:
        folder: of the run.
        messages: lines on the run, to which a failure is added.
        trust: folders with code that may be run: of tasks that are not losstap's own.
    """

    def __init__(self, folder: RunFolder, messages: list[str], trust: plans.Trust) -> None:
        self.folder, self.messages, self.trust = folder, messages, trust
        self.task: Task | None = None
        self.lacking = False

    def __call__(self, cycle: int) -> list[Picture]:
        """Return a cycle's images with their captions."""
        if self.lacking:
            return []
        try:
            if self.task is None:
                self.task = self._task()
            return identity.pictures(self.task, self.folder)(cycle)
        except Exception as error:  # adapters are anybody's, and data may be gone in any way
            self.lacking = True
            self.messages.append(
                f"pictures left out: {type(error).__name__}: "
                f"{printable(' '.join(str(error).split()))}"
            )
            return []

    def _task(self) -> Task:
        """Build the run's task; refuse other data, in which its ids would show other images."""
        task = plans.task(self.folder.path, self.trust)
        from tools.experiment import preflight  # it needs torch, as tasks do

        if preflight.names(task) != self.folder.sample_names():
            raise RunFolderError("the data here are not the run's, by the names in samples.txt")
        return task


class Sent(NamedTuple):
    """The result of sending one run.

    Attributes:
        text: a line on it.
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
    folder = RunFolder(path)
    messages: list[str] = []
    folder.require_whole()
    with folder.locked():
        run = read(path, trust)
        plan = plans.plan(path, trust)
        count = f"{len(run.rows)} of {plan.budget.cycles} cycles"
        who = identity.identity(plan, run.config)
        if not run.rows:
            return Sent(f"{count}: nothing to send")
        held = _held(path)
        waiting = fragments.unsent(path)
        if mode == "offline" and {row["cycle"] for row in run.rows} <= held:
            newest = fragments.fragments(path)[-1]
            return Sent(
                f"{count}, 0 sent: {newest} is of the same W&B run; {_advice(waiting)}", waiting
            )
        before = set(_offline(path))
        with _whole_or_not_at_all(path):
            tracker = _send(who, run, mode, messages, Pictures(folder, messages, trust))
            count = f"{count}, {tracker.sent} sent"
            if tracker.failed:
                raise PushError("; ".join([count, *messages]))
        made = sorted(set(_offline(path)) - before)  # W&B may still write them
    if mode == "online" and waiting:
        messages.append(
            f"{len(waiting)} offline before, and marked as sent: `wandb sync` leaves them out"
        )
    text = "; ".join([count, *(line for line in messages if not line.startswith(HOW))])
    if mode == "offline":
        return Sent(text, [*waiting, *made])
    return Sent(text)


@contextmanager
def _whole_or_not_at_all(path: Path) -> Iterator[None]:
    """Delete the offline files that the block began, if it fails.

    They lack rows, and would pass for the whole run. What came to a server stays there: the same
    command sends the rest.
    """
    before = set(_offline(path))
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            import wandb

            wandb.teardown()  # waits for wandb's own process, which still writes
        for unfinished in set(_offline(path)) - before:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _held(path: Path) -> set[int]:
    try:
        run_id = fragments.kept_id(path)
    except ValueError as error:
        raise PushError(str(error)) from error
    fragments.tidy(path)
    if run_id is None:
        return set()
    return fragments.held(path, run_id)


def _offline(path: Path) -> list[Path]:
    """Return the folders of all offline sessions in a run folder, empty ones too."""
    return list(path.glob("wandb/offline-run-*"))


def _advice(waiting: Sequence[Path]) -> str:
    if waiting:
        return "`wandb sync` it, or move it away to have it written anew"
    return "--mode online sends what the server lacks"


def _send(who: Identity, run: Run, mode: str, messages: list[str], shown: Pictures) -> Tracker:
    """Send what W&B lacks of a run; one that is not finished is shown as stopped."""
    tracker = Tracker(run.folder, who, mode, run.rows, messages.append, shown, fallback=False)
    if run.finished:
        tracker.finish(totals(run.metric, run.rows))
    else:
        tracker.finish({}, exit_code=1)
    return tracker
