"""Models that are not trained in this process."""

from __future__ import annotations

from mmengine.device import get_device

from models.process.seeding import seeded
from models.training.joint import JointModel
from models.training.settings import Mode
from tools.experiment.config import Experiment


def untrained(experiment: Experiment, mode: Mode) -> JointModel:
    """A model on the device that there is; the same weights each time."""
    task = experiment.task
    with seeded(0):
        model = JointModel(
            task.build(),
            task.forward,
            task.predict,
            task.taps,
            experiment.module,
            mode,
            task.fields,
        )
    return model.to(get_device())
