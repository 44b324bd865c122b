"""Check, before any data are read, that a strategy's needs are met, and try the optimiser."""

from __future__ import annotations

import math
from typing import Any

from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS
from torch import nn
from torch.nn.utils import clip_grad_norm_

from acquisition.query import needs, read
from acquisition.signals import fields, need_committee, need_dynamics, need_module
from models.process.text import came, told
from models.training.settings import TrainingSettings
from tasks.base import no_committee
from tools.experiment.config import Experiment
from tools.experiment.settings import items_of


def fit(experiment: Experiment) -> list[str]:
    """Check that the task gives what the strategy and the module need."""
    names = needs(experiment.steps)
    wanted = set(fields([*read(experiment.steps), *experiment.scoring.save]))
    if experiment.module_mode != "off":
        wanted |= {"loss", "probs"} if experiment.module.objective == "dynamics" else {"loss"}
    given = experiment.task.fields
    faults = []
    if lacking := sorted(wanted - given):
        what = f"strategy {experiment.strategy!r}" + " with scoring.save" * bool(
            experiment.scoring.save
        )
        faults.append(f"{what} needs {lacking}, but the task gives {sorted(given)}")
    faults += _saved(experiment)
    if need_module(names) and experiment.module_mode == "off":
        faults.append(
            f"strategy {experiment.strategy!r} needs the loss-prediction module, but module.mode "
            "is 'off'"
        )
    faults += _learned(experiment)
    reason = no_committee(experiment.task)
    if experiment.committee_kind and reason:
        faults.append(
            f"strategy {experiment.strategy!r} compares the members of a committee, but {reason}; "
            "choose a strategy that needs one network"
        )
    return faults


def _learned(experiment: Experiment) -> list[str]:
    """Check that the module learns what the strategy reads, and that the task has it."""
    faults = []
    objective, strategy = experiment.module.objective, f"strategy {experiment.strategy!r}"
    dynamics = need_dynamics(needs(experiment.steps))
    if dynamics is not None and dynamics != (objective == "dynamics"):
        wanted = "'dynamics'" if dynamics else "'ranking', 'mse' or 'kl'"
        faults.append(f"{strategy} needs module.objective {wanted}, but got {objective!r}")
    decides = hasattr(experiment.task, "classes_decided")
    if experiment.module_mode != "off" and objective == "dynamics" and not decides:
        kind = type(experiment.task).__name__
        faults.append(
            f"{strategy}: module.objective 'dynamics' needs a network that decides between classes "
            f"once a sample (`classes_decided`, see tasks/base.py), but that of {kind} does not"
        )
    return faults


def _saved(experiment: Experiment) -> list[str]:
    """Check that a run of this strategy has what the signals to save are computed of."""
    lines = []
    for name in experiment.scoring.save:
        if need_module([name]) and experiment.module_mode == "off":
            lines.append(
                f"scoring.save: {name!r} needs the loss-prediction module; add module.mode=joint "
                "or detached"
            )
        dynamics = need_dynamics([name])
        if dynamics is not None and dynamics != (experiment.module.objective == "dynamics"):
            lines.append(
                f"scoring.save: {name!r} is not what a module with module.objective "
                f"{experiment.module.objective!r} predicts"
            )
        kind = need_committee([name])
        if kind not in (None, experiment.committee_kind):
            lines.append(
                f"scoring.save: {name!r} counts votes ({kind}), which strategy "
                f"{experiment.strategy!r} does not ask; it is saved by runs of one that does"
            )
    return lines


def optimiser(settings: TrainingSettings) -> list[str]:
    """Try the arguments of optimiser, schedules and clipping on a model of two parameters."""
    parts = {key: getattr(settings, key) for key in ("optimizer", "schedule", "clip_grad")}
    if faults := _numbers_in_quotes(parts, "training"):
        return faults
    parameters = list(nn.Linear(1, 1).parameters())
    try:
        optimizer = OPTIMIZERS.build(dict(settings.optimizer, params=parameters))
    except Exception as error:  # any kind: the arguments are the user's
        return [f"training.optimizer: {told(error)}"]
    faults = []
    for place, schedule in enumerate(settings.schedule):
        end = settings.epochs if schedule.get("by_epoch", True) else math.inf
        given = {"end": end, **schedule, "optimizer": optimizer}
        try:
            scheduler = PARAM_SCHEDULERS.build(given, default_args=dict(epoch_length=1))
            for _ in range(2):
                optimizer.step()  # without gradients it changes nothing
                scheduler.step()
        except Exception as error:
            faults.append(f"training.schedule[{place}]: {told(error)}")
            continue
        if getattr(scheduler, "need_val_args", False):
            faults.append(
                f"training.schedule[{place}]: {type(scheduler).__name__} needs a validation loop, "
                "which a training here has not; choose a schedule of epochs or iterations"
            )
    if settings.clip_grad is not None:
        faults += _clipping(parameters, settings.clip_grad)
    return faults


def _clipping(parameters: list[nn.Parameter], given: dict[str, Any]) -> list[str]:
    if not given:
        return ["training.clip_grad.max_norm: missing"]
    try:
        clip_grad_norm_(parameters, **given)
        positive = bool(given["max_norm"] > 0)  # NaN is not
    except Exception as error:
        return [f"training.clip_grad: {told(error)}"]
    if positive:
        return []
    norm = came(given["max_norm"])
    return [f"training.clip_grad.max_norm: expected more than 0, but got {norm}"]


def _numbers_in_quotes(value: Any, where: str) -> list[str]:
    """Return a line for every text, at any depth, that reads as a number.

    YAML takes 1e-2 for text.
    """
    if not isinstance(value, str):
        return [line for at, one in items_of(value, where) for line in _numbers_in_quotes(one, at)]
    try:
        number = float(value)
    except ValueError:
        return []
    if not math.isfinite(number):  # the order of a norm may be "inf"
        return []
    digits, e, power = f"{number}".partition("e")
    written = digits + ".0" * ("." not in digits) + e + power  # as YAML reads it, too
    return [f"{where}: expected a number, but got the text {came(value)}; write {written}"]
