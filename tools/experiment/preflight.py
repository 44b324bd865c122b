"""Everything that can be known to be wrong before the first training, in one report.

And what a run will cost.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from mmengine.dist import get_world_size
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS
from torch import nn
from torch.nn.utils import clip_grad_norm_

from acquisition.pool import Budget
from acquisition.query import needs
from acquisition.signals import fields, need_module
from models.networks.weights import WeightsError
from models.process import shared_memory
from models.process.seeding import seeded
from models.process.text import came, one_line, told
from models.training.committee import add_dropout
from models.training.joint import JointModel
from models.training.loading import length
from models.training.settings import TrainingSettings
from tasks.base import DataError, Noted, Sourced, Task, no_committee
from tasks.twins import ALLOW, shared_images
from tools.experiment import clashes
from tools.experiment.config import Experiment

TRIED = 4  # samples whose size is looked at
# the running cycle's, the next one beside it while it is written, and that of the cycle before
CHECKPOINTS = 3


class Findings(NamedTuple):
    """What the checks before a run say.

    Attributes:
        problems: what must be put right first.
        notes: what is valid and odd; told if there is no problem.
    """

    problems: list[str]
    notes: list[str]


class Built:
    """What one check built and another one asks for: a network of the paper takes half a second.

    Attributes:
        parameters: of network and module together; None if they are not built yet.
    """

    parameters: int | None = None


def problems(experiment: Experiment, full: bool) -> list[str]:
    """Those of `findings`; empty if the run can start."""
    return findings(experiment, full).problems


def findings(experiment: Experiment, full: bool, built: Built | None = None) -> Findings:
    """What does not fit together, the faults of data and weights, and what is odd about the data.

    Args:
        experiment: built, nothing read yet.
        full: decode every sample.
        built: gets what is built.
    """
    task = experiment.task
    found = (
        _fit(experiment)
        + _optimiser(experiment.training)
        + data_problems(task, experiment.budget, full)
    )
    if found:
        return Findings(found, [])
    found, notes = _oddities(task, experiment.test_in_pool)
    # tried with data that can be read
    found = found or [*_networks(experiment, built or Built()), *_shared_memory(experiment)]
    return Findings(found, [*clashes.told(), *notes])


def _oddities(task: Task, test_in_pool: bool) -> Findings:
    """What a task notes itself, and images that it has more than once.

    Of a task without sources nothing is known.
    """
    notes = task.notes() if isinstance(task, Noted) else []
    if not isinstance(task, Sourced):
        return Findings([], notes)
    try:
        shared, doubles = shared_images(task)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # adapters are anybody's
        return Findings(
            [f"task: expected `sources` to tell where samples come from, but got {told(error)}"],
            notes,
        )
    if test_in_pool:
        doubles += [f"{fault.where}: {fault.came}; {ALLOW} allows it" for fault in shared]
        shared = []
    return Findings(list(shared), notes + doubles)


def data_problems(task: Task, budget: Budget, full: bool) -> list[str]:
    """Faults of data and weights; if there are none, whether the budget fits the pool."""
    return task.check(full) or _sizes(task, budget) + _names(task) + _labels(task)


def _fit(experiment: Experiment) -> list[str]:
    """Whether the task gives what the strategy and the module need."""
    names = needs(experiment.steps)
    wanted = set(fields(names)) | ({"loss"} if experiment.module_mode != "off" else set())
    given, found = experiment.task.fields, []
    if wanted - given:
        lacking = sorted(wanted - given)
        found.append(
            f"strategy {experiment.strategy!r} needs {lacking}, but the task gives {sorted(given)}"
        )
    if need_module(names) and experiment.module_mode == "off":
        found.append(
            f"strategy {experiment.strategy!r} needs the loss-prediction module, but module.mode "
            "is 'off'"
        )
    reason = no_committee(experiment.task)
    if experiment.committee_kind and reason:
        found.append(
            f"strategy {experiment.strategy!r} compares the members of a committee, but {reason}; "
            "choose a strategy that needs one network"
        )
    return found


def _optimiser(settings: TrainingSettings) -> list[str]:
    """What optimiser, schedules and clipping say to their arguments, tried on a model of
    two parameters.
    """
    found, parameters = [], list(nn.Linear(1, 1).parameters())
    try:
        optimizer = OPTIMIZERS.build(dict(settings.optimizer, params=parameters))
    except Exception as error:  # any kind: the arguments are the user's
        return [f"training.optimizer: {told(error)}"]
    for place, schedule in enumerate(settings.schedule):
        given = dict(schedule, optimizer=optimizer)
        given.setdefault("end", settings.epochs if given.get("by_epoch", True) else math.inf)
        try:
            scheduler = PARAM_SCHEDULERS.build(given, default_args=dict(epoch_length=1))
            for _ in range(2):
                optimizer.step()  # without gradients it changes nothing
                scheduler.step()
        except Exception as error:
            found.append(f"training.schedule[{place}]: {told(error)}")
    try:
        clip_grad_norm_(parameters, **(settings.clip_grad or {"max_norm": 1}))
    except Exception as error:
        found.append(f"training.clip_grad: {told(error)}")
    return found


def _sizes(task: Task, budget: Budget) -> list[str]:
    train, pool, test = (length(task.dataset(split)) for split in ("train", "pool", "test"))
    found = []
    if train != pool:
        found.append(
            f"task: expected train and pool views of one length, but got {train} and {pool}"
        )
    if not test:
        found.append("task: expected a test set of at least one sample, but got none")
    parts = {
        "budget.initial": budget.initial,
        "budget.query": budget.query if budget.cycles > 1 else 0,
    }
    large = [
        f"{key}: expected at most {train} (the whole pool), but got {n}"
        for key, n in parts.items()
        if n > train
    ]
    last = budget.initial + (budget.cycles - 1) * budget.query
    if last > train and not large:
        large = [
            f"budget: expected at most {train} labels in the end (the whole pool), but got {last}"
        ]
    return found + large


def _labels(task: Task) -> list[str]:
    """Whether a sample of the pool, at least, has something to learn from.

    Asked no further than the first that has.
    """
    size = length(task.dataset("pool"))
    if not size or any(task.effort(i) for i in range(size)):
        return []
    return [
        f"task: expected labels in the pool, but got an effort of 0 for each of its {size:,} "
        "samples; label some"
    ]


def _names(task: Task) -> list[str]:
    """Whether each sample's name can be a line of `samples.txt`."""
    odd = [name for name in names(task) if not one_line(name)]
    which = f"{came(odd[0])} ({len(odd)} such)" if odd else ""
    if odd:
        return [
            f"task.name: expected names in one line of UTF-8, but got {which}; rename the files"
        ]
    return []


def _networks(experiment: Experiment, built: Built) -> list[str]:
    """Whether network and module can be built, and trained with every number of labels of
    the budget.
    """
    task = experiment.task
    try:
        with seeded(0):
            network = task.build()
    except (DataError, WeightsError):
        raise
    except Exception as error:  # adapters are anybody's
        return [f"task: expected `build` to return a network, but got {told(error)}"]
    try:
        model = JointModel(
            network,
            task.forward,
            task.predict,
            task.taps,
            experiment.module,
            experiment.module_mode,
            task.fields,
        )
    except (RuntimeError, TypeError, ValueError, MemoryError) as error:
        return [f"module: expected settings of a module that can be built, but got {told(error)}"]
    built.parameters = sum(p.numel() for p in model.parameters())
    return _dropout(experiment, network) + _lone_sample(experiment, model)


def _dropout(experiment: Experiment, network: nn.Module) -> list[str]:
    """Whether the network has layers to drop out after, where the strategy asks for passes
    with dropout.
    """
    if experiment.committee_kind == "dropout":
        try:
            add_dropout(network, experiment.committee)
        except ValueError as error:
            return [f"strategy {experiment.strategy!r}: {error}"]
    return []


def _lone_sample(experiment: Experiment, model: JointModel) -> list[str]:
    """Where a cycle's last batch is of one sample, whether that can be trained on: batch
    norm over 1x1 maps cannot.
    """
    task, batch = experiment.task, experiment.training.batch_size
    processes = get_world_size()
    lone = [n for n in experiment.budget.sizes if math.ceil(n / processes) % batch == 1]
    if not lone:
        return []
    with seeded(0):
        sample = task.collate([task.dataset("train")[0]])
        try:
            model.train()(mode="loss", **sample)
        except Exception as error:  # of any network's layers
            which = ", ".join(str(n) for n in lone[:4]) + (", ..." if len(lone) > 4 else "")
            return [
                "training.batch_size: expected a last batch of more than one sample, as the "
                "network cannot train on "
                f"one ({told(error)}), but got {batch} with {which} labels; change it, "
                "budget.initial or budget.query"
            ]
    return []


def _shared_memory(experiment: Experiment) -> list[str]:
    """Whether the batches of data-loading workers fit into the memory through which they
    hand them over.
    """
    training, scoring, task = experiment.training, experiment.scoring, experiment.task
    sizes = {"training": (training.batch_size, training.workers)}
    if scoring.batch_size != "auto":
        sizes["scoring"] = (scoring.size, scoring.workers)
    if not any(workers for _, workers in sizes.values()):
        return []
    pool = task.dataset("pool")
    try:
        ids = range(0, length(pool), max(1, length(pool) // TRIED))
        samples = [task.collate([pool[i]]) for i in ids]
    except DataError:
        raise
    except Exception:  # of an adapter; the run itself will say
        return []
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of a launcher on this machine
    given = (
        (samples, batch, workers * here, f"{name}.workers")
        for name, (batch, workers) in sizes.items()
    )
    return [problem for one in given if (problem := shared_memory.lack(*one))]


def disk(experiment: Experiment, folder: Path, built: Built) -> tuple[list[str], int]:
    """Whether the checkpoints will fit beside the run folder; and their size in bytes.

    `built` is of `findings` that found nothing.
    """
    count = built.parameters or 0
    if experiment.committee_kind == "ensemble":
        count *= experiment.committee.members
    # float32; weights and at most two moments of the optimiser
    needed = CHECKPOINTS * count * 4 * 3
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free >= needed:
        return [], needed
    return [
        f"--work-dir: expected {needed / 1e6:,.0f} MB of free disk in {there}, but got "
        f"{free / 1e6:,.0f}"
    ], needed


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
        "scoring": f"{sum(looked):,} samples for {len(looked)} "
        f"quer{'y' if len(looked) == 1 else 'ies'}{times}",
        "disk": f"at most {bytes_needed / 1e6:,.0f} MB of checkpoints at a time",
    }
    return "\n".join(f"{name:9}{value}" for name, value in lines.items())


def names(task: Task) -> list[str]:
    """What each sample of the pool is called, by id."""
    return [task.name(i) for i in range(length(task.dataset("pool")))]
