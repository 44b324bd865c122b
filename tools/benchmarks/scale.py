"""A benchmark of scoring a large pool in one process and on Ray clusters of this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acquisition.query import needs
from acquisition.scoring import Samples, score
from models.process.memory import keep_freed_memory
from tools.benchmarks import made, report
from tools.benchmarks.memory import Watch
from tools.cluster.extra import require_ray
from tools.cluster.scoring import Scorer
from tools.experiment.config import Experiment
from tools.record.receipt import digest
from tools.train.models import untrained

EMPTY = 200  # shards of one image, whose time is all but what a shard itself takes


@dataclass(frozen=True)
class Once:
    """A pass that was measured.

    Args:
        joining: seconds to begin, with the start of cluster and workers.
        seconds: of the pass.
        busy: seconds that processors worked for it, in this process and in all of the cluster's.
        memory: bytes of this process's own, at most, above those before the pass.
        shard: seconds that a shard of one image takes more than in one process.
        rows: hash of every signal.
    """

    joining: float
    seconds: float
    busy: float
    memory: int
    shard: float
    rows: dict[str, str]


def measure(
    images: int, places: Sequence[int], size: int, batch_size: int, repeats: int
) -> report.Report:
    """Measure the pass of a strategy by uncertainty and place over a pool of made images.

    Args:
        images: of the pool.
        places: workers of each cluster.
        size: samples of a shard.
        batch_size: of the pass.
        repeats: rounds.

    Raises:
        ConfigError: if Ray is missing.
        ValueError: if rows differ, from one process's or from round to round.
    """
    require_ray()
    contenders: dict[str, int | None] = {"one process": None}
    contenders |= {f"Ray, workers: {count}": count for count in places}
    found: dict[str, list[Once]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, count in contenders.items():
            found[name].append(apart(images, count, size, batch_size, torch.get_num_threads()))
    if len({tuple(one.rows.items()) for ones in found.values() for one in ones}) > 1:
        raise ValueError(f"expected the same rows each time, but got {found}")
    seconds = {name: [one.seconds for one in ones] for name, ones in found.items()}
    notes = {name: _notes(ones, images) for name, ones in found.items()}
    settings = {"images": images, "shards of": size, "batches of": batch_size, "repeats": repeats}
    return report.Report("scale", settings, report.rows(seconds, notes), report.machine())


def apart(*arguments: Any) -> Once:
    """Call `once` in a process of its own: memory that is freed would serve the next contender."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(once, *arguments).result()


def once(images: int, places: int | None, size: int, batch_size: int, threads: int) -> Once:
    """Measure a pass.

    Args:
        images: see `measure`, as are `size` and `batch_size`.
        places: workers of the cluster; None is this process.
        threads: of torch.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()  # as commands and workers do
    experiment = made.experiment(images, batch_size)
    model = untrained(experiment, "off")
    task, settings = experiment.task, experiment.scoring
    names = needs(experiment.steps)
    pool = task.dataset("pool")
    ids = np.arange(len(pool))  # type: ignore[arg-type]  # see `preflight.length`
    single = replace(settings, batch_size=1)
    few = Samples(pool, task.collate, ids[:EMPTY])

    def of_few(scored: Scorer) -> float:
        """Seconds of some batches of one image, each a shard."""
        return report.stopwatch(lambda: scored(model, few, names, single))[0]

    began = time.perf_counter()
    with _scored(experiment, places, size) as (scored, by_one):
        of_few(by_one)  # workers start and read the pool's names
        joining = time.perf_counter() - began
        shard = (of_few(by_one) - of_few(score)) / len(few.ids)
        watch = Watch()
        before = busy()
        with watch:
            seconds, rows = report.stopwatch(
                lambda: scored(model, Samples(pool, task.collate, ids), names, settings)
            )
        worked = busy() - before
    hashes = {name: digest(values) for name, values in rows.items()}
    return Once(joining, seconds, worked, watch.peak - watch.before, shard, hashes)


@contextmanager
def _scored(
    experiment: Experiment, places: int | None, size: int
) -> Iterator[tuple[Scorer, Scorer]]:
    """What scores in shards of a size, and what does so in shards of one sample."""
    if places is None:
        yield score, score
        return
    from tools.cluster.joining import cluster
    from tools.cluster.shards import Shards

    say: Callable[[str], None] = print
    with cluster("local", store=None, cpus=places):
        yield Shards(experiment, say, size), Shards(experiment, say, 1)


def _notes(ones: Sequence[Once], images: int) -> dict[str, Any]:
    first = ones[0]
    return {
        "of processors": round(min(one.busy for one in ones), 1),
        "images a second": round(images / min(one.seconds for one in ones)),
        "bytes a sample": round(max(one.memory for one in ones) / images, 1),
        "seconds to begin": round(first.joining, 1),
        "ms a shard": round(1000 * min(one.shard for one in ones), 1),
    }


def busy() -> float:
    """Seconds that processors have worked for this process and those that descend from it.

    Those that have ended are left out.
    """
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        process = int(stat.parent.name)
        parents[process] = int(fields[1])
        ticks[process] = int(fields[11]) + int(fields[12])  # in user mode, and in the kernel
    ours = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks[process] for process in ours) / os.sysconf("SC_CLK_TCK")
