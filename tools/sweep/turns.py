"""Runs of a sweep that take turns in processes of this machine, which start and read data once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from tools.sweep.jobs import Job
from tools.sweep.local import environment

SERIES = Path(__file__).with_name("series.py")
POLL = 0.2  # seconds
CHUNK = 4096  # bytes
WITHOUT_ANSWER = 1  # exit status of a run whose process ended in between


class Host:
    """A process that runs one job after another, see `tools.sweep.series`.

    Args:
        job: the first one, whose log gets what goes wrong before it begins.
        at_a_time: such processes.
    """

    def __init__(self, job: Job, at_a_time: int) -> None:
        with open(job.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SERIES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=environment(at_a_time),
                start_new_session=True,
            )
        # pipes were asked for, so they are there
        self._orders = cast(IO[bytes], self.process.stdin)
        self._answers = cast(IO[bytes], self.process.stdout)
        os.set_blocking(self._answers.fileno(), False)

    def begin(self, job: Job) -> None:
        """Give it a job; it must have ended the one before.

        Raises:
            OSError: if the process is gone.
        """
        order = {
            "command": job.command[1:],
            "log": str(job.log.absolute()),
            "folder": str(job.folder.path.absolute()),
        }
        self._orders.write(json.dumps(order).encode() + b"\n")

    def answer(self) -> int | None:
        """The exit status of its job; None as long as that runs.

        After a failure, and after a signal, the process ends, too.
        """
        ended = self.process.poll()  # before the look at what it said
        said = self._answers.read(CHUNK)
        if not said and ended is None:
            return None
        status = int(said) if said else ended or WITHOUT_ANSWER
        if status:
            self.close()
        return status

    def close(self) -> None:
        """Let it end, and wait for it."""
        with suppress(OSError):
            self._orders.close()
        self.process.wait()
        self._answers.close()


class Turn:
    """A job in such a process, as `tools.sweep.local.Process`."""

    def __init__(self, host: Host, free: list[Host]) -> None:
        self._host, self._free = host, free
        self._status: int | None = None

    def poll(self) -> int | None:
        """See `Process`; the process is free for another job then."""
        if self._status is None:
            self._status = self._host.answer()
            if self._status == 0:
                self._free.append(self._host)
        return self._status

    def wait(self) -> int:
        """See `Process`."""
        while (status := self.poll()) is None:
            time.sleep(POLL)
        return status

    def terminate(self) -> None:
        """See `Process`."""
        self._host.process.terminate()

    def send_signal(self, sig: int, /) -> None:
        """See `Process`."""
        self._host.process.send_signal(sig)


class InTurn:
    """This machine, a process for all runs that are not run at the same time."""

    def __init__(self, at_a_time: int) -> None:
        self.at_a_time = at_a_time
        self.free: list[Host] = []

    def start(self, job: Job) -> Turn:
        """Start the run in a process that is free, or in a new one."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        host = self.free.pop() if self.free else Host(job, self.at_a_time)
        host.begin(job)
        return Turn(host, self.free)


@contextmanager
def in_turn(at_a_time: int) -> Iterator[InTurn]:
    """Yield the place; its processes end with the block."""
    place = InTurn(at_a_time)
    try:
        yield place
    finally:
        for host in place.free:
            host.close()
