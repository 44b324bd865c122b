"""The network that a setting names: one of the suite, of torchvision, or of timm.

timm takes seconds to import, so it is imported for those who name one of its networks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from models.networks import resnet, weights
from models.networks.preparation import CIFAR, Preparation
from models.networks.weights import WeightsError
from models.output import Tap

if TYPE_CHECKING:
    from models.networks.timm_weights import Weights

PREFIX = "timm:"


class Network(Protocol):
    """What the adapter needs to know of a network.

    Attributes:
        preparation: the network's own; settings may say otherwise.
        taps: declared without data.
        gradients: whether it ends in one fully connected layer, which gradient embeddings need.
    """

    preparation: Preparation
    taps: tuple[Tap, ...]
    gradients: bool

    def build(self, classes: int) -> nn.Module:
        """A fresh network; its `forward` returns taps and logits."""
        ...

    def bare(self, classes: int) -> nn.Module:
        """One of the right shape, with random weights."""
        ...

    def arguments(self, classes: int) -> str:
        """The arguments by which its library makes it, as text."""
        ...

    def last_input(self, network: nn.Module) -> AbstractContextManager[list[Tensor]]:
        """Within, forward passes put what goes into the classifier (B, D) into the list."""
        ...

    def pinned(self) -> dict[str, Any]:
        """See `tasks.base.Pinned`."""
        ...

    def faults(self, classes: int) -> list[str]:
        """What is wrong with its weights."""
        ...

    def notes(self, classes: int) -> list[str]:
        """What is odd about its weights."""
        ...


def network_of(name: str, input_size: int | None, pretrained: bool | str | None) -> Network:
    """The network of a name.

    Args:
        name: with `PREFIX` for timm's.
        input_size: side of the input in pixels; None is the network's own.
        pretrained: True for timm's weights, a path, or None.

    Raises:
        ValueError: if there is no such network, its input cannot be so large, or it has no weights
            to begin with.
    """
    if name.startswith(PREFIX):
        return TimmNetwork(name.removeprefix(PREFIX), input_size, pretrained)
    if pretrained:
        raise ValueError(
            f"pretrained: expected None for {name!r}, which begins from random weights, but got "
            f"{pretrained!r}; networks of timm ({PREFIX}resnet18) have weights"
        )
    return SuiteNetwork(name, input_size)


def _timm() -> ModuleType:
    """What knows timm; no attribute, as data sets are sent to processes with what they hold."""
    from models.networks import timm_networks

    return timm_networks


def _timm_weights() -> ModuleType:
    """The same of its weights."""
    from models.networks import timm_weights

    return timm_weights


class SuiteNetwork:
    """A network of the suite or of torchvision, from random weights; see `Network`."""

    gradients = True

    def __init__(self, name: str, input_size: int | None) -> None:
        self.name = name
        self.preparation = CIFAR
        self.taps = resnet.declare_taps(name, input_size or CIFAR.input_size)

    def build(self, classes: int) -> nn.Module:
        """See `Network`."""
        return resnet.build(self.name, classes)

    bare = build

    def arguments(self, classes: int) -> str:
        """See `Network`: of `torchvision.models.get_model`."""
        return f'"{self.name}", weights=None, num_classes={classes}'

    def last_input(self, network: nn.Module) -> AbstractContextManager[list[Tensor]]:
        """See `Network`; a network without such a layer is a ValueError."""
        return resnet.last_input(network)

    def pinned(self) -> dict[str, Any]:
        """Nothing: it begins from no file."""
        return {}

    def faults(self, classes: int) -> list[str]:
        """None: there are no weights to look at."""
        return []

    def notes(self, classes: int) -> list[str]:
        """None."""
        return []


class TimmNetwork:
    """A network of timm; see `Network`.

    Attributes:
        width: length of the vector that goes into the classifier; None where that is no single
            layer.
    """

    def __init__(self, name: str, input_size: int | None, pretrained: bool | str | None) -> None:
        timm_networks = _timm()
        self.name = name
        self.pretrained = pretrained
        self.preparation = timm_networks.preparation(name)
        self.input_size = input_size or self.preparation.input_size
        self.taps = timm_networks.declare_taps(name, self.input_size)
        self.width = timm_networks.last_width(name, self.input_size)
        self.gradients = self.width is not None
        self._weights: dict[int, Weights] = {}

    def build(self, classes: int) -> nn.Module:
        """See `Network`; every network of a process begins from the same weights.

        Raises:
            WeightsError: if the weights are not there, or are those of another network.
        """
        network = self.bare(classes)
        if self.pretrained:
            _timm_weights().load(network, self._state(classes))
        return network

    def bare(self, classes: int) -> nn.Module:
        """See `Network`."""
        return _timm().build(self.name, classes, self.input_size)

    def arguments(self, classes: int) -> str:
        """See `Network`: of `timm.create_model`."""
        given = f'"{self.name}", num_classes={classes}'
        if _timm().fixed_input(self.name):
            given += f", img_size={self.input_size}"
        return given

    def last_input(self, network: nn.Module) -> AbstractContextManager[list[Tensor]]:
        """See `Network`."""
        return resnet.last_input(network, _timm().classifier(network))

    def pinned(self) -> dict[str, Any]:
        """The file of weights that it begins from; see `Network`."""
        named = [self.pretrained] if isinstance(self.pretrained, str) else []
        return weights.hashes("task.pretrained", named)

    def faults(self, classes: int) -> list[str]:
        """Weights that are not there, cannot be read, or are those of another network."""
        try:
            self._state(classes)
        except WeightsError as error:
            return [f"task.pretrained: {error}"]
        return []

    def notes(self, classes: int) -> list[str]:
        """That the classifier begins at random, where the weights are for other classes."""
        state = self._state(classes)
        if not state or not _timm_weights().lacks_classifier(self.name, self.input_size, state):
            return []
        where = "timm's weights" if self.pretrained is True else str(self.pretrained)
        return [
            f"task.pretrained: {where} tell another number of classes apart than the {classes} of "
            "this task, so the classifier begins at random"
        ]

    def _state(self, classes: int) -> Weights:
        """The weights to begin with, read once; empty where the network begins at random."""
        if not self.pretrained:
            return {}
        if classes not in self._weights:
            self._weights = {classes: self._found(classes)}
        return self._weights[classes]

    def _found(self, classes: int) -> Weights:
        if self.pretrained is True:
            return _timm_weights().downloaded(self.name, classes, self.input_size)
        path = Path(str(self.pretrained)).expanduser()
        return _timm_weights().read(path, self.name, classes, self.input_size)
