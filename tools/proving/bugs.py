"""Bugs that a proof must fail for: each makes one part of what is learned from wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.output import Output
from tasks.base import Batch, Task

Alter = Callable[[Task], None]
PEOPLE = "tasks.noise.Noisy"  # who label with mistakes


@dataclass(frozen=True)
class Bug:
    """One mistake, which is in the training alone: what is tested stays true.

    Args:
        says: what is wrong, in words.
        misses: the bar that is missed: of the task's metric, or of the module's pairs.
        proofs: names of the networks that it is for.
        settings: of the experiment that make the mistake.
        alter: makes it in the task, after that is built.
    """

    says: str
    misses: Literal["metric", "pairs"]
    proofs: Collection[str]
    settings: dict[str, Any] = field(default_factory=dict)
    alter: Alter | None = None


def boxes_off(task: Task) -> None:
    """Let the priors that boxes are matched with be a cell of their map off, right and below."""
    build = task.build

    @wraps(build)
    def built() -> nn.Module:
        """The network, whose head moves its priors."""
        network: Any = build()
        head = network.bbox_head
        anchors = head.get_anchors

        def moved(*args: Any, **kwargs: Any) -> Any:
            """Priors (N, 4) of each map and image, as the loss takes them."""
            images, valid = anchors(*args, **kwargs)
            steps = [torch.tensor([*stride, *stride]) for stride in head.prior_generator.strides]
            off = [
                [priors + step.to(priors) for priors, step in zip(maps, steps, strict=True)]
                for maps in images
            ]
            return off, valid

        head.get_anchors = moved
        return network

    task.build = built  # type: ignore[method-assign]


def taps_of_another(task: Task) -> None:
    """Give the module, in training, the taps of the next image of the batch."""
    forward = task.forward

    @wraps(forward)
    def mixed(network: nn.Module, batch: Batch, want: frozenset[str]) -> Output:
        """The output, in training with the taps of each sample's neighbour."""
        output = forward(network, batch, want)
        if not torch.is_grad_enabled():  # nothing is trained
            return output
        taps: tuple[Tensor, ...] = tuple(tap.roll(1, dims=0) for tap in output.taps)
        return replace(output, taps=taps)

    task.forward = mixed  # type: ignore[method-assign]


BUGS = {
    "labels_shuffled": Bug(
        "every image is learned with another class than its own",
        misses="metric",
        proofs=("resnet18", "ssd300"),
        settings={"oracle": {"type": PEOPLE, "flipped": 1.0}},
    ),
    "boxes_off": Bug(
        "boxes are matched with priors that are a stride off",
        misses="metric",
        proofs=("ssd300",),
        alter=boxes_off,
    ),
    "joints_swapped": Bug(
        "left and right joints are learned in each other's place",
        misses="metric",
        proofs=("hourglass",),
        settings={"oracle": {"type": PEOPLE, "swapped": 1.0}},
    ),
    "taps_of_another": Bug(
        "the module sees the taps of another image of the batch",
        misses="pairs",
        proofs=("resnet18", "hourglass", "ssd300"),
        alter=taps_of_another,
    ),
}
