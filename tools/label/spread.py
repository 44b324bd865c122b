"""How sure a metric on the validation slice is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseDataPreprocessor
from torch import nn

from models.process.files import replacing
from models.process.progress import track
from models.process.seeding import stream
from models.training.inference import inference
from models.training.loading import length, loader, stop_workers
from tasks.base import Task
from tasks.evaluation import metric_of
from tools.experiment.config import Experiment

FILE = "halves.json"
HALVES = 100  # random halves of the slice


@dataclass(frozen=True)
class Halves:
    """The metric on random halves of the validation slice.

    Half of the samples, drawn without replacement, scatter about the metric of all as that
    scatters about the one of infinitely many: the variance of a mean of m of n samples is
    (1 - m / n) / m times the variance of one, which for m = n / 2 is 1 / n times.

    Source: Shao and Tu, "The Jackknife and Bootstrap", 1995, chapter 2 (the delete-d jackknife).

    Args:
        samples: of the slice.
        values: of the halves, in the order of their drawing; not-a-number where one has nothing
            to judge by.
    """

    samples: int
    values: tuple[float, ...] = ()

    @property
    def error(self) -> float:
        """The standard error of the metric; not-a-number where it is not known."""
        return _deviation(np.array(self.values))


def difference(one: Halves, other: Halves) -> float:
    """The standard error of the difference between two networks' metrics.

    Where both were judged on the same samples, the halves are the same, and what they share cancels
    out.
    """
    if one.samples == other.samples and len(one.values) == len(other.values):
        return _deviation(np.array(one.values) - np.array(other.values))
    return math.hypot(one.error, other.error)


def _deviation(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else math.nan


def halves(experiment: Experiment, network: nn.Module, seed: int) -> Halves:
    """Judge a network on random halves of the test set.

    Args:
        experiment: gives task and batch size.
        network: of the task, trained.
        seed: of the halves; those of as many samples are the same for each network.

    Returns:
        No values where the metric does not keep one result a sample.
    """
    task = experiment.task
    results, metric = judged(task, network, 16, experiment.scoring.workers)
    if len(results) != length(task.dataset("test")):
        return Halves(len(results))
    values = []
    for number in range(HALVES):
        order = stream(seed, number, "half of the slice").permutation(len(results))
        half = sorted(order[: max(1, len(results) // 2)].tolist())
        values.append(float(metric.compute_metrics([results[i] for i in half])[task.metric]))
    return Halves(len(results), tuple(values))


def judged(
    task: Task, network: nn.Module, batch_size: int, workers: int
) -> tuple[list, BaseMetric]:
    """The results of a task's metric, one a sample, and the metric."""
    data = task.dataset("test")
    device = get_device()
    network = network.to(device).eval()
    move = BaseDataPreprocessor(non_blocking=True).to(device)
    metric = metric_of(task)
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = getattr(data, "metainfo", None)
    in_order = DefaultSampler(data, shuffle=False)
    batches = loader(data, in_order, batch_size, workers, partial(_collated, task))
    try:
        with inference([network]):
            for batch in track(batches, "validation slice"):
                moved = move(batch)
                evaluator.process(data_samples=task.predict(network, moved), data_batch=moved)
    finally:
        stop_workers(batches)
    return list(metric.results), metric


def _collated(task: Task, samples: Sequence) -> dict:
    return task.collate(samples)


def write(folder: Path, found: Halves) -> None:
    """Write the halves into the folder of a round."""
    with replacing(folder / FILE) as beside:
        text = json.dumps({"samples": found.samples, "values": _finite(found.values)})
        beside.write_text(f"{text}\n", encoding="utf-8")


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def read(folder: Path) -> Halves | None:
    """Read the halves of a round; None if there are none."""
    path = folder / FILE
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    values = tuple(math.nan if value is None else float(value) for value in kept["values"])
    return Halves(int(kept["samples"]), values)
