"""Checks of gradients: they reach all that is trained, and stop at detached taps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn

from models.process.seeding import seeded
from models.training.joint import JointModel
from models.training.settings import ModuleSettings
from tools.contract.subject import SEED, ContractError, SkippedError, Subject, same

OPENING = 5  # steps after which gates that begin at 0 are open, even some behind others
# share of the parameters that may have gradients of 0 all that time, as behind dead units
STILL = 0.2


def loss_reaches_the_network(subject: Subject) -> str:
    """The loss of a training batch has a gradient for every trained parameter that changes it."""
    network = subject.copied()
    trained = trained_of(network)
    if not trained:
        raise ContractError(
            "a parameter that can be trained", "none", "leave one that is not frozen"
        )
    moved = _moved_by_training(subject, network, trained)
    unused = [name for name, parameter in trained.items() if parameter.grad is None]
    if len(unused) == len(trained):
        actual = f"none for {len(unused)} of {len(trained)}, such as {unused[:3]}"
        raise ContractError(
            "a gradient for the parameters", actual, "compute the loss from the network's output"
        )

    def loss(network: nn.Module) -> Any:
        """Return the loss of a training batch."""
        with seeded(SEED):  # one view of the samples, and the same units dropped
            return subject.objective("train", network)

    if lost := what_changes(loss, subject.copied(), unused):
        remedy = (
            "use no `detach`, `no_grad` or `.data` between them and the loss, or freeze what "
            "is not to be trained"
        )
        actual = f"none for {len(unused)} of {len(trained)}, among them {lost!r}, which changes it"
        raise ContractError("a gradient for every parameter that changes the loss", actual, remedy)
    still = [name for name in trained if name not in moved and name not in unused]
    if len(still) > STILL * (len(trained) - len(unused)):
        actual = (
            f"0 in each of {OPENING} steps for {len(still)} of {len(trained)}, such as {still[:3]}"
        )
        remedy = "look for rounding, comparisons, argmax or a factor of 0 before the loss"
        raise ContractError("gradients other than 0", actual, remedy)
    frozen = [name for name, _ in network.named_parameters() if name not in trained]
    groups = {
        "not in the loss": unused,
        f"gradients of 0 in {OPENING} steps": still,
        "frozen": frozen,
    }
    return "; ".join(f"{what}: {_some(names)}" for what, names in groups.items() if names)


def _moved_by_training(
    subject: Subject, network: nn.Module, trained: dict[str, nn.Parameter]
) -> set[str]:
    """Return the names whose gradient is not 0 in some of a few steps.

    The gradients of the last step stay in the network. They come from `backward`, as
    `autograd.grad` fails on networks that compute parts twice to save memory.
    """
    optimizer = torch.optim.Adam(trained.values(), lr=1e-4)
    moved: set[str] = set()
    for _ in range(OPENING):
        loss = subject.objective("train", network)
        if not loss.requires_grad:
            remedy = "use no `detach` and no `no_grad`"
            raise ContractError("a loss attached to the graph", "one that is detached", remedy)
        optimizer.zero_grad()
        loss.backward()
        graded = {
            name: parameter.grad
            for name, parameter in trained.items()
            if parameter.grad is not None
        }
        moved |= {
            name
            for name, gradient in graded.items()
            if name not in moved and bool((gradient != 0).any())
        }
        if moved == graded.keys():
            break
        optimizer.step()
    return moved


def gradients_stop_where_detached(subject: Subject) -> None:
    """The ranking loss has a gradient for the network in mode "joint", and none in "detached"."""
    if "loss" not in subject.task.fields:
        raise SkippedError("because `fields` has no 'loss'")
    if _ranked(subject, "detached"):
        raise ContractError(
            "no gradient for the network where taps are detached", "one", "return tensors as taps"
        )
    if not _ranked(subject, "joint"):
        if not tap_changes(subject, range(len(subject.task.taps))):
            raise SkippedError("because no tap depends on a parameter that is trained")
        raise ContractError(
            "a gradient for the network through the taps",
            "none",
            "return taps attached to the graph",
        )


def _ranked(subject: Subject, mode: Literal["joint", "detached"]) -> bool:
    """Whether the module's loss has a gradient for the network; it may be 0."""
    task = subject.task
    model = JointModel(
        subject.copied(),
        task.forward,
        task.predict,
        task.taps,
        ModuleSettings(width=16),
        mode,
        task.fields,
    )
    model.start_epoch(0)
    model(**model.data_preprocessor(subject.batch("train"), True), mode="loss")[
        "loss_rank"
    ].backward()
    return any(parameter.grad is not None for parameter in model.network.parameters())


def trained_of(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are not frozen, by name; what two layers share comes once."""
    return {
        name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad
    }


def tap_changes(subject: Subject, places: Sequence[int]) -> str:
    """Return the name of a trained parameter that changes one of these taps.

    Empty if there is none, as behind frozen layers.
    """

    def taps(network: nn.Module) -> Any:
        """Return the taps of a batch of the pool."""
        output = subject.task.forward(network, subject.batch("pool"), frozenset())
        return [output.taps[place] for place in places]

    network = subject.copied().eval()
    return what_changes(taps, network, list(trained_of(network)))


def what_changes(
    compute: Callable[[nn.Module], Any], network: nn.Module, names: Sequence[str]
) -> str:
    """Return the name of a parameter that changes what is computed; empty if none does.

    It is searched for by halves. Empty, too, if the same network computes something else every
    time, as no change can be noticed then.

    Args:
        compute: from the network; its changes of the network's buffers are undone.
        network: its parameters are changed, and put back.
        names: of the parameters to try.
    """
    parameters = dict(network.named_parameters())
    buffers = dict(network.named_buffers())
    noted = {name: buffer.clone() for name, buffer in buffers.items()}

    def computed(changed: Sequence[str]) -> Any:
        """Compute with some parameters changed, and put them back."""
        kept = {name: parameters[name].clone() for name in changed}
        for name, buffer in buffers.items():
            buffer.copy_(noted[name])
        for name, value in kept.items():
            parameters[name].add_(torch.randn_like(value) * (0.1 + value.abs().mean()))
        result = compute(network)
        for name, value in kept.items():
            parameters[name].copy_(value)
        return result

    with torch.no_grad(), seeded(SEED):
        before = computed([])
        if not same(before, computed([])) or same(before, computed(names)):
            return ""
        while len(names) > 1:
            half = names[: len(names) // 2]
            names = names[len(half) :] if same(before, computed(half)) else half
        return names[0]


def _some(names: Sequence[str]) -> str:
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first
