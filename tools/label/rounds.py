"""A round: everything that is labeled trains a network, and this chooses the next batch.

It is a cycle of `al_train.py` in a run folder of its own, with people as the oracle. Before
anything is labeled, an untrained network's features choose.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acquisition.first import first_steps
from acquisition.pool import Pool
from acquisition.query import Query
from acquisition.scoring import score
from acquisition.step import Step
from models.process.seeding import derive_seed, deterministic, stream
from models.training.loading import length
from tasks import grouping
from tasks.base import Read, Sourced
from tasks.labelable import Labelable, LabelFiles
from tools.cluster.scoring import Scorer, scorer
from tools.display.console import Plain
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.label import task_files
from tools.label.labels import LabelError, PoolImage
from tools.label.project import CONFIG, Project
from tools.record.fingerprint import fingerprint
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.train import loop
from tools.train.cycle import Cycle, settled
from tools.train.first_set import first_query

PLAN = "plan.json"


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

    def ranked(self, query: Query | None) -> tuple[Read, dict[str, np.ndarray]]:
        """The validation slice: nobody knows the labels of the pool."""
        size = length(self.experiment.task.dataset("test"))
        return "test", {"validation": np.arange(size)}


@dataclass(frozen=True)
class Chosen:
    """What a round chose.

    Args:
        images: of the strategy, first choice first.
        signals: the numbers by which each was chosen.
        shares: for each of them, the share of the candidates below it, from 0 to 1.
        steps: of the strategy.
        random: images drawn at random for comparison.
        candidates: how many there were.
        trained: whether a network was trained.
        experiment: of the round, whose task reads the labels so far.
    """

    images: Sequence[PoolImage]
    signals: Sequence[Mapping[str, float]]
    shares: Sequence[Mapping[str, float]]
    steps: Sequence[Step]
    random: Sequence[PoolImage]
    candidates: int
    trained: bool
    experiment: Experiment


def choose(
    project: Project, number: int, count: int, console: Plain, ray: str | None = None
) -> Chosen:
    """Run a round, or go on with it, and choose a batch.

    Args:
        project: with the folder as it is now.
        number: of the round.
        count: samples that are asked for, at most.
        console: gets notes, and a line on what was trained.
        ray: address of a Ray cluster that scores the pool; None is this process.

    Raises:
        LabelError: if nothing of the validation slice is labeled, or too little else.
        ConfigError: if something does not fit together.
    """
    learnt, judged = project.learnt(), project.judged()
    if learnt and not judged:
        raise LabelError(
            f"{project.path}: expected labels of the validation slice, which is to give the curve, "
            "but none came back yet; add them first"
        )
    _begin(project, project.round(number).resolve(), number, count, console)
    pool = [*learnt, *project.candidates]
    order = {image.sha256: i for i, image in enumerate(project.index.present)}
    pool.sort(key=lambda image: order[image.sha256])
    # before anything is labeled, the file of the pool stands in for the validation slice
    files = task_files.write(project, project.round(number).resolve(), pool, judged or pool)
    experiment = experiment_on(project, number, files, 0, 1)
    places = places_of(experiment, pool)
    known = {image.sha256 for image in learnt}
    labeled = tuple(i for i, image in enumerate(places) if image.sha256 in known)
    candidates = len(places) - len(labeled)
    drawn = round(min(count, candidates) * experiment.label.random)
    asked = min(count, candidates) - drawn
    query: Query | None
    if not learnt:
        with scorer(ray, experiment, console.print) as scored:
            query, steps = _first(experiment, asked, scored)
    else:
        if len(labeled) < 2:
            raise LabelError(
                f"{project.path}: expected at least 2 labeled samples outside of the validation "
                f"slice, but got {len(labeled)}; label more"
            )
        experiment = experiment_on(project, number, files, len(labeled), asked)
        folder = RunFolder(project.round(number).resolve())
        previous = _previous(project, number)
        with scorer(ray, experiment, console.print) as scored:
            row = trained(experiment, folder, number, labeled, console, previous, scored)
        _say(experiment, number, len(labeled), row, console)
        query = folder.query(0)
        steps = experiment.steps
    if query is None:
        return Chosen([], [], [], steps, [], candidates, True, experiment)
    rest = np.setdiff1d(np.setdiff1d(np.arange(len(places)), labeled), query.picked)
    random = stream(experiment.seed, number, "random share").permutation(rest)[:drawn]
    images = [places[i] for i in query.picked.tolist()]
    first = {image.sha256: place for place, image in reversed(list(enumerate(images)))}
    kept = sorted(first.values())  # persons of one image are asked for once
    signals, shares = _numbers(query)
    return Chosen(
        [images[i] for i in kept],
        [signals[i] for i in kept],
        [shares[i] for i in kept],
        steps,
        _others([places[i] for i in random.tolist()], set(first)),
        candidates,
        bool(learnt),
        experiment,
    )


def _others(images: Sequence[PoolImage], taken: set[str]) -> list[PoolImage]:
    """Each image once, without those that are taken."""
    return [one for one in {i.sha256: i for i in images}.values() if one.sha256 not in taken]


def _begin(project: Project, folder: Path, number: int, count: int, console: Plain) -> None:
    """Note what the round is about; one that was begun with something else is begun anew."""
    plan = {
        "labels": project.labels.number,
        "count": count,
        "images": [image.sha256 for image in project.index.present],
        "keys": [image.key for image in project.index.present],
    }
    text = json.dumps(plan) + "\n"
    path = folder / PLAN
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    if path.exists():
        console.print(
            f"note: round {number} was begun with other labels, images or another --count, and is "
            "begun anew"
        )
        shutil.rmtree(folder)
    task_files.write_texts(folder, {PLAN: text})


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
    kind = type(project.experiment.task)
    assert issubclass(kind, Labelable)
    options: dict[str, Any] = {f"task.{key}": value for key, value in kind.on_labels(files).items()}
    options |= {
        "people": True,
        "seed": derive_seed(project.experiment.seed, number, "round") % (1 << 31),
        "budget.initial": max(initial, 2),
        "budget.query": max(query, 1),
        "budget.cycles": 2 if query else 1,
    }
    return load(project.path / CONFIG, options=options)


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


def _first(experiment: Experiment, count: int, scored: Scorer) -> tuple[Query, Sequence[Step]]:
    """Choose where nothing is labeled: by the features of a network that nobody trained here."""
    first = experiment.label.first
    rng = stream(experiment.seed, 0, "query")
    return first_query(experiment, first, count, scored, rng), first_steps(first)


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


def _say(
    experiment: Experiment, number: int, labeled: int, row: Mapping[str, Any], console: Plain
) -> None:
    metric = experiment.task.metric
    value = "not a number" if row[metric] is None else format(row[metric], ".3f")
    console.print(
        f"round {number}: trained on {labeled:,} labeled samples; {metric} {value} on the "
        "validation slice"
    )


def _previous(project: Project, number: int) -> Path | None:
    """The folder of the newest round before that trained."""
    trained = [batch.number for batch in project.batches if batch.trained and batch.number < number]
    return project.round(trained[-1]).resolve() if trained else None


def _numbers(query: Query) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """For each pick its signals, and the share of the candidates that are below."""
    place = {int(i): row for row, i in enumerate(query.candidates.tolist())}
    rows = [place[int(i)] for i in query.picked.tolist()]
    flat = {name: values for name, values in query.signals.items() if values.ndim == 1}
    order = {name: np.sort(values) for name, values in flat.items()}
    signals = [{name: float(values[row]) for name, values in flat.items()} for row in rows]
    shares = [
        {
            name: float(np.searchsorted(order[name], values[row]) / len(values))
            for name, values in flat.items()
        }
        for row in rows
    ]
    return signals, shares
