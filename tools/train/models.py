"""Models that are not trained in this process."""

from __future__ import annotations

from mmengine.device import get_device

from models.process.seeding import seeded
from models.training.joint import JointModel
from models.training.settings import Mode
from tools.experiment.config import Experiment
from tools.experiment.model import model_of


def untrained(experiment: Experiment, mode: Mode) -> JointModel:
    """A model on the device that there is; the same weights each time."""
    with seeded(0):
        model = model_of(experiment, experiment.task.build(), mode)
    return model.to(get_device())
