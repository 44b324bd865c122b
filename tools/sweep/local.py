"""Runs of a sweep as processes of this machine."""

from __future__ import annotations

import os
import subprocess
from typing import Protocol

from tools.sweep.jobs import Job


class Process(Protocol):
    """A run that was started; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """The exit status, None as long as it runs."""

    def wait(self) -> int:
        """The exit status, when it has ended."""

    def terminate(self) -> None:
        """End it after the iteration that it is in."""

    def send_signal(self, sig: int, /) -> None:
        """Such as SIGINT after `terminate`, to end it at once."""


class Place(Protocol):
    """Where runs are started, at most `at_a_time`."""

    at_a_time: int

    def start(self, job: Job) -> Process:
        """Start a run.

        Raises:
            OSError: if that fails.
        """


class Local:
    """This machine."""

    def __init__(self, at_a_time: int) -> None:
        self.at_a_time = at_a_time

    def start(self, job: Job) -> subprocess.Popen:
        """The run as a process of its own session, so that Ctrl-C reaches it through this
        process alone.
        """
        job.log.parent.mkdir(parents=True, exist_ok=True)
        threads = str(max(1, (os.cpu_count() or 1) // self.at_a_time))
        if self.at_a_time > 1:
            environment = {"OMP_NUM_THREADS": threads, **os.environ}
        else:
            environment = dict(os.environ)
        with open(job.log, "ab") as log:
            return subprocess.Popen(
                job.command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
