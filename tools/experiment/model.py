"""The model that an experiment trains: its network with its module."""

from __future__ import annotations

from torch import nn

from models.training.joint import JointModel
from models.training.settings import Mode
from tasks.base import classes_decided
from tools.experiment.config import Experiment


def model_of(experiment: Experiment, network: nn.Module, mode: Mode | None = None) -> JointModel:
    """Join a network of the task with a fresh module.

    Args:
        experiment: its task has read its data without a fault.
        network: initialised; the caller seeds what the module draws.
        mode: of the module; None is that of the experiment's strategy.

    Raises:
        ValueError: if the module cannot be built on the task's taps.
    """
    task = experiment.task
    return JointModel(
        network,
        task.forward,
        task.predict,
        task.taps,
        experiment.module,
        mode or experiment.module_mode,
        task.fields,
        classes_decided(task) if experiment.module.objective == "dynamics" else None,
    )
