"""Committees: ensembles of networks, or passes through one network with random dropout.

A pass draws one mask a layer and applies it to all samples ("consistent" dropout: Kirsch et al.,
BatchBALD, NeurIPS 2019), so it is a member, too: its output for a sample depends on nothing else
in the batch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd

from models.output import Output
from models.process.seeding import derive_seed
from models.training.joint import JointModel
from models.training.settings import CommitteeSettings


@dataclass(frozen=True)
class DropoutAfter:
    """A forward hook that applies dropout to a layer's output.

    It drops whole channels of maps (B, C, H, W), or single numbers of vectors (B, D).

    No module: a child of an `nn.Sequential` would run as one of its layers.
    """

    p: float

    def __call__(self, layer: nn.Module, _: Any, out: Any) -> Tensor:
        """The same shape; unchanged in evaluation mode."""
        if not isinstance(out, Tensor):
            raise TypeError(
                "Expected a layer of `committee.dropout_at` to return a tensor, but got "
                f"{type(out).__name__}"
            )
        if out.dim() == 4:
            return F.dropout2d(out, self.p, layer.training)
        return F.dropout(out, self.p, layer.training)


def add_dropout(network: nn.Module, settings: CommitteeSettings) -> list[str]:
    """Put dropout after the layers that the settings name; parameters keep their names.

    Returns:
        Names of all dropout layers of the network, its own among them.

    Raises:
        ValueError: if a pattern names no layer, or the network ends up without dropout.
    """
    known = [name for name, _ in network.named_modules() if name and _runs(network, name)]
    chosen: dict[str, None] = {}  # a layer that two patterns name gets dropout once
    for pattern in settings.dropout_at:
        matching = [name for name in known if _matches(name, pattern)]
        if not matching:
            near = difflib.get_close_matches(pattern, known, n=3) or known[:8]
            raise ValueError(
                f"committee.dropout_at: {pattern!r} names no layer of the network; it has {near}, "
                "..."
            )
        chosen |= dict.fromkeys(matching)
    for name in chosen:
        network.get_submodule(name).register_forward_hook(DropoutAfter(settings.dropout))
    layers = [name for name, *_ in _dropouts(network)]
    if not layers:
        raise ValueError(
            "committee.dropout_at: expected layers to drop out after, as the network has no "
            f"dropout of its own, but got none; it has {known[:8]}, ..."
        )
    return layers


def _runs(network: nn.Module, name: str) -> bool:
    """Whether a module is called: the containers of a traced graph exist but are not."""
    parts = name.split(".")
    for depth in range(len(parts)):
        graph = network.get_submodule(".".join(parts[:depth]))
        if isinstance(graph, GraphModule):
            called = {node.target for node in graph.graph.nodes if node.op == "call_module"}
            return ".".join(parts[depth:]) in called
    return True


def _matches(name: str, pattern: str) -> bool:
    """Match part by part: "layer*" matches "layer1", and not "layer1.0.conv1"."""
    parts = name.split(".")
    patterns = pattern.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _dropouts(network: nn.Module) -> Iterator[tuple[str, nn.Module, float, int]]:
    """Layers of dropout and those with dropout after them: name, layer, share, dimensions.

    Outputs with at least so many dimensions are maps, whose whole channels are dropped; of others
    single numbers are.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, _DropoutNd) and layer.p > 0:
            maps_from = 9 if isinstance(layer, nn.Dropout) else 3
            yield name, layer, layer.p, maps_from
        for hook in layer._forward_hooks.values():
            if isinstance(hook, DropoutAfter):
                yield name, layer, hook.p, 4


@dataclass(frozen=True)
class Member:
    """One member of a committee.

    It is a network, or a pass through a network with the dropout masks of a seed.
    """

    model: JointModel
    seed: int | None = None

    def __call__(self, batch: Any, want: frozenset[str]) -> Output:
        """Return the member's output for a collated batch, with the wanted fields."""
        if self.seed is None:
            return self.model.output(batch, want)
        with _masks(self.model.network, self.seed):
            return self.model.output(batch, want)


def ensemble(models: Sequence[JointModel]) -> list[Member]:
    """The members of an ensemble, in evaluation mode."""
    return [Member(model.eval()) for model in models]


def passes(model: JointModel, count: int, seed: int) -> list[Member]:
    """Members that are passes through one network, each with its own dropout masks.

    The masks of pass t depend on `seed` and t alone.
    """
    return [Member(model.eval(), derive_seed(seed, t)) for t in range(count)]


@contextmanager
def _masks(network: nn.Module, seed: int) -> Iterator[None]:
    """Within, the masks of this seed are applied at each place of dropout.

    Dropout itself is inactive in evaluation mode.
    """
    with ExitStack() as hooks:
        for name, layer, p, maps_from in list(_dropouts(network)):
            # a layer that runs twice draws twice
            generator = torch.Generator().manual_seed(derive_seed(seed, name))
            mask = partial(_masked_out, p=p, maps_from=maps_from, generator=generator)
            hooks.callback(layer.register_forward_hook(mask).remove)
        yield


def _masked_out(
    _: nn.Module, __: Any, out: Tensor, p: float, maps_from: int, generator: torch.Generator
) -> Tensor:
    if out.dim() >= maps_from:
        shape = (1, out.shape[1], *(1,) * (out.dim() - 2))
    else:
        shape = (1, *out.shape[1:])
    kept = torch.rand(shape, generator=generator) >= p
    return out * (kept.to(out) / (1 - p))
