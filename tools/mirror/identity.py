"""A run folder's mirror in W&B: which run it is, its rows, its pictures and its final numbers.

`al_train.py` opens it while it runs and `wandb_push.py` afterwards; both come to the same W&B run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.base import Task
from tools.train import showing
from tools.experiment.config import Experiment
from tools.experiment.plan import Plan
from tools.record.folder import RunFolder
from tools.experiment.settings import flat
from tools.mirror.tracking import Identity, Picture, PROJECT, Tracker

AREA = "area_under_curve"


def identity(plan: Plan, name: str) -> Identity:
    """Which W&B run a run of the config `name` is. In its config, `strategy` is the leg: what curves are grouped by."""
    config = {**flat(plan.config), "config": name, "module_mode": plan.module_mode}
    config["strategy"] = plan.leg  # a strategy of one's own has only `strategy.type` otherwise
    kind = plan.config["task"]["type"].rpartition(".")[2].lower()
    return Identity(PROJECT, name, plan.leg, plan.seed, (kind, plan.strategy), config)


def pictures(task: Task, folder: RunFolder) -> Callable[[int], list[Picture]]:
    """What shows a committed cycle's queries: its images and captions, by the cycle's number."""
    return lambda cycle: showing.thumbnails(task, folder.query(cycle))


def tracker(
    experiment: Experiment, folder: RunFolder, mode: str, rows: Sequence[Mapping[str, Any]], say: Callable[[str], None]
) -> Tracker:
    """The open mirror of a run that is to go on; it has sent those `rows` that W&B lacked."""
    who = identity(experiment, experiment.name)
    return Tracker(folder.path, who, mode, rows, say, pictures(experiment.task, folder))


def final(metric: str) -> str:
    """Key of the last cycle's metric among a run's final numbers."""
    return f"final/{metric}"


def totals(metric: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The final numbers of a finished run; not-a-number where a row lacks its score."""
    scores = showing.column(rows, metric)
    return {final(metric): scores[-1], AREA: showing.area_under_curve(showing.column(rows, "labeled"), scores)}
