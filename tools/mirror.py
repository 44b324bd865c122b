"""A run folder's mirror in W&B: which run it is, its rows, its pictures and its final numbers.

`al_train.py` opens it while it runs and `wandb_push.py` afterwards; both come to the same W&B run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tools import summary
from tools.config import Experiment
from tools.rundir import RunFolder
from tools.settings import flat
from tools.tracking import PROJECT, Identity, Picture, Tracker

AREA = "area_under_curve"


def identity(experiment: Experiment) -> Identity:
    """Which W&B run an experiment is. In its config, `strategy` is the leg: what curves are grouped by."""
    config = {**flat(experiment.config), "config": experiment.name, "module_mode": experiment.module_mode}
    config["strategy"] = experiment.leg  # a strategy of one's own has only `strategy.type` otherwise
    kind = type(experiment.task).__name__.lower()
    return Identity(PROJECT, experiment.name, experiment.leg, experiment.seed, (kind, experiment.strategy), config)


def pictures(experiment: Experiment, folder: RunFolder) -> Callable[[int], list[Picture]]:
    """What shows a committed cycle's queries: its images and captions, by the cycle's number."""
    return lambda cycle: summary.thumbnails(experiment.task, folder.query(cycle))


def tracker(
    experiment: Experiment, folder: RunFolder, mode: str, rows: Sequence[Mapping[str, Any]], say: Callable[[str], None]
) -> Tracker:
    """The open mirror of a run that is to go on; it has sent those `rows` that W&B lacked."""
    return Tracker(folder.path, identity(experiment), mode, rows, say, pictures(experiment, folder))


def final(metric: str) -> str:
    """Key of the last cycle's metric among a run's final numbers."""
    return f"final/{metric}"


def totals(experiment: Experiment, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The final numbers of a finished run; not-a-number where a row lacks its score."""
    metric = experiment.task.metric
    scores = summary.column(rows, metric)
    return {final(metric): scores[-1], AREA: summary.area_under_curve(summary.column(rows, "labeled"), scores)}
