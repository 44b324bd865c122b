"""A Ray cluster on this machine, whose GPUs are its word alone; and tasks that fail in workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.base import DataError
from tests.toy import Toy, Vectors

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@contextmanager
def a_cluster(cpus: int = 2, gpus: int = 0) -> Iterator[str]:
    """The address of a cluster that one can join while the block runs."""
    from ray.cluster_utils import Cluster

    sizes = dict(num_cpus=cpus, num_gpus=gpus)
    sizes |= dict(include_dashboard=False, object_store_memory=80 * 2**20)
    handler = signal.getsignal(signal.SIGTERM)
    found = Cluster(initialize_head=True, head_node_args=sizes)
    # Ray's own would be that of all later tests, and of what they fork
    signal.signal(signal.SIGTERM, handler)
    yield found.address
    found.shutdown()


class Odd(Toy):
    """The toy, which does something else in processes other than the one that made it.

    Args:
        size: of the pool.
        home: process that made it.
        does: "die" the first `times` times, noted in `notes`, when sample `at` is read; "raise"
            there one of the errors in `ERRORS`; "wait" there; "other data"; "no data".
    """

    def __init__(
        self, size: int = 60, home: int = 0, does: str = "", at: int = 0, times: int = 0,
        notes: str = "", error: str = "",
    ) -> None:  # fmt: skip
        super().__init__(size)
        self.away = os.getpid() != home
        if self.away and does == "no data":
            raise FileNotFoundError(f"{notes}/images is not here")
        self.does, self.times, self.notes, self.error = does, times, Path(notes), error
        if self.away:
            self._data["pool"] = Trap(size, at, self)

    def name(self, index: int) -> str:
        other = self.away and self.does == "other data" and index == 7
        return f"vector {index}{'x' if other else ''}"

    def act(self) -> None:
        """What happens when the sample is read."""
        if self.does == "raise":
            raise ERRORS[self.error]()
        if self.does == "wait":
            (self.notes / f"waiting{os.getpid()}").touch()
            for _ in range(3000):
                time.sleep(0.1)
        if self.does == "die" and len(list(self.notes.iterdir())) < self.times:
            (self.notes / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Trap(Vectors):
    """The toy's pool, in which a sample is a trap."""

    def __init__(self, size: int, at: int, task: Odd) -> None:
        super().__init__(size, 1, augment=False)
        self.at, self.task = at, task

    def __getitem__(self, index: int) -> Any:
        if index == self.at:
            self.task.act()
        return super().__getitem__(index)


class TwoPartsError(Exception):
    """An error that Python cannot send to another process."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


ERRORS = {
    "data": lambda: DataError("7.jpg cannot be read; restore it"),
    "unsendable": lambda: TwoPartsError("this", "that"),
}
