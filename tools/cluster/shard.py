"""The part of a scoring pass that runs in a worker of a Ray cluster: a shard of the pool."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from acquisition.scoring import Pass, Samples, unchecked
from acquisition.settings import ScoringSettings
from models.process.memory import keep_freed_memory
from models.process.seeding import deterministic
from models.process.text import told
from models.training.loading import length
from tasks.base import Task
from tools.cluster.packing import Models, unpacked
from tools.experiment.config import Experiment, rebuilt

CODE = str(Path(__file__).resolve().parents[2])  # the folder of this code


class Refused(Exception):
    """A worker that cannot compute what the first process would; the message names its node."""


@dataclass(frozen=True)
class Origin:
    """Where the samples come from; sent once.

    Args:
        name: of the experiment, as is `config`.
        folder: in which paths of the settings begin.
        pool: see `pool_digest`.
        torch: its version, by which numbers may differ.
        threads: of torch, by which they do, too.
        code: see `CODE`.
    """

    name: str
    config: dict[str, Any]
    folder: str
    pool: str
    torch: str
    threads: int
    code: str


@dataclass(frozen=True)
class Work:
    """What is to be computed of every sample; sent once.

    Args:
        origin: reference to an `Origin`.
        models: see `tools.cluster.packing.packed`.
        names: of signals.
        settings: with a number for `batch_size`.
        tap: see `acquisition.scoring.Pass`, as is the temperature.
    """

    origin: ray.ObjectRef
    models: bytes
    names: tuple[str, ...]
    settings: ScoringSettings
    tap: int
    temperature: float


def rows_of(boxed: list[ray.ObjectRef], ids: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """Compute the signals of a shard.

    Args:
        boxed: a reference to the `Work`, in a list, as Ray would fetch a bare one for every shard.
        ids: of the shard (N,).

    Returns:
        The rows, see `acquisition.scoring.unchecked`, and the instructions of this processor.

    Raises:
        Refused: if this process sees other data, or has another version of torch.
    """
    try:
        work, experiment, models = _ready(boxed[0])
        task = experiment.task
        samples = Samples(task.dataset("pool"), task.collate, ids)
        how = Pass(committee=models.committee, tap=work.tap, temperature=work.temperature)
        with deterministic(experiment.training.deterministic):
            rows = unchecked(models.model, samples, work.names, work.settings, how)
    except Exception as error:
        _check_that_it_can_be_sent(error)
        raise
    return rows, torch.backends.cpu.get_cpu_capability()


@lru_cache(maxsize=1)
def _ready(work: ray.ObjectRef) -> tuple[Work, Experiment, Models]:
    content: Work = ray.get(work)
    experiment = _experiment(content.origin)
    models = unpacked(content.models, experiment.task)
    return replace(content, models=b""), experiment, models


@lru_cache(maxsize=1)
def _experiment(origin: ray.ObjectRef) -> Experiment:
    """The experiment with its data, read once in each process."""
    where: Origin = ray.get(origin)
    for what, wanted, found in (
        ("torch", where.torch, torch.__version__),
        ("the losstap of", where.code, CODE),
    ):
        if found != wanted:
            raise Refused(
                f"{_node()}: expected {what} {wanted}, as on this machine, but got {found}; "
                "install the same there"
            )
    with _refusing():
        os.chdir(where.folder)
        experiment = rebuilt(where.name, where.config)
        found = pool_digest(experiment.task)
    if found != where.pool:
        raise Refused(
            f"{_node()}: expected the pool of this machine ({where.pool}), but it sees another "
            f"({found}); nodes must share one file system, or hold the same files at the same paths"
        )
    torch.set_num_threads(where.threads)
    if not torch.cuda.is_available():
        keep_freed_memory()
    return experiment


@contextmanager
def _refusing() -> Iterator[None]:
    """Within, an error is the node's: it does not see the files or the code."""
    try:
        yield
    except Exception as error:  # adapters are anybody's
        raise Refused(
            f"{_node()}: expected the config and the data of this machine, but {told(error)}; "
            "nodes must share one file system, or hold the same files at the same paths"
        ) from error


def pool_digest(task: Task) -> str:
    """The number of samples of the pool, and the beginning of a hash over all their names."""
    count = length(task.dataset("pool"))
    value = hashlib.sha256()
    for i in range(count):
        value.update(f"{task.name(i)}\n".encode("utf-8", "surrogateescape"))
    return f"{count} samples, {value.hexdigest()[:16]}"


def _node() -> str:
    return f"node {ray.util.get_node_ip_address()}"


def _check_that_it_can_be_sent(error: Exception) -> None:
    """Make an error of one that cannot be sent, as those with several arguments cannot."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        raise RuntimeError(f"{type(error).__name__}: {error}") from None
