"""The part of a sweep that runs on a node of a Ray cluster.

Nothing here needs more than Python: it is imported in each worker.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from models.process.files import locked

TETHERED = Path(__file__)


def missing(folder: str, paths: Sequence[str]) -> list[str]:
    """Return those of the paths, absolute or from `folder`, that this node does not see."""
    return [path for path in paths if not Path(folder, path).exists()]


class Worker:
    """Holds one run: `run` in a thread, `tell` in another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._ended = False  # whether a signal was sent

    def placed(self) -> None:
        """Do nothing; a call that returns shows that the worker is on a node."""

    def run(
        self,
        command: Sequence[str],
        folder: str,
        log: str,
        environment: Mapping[str, str],
        lock: str,
        patience: float,
    ) -> int:
        """Run the command as a process, until it ends.

        Args:
            command: with its arguments.
            folder: in which it is run.
            log: file to which its output is appended.
            environment: variables over this worker's own.
            lock: of the run folder, which a process that lost its worker may still hold.
            patience: seconds to wait for that.

        Returns:
            The exit status, negative where a signal ended it.

        Raises:
            OSError: if it cannot be started.
        """
        end = time.monotonic() + patience
        while time.monotonic() < end and not self._ended and not _free(Path(folder, lock)):
            time.sleep(0.2)
        tethered = [sys.executable, str(TETHERED), str(os.getpid()), *command]
        with self._lock, open(Path(folder, log), "ab") as file:
            if self._ended:
                return -signal.SIGTERM
            self._process = subprocess.Popen(
                tethered,
                stdout=file,
                stderr=file,
                cwd=folder,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return self._process.wait()

    def tell(self, number: int) -> None:
        """Send the run a signal; a run that has not begun does not begin."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.send_signal(number)


def _free(lock: Path) -> bool:
    try:
        with locked(lock):
            return True
    except BlockingIOError:
        return False


def tether(parent: int, command: Sequence[str]) -> None:
    """Become the command, which then ends with its parent.

    A run without its worker would keep its folder locked. Ray's workers block SIGINT, and a process
    would inherit that.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG of sys/prctl.h
    if os.getppid() != parent:  # it ended before prctl
        sys.exit(f"error: the worker, process {parent}, has ended")
    os.execv(command[0], list(command))


if __name__ == "__main__":
    tether(int(sys.argv[1]), sys.argv[2:])
