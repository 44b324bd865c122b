"""Check before the first training all that can be checked, in one report."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from torch import nn

from acquisition.pool import Budget
from acquisition.query import needs
from acquisition.signals import need_temperature
from models.networks.weights import WeightsError
from models.process import shared_memory
from models.process.seeding import seeded
from models.process.text import came, one_line, told
from models.training.committee import add_dropout
from models.training.loading import length
from tasks.base import DataError, Noted, Sourced, Task
from tasks.evaluation import metric_of
from tasks.twins import ALLOW, shared_images
from tools.experiment import clashes, last_batch
from tools.experiment.config import Experiment
from tools.experiment.fitting import fit, optimiser
from tools.experiment.model import model_of

TRIED = 4  # samples whose size is looked at


class Findings(NamedTuple):
    """Results of the checks before a run.

    Attributes:
        problems: what must be put right first.
        notes: what is valid but odd; printed if there is no problem.
    """

    problems: list[str]
    notes: list[str]


class Built:
    """What one check built or found and another one needs.

    A network of the paper takes half a second; what was found in data holds for all experiments on
    the same adapter.

    Attributes:
        parameters: of network and module together; None if they are not built yet.
    """

    def __init__(self) -> None:
        self.parameters: int | None = None
        self._task: Task | None = None
        self._found: dict[Hashable, Any] = {}

    def once(self, task: Task, what: Hashable, look: Callable[[], Any]) -> Any:
        """Return what `look` finds in a task's data, which is looked at once."""
        if self._task is not task:
            self._task, self._found = task, {}
        if what not in self._found:
            self._found[what] = look()
        return self._found[what]


def problems(experiment: Experiment, full: bool) -> list[str]:
    """The problems among the `findings`; empty if the run can start."""
    return findings(experiment, full).problems


def findings(experiment: Experiment, full: bool, built: Built | None = None) -> Findings:
    """Return what does not fit together, and what is wrong or odd about data and weights.

    Args:
        experiment: built, nothing read yet.
        full: decode every sample.
        built: gets what is built.
    """
    task, allowed = experiment.task, experiment.test_in_pool
    built = built or Built()
    faults = (
        fit(experiment)
        + optimiser(experiment.training)
        + data_problems(task, experiment.budget, full, built)
    )
    if faults:
        return Findings(faults, [])
    faults, notes = built.once(task, ("oddities", allowed), lambda: _oddities(task, allowed))
    if not faults:  # these need data that can be read
        networks = _networks(experiment, built)
        faults = [*networks.problems, *_shared_memory(experiment)]
        notes = [*notes, *networks.notes, *_temperature(experiment), *_chain(experiment)]
    return Findings(faults, [*clashes.told(), *notes])


def _oddities(task: Task, test_in_pool: bool) -> Findings:
    """Return the task's own notes, and images that it has more than once.

    The images of a task without sources are not compared.
    """
    notes = []
    if isinstance(task, Noted):
        notes = task.notes()
    if not isinstance(task, Sourced):
        return Findings([], notes)
    try:
        shared, doubles = shared_images(task)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # adapters are anybody's
        return Findings(
            [f"task: expected `sources` to return where samples come from, but got {told(error)}"],
            notes,
        )
    if test_in_pool:
        doubles += [f"{fault.where}: {fault.came}; {ALLOW} allows it" for fault in shared]
        shared = []
    return Findings(list(shared), notes + doubles)


def data_problems(task: Task, budget: Budget, full: bool, built: Built | None = None) -> list[str]:
    """Return the faults of data and weights; if there are none, check the budget and labels."""
    checked = (built or Built()).once(task, ("check", full), lambda: task.check(full))
    faults = checked or _sizes(task, budget) + _names(task) + _labels(task)
    return faults or _validation(task, budget)


def _validation(task: Task, budget: Budget) -> list[str]:
    """Check that the task judges samples of its pool, where some validate."""
    if not budget.validation:
        return []
    try:
        metric_of(task, "pool")
    except ValueError as error:
        return [f"budget.validation: expected 0, but got {budget.validation}: {error}"]
    return []


def _sizes(task: Task, budget: Budget) -> list[str]:
    train, pool, test = (length(task.dataset(split)) for split in ("train", "pool", "test"))
    faults = []
    if train != pool:
        faults.append(
            f"task: expected train and pool views of one length, but got {train} and {pool}"
        )
    if not test:
        faults.append("task: expected a test set of at least one sample, but got none")
    held = budget.held(train)
    rest = train - held
    if held and rest <= 0:
        return [
            *faults,
            f"budget.validation: expected fewer samples than the whole pool of {train}, but got "
            f"{budget.validation}",
        ]
    whole = f"the pool without {held} that validate" if held else "the whole pool"
    parts = {"budget.initial": budget.initial}
    if budget.cycles > 1:
        parts["budget.query"] = budget.query
    large = [
        f"{key}: expected at most {rest} ({whole}), but got {n}"
        for key, n in parts.items()
        if n > rest
    ]
    last = budget.initial + (budget.cycles - 1) * budget.query
    if last > rest and not large:
        large = [f"budget: expected at most {rest} labels in the end ({whole}), but got {last}"]
    return faults + large


def _labels(task: Task) -> list[str]:
    """Check that some sample of the pool has labels to learn from; stop at the first such one."""
    size = length(task.dataset("pool"))
    if not size or any(task.effort(i) for i in range(size)):
        return []
    return [
        f"task: expected labels in the pool, but got an effort of 0 for each of its {size:,} "
        "samples; label some"
    ]


def _names(task: Task) -> list[str]:
    """Check that each sample's name can be a line of `samples.txt`."""
    odd = [name for name in names(task) if not one_line(name)]
    if not odd:
        return []
    which = f"{came(odd[0])} ({len(odd)} such)"
    return [f"task.name: expected names in one line of UTF-8, but got {which}; rename the files"]


def _networks(experiment: Experiment, built: Built) -> Findings:
    """Check that network and module can be built, and trained at every size of the budget."""
    task = experiment.task
    try:
        with seeded(0):
            network = task.build()
    except (DataError, WeightsError):
        raise
    except Exception as error:  # adapters are anybody's
        fault = f"task: expected `build` to return a network, but got {told(error)}"
        return Findings([fault], [])
    try:
        model = model_of(experiment, network)
    except (RuntimeError, TypeError, ValueError, MemoryError) as error:
        fault = f"module: expected settings of a module that can be built, but got {told(error)}"
        return Findings([fault], [])
    built.parameters = sum(p.numel() for p in model.parameters())
    faults = _dropout(experiment, network) + last_batch.lone_sample(experiment, model)
    return Findings(faults, last_batch.small_rest(experiment, network))


def _dropout(experiment: Experiment, network: nn.Module) -> list[str]:
    """Check that the network has layers for dropout, if the strategy needs passes with dropout."""
    if experiment.committee_kind == "dropout":
        try:
            add_dropout(network, experiment.committee)
        except ValueError as error:
            return [f"strategy {experiment.strategy!r}: {error}"]
    return []


def _temperature(experiment: Experiment) -> list[str]:
    """Note a temperature that cannot be fitted though samples are there to fit it on."""
    read = (*needs(experiment.steps), *experiment.scoring.save)
    tells = "truth" in experiment.task.fields
    if tells or not experiment.budget.validation or not need_temperature(read):
        return []
    return [
        f"strategy {experiment.strategy!r}: probabilities are taken as they are (temperature 1), "
        "as the task's `output` has no `truth` to fit a temperature on the validation split with"
    ]


def _chain(experiment: Experiment) -> list[str]:
    """Note queries of a chain in which its second step alone chooses.

    With `subset` that is an error of the config.
    """
    kept = max((getattr(step, "keep", 1) for step in experiment.steps), default=1)
    if experiment.subset is not None or kept == 1:
        return []
    budget = experiment.budget
    pool = length(experiment.task.dataset("pool"))
    rest = pool - budget.held(pool)
    whole = [n for n in budget.sizes[:-1] if kept * budget.query >= rest - n]
    if not whole:
        return []
    return [
        f"keep: strategy {experiment.strategy!r} keeps {kept * budget.query} candidates by score, "
        f"but only {rest - whole[0]} are unlabeled at {whole[0]} labels: from there on its last "
        "step chooses among all of them; a smaller keep or budget.query lets the score count"
    ]


def _shared_memory(experiment: Experiment) -> list[str]:
    """Check that the batches of data-loading workers fit into shared memory."""
    training, scoring = experiment.training, experiment.scoring
    sizes = {"training": (training.batch_size, training.workers)}
    if scoring.batch_size != "auto":
        sizes["scoring"] = (scoring.size, scoring.workers)
    if not any(workers for _, workers in sizes.values()):
        return []
    pool = experiment.task.dataset("pool")
    try:
        ids = range(0, length(pool), max(1, length(pool) // TRIED))
        samples = [experiment.task.collate([pool[i]]) for i in ids]
    except DataError:
        raise
    except Exception:  # of an adapter; the run itself will report it
        return []
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of a launcher on this machine
    lines = (
        shared_memory.lack(samples, batch, workers * here, f"{name}.workers")
        for name, (batch, workers) in sizes.items()
    )
    return [line for line in lines if line]


def names(task: Task) -> list[str]:
    """The name of each sample of the pool, by id."""
    return [task.name(i) for i in range(length(task.dataset("pool")))]
