"""A training is one mmengine Runner, set up to be exact, resumable and quiet."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner, TestLoop
from torch import nn
from torch.utils.data import DataLoader

from models.training.checkpoint import CHECKPOINT, UNREADABLE, CheckpointError, KeepCheckpoint, read
from models.training.compiling import CheckCompiled, Compiled
from models.training.hooks import ProgressHook, StartEpoch
from models.training.joint import JointModel
from models.training.loading import stop_workers
from models.training.runner import Blind, LogLosses, PartWiseOptimWrapper, TrainingRunner
from models.training.settings import TrainingSettings


@dataclass(frozen=True)
class Data:
    """The data of a training.

    Args:
        train: loader of the labeled samples.
        test: loader of the test set, read by the Runner's `test()` alone.
        evaluator: takes the model's predictions.
    """

    train: DataLoader
    test: DataLoader
    evaluator: BaseMetric


@dataclass(frozen=True)
class Judged:
    """Further samples on which a trained model is evaluated: their loader, and the metric."""

    samples: DataLoader
    evaluator: BaseMetric


@dataclass(frozen=True)
class Place:
    """The folder, seed, title and launcher of a training.

    Args:
        folder: of this training alone: mmengine resumes whatever is in it.
        seed: of this training.
        title: of the progress bars.
        launcher: mmengine's; "none" is one process.
    """

    folder: Path
    seed: int
    title: str = ""
    launcher: str = "none"


@contextmanager
def training(
    model: JointModel, data: Data, settings: TrainingSettings, place: Place
) -> Iterator[TrainingRunner]:
    """Yield an mmengine Runner for a training and its evaluation: call `train()`, then `test()`.

    The Runner continues from the checkpoint in the place's folder, or does nothing if that is of
    the last epoch.

    Args:
        model: initialised; moved to the device, wrapped if there are several processes.
        data: loaders and evaluator.
        settings: epochs, optimiser and so on.
        place: folder, seed, title and launcher.
    """
    progress = ProgressHook(place.title)
    # where processes exchange results; by default in the current folder
    data.evaluator.collect_dir = str(place.folder / "collected")
    keep = KeepCheckpoint(settings.checkpoint_every, settings.batch_size)
    hooks = [StartEpoch(place.seed), keep, progress, dict(type="SyncBuffersHook")]
    compiled = Compiled(model.network) if settings.compile else None
    if compiled is not None:
        hooks.append(CheckCompiled(compiled))
    # convolutions hand on their weights' format, so inputs need no change
    if settings.channels_last:
        # torch declares it not
        model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    runner = TrainingRunner(
        compiled,
        model=_wrap(model, place.launcher),
        work_dir=str(place.folder),
        **_train_arguments(model, data.train, settings),
        test_dataloader=data.test,
        test_evaluator=Evaluator([data.evaluator]),
        test_cfg=dict(),
        custom_hooks=hooks,
        launcher=place.launcher,
        randomness=dict(seed=place.seed),
        visualizer=dict(type=Blind, vis_backends=[]),
        # two Runners of one name would mix their logs and their history
        experiment_name=uuid.uuid4().hex,
        **_resume_arguments(place.folder),
    )
    try:
        yield runner
    finally:
        progress.close()
        stop_workers(data.train)
        for handler in list(runner.logger.handlers):
            # mmengine never drops a logger; the next build must not write here
            runner.logger.removeHandler(handler)
            handler.close()
        del runner
        # Runner and model refer to each other: without this two cycles' weights are in memory
        gc.collect()


def _train_arguments(
    model: JointModel, train: DataLoader, settings: TrainingSettings
) -> dict[str, Any]:
    """The Runner's arguments for the training itself."""
    parts = [
        list(part.parameters())
        for part in (model.network, model.loss_prediction)
        if part is not None
    ]
    optimizer = dict(settings.optimizer, params=[{"params": parameters} for parameters in parts])
    return dict(
        train_dataloader=train,
        train_cfg=dict(by_epoch=True, max_epochs=settings.epochs),
        optim_wrapper=PartWiseOptimWrapper(
            OPTIMIZERS.build(optimizer), settings.clip_grad, settings.amp
        ),
        param_scheduler=[dict(s) for s in settings.schedule] or None,
        default_hooks=dict(
            checkpoint=None,  # KeepCheckpoint does it
            logger=dict(type=LogLosses, interval=max(1, min(50, len(train)))),
        ),
    )


def _resume_arguments(folder: Path) -> dict[str, Any]:
    """The Runner's arguments to continue a killed training."""
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        return {}
    return dict(load_from=str(checkpoint), resume=True)


def warm_start(model: nn.Module, folder: Path) -> None:
    """Load the final weights of another training.

    Loading is strict and runs no code from the file.

    Raises:
        CheckpointError: if there are none, or they do not fit.
    """
    path = folder / CHECKPOINT
    try:
        state = read(path)
        model.load_state_dict(state["state_dict"], strict=True)
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path}: expected the weights to start from, but {type(error).__name__}: {error}"
        ) from error


def _wrap(model: JointModel, launcher: str) -> nn.Module:
    """Wrap for several processes on CPUs, where mmengine's own wrapping would ask for a GPU."""
    if launcher == "none" or torch.cuda.is_available():
        return model
    return MMDistributedDataParallel(module=model, device_ids=None, broadcast_buffers=False)


def evaluate(runner: Runner, metric: str, others: Judged | None = None) -> dict[str, float]:
    """Return the evaluator's metrics on the test set as plain numbers, `metric` among them.

    With `others`, which come after the test set, theirs on those.
    """
    if others is None:
        found = runner.test()
    else:
        others.evaluator.collect_dir = str(Path(runner.work_dir) / "collected")
        runner._test_loop = TestLoop(runner, others.samples, Evaluator([others.evaluator]))
        found = runner.test_loop.run()
    metrics = {key: float(value) for key, value in found.items()}
    if metric not in metrics:
        raise KeyError(
            f"Expected the task's evaluator to return its metric {metric!r}, but got "
            f"{sorted(metrics)}"
        )
    return metrics
