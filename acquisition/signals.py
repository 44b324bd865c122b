"""Signals: what a strategy may know of a sample. Each reduces an `Output` to one row a sample, inside the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from models.joint import JointModel
from models.output import Output


@dataclass(frozen=True)
class Signal:
    """One number (B,) or vector (B, D) for each sample of a batch.

    Args:
        rows: from the model and its output for the batch.
        fields: of `Output` that the task's `forward` must return for it.
        module: whether the model needs a trained loss-prediction module.
    """

    rows: Callable[[JointModel, Output], Tensor]
    fields: frozenset[str] = frozenset()
    module: bool = False


def _true_loss(model: JointModel, output: Output) -> Tensor:
    if output.loss is None:
        raise ValueError("Expected the task's `forward` to return the field 'loss', but got None")
    return output.loss


SIGNALS = {
    "predicted_loss": Signal(lambda model, output: model.predicted_loss(output.taps), module=True),
    "loss": Signal(_true_loss, frozenset({"loss"})),  # looks at labels: for measuring, and for no honest strategy
}


def fields(names: Iterable[str]) -> frozenset[str]:
    """The union of what the signals need of `forward`."""
    return frozenset().union(*(SIGNALS[name].fields for name in names))


def need_module(names: Iterable[str]) -> bool:
    """Whether any of the signals needs the loss-prediction module."""
    return any(SIGNALS[name].module for name in names)
