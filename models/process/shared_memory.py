"""Checks that data-loading workers have enough shared memory to hand over their batches.

On Linux it is /dev/shm, of which a container has 64 MB by default.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import torch
from torch._utils import ExceptionWrapper

PLACE = Path("/dev/shm")
AHEAD = 2  # batches that torch has each worker read ahead
ADVICE = (
    "give the container more (docker run --shm-size=8g, or --ipc=host), or take fewer workers: "
    "--cfg-options training.workers=0 scoring.workers=0"
)


class SharedMemoryError(Exception):
    """Workers cannot hand over their batches; the message names the remedy."""


@contextmanager
def enough() -> Iterator[None]:
    """Within, torch's error for full shared memory becomes one that names the remedy.

    Raises:
        SharedMemoryError: in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        texts = [str(error), str(error.__cause__ or "")]  # the cause has it where a worker died
        about = [text for text in texts if "shared memory" in text or "Bus error" in text]
        if not about:
            raise
        last = about[0].strip().splitlines()[-1]
        raise SharedMemoryError(
            f"the data-loading workers need more shared memory ({_room()}; {last}); {ADVICE}"
        ) from error


def lack(samples: Sequence[Any], batch_size: int, workers: int, name: str) -> str | None:
    """Return why the batches that workers read ahead do not fit into shared memory.

    It is None if they fit, or if the size is not known.

    Args:
        samples: collated ones, of which the mean size counts.
        batch_size: samples of a batch.
        workers: on this machine, of all processes of the run.
        name: of the setting with the number of workers.
    """
    if not workers or not PLACE.is_dir():
        return None
    needed = AHEAD * workers * batch_size * sum(map(size, samples)) / len(samples)
    if needed <= shutil.disk_usage(PLACE).free:
        return None
    what = (
        f"{workers} x {AHEAD} batches of {batch_size} in shared memory take {needed / 1e6:,.1f} MB"
    )
    return f"{name}: {what}, but {_room()}; {ADVICE}"


def size(batch: Any) -> int:
    """Bytes of the tensors in a batch of dicts and lists.

    Other objects, such as boxes', are small beside images.
    """
    if isinstance(batch, torch.Tensor):
        return batch.numel() * batch.element_size()
    inner: Iterable[Any] = ()
    if isinstance(batch, Mapping):
        inner = batch.values()
    elif isinstance(batch, list | tuple):
        inner = batch
    return sum(map(size, inner))


def say_what_cannot_be_sent() -> None:
    """Make a batch that cannot be sent an error of the pass; called in a worker.

    Batches are sent by a thread of the worker, whose errors Python prints and forgets: the pass
    would wait for the batch for ever.
    """
    # Python means it to be replaced
    Queue._on_queue_feeder_error = _send_error  # type: ignore[attr-defined]


def _send_error(queue: Queue, error: Exception, batch: Any) -> None:
    index, _ = batch
    kind = (type(error), error, error.__traceback__)
    queue.put(
        (index, ExceptionWrapper(kind, where="in a data-loading worker that sends its batch"))
    )


def _room() -> str:
    """The free shared memory, in MB and words."""
    if PLACE.is_dir():
        return f"{PLACE} has {shutil.disk_usage(PLACE).free / 1e6:,.1f} MB free"
    if sys.platform == "linux":
        return f"there is no {PLACE}"
    return "this system has no /dev/shm"
