"""Send trained models to other processes, whose task takes the place of this one's."""

from __future__ import annotations

import copy
import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.device import get_device
from ray import cloudpickle
from torch import nn
from torch.utils.hooks import RemovableHandle

from models.training.committee import Member
from models.training.joint import JointModel
from tasks.base import Task

TASK = "the task"


@dataclass(frozen=True)
class Models:
    """What computes the signals of a pass.

    Args:
        model: that was trained.
        committee: see `acquisition.scoring.Pass`.
    """

    model: JointModel
    committee: Sequence[Member] = ()


class _Packer(cloudpickle.CloudPickler):
    """Leaves the task out: it holds the data, and paths of this machine."""

    def __init__(self, file: io.BytesIO, task: Task) -> None:
        super().__init__(file)
        self._task = task

    def persistent_id(self, value: Any) -> str | None:
        """A word for the task; nothing else has one."""
        return TASK if value is self._task else None


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, task: Task) -> None:
        super().__init__(file)
        self._task = task

    def persistent_load(self, word: Any) -> Task:
        """The task of this process."""
        return self._task


def packed(models: Models, task: Task) -> bytes:
    """Write models as bytes, with their weights on the CPU, and without the task.

    What they share stays shared: passes with dropout are passes through one network.
    """
    if any(p.device.type != "cpu" for one in _all(models) for p in one.parameters()):
        models = copy.deepcopy(models, {id(task): task})
        for one in _all(models):
            one.cpu()
    file = io.BytesIO()
    _Packer(file, task).dump(models)
    return file.getvalue()


def unpacked(content: bytes, task: Task) -> Models:
    """Read what `packed` wrote, on the device that there is and with this process's task."""
    models: Models = _Unpacker(io.BytesIO(content), task).load()
    for one in _all(models):
        _reserve(one)
        one.to(get_device()).eval()
    return models


def _reserve(model: nn.Module) -> None:
    """Keep the numbers of a model's hooks from being given again in this process.

    torch counts hooks in each process from 0: a new one, as for the masks of dropout, would take
    the place of one that came with the model.
    """
    kinds = [hooks for part in model.modules() for hooks in vars(part).values()]
    numbers = [key for hooks in kinds if isinstance(hooks, OrderedDict) for key in hooks]
    highest = max((number for number in numbers if isinstance(number, int)), default=-1)
    RemovableHandle.next_id = max(RemovableHandle.next_id, highest + 1)


def _all(models: Models) -> list[JointModel]:
    """Each model once."""
    every = models.model, *(member.model for member in models.committee)
    return list({id(one): one for one in every}.values())
