"""The adapter that is checked, and what several checks need of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from models.output import Output
from models.process.seeding import seeded
from tasks.base import Batch, Split, Task

FEW = 4  # samples of a forward pass: enough for pairs, and seconds for a large network
SEED = 3


class ContractError(Exception):
    """A promise that an adapter breaks: the expected value, the actual one, and what to do."""

    def __init__(self, expected: str, actual: object, remedy: str) -> None:
        super().__init__(f"expected {expected}, but got {actual}; {remedy}")


class SkippedError(Exception):
    """Raised by a check that has nothing to look at; the message says why."""


class Subject:
    """An adapter under test, on a CPU.

    Args:
        task: constructed; nothing read yet.
        full: whether its `check` decodes every sample.
    """

    def __init__(self, task: Task, full: bool = False) -> None:
        self.task, self.full = task, full

    def length(self, split: Split) -> int:
        """Return the number of samples of a split."""
        # torch's Dataset declares no length
        return len(self.task.dataset(split))  # type: ignore[arg-type]

    def ids(self, count: int = FEW) -> list[int]:
        """Return at most `count` ids of the pool at even distances: it may be sorted by class."""
        size = self.length("pool")
        count = min(count, size)
        return [k * size // count for k in range(count)]

    def samples(self, split: Split, ids: Sequence[int] | None = None) -> list[Any]:
        """Read some samples of a split anew."""
        dataset = self.task.dataset(split)
        if ids is None:
            ids = self.ids()
        return [dataset[i] for i in ids]

    def batch(self, split: Split, ids: Sequence[int] | None = None) -> Batch:
        """Read some samples anew as a batch; `forward` may change what it is given."""
        batch = self.task.collate(self.samples(split, ids))
        if not isinstance(batch, dict) or not all(isinstance(key, str) for key in batch):
            raise ContractError(
                "`collate` to return a dict with names as keys", type(batch).__name__, "make it one"
            )
        return batch

    @cached_property
    def network(self) -> nn.Module:
        """The seeded network in evaluation mode, shared by the checks that leave it as it is."""
        with seeded(SEED):
            return self.task.build().eval()

    def copied(self) -> nn.Module:
        """Return the seeded network in training mode, for one check alone."""
        try:
            return copy.deepcopy(self.network).train()
        # torch's older weight_norm cannot be copied after a forward pass: its weight is no leaf
        except RuntimeError:
            with seeded(SEED):
                return self.task.build().train()

    def output(self, batch: Batch, want: frozenset[str]) -> Output:
        """Return the output of `forward` for a batch, without gradients."""
        with torch.no_grad():
            return self.task.forward(self.network, batch, want)

    def loss(self, split: Split, network: nn.Module, ids: Sequence[int] | None = None) -> Tensor:
        """Return the losses (B,) of some samples."""
        if "loss" not in self.task.fields:
            raise SkippedError("because `fields` has no 'loss'")
        loss = self.task.forward(network, self.batch(split, ids), frozenset({"loss"})).loss
        if not isinstance(loss, Tensor) or loss.dim() != 1:
            actual = tuple(loss.shape) if isinstance(loss, Tensor) else loss
            raise ContractError("losses (B,), one a sample", actual, "do not reduce over the batch")
        return loss

    def objective(self, split: Split, network: nn.Module) -> Tensor:
        """What training minimises (): the task's own objective, or the mean of the losses."""
        if "objective" not in self.task.fields:
            return self.loss(split, network).mean()
        want = frozenset({"objective"})
        objective = self.task.forward(network, self.batch(split), want).objective
        if not isinstance(objective, Tensor) or objective.dim() != 0:
            came = tuple(objective.shape) if isinstance(objective, Tensor) else objective
            raise ContractError("an objective ()", came, "reduce over the batch")
        return objective

    @cached_property
    def keys(self) -> tuple[list[str], list[str]]:
        """The batch's keys that taps or probabilities depend on, and those of the loss alone.

        Found by giving the batch the other samples' values of one key at a time.
        """
        plain = self.output(self.batch("pool"), self.task.fields)
        inputs = []
        labels = []
        for key in self.batch("pool"):
            swapped = self.output(self.swapped([key]), self.task.fields)
            if not same(signals(plain), signals(swapped)):
                inputs.append(key)
            elif not same(plain.loss, swapped.loss):
                labels.append(key)
        return inputs, labels

    def swapped(self, keys: Sequence[str]) -> Batch:
        """Return a batch of the pool in which each sample has the next one's values of `keys`."""
        ids = self.ids()
        others = self.batch("pool", ids[1:] + ids[:1])
        return self.batch("pool") | {key: others[key] for key in keys}


def signals(output: Output) -> tuple:
    """Return all that a strategy may see of an output."""
    return (
        output.taps,
        output.probs,
        output.weight,
        output.answers,
        output.counts,
        output.peaks,
        output.bag,
        output.stability,
    )


def same(first: Any, second: Any) -> bool:
    """Whether two values are the same to the last bit: tensors, arrays, lists or objects."""
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, np.ndarray) and first.dtype != object:
        return first.dtype == second.dtype and bool(np.array_equal(first, second))
    if isinstance(first, Image):
        return (
            first.mode == second.mode
            and first.size == second.size
            and first.tobytes() == second.tobytes()
        )
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple | np.ndarray):
        return len(first) == len(second) and all(
            same(a, b) for a, b in zip(first, second, strict=True)
        )
    if hasattr(first, "__dict__") and not callable(first):
        return same(vars(first), vars(second))
    return bool(first == second) or first is second
