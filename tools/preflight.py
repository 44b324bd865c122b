"""Everything that can be known to be wrong before the first training, in one report; and what a run will cost."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import Dataset

from acquisition.query import needs
from acquisition.signals import fields, need_module
from models.committee import add_dropout
from models.loss_prediction import LossPrediction
from models.training import TrainingSettings
from tools.config import Experiment

CHECKPOINTS = 3  # the running cycle's, the next one beside it while it is written, and that of the cycle before


def problems(experiment: Experiment, full: bool) -> list[str]:
    """Faults of data and weights, then what does not fit together; empty where the run can start.

    Args:
        experiment: built, nothing read yet.
        full: decode every sample.
    """
    faults = _fit(experiment) + _optimiser(experiment.training) + experiment.task.check(full)
    return faults or _sizes(experiment) + _dropout(experiment)  # they can only be known of data that can be read


def _fit(experiment: Experiment) -> list[str]:
    """Whether the task gives what the strategy and the module need."""
    names = needs(experiment.steps)
    wanted = set(fields(names)) | ({"loss"} if experiment.module_mode != "off" else set())
    given, found = experiment.task.fields, []
    if wanted - given:
        lacking = sorted(wanted - given)
        found.append(f"strategy {experiment.strategy!r} needs {lacking}, but the task gives {sorted(given)}")
    if need_module(names) and experiment.module_mode == "off":
        found.append(f"strategy {experiment.strategy!r} needs the loss-prediction module, but module.mode is 'off'")
    return found


def _optimiser(settings: TrainingSettings) -> list[str]:
    """What optimiser, schedules and clipping say to their arguments, tried on a model of two parameters."""
    found, parameters = [], list(nn.Linear(1, 1).parameters())
    try:
        optimizer = OPTIMIZERS.build(dict(settings.optimizer, params=parameters))
    except Exception as error:  # any kind: the arguments are the user's
        return [f"training.optimizer: {_told(error)}"]
    for place, schedule in enumerate(settings.schedule):
        given = dict(schedule, optimizer=optimizer)
        given.setdefault("end", settings.epochs if given.get("by_epoch", True) else math.inf)
        try:
            PARAM_SCHEDULERS.build(given, default_args=dict(epoch_length=1))
        except Exception as error:
            found.append(f"training.schedule[{place}]: {_told(error)}")
    try:
        clip_grad_norm_(parameters, **(settings.clip_grad or {"max_norm": 1}))
    except Exception as error:
        found.append(f"training.clip_grad: {_told(error)}")
    return found


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _sizes(experiment: Experiment) -> list[str]:
    train, pool = (length(experiment.task.dataset(split)) for split in ("train", "pool"))
    last = experiment.budget.sizes[-1]
    found = []
    if train != pool:
        found.append(f"task: expected train and pool views of one length, but got {train} and {pool}")
    if last > train:
        found.append(f"budget: expected at most {train} labels in the end (the whole pool), but got {last}")
    return found


def _dropout(experiment: Experiment) -> list[str]:
    """Whether the network has layers to drop out after, where the strategy asks for passes with dropout."""
    if experiment.committee_kind == "dropout":
        try:
            add_dropout(experiment.task.build(), experiment.committee)
        except ValueError as error:
            return [f"strategy {experiment.strategy!r}: {error}"]
    return []


def disk(experiment: Experiment, folder: Path) -> tuple[list[str], int]:
    """Whether the checkpoints will fit beside the run folder; and their size in bytes."""
    network = experiment.task.build()
    count = sum(p.numel() for p in network.parameters())
    if experiment.module_mode != "off":
        channels, settings = [tap.channels for tap in experiment.task.taps], experiment.module
        module = LossPrediction(channels, settings.width, settings.pooling)
        count += sum(p.numel() for p in module.parameters())
    if experiment.committee_kind == "ensemble":
        count *= experiment.committee.members
    needed = CHECKPOINTS * count * 4 * 3  # float32; weights and at most two moments of the optimiser
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free >= needed:
        return [], needed
    return [f"--work-dir: expected {needed / 1e6:,.0f} MB of free disk in {there}, but got {free / 1e6:,.0f}"], needed


def plan(experiment: Experiment, folder: Path, bytes_needed: int) -> str:
    """What would be run, in words and numbers."""
    training, budget = experiment.training, experiment.budget
    iterations = [training.epochs * math.ceil(n / training.batch_size) for n in budget.sizes]
    pool, test = (length(experiment.task.dataset(split)) for split in ("train", "test"))
    looked = [0] * (budget.cycles - 1)
    if needs(experiment.steps):
        looked = [min(pool - n, experiment.subset or pool) for n in budget.sizes[:-1]]
    members = experiment.committee.members if experiment.committee_kind == "ensemble" else 1
    asked = experiment.committee.passes if experiment.committee_kind == "dropout" else members
    trained = sum(iterations) + (members - 1) * sum(iterations[:-1])
    trainings = budget.cycles + (members - 1) * (budget.cycles - 1)
    steps = f"{training.epochs} epochs, {trained:,} iterations of {training.batch_size}"
    times = f", {asked} times each" * (asked > 1)
    lines = {
        "run": f"{experiment.name}, strategy {experiment.leg}, seed {experiment.seed}",
        "module": experiment.module_mode,
        "folder": folder,
        "data": f"pool {pool:,}, test {test:,}",
        "labels": ", ".join(f"{n:,}" for n in budget.sizes),
        "training": f"{trainings} trainings of {steps}",
        "scoring": f"{sum(looked):,} samples for {len(looked)} quer{'y' if len(looked) == 1 else 'ies'}{times}",
        "disk": f"at most {bytes_needed / 1e6:,.0f} MB of checkpoints at a time",
    }
    return "\n".join(f"{name:9}{value}" for name, value in lines.items())


def names(experiment: Experiment) -> list[str]:
    """What each sample of the pool is called, by id."""
    task = experiment.task
    return [task.name(i) for i in range(length(task.dataset("pool")))]


def length(dataset: Dataset) -> int:
    """Number of samples."""
    return len(dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
