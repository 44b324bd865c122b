"""A benchmark of a training step with the module joint, detached and off.

Each is measured in a bare loop and through the Runner.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from acquisition.signals import given
from models.loss_prediction import ranking_loss
from models.training.joint import JointModel
from models.training.loading import loader, train_loader
from models.training.settings import Mode
from models.training.trainer import Data, Place, training
from tasks.evaluation import metric_of
from tools.benchmarks import report, subjects
from tools.benchmarks.subjects import Held
from tools.experiment.config import Experiment
from tools.train.cycle import untrained

MODES: tuple[Mode, ...] = ("off", "joint", "detached")
STILL = 1e-9  # learning rate: all measured steps are the same


def measure(
    network: str, root: Path, batch_size: int | None, steps: int, repeats: int
) -> report.Report:
    """Measure six contenders on one network.

    They are the three modes of the module, each in a plain loop and through the Runner.

    Args:
        network: a key of `subjects.PAPER`.
        root: folder of the sandboxes.
        batch_size: the paper's if it is None.
        steps: iterations that a round measures.
        repeats: rounds.
    """
    experiment = subjects.experiment(network, root)
    size = batch_size or experiment.training.batch_size
    samples = Held(experiment.task.dataset("train"), size * steps)
    batches = train_loader(samples, range(len(samples)), size, 0, experiment.task.collate, seed=0)
    models = {mode: untrained(experiment, mode) for mode in MODES}
    for model in models.values():
        model.start_epoch(0)
    runs: dict[str, Callable[[], Any]] = {
        f"bare, {mode}": partial(bare, experiment, models[mode], batches) for mode in MODES
    }
    runs |= {
        f"Runner, {mode}": partial(through_runner, experiment, models[mode], batches)
        for mode in MODES
    }
    with torch.random.fork_rng():
        seconds, _ = report.side_by_side(runs, repeats, lambda run: (run(), None))
    notes: dict[str, dict[str, Any]] = {}
    for way, mode in [(way, mode) for way in ("bare", "Runner") for mode in MODES]:
        name = f"{way}, {mode}"
        notes[name] = {"over off": round(report.over(seconds, name, f"{way}, off"), 3)}
        if way == "bare":
            batch = experiment.task.collate([samples[i] for i in range(size)])
            notes[name]["held for backward, MB"] = round(held(models[mode], batch) / 1e6, 1)
        else:
            notes[name]["over the bare loop"] = round(
                report.over(seconds, name, f"bare, {mode}"), 3
            )
    settings = {"network": network, "batch_size": size, "steps": steps, "repeats": repeats}
    return report.Report("train", settings, report.rows(seconds, notes), report.machine())


def bare(experiment: Experiment, model: JointModel, batches: DataLoader) -> float:
    """Return the seconds of a plain torch loop over the batches: forward, backward and step.

    What is minimised is the library's own loss of a batch, where the task trains on that.
    """
    task = experiment.task
    module = model.loss_prediction
    settings = experiment.module
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = OPTIMIZERS.build(dict(experiment.training.optimizer, params=parameters, lr=STILL))
    model.train()
    done = began = time.perf_counter()
    for batch in batches:
        output = task.forward(model.network, model.data_preprocessor(batch), model.wanted)
        if "objective" in model.wanted:
            loss = given(output.objective, "objective")
        else:
            loss = given(output.loss, "loss").mean()
        if module is not None:
            taps = tuple(output.taps[place] for place in model.read)
            if model.detached:
                taps = tuple(tap.detach() for tap in taps)
            losses = given(output.loss, "loss").detach()
            loss = loss + settings.weight * ranking_loss(module(taps), losses, settings.margin)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # as the Runner reads losses, too
        done = time.perf_counter()
    return done - began


class Stamps(Hook):
    """Records when the first iteration begins and when the last one ends, with all other hooks."""

    priority = "LOWEST"
    began = done = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        """Record the time just before the first batch."""
        self.began = time.perf_counter()

    def after_train_iter(self, *given: Any, **more: Any) -> None:
        """Record the time after a batch and all other hooks."""
        self.done = time.perf_counter()


def through_runner(experiment: Experiment, model: JointModel, batches: DataLoader) -> float:
    """Return the seconds of the same batches in an epoch of the Runner.

    They are counted from its first iteration to the end of its last.
    """
    optimizer = dict(experiment.training.optimizer, lr=STILL)
    settings = replace(experiment.training, epochs=1, optimizer=optimizer, schedule=(), workers=0)
    task = experiment.task
    stamps = Stamps()
    test = loader(
        batches.dataset, DefaultSampler(batches.dataset, shuffle=False), 1, 0, task.collate
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        training(
            model, Data(batches, test, metric_of(task)), settings, Place(Path(folder), 0)
        ) as runner,
    ):
        runner.register_hook(stamps)
        runner.train()
    return stamps.done - stamps.began


def held(model: JointModel, batch: Any) -> int:
    """Return the bytes that a step keeps for the backward pass, without weights."""
    kept: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        """Count what autograd saves, storages once and weights never."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = model(mode="loss", **model.data_preprocessor(batch))
        total = sum(kept.values())  # before anything is released
    del losses
    return total
