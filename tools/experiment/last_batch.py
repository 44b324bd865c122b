"""Check the last batch of an epoch, in each cycle: what is left over where the others are full."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mmengine.dist import get_world_size
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.process.seeding import seeded
from models.process.text import told
from models.training.joint import JointModel
from models.training.numbered import IDS
from tools.experiment.config import Experiment

SMALL = 1 / 4  # of a batch
FEW = 20  # batches an epoch; of more of them one has little weight
NAMED = 4  # sizes that a line names


def lone_sample(experiment: Experiment, model: JointModel) -> list[str]:
    """Check that a last batch of one sample can be trained on, where a cycle has one.

    Batch norm over 1x1 maps cannot.
    """
    lone = [labels for labels, _, rest in _epochs(experiment) if rest == 1]
    if not lone:
        return []
    task = experiment.task
    with seeded(0):
        sample = task.collate([task.dataset("train")[0]])
        try:
            model.train()(mode="loss", **sample, **{IDS: [0]})
        except Exception as error:  # of any network's layers
            return [
                "training.batch_size: expected a last batch of more than one sample, as the "
                f"network cannot train on one ({told(error)}), but got "
                f"{experiment.training.batch_size} with {_listed(lone)} labels; change it, "
                "budget.initial or budget.query"
            ]
    return []


def small_rest(experiment: Experiment, network: nn.Module) -> list[str]:
    """Note a last batch that is small, where it is one of few and the network has batch norm.

    It is a step of the optimiser like any other, and the last one that batch norm's running means
    see before the network is tested.
    """
    if not any(isinstance(layer, _BatchNorm) for layer in network.modules()):
        return []
    batch = experiment.training.batch_size
    small = [
        (labels, rest)
        for labels, batches, rest in _epochs(experiment)
        if 1 < batches <= FEW and 0 < rest < SMALL * batch
    ]
    if not small:
        return []
    least = min(rest for _, rest in small)
    return [
        f"training.batch_size: the last of an epoch's batches of {batch} has as few as {least} "
        f"sample{'s' * (least > 1)} at {_listed([labels for labels, _ in small])} labels, which "
        "can cost a network with batch norm more than a strategy gains (docs/compare.md); sizes "
        "of the budget that leave none over avoid it"
    ]


def _epochs(experiment: Experiment) -> Iterator[tuple[int, int, int]]:
    """Yield labels, batches and samples of the last batch (0 if it is full) of each cycle's epochs.

    Batches are one process's where several train.
    """
    batch = experiment.training.batch_size
    sizes = experiment.budget.sizes
    if experiment.config.get("people"):  # they give what they give, and the next round is another
        sizes = sizes[:1]
    for labels in sizes:
        yield labels, *batches_of(labels, batch)


def batches_of(labels: int, batch: int) -> tuple[int, int]:
    """Return one process's batches an epoch, and samples of the last one (0 if it is full)."""
    own = math.ceil(labels / get_world_size())
    return math.ceil(own / batch), own % batch


def _listed(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes[:NAMED])) + ", ..." * (len(sizes) > NAMED)
