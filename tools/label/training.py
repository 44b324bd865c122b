"""The training of a round: a cycle of `al_train.py` in a run folder of its own.

People are the oracle, and the labels so far are what the task reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acquisition.pool import Pool
from acquisition.query import Query
from acquisition.scoring import score
from models.process.seeding import derive_seed, deterministic
from models.training.loading import length
from tasks import grouping
from tasks.base import Read, Sourced
from tasks.labelable import LabelFiles
from tools.cluster.scoring import Scorer
from tools.display.console import Plain
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.label.labels import PoolImage
from tools.label.project import CONFIG, Project
from tools.record.fingerprint import fingerprint
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.train import loop
from tools.train.cycle import Cycle, settled

LEAST = 2  # samples of a training


@dataclass(frozen=True)
class Round(Cycle):
    """A cycle whose labels people gave.

    Args:
        number: of the round, from 0.
        previous: folder of the round before that trained, whose weights a warm start takes.
    """

    number: int = 0
    previous: Path | None = None

    @property
    def title(self) -> str:
        """Of its progress bars."""
        return f"round {self.number}"

    def before(self, member: int) -> Path | None:
        """The folder of the training whose weights a warm start takes."""
        if self.previous is None:
            return None
        return RunFolder(self.previous).training_folder(0, member)

    @property
    def held(self) -> tuple[Read, np.ndarray]:
        """The validation slice."""
        return "test", np.arange(length(self.experiment.task.dataset("test")))

    def ranked(self, query: Query | None) -> tuple[Read, dict[str, np.ndarray]]:
        """The validation slice: nobody knows the labels of the pool."""
        split, ids = self.held
        return split, {"validation": ids}


def experiment_on(
    project: Project, number: int, files: LabelFiles, initial: int, query: int
) -> Experiment:
    """The project's config on these files, for one cycle.

    Args:
        project: whose config it is.
        number: of the round.
        files: of the labels so far.
        initial: labeled samples.
        query: samples that are asked for; 0 asks for none.
    """
    options = project.reading(files) | {
        "people": True,
        "seed": derive_seed(project.experiment.seed, number, "round") % (1 << 31),
        "budget.initial": max(initial, LEAST),
        "budget.query": max(query, 1),
        "budget.cycles": 2 if query else 1,
    }
    if initial:
        options["training.batch_size"] = _batch_size(project, initial)
    return load(project.path / CONFIG, options=options)


def _batch_size(project: Project, samples: int) -> int:
    """The config's batch size, or the next one that leaves no last batch of one sample.

    People give any number of labels, and batch norm cannot learn of one sample.
    """
    size = project.experiment.training.batch_size
    while size > 1 and samples % size == 1:
        size += 1
    return size


def places_of(experiment: Experiment, pool: Sequence[PoolImage]) -> list[PoolImage]:
    """The image of each sample of the pool."""
    task = experiment.task
    faults = task.check()
    if faults:
        raise ConfigError(experiment.name, faults)
    if not isinstance(task, Sourced):
        raise ConfigError(
            experiment.name,
            [
                f"task.type: expected `sources` of {type(task).__name__}, by which the images of "
                "its samples are found; see tasks/base.py"
            ],
        )
    images = {os.path.abspath(image.path): image for image in pool}
    return [images[os.path.abspath(str(source.file))] for source in task.sources("pool")]


def trained(
    experiment: Experiment,
    folder: RunFolder,
    number: int,
    labeled: tuple[int, ...],
    console: Plain,
    previous: Path | None = None,
    scored: Scorer = score,
) -> dict[str, Any]:
    """Train on what is labeled, as `al_train.py` does, and ask the strategy where it is to be.

    Args:
        experiment: on the labels so far.
        folder: of the run; one that is finished is not run again.
        number: of the round.
        labeled: ids.
        console: gets notes.
        previous: folder of the run whose weights a warm start takes.
        scored: computes the signals of the pool.

    Returns:
        The row of the cycle.
    """
    faults, notes = preflight.findings(experiment, False)
    if faults:
        raise ConfigError(experiment.name, faults)
    for note in grouping.told(notes):
        console.print(f"note: {note}")
    names = preflight.names(experiment.task)
    with (
        deterministic(experiment.training.deterministic and torch.cuda.is_available()),
        folder.locked(),
    ):
        now = fingerprint(experiment.task)
        done = folder.open(experiment.config, names, experiment.name, told(experiment), now)
        if done is None:
            pool = Pool(len(names), labeled)
            ready = settled(experiment, folder)
            cycle = Round(ready, folder, pool, scored=scored, number=number, previous=previous)
            folder.commit(*loop.run_cycle(cycle))
    return folder.rows(1)[0]
