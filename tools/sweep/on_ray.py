"""Runs of a sweep on a Ray cluster: one a worker, resumed where a worker is lost.

Nodes share one file system.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tools.cluster.joining import ANSWER, room_for
from tools.experiment.options import ConfigError
from tools.sweep.jobs import Job
from tools.sweep.worker import Worker, missing

PATIENCE = 120.0  # seconds for the process of a lost worker to unlock the run folder
LOSSES = 3  # workers lost without a new cycle: then it is the run that kills them
POLL = 0.2  # seconds
OURS = ("WANDB_", "PYTHON")  # prefixes of the sweep's environment variables that runs get, too


class OnRay:
    """The cluster that Ray is connected to.

    Args:
        at_a_time: number of runs; None for as many as the nodes have room for.
        cpus: number of CPUs of a run.
        gpus: number of GPUs of a run, or a fraction of one; None for one if a node has one.
        say: prints a line.

    Raises:
        ConfigError: if no node has what a run needs.
    """

    def __init__(
        self, at_a_time: int | None, cpus: int, gpus: float | None, say: Callable[[str], None]
    ) -> None:
        gpus, room = room_for(cpus, gpus, ("--cpus", "--gpus"))
        self.at_a_time = at_a_time or room
        self._say = say
        self._worker = ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, max_concurrency=2)

    def check(self, jobs: Sequence[Job]) -> None:
        """Check that each node sees the program, the config and the run folders' file system.

        Raises:
            ConfigError: with what a node does not see.
        """
        log = jobs[0].log
        log.parent.mkdir(parents=True, exist_ok=True)
        mark = log.with_name(f".seen-{uuid.uuid4().hex}")
        paths = [*jobs[0].command[:3], str(mark)]  # Python, al_train.py, config
        try:
            mark.touch()
            lines = [line for node in ray.nodes() if node["Alive"] for line in _unseen(node, paths)]
        finally:
            mark.unlink(missing_ok=True)
        if lines:
            raise ConfigError("--ray", lines)

    def start(self, job: Job) -> RayRun:
        """Start the run in a worker."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.touch()  # a worker may be lost before it opens the file
        return RayRun(job, self._worker, self._say)


def _unseen(node: dict[str, Any], paths: Sequence[str]) -> list[str]:
    """Return a line for each path that a node does not see."""
    name = f"node {node['NodeManagerAddress']}"
    here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    answer = (
        ray.remote(missing)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=here)
        .remote(os.getcwd(), paths)
    )
    try:
        lost = ray.get(answer, timeout=ANSWER)
    except GetTimeoutError:
        return [f"{name}: expected an answer within {ANSWER:.0f} s, but got none"]
    except RayError as error:  # such as a node without this program
        return [f"{name}: {str(error).strip().splitlines()[-1]}"]
    return [
        f"{name} does not see {os.path.abspath(path)}; nodes must share one file system"
        for path in lost
    ]


class RayRun:
    """A run on some worker, as `subprocess.Popen`; it is started anew if its worker is lost."""

    def __init__(self, job: Job, worker: Any, say: Callable[[str], None]) -> None:
        self._job, self._worker, self._say = job, worker, say
        self._ended = False  # whether `terminate` was called
        self._losses = 0
        self._cycle = job.cycle
        self._start(patience=0)

    def _start(self, patience: float) -> None:
        ours = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
        lock = str(self._job.folder.path / ".lock")
        self._actor = self._worker.remote()
        self._placed = self._actor.placed.remote()
        self._status = self._actor.run.remote(
            self._job.command, os.getcwd(), str(self._job.log), ours, lock, patience
        )

    def poll(self) -> int | None:
        """See `Process`."""
        if not ray.wait([self._status], timeout=0)[0]:
            return None
        try:
            status: int | None = int(ray.get(self._status))
        except RayActorError:
            status = self._lost()
        except RayTaskError as error:
            raise OSError(f"{self._job.name}: {error.cause}") from error
        else:
            ray.kill(self._actor)  # its CPUs and GPUs are for the next
        return status

    def _lost(self) -> int | None:
        if self._ended:
            return -signal.SIGTERM
        cycle = self._job.cycle
        if cycle != self._cycle:
            self._losses = 0
        self._losses += 1
        self._cycle = cycle
        if self._losses > LOSSES:
            self._say(
                f"{self._job.name} lost {self._losses} workers in one cycle; is its node short of "
                "memory?"
            )
            return -signal.SIGKILL
        self._say(f"{self._job.name} lost its worker; resumed elsewhere")
        ray.kill(self._actor)  # it may only be out of reach
        self._start(PATIENCE)
        return None

    def wait(self) -> int:
        """See `Process`."""
        while (status := self.poll()) is None:
            time.sleep(POLL)
        return status

    def terminate(self) -> None:
        """See `Process`."""
        self._ended = True
        self.send_signal(signal.SIGTERM)

    def send_signal(self, sig: int, /) -> None:
        """See `Process`; a worker that still waits for a place on a node is just removed."""
        if ray.wait([self._placed], timeout=0)[0]:
            self._actor.tell.remote(int(sig))
        else:
            ray.kill(self._actor)
