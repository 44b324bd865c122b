"""A run folder's mirror in W&B: which run it is, its rows, its pictures and its final numbers.

`al_train.py` opens it while it runs and `wandb_push.py` afterwards; both come to the same W&B run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL.Image import Image

from acquisition.query import Query
from tasks.base import Task
from tools.experiment.config import Experiment
from tools.experiment.plan import Plan
from tools.experiment.settings import flat
from tools.mirror.modes import PROJECT
from tools.mirror.tracking import Identity, Picture, Tracker
from tools.record.folder import RunFolder

SHOWN = 4  # thumbnails of the first and of the last queried samples


def identity(plan: Plan, name: str) -> Identity:
    """Return the identity in W&B of a run of the config `name`.

    In its config, `strategy` is the leg, by which curves are grouped.
    """
    config = {**flat(plan.config), "config": name, "module_mode": plan.module_mode}
    config["strategy"] = plan.leg  # a strategy of one's own has only `strategy.type` otherwise
    kind = plan.config["task"]["type"].rpartition(".")[2].lower()
    return Identity(PROJECT, name, plan.leg, plan.seed, (kind, plan.strategy), config)


def pictures(task: Task, folder: RunFolder) -> Callable[[int], list[Picture]]:
    """Return a function from a committed cycle's number to its queried images with captions."""
    return lambda cycle: thumbnails(task, folder.query(cycle))


def tracker(
    experiment: Experiment,
    folder: RunFolder,
    mode: str,
    rows: Sequence[Mapping[str, Any]],
    say: Callable[[str], None],
) -> Tracker:
    """Open the mirror of a run that is to go on; it sends those `rows` that W&B lacks."""
    who = identity(experiment, experiment.name)
    return Tracker(folder.path, who, mode, rows, say, pictures(experiment.task, folder))


def thumbnails(task: Task, query: Query | None) -> list[tuple[Image, str]]:
    """Return pictures of the first and last queried samples, with annotations and scores."""
    if query is None:
        return []
    picked = query.picked.tolist()
    places = [p for p in range(len(picked)) if p < SHOWN or p >= len(picked) - SHOWN]
    position = {int(i): p for p, i in enumerate(query.candidates)}
    images = []
    for place in places:
        sample = picked[place]
        scores = "".join(
            f"  {name} {values[position[sample]]:.3g}"
            for name, values in query.signals.items()
            if values.ndim == 1
        )
        caption = f"choice {place + 1}: {task.name(sample)}{scores}"
        images.append((task.thumbnail(sample), caption))
    return images
