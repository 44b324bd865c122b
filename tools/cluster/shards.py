"""A scoring pass in shards, each a task of the Ray cluster that this process has joined.

Ray runs a shard again whose worker or node is lost; one that it gives up is begun anew here.
"""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError, RayTaskError

from acquisition.scoring import Pass, Samples, check, nothing
from acquisition.settings import ScoringSettings
from acquisition.table import Table
from models.process.progress import bar
from models.process.stopping import stop_if_asked
from models.training.joint import JointModel
from tools.cluster.joining import places, room_for
from tools.cluster.packing import Models, packed
from tools.cluster.shard import CODE, Origin, Refused, Work, pool_digest
from tools.experiment.config import Experiment
from tools.experiment.options import ConfigError

RETRIES = 1  # of Ray's, for a shard whose worker is lost
LOSSES = 2  # times that a shard is begun anew after that
AHEAD = 2  # shards for each place, so that none waits for this process
EACH = 8  # shards for each place, so that all end at about the same time
LARGEST = 10_000  # samples of a shard, unless the caller wants more
POLL = 0.2  # seconds

Take = Callable[["Shard", dict[str, np.ndarray]], None]


@dataclass(frozen=True, eq=False)
class Shard:
    """A part of a pass.

    Args:
        start: its place in the pass, a multiple of the batch size.
        ids: of its samples (N,).
    """

    start: int
    ids: np.ndarray


def cut(ids: np.ndarray, size: int, batch: int) -> Iterator[Shard]:
    """Cut a pass into shards of at least `size` samples, each of whole batches but for the last.

    So every sample is in the batch in which one process has it, with the same neighbours.

    >>> [shard.ids.tolist() for shard in cut(np.arange(7), 3, 2)]
    [[0, 1, 2, 3], [4, 5, 6]]
    """
    size = math.ceil(size / batch) * batch
    for start in range(0, len(ids), size):
        yield Shard(start, ids[start : start + size])


class Shards:
    """Scores samples of an experiment's pool; called as `acquisition.scoring.score` is.

    Args:
        experiment: workers build it again from its config, and read its data.
        say: prints a line.
        size: samples of a shard, rounded up to whole batches; by default so many that each place
            of the cluster gets `EACH` shards, and at most `LARGEST`.

    Raises:
        ConfigError: if no node has as many CPUs as torch has threads here.
    """

    def __init__(
        self, experiment: Experiment, say: Callable[[str], None], size: int | None = None
    ) -> None:
        self._task = experiment.task
        self._say = say
        self._size = size
        # as many as here: how a sum is split over threads shows in its last digits
        self._threads = torch.get_num_threads()
        self._gpus, _ = room_for(self._threads, None, ("OMP_NUM_THREADS", "GPUs"))
        pool = pool_digest(self._task)
        self._origin = ray.put(
            Origin(
                experiment.name,
                experiment.config,
                os.getcwd(),
                pool,
                torch.__version__,
                self._threads,
                CODE,
            )
        )
        self._begin: Any = ray.remote(_anywhere(tuple(sys.path))).options(
            num_cpus=self._threads, num_gpus=self._gpus, max_retries=RETRIES
        )
        self._instructions = {torch.backends.cpu.get_cpu_capability()}

    def __call__(
        self,
        model: JointModel,
        samples: Samples,
        names: Sequence[str],
        settings: ScoringSettings,
        how: Pass | None = None,
    ) -> dict[str, np.ndarray]:
        """Compute signals of some samples of the experiment's pool, see `score`.

        Raises:
            ConfigError: if a node does not see the same pool, or workers are lost again and again.
            CanaryError: if the rows do not agree with those of samples computed here alone.
        """
        how = how or Pass()
        ids = np.asarray(samples.ids, dtype=np.int64)
        if not len(ids):
            return nothing(names)
        models = packed(Models(model, how.committee), self._task)
        work = ray.put(Work(self._origin, models, tuple(names), settings, how.tap, how.temperature))
        size = self._size or min(LARGEST, math.ceil(len(ids) / (EACH * self._places())))
        table = Table(len(ids), how.scratch)
        with bar() as progress:
            shown = progress.add_task(how.title, total=len(ids))

            def take(shard: Shard, rows: dict[str, np.ndarray]) -> None:
                """Keep the rows of a shard."""
                table.put(shard.start, rows)
                progress.advance(shown, len(shard.ids))

            self._run(work, cut(ids, size, settings.size), take)
        check(model, samples, table.rows, settings, how)
        return table.rows

    def _places(self) -> int:
        """Shards that the nodes there are now run at a time."""
        return max(1, places(self._threads, self._gpus))

    def _run(self, work: ray.ObjectRef, shards: Iterator[Shard], take: Take) -> None:
        """Run all shards, a few at a time, so that their rows do not fill the memory of nodes."""
        running: dict[ray.ObjectRef, Shard] = {}
        losses: Counter[int] = Counter()
        try:
            while True:
                for shard in islice(shards, AHEAD * self._places() - len(running)):
                    running[self._begin.remote([work], shard.ids)] = shard
                if not running:
                    return
                done, _ = ray.wait(list(running), timeout=POLL)
                for result in done:
                    shard = running.pop(result)
                    rows = self._result(result)
                    if rows is None:
                        losses[shard.start] += 1
                        self._say_lost(shard, losses[shard.start])
                        running[self._begin.remote([work], shard.ids)] = shard
                    else:
                        take(shard, rows)
        except KeyboardInterrupt:
            stop_if_asked()  # Ray raises its own in place of what a signal's handler raised
            raise
        finally:
            for result in running:
                with suppress(RayError):  # of a cluster that is gone
                    # ended in the midst of an import, a process would be of no use to later tasks
                    ray.cancel(result, force=True)

    def _result(self, result: ray.ObjectRef) -> dict[str, np.ndarray] | None:
        """The rows of a shard; None if its workers were lost."""
        try:
            rows, instructions = ray.get(result)
        except RayTaskError as error:  # the shard's own, not of its worker
            raise _here(error) from error
        except RayError:
            return None
        if instructions not in self._instructions:
            self._instructions.add(instructions)
            self._say(
                f"note: processors of the cluster differ ({', '.join(sorted(self._instructions))})"
                "; their rows may differ in the last digits"
            )
        return rows

    def _say_lost(self, shard: Shard, losses: int) -> None:
        where = f"samples {shard.start:,} to {shard.start + len(shard.ids) - 1:,} of the pass"
        if losses > LOSSES:
            workers = losses * (RETRIES + 1)
            raise ConfigError(
                "--ray",
                [
                    f"{where}: expected their rows, but {workers} workers were lost with them; is "
                    "a node short of memory? Give it more, or take smaller batches "
                    "(scoring.batch_size)"
                ],
            )
        self._say(f"{where}: their worker was lost; begun anew")


def _here(error: RayTaskError) -> BaseException:
    """The error of a shard as this process raises it."""
    cause = error.cause
    if isinstance(cause, Refused):
        return ConfigError("--ray", [str(cause)])
    if isinstance(cause, ImportError):
        return ConfigError(
            "--ray",
            [
                f"expected losstap and all that it needs on each node, but got {cause}; nodes must "
                "share one file system, or have it installed at the same path"
            ],
        )
    return cause


def _anywhere(path: tuple[str, ...]) -> Callable:
    """What a worker runs, which finds this code where this process finds it.

    Ray sends a function inside of another one as it is, where it sends others by their names.
    """

    def rows(boxed: list, ids: Any) -> Any:
        """Compute a shard, see `tools.cluster.shard.rows_of`."""
        import sys

        # in front, as another losstap may be installed there
        sys.path[:0] = [folder for folder in path if folder not in sys.path]
        from tools.cluster.shard import rows_of

        return rows_of(boxed, ids)

    return rows
