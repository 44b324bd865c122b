"""Weights of timm's networks: downloaded, or read from a checkpoint that timm wrote."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from timm.models import load_state_dict
from torch import Tensor, nn

from models.networks.timm_networks import create, shapes_alone
from models.networks.weights import WeightsError

Weights = dict[str, Tensor]


def downloaded(name: str, num_classes: int, input_size: int) -> Weights:
    """timm's weights of a network, downloaded on first use; see `read` for the classifier.

    Raises:
        WeightsError: if there are none, or they cannot be reached.
    """
    try:
        network = create(name, num_classes, input_size, pretrained=True)
    except Exception as error:  # hubs, disks and networks fail in many ways
        said = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"Could not get timm's weights of {name!r} ({type(error).__name__}: {said})"
        ) from error
    known = network.pretrained_cfg.get("num_classes")
    state = network.state_dict()
    return state if known == num_classes else _without(state, _classifier_keys(network))


def read(path: Path, name: str, num_classes: int, input_size: int) -> Weights:
    """The weights of a checkpoint that timm wrote; without the classifier where its length differs.

    Reading runs no code from the file. Positions of patches are fitted to the input's size by
    timm's own function for the network.

    Args:
        path: of a checkpoint of timm's training, of its `save_pretrained`, or of a `state_dict`.
        name: of timm.
        num_classes: of the task.
        input_size: side of the input in pixels.

    Raises:
        WeightsError: if there is no such file, or it holds other weights.
    """
    if not path.is_file():
        raise WeightsError(
            f"Expected weights in the file {path.absolute()}, but there is no such file"
        )
    network = create(name, num_classes, input_size)
    expected, keys = network.state_dict(), _classifier_keys(network)
    try:
        state = load_state_dict(str(path), weights_only=True)
        state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:  # torch and safetensors raise many kinds for files of others
        raise WeightsError(
            f"Expected a checkpoint of timm in {path}, but it cannot be read "
            f"({type(error).__name__})"
        ) from error
    if any(key in state and _shape(state, key) != _shape(expected, key) for key in keys):
        state, expected = _without(state, keys), _without(expected, keys)
    state = _fitted(state, network)
    lacking = [key for key in expected if _shape(state, key) != _shape(expected, key)]
    other = [key for key in state if key not in expected]
    if lacking or other:
        what = f"lacks {_few(lacking)} in their shapes" if lacking else f"also has {_few(other)}"
        raise WeightsError(
            f"Expected weights of timm's {name!r} in {path}, but it {what} "
            f"({len(lacking)} of {len(expected)} missing, {len(other)} unknown)"
        )
    return state


def load(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `downloaded` or `read` returned; a classifier that it lacks stays as it is."""
    lacking, other = network.load_state_dict(state, strict=False)
    wrong = set(lacking) - set(_classifier_keys(network))
    if wrong or other:
        raise RuntimeError(f"Expected all weights, but got {sorted(wrong)} and {other}")


def lacks_classifier(name: str, input_size: int, state: Mapping[str, Tensor]) -> bool:
    """Whether weights come without the classifier, which then begins at random."""
    return any(key not in state for key in _classifier_keys(shapes_alone(name, input_size)))


def _fitted(state: Weights, network: nn.Module) -> Weights:
    """The weights after timm's own conversion for the network's family."""
    convert = getattr(sys.modules[_family(network).__module__], "checkpoint_filter_fn", None)
    if convert is None or not _needs_fitting(state, network):
        return state
    return convert(dict(state), network)


def _needs_fitting(state: Mapping[str, Tensor], network: nn.Module) -> bool:
    return any(
        key in state and state[key].shape != value.shape
        for key, value in network.state_dict().items()
    )


def _family(network: nn.Module) -> type[nn.Module]:
    """The class that timm wrote."""
    return next(kind for kind in type(network).__mro__ if kind.__module__.startswith("timm."))


def _classifier_keys(network: Any) -> tuple[str, ...]:
    named = network.pretrained_cfg.get("classifier") or ()
    names = (named,) if isinstance(named, str) else tuple(named)
    return tuple(key for key in network.state_dict() if key.rpartition(".")[0] in names)


def _without(state: Mapping[str, Tensor], keys: Sequence[str]) -> Weights:
    return {key: value for key, value in state.items() if key not in keys}


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(state[key].shape) if key in state else None


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
