"""Train some epochs more, look at what is reached, and keep it: a stage of a proof."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acquisition.ranking import module_quality
from models.output import Output
from models.process.files import replacing
from models.training.hooks import unwrapped
from models.training.trainer import evaluate, warm_start
from tasks.base import Batch, Task
from tools.train.cycle import Cycle, start

GROUP = "learned"  # name of the samples that the module orders


@dataclass(frozen=True)
class Look:
    """What was reached after some epochs.

    Args:
        epochs: of this stage.
        metric: the task's, on the samples.
        pairs: share of the pairs of samples that the module orders by their true loss.
        seconds: of this stage's training, evaluating and looking, over all sittings.
    """

    epochs: int
    metric: float
    pairs: float
    seconds: float


def hold_still(task: Task) -> None:
    """Let a task's network be read alone: in evaluation mode, and without gradients.

    In training it says the same of a sample in each epoch, so it is asked once.
    """
    forward = task.forward
    known: dict[bytes, tuple[list[Tensor], Tensor]] = {}

    @wraps(forward)
    def read(network: nn.Module, batch: Batch, want: frozenset[str]) -> Output:
        """The output; in training its taps and losses, as they were at the first reading."""
        network.eval()
        if not torch.is_grad_enabled():  # nothing is trained
            return forward(network, batch, want)
        names = _names(batch)
        if not known.keys() >= set(names):
            with torch.no_grad():
                output: Any = forward(network, batch, want | {"loss"})
            for i, name in enumerate(names):
                known[name] = [tap[i] for tap in output.taps], output.loss[i]
        taps = zip(*(known[name][0] for name in names), strict=True)
        loss = torch.stack([known[name][1] for name in names])
        # an objective that has no gradient is as good as another
        return Output(tuple(map(torch.stack, taps)), loss=loss, objective=loss.mean())

    task.forward = read  # type: ignore[method-assign]


def _names(batch: Batch) -> list[bytes]:
    """A name of each sample of a batch: what its tensors hold."""
    rows = zip(*batch.values(), strict=True)
    return [b"".join(_bytes(part) for part in row if isinstance(part, Tensor)) for row in rows]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().numpy().tobytes()


def looks(cycle: Cycle, every: int, before: Path | None = None) -> Iterator[Look]:
    """Train some epochs more for each look, to the last that the settings have.

    Each goes on from the checkpoint of the one before, as a run does that was stopped. Looks that
    an earlier sitting took, which `looks.json` in the run's folder holds, are not taken again.

    Args:
        cycle: the first, in which all samples are labeled.
        every: epochs between looks.
        before: folder of the training whose weights this one begins with; None is from scratch.
    """
    kept = cycle.folder.path / "looks.json"
    taken: list[Look] = []
    spent = 0.0
    if kept.exists():
        known = json.loads(kept.read_text(encoding="utf-8"))
        taken, spent = [Look(**row) for row in known["looks"]], known["seconds"]
    yield from taken
    last = cycle.experiment.training.epochs
    for epochs in range(every, last + every, every):
        if taken and epochs <= taken[-1].epochs:
            continue
        began, found = time.perf_counter(), None
        try:
            found = look_after(min(epochs, last), cycle, before)
        finally:  # whoever is stopped has spent seconds, too
            spent += time.perf_counter() - began
            if found is not None:
                taken.append(Look(min(epochs, last), *found, spent))
            rows = [asdict(look) for look in taken]
            with replacing(kept) as beside:
                text = json.dumps({"looks": rows, "seconds": spent})
                beside.write_text(text, encoding="utf-8")
        yield taken[-1]


def look_after(epochs: int, cycle: Cycle, before: Path | None = None) -> tuple[float, float]:
    """Train on all samples until so many epochs are done, by the project's own training.

    Args:
        epochs: of training in all.
        cycle: see `looks`; so is `before`.

    Returns:
        The task's metric on the samples, and the module's ordered pairs.

    Raises:
        CheckpointError: if there are no weights to begin with, or they do not fit.
    """
    experiment = cycle.experiment
    task, training = experiment.task, replace(experiment.training, epochs=epochs)
    with start(replace(cycle, experiment=replace(experiment, training=training))) as runner:
        if before is not None:
            warm_start(unwrapped(runner.model), before)
        runner.train()  # from its own checkpoint, where there is one
        metric = evaluate(runner, task.metric)[task.metric]
        groups = {GROUP: np.array(sorted(cycle.pool.labeled))}
        ranking = module_quality(
            unwrapped(runner.model), task.dataset("pool"), task.collate, groups, experiment.scoring
        )
    pairs = ranking[f"ranking/{GROUP}/pairs"]
    return metric, math.nan if pairs is None else pairs
