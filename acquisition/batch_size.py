"""Find the batch size at which a network is fastest, by a short measurement on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import Any

import torch
from torch.utils.data import Dataset

from models.training.inference import full_precision, inference
from models.training.joint import JointModel

SMALLEST = 8
LARGEST = 1024
DISTINCT = 16  # samples that are read; larger batches repeat them
SPAN = 0.5  # seconds that one size is measured for, at least
SLOWEST = 10.0  # seconds of a batch from which on none larger is tried
WORTH = 1.03  # a larger batch must be so many times faster: small ones need less memory


def fastest(
    model: JointModel,
    dataset: Dataset,
    collate: Callable[[list], Any],
    want: frozenset[str],
    amp: bool = False,
    channels_last: bool = False,
) -> int:
    """Find the fastest batch size to score with, a power of 2 that fits into memory.

    Args:
        model: of any weights, on the device that is to be measured.
        dataset: the pool as seen at test time, with at least one sample.
        collate: the task's.
        want: fields that the pass will request.
        amp: see `models.training.inference.inference`, as is `channels_last`.
    """
    # see `preflight.length`
    samples = [dataset[i] for i in range(min(DISTINCT, len(dataset)))]  # type: ignore[arg-type]
    model.eval()
    best = SMALLEST
    highest = 0.0  # samples a second
    with inference([model.network], amp, channels_last):
        for size in _sizes():
            batch = list(islice(cycle(samples), size))
            try:
                seconds = _seconds(partial(_pass, model, batch, collate, want))
            except (torch.cuda.OutOfMemoryError, MemoryError):
                torch.cuda.empty_cache()
                break
            if size / seconds > WORTH * highest:
                best = size
                highest = size / seconds
            elif size >= 4 * best:  # two sizes in a row that were not worth it
                break
            if seconds > SLOWEST:
                break
    return best


def _sizes() -> Iterator[int]:
    size = SMALLEST
    while size <= LARGEST:
        yield size
        size *= 2


def _pass(
    model: JointModel, samples: list, collate: Callable[[list], Any], want: frozenset[str]
) -> None:
    """Run a batch as scoring does, and wait for the GPU's end of it."""
    output = model.output(collate(samples), want)
    if model.loss_prediction is not None:
        with full_precision(output.taps[0].device):
            model.predicted(output.taps)
    if output.taps[0].is_cuda:
        torch.cuda.synchronize()


def _seconds(step: Callable[[], None]) -> float:
    """The time of the fastest of some runs after a first one that does not count."""
    best = float("inf")
    began = time.perf_counter()
    step()
    for _ in range(99):
        start = time.perf_counter()
        step()
        end = time.perf_counter()
        best = min(best, end - start)
        if end - began > SPAN:
            break
    return best
