"""Runs of a sweep as processes of this machine."""

from __future__ import annotations

import os
import subprocess
from typing import Protocol

from tools.sweep.jobs import Job


class Process(Protocol):
    """A run that was started; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Return the exit status; None as long as it runs."""

    def wait(self) -> int:
        """Wait for its end and return the exit status."""

    def terminate(self) -> None:
        """End it after the iteration that it is in."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, such as SIGINT after `terminate`, to end it at once."""


class Place(Protocol):
    """A place where runs are started, at most `at_a_time` together."""

    at_a_time: int

    def start(self, job: Job) -> Process:
        """Start a run.

        Raises:
            OSError: if that fails.
        """


def environment(at_a_time: int) -> dict[str, str]:
    """The variables of a run's process, of which so many share the CPUs."""
    variables = dict(os.environ)
    if at_a_time > 1:
        threads = max(1, (os.cpu_count() or 1) // at_a_time)
        variables.setdefault("OMP_NUM_THREADS", str(threads))
    return variables


class Local:
    """This machine."""

    def __init__(self, at_a_time: int) -> None:
        self.at_a_time = at_a_time

    def start(self, job: Job) -> subprocess.Popen:
        """Start the run as a process of its own session, which Ctrl-C does not reach directly."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log:
            return subprocess.Popen(
                job.command,
                stdout=log,
                stderr=log,
                env=environment(self.at_a_time),
                start_new_session=True,
            )
