"""A round: everything that is labeled trains a network, and this chooses the next batch.

Before enough is labeled, an untrained network's features choose.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.first import first_steps
from acquisition.query import Query
from acquisition.step import Step
from models.process.seeding import stream
from models.training.loading import length
from tools.cluster.scoring import Scorer, scorer
from tools.display.console import Plain
from tools.experiment.config import Experiment
from tools.label import task_files
from tools.label.labels import LabelError, PoolImage
from tools.label.project import CONFIG, Project
from tools.label.training import LEAST, experiment_on, places_of, trained
from tools.record.folder import RunFolder
from tools.train.first_set import first_query

PLAN = "plan.json"


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
    left = min(count, len(places) - len(labeled))
    asked = left - round(left * experiment.label.random)
    lacking = _lacking(experiment, labeled)
    if not lacking:
        _require_judged(project, experiment)
        # a strategy is asked for one image at least, also where all are to be random ones
        experiment = experiment_on(project, number, files, len(labeled), min(left, max(asked, 1)))
        folder = RunFolder(project.round(number).resolve())
        previous = _previous(project, number)
        with scorer(ray, experiment, console.print) as scored:
            row = trained(experiment, folder, number, labeled, console, previous, scored)
        _say(project, experiment, number, len(labeled), row, console)
        query = folder.query(0)
        if query is None:
            return Chosen([], [], [], experiment.steps, [], 0, True, experiment)
        return _chosen(experiment, places, labeled, query, experiment.steps, left, asked, True)
    if not left:
        raise LabelError(f"{project.path}: {lacking}; label more")
    if learnt:
        console.print(f"note: {lacking}; this batch is chosen as the first one is")
    with scorer(ray, experiment, console.print) as scored:
        query, steps = _first(experiment, labeled, max(asked, 1), scored)
    return _chosen(experiment, places, labeled, query, steps, left, asked, False)


def _lacking(experiment: Experiment, labeled: Sequence[int]) -> str:
    """What a training lacks, in words; empty if it can begin."""
    known = [i for i in labeled if experiment.task.effort(i)]
    if len(labeled) >= LEAST and known:
        return ""
    return (
        f"expected at least {LEAST} labeled samples outside of the validation slice to train on, "
        f"one of them with something to learn, but got {len(labeled)}, {len(known)} of them with "
        "something"
    )


def _require_judged(project: Project, experiment: Experiment) -> None:
    """Refuse to train where the validation slice has nothing to judge by.

    Raises:
        LabelError: if so; it says what can be done.
    """
    judged = len(project.judged())
    if judged and not length(experiment.task.dataset("test")):
        raise LabelError(
            f"{project.path}: expected something to judge by in the validation slice, which is to "
            f"give the curve, but there is nothing in its {judged:,} labeled images; correct their "
            "labels, or make a new project with a larger label.validation, and --labeled for what "
            "there is"
        )
    if judged:
        return
    remedy = "add them first"
    if not project.slice & (project.waiting | {image.sha256 for image in project.open}):
        remedy = (
            "all its images are skipped or gone: label one of those skipped after all, put one "
            "back, or make a new project, with --labeled for what there is"
        )
    raise LabelError(
        f"{project.path}: expected labels of the validation slice, which is to give the curve, but "
        f"none came back yet; {remedy}"
    )


def _chosen(
    experiment: Experiment,
    places: Sequence[PoolImage],
    labeled: Sequence[int],
    query: Query,
    steps: Sequence[Step],
    left: int,
    asked: int,
    trained: bool,
) -> Chosen:
    """The strategy's images, and random ones beside them.

    Args:
        experiment: of the round.
        places: the image of each sample.
        labeled: ids of samples.
        query: of the strategy.
        steps: of the strategy.
        left: samples to be chosen in all.
        asked: those of them that the strategy chooses.
        trained: whether a network was trained.
    """
    query = replace(query, picked=query.picked[:asked])
    rest = np.setdiff1d(np.setdiff1d(np.arange(len(places)), labeled), query.picked)
    drawn = stream(experiment.seed, "random share").permutation(rest)[: left - asked]
    images = [places[i] for i in query.picked.tolist()]
    first = {image.sha256: place for place, image in reversed(list(enumerate(images)))}
    kept = sorted(first.values())  # persons of one image are asked for once
    signals, shares = _numbers(query)
    return Chosen(
        [images[i] for i in kept],
        [signals[i] for i in kept],
        [shares[i] for i in kept],
        steps,
        _others([places[i] for i in drawn.tolist()], set(first)),
        len(places) - len(labeled),
        trained,
        experiment,
    )


def _others(images: Sequence[PoolImage], taken: set[str]) -> list[PoolImage]:
    """Each image once, without those that are taken."""
    return [one for one in {i.sha256: i for i in images}.values() if one.sha256 not in taken]


def _begin(project: Project, folder: Path, number: int, count: int, console: Plain) -> None:
    """Note what the round is about; one that was begun with something else is begun anew."""
    plan = {
        "labels": project.labels.number,
        "hash": hashlib.sha256(project.labels.text().encode()).hexdigest(),
        "config": (project.path / CONFIG).read_text(encoding="utf-8"),
        "folder": str(folder),
        "root": str(project.index.root),
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
            f"note: round {number} was begun with other labels, images or settings, another "
            "--count, or in another place, and is begun anew"
        )
        shutil.rmtree(folder)
    task_files.write_texts(folder, {PLAN: text})


def _first(
    experiment: Experiment, labeled: Sequence[int], count: int, scored: Scorer
) -> tuple[Query, Sequence[Step]]:
    """Choose where too little is labeled: by features of a network that nobody trained here."""
    first = experiment.label.first
    rng = stream(experiment.seed, "query")
    query = first_query(experiment, first, count, scored, rng, labeled)
    return query, first_steps(first)


def _say(
    project: Project,
    experiment: Experiment,
    number: int,
    labeled: int,
    row: Mapping[str, Any],
    console: Plain,
) -> None:
    metric = experiment.task.metric
    value = "not a number" if row[metric] is None else format(row[metric], ".3f")
    console.print(
        f"round {number}: trained on {labeled:,} labeled samples; {metric} {value} on the "
        "validation slice"
    )
    size = experiment.training.batch_size
    if size != project.experiment.training.batch_size:
        console.print(
            f"note: training.batch_size was {size} in this round, so that its last batch was not "
            "of one sample"
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
