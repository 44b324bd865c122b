"""Networks of timm that return maps beside the logits: one model, one set of weights, one pass.

The model is timm's own and its parameters have timm's names, so that a `state_dict` moves to timm
and back. The maps are those of its `forward_intermediates` (Wightman, "PyTorch Image Models").
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from models.networks.preparation import Preparation
from models.output import Tap

TAPS = 4
STAGES = 7  # a network that lists more maps than so many lists blocks of one kind
CROPS = ("center", "squash")


class Tapped(nn.Module):
    """What a model of timm is besides: a network that returns maps and logits.

    Attributes:
        tapped: which of the model's intermediates are the taps.
    """

    tapped: tuple[int, ...] = ()
    forward_intermediates: Any
    forward_head: Any

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Normalised images (B, 3, H, W) -> maps (B, channels_k, H_k, W_k), logits (B, C)."""
        last, maps = self.forward_intermediates(
            images, indices=list(self.tapped), output_fmt="NCHW"
        )
        return tuple(maps), self.forward_head(last)


@lru_cache
def _tapped(kind: Any) -> type[Tapped]:
    """A class of timm whose `forward` returns maps and logits."""
    return type(f"Tapped{kind.__name__}", (Tapped, kind), {"__module__": __name__})


def build(name: str, num_classes: int, input_size: int) -> nn.Module:
    """A fresh network with random weights; `forward` returns taps and logits.

    Args:
        name: of timm: an architecture, with or without the tag of its weights.
        num_classes: length of the logits.
        input_size: side of the input in pixels; networks of patches are built for it.
    """
    network = create(name, num_classes, input_size)
    network.tapped = _places(network)
    kind: Any = type(network)
    network.__class__ = _tapped(kind)
    return network


def declare_taps(name: str, input_size: int | None = None) -> tuple[Tap, ...]:
    """The taps of a network, known without data or weights.

    Of a network of stages they are the last four stages (all, where it has fewer); of one of equal
    blocks, such as a vision transformer, the ends of its quarters.

    Args:
        name: of timm.
        input_size: side of the input in pixels; the network's own where it is None.

    Raises:
        ValueError: if timm knows no such network, it has no maps, or its input cannot be so large.

    Examples:
        >>> [(tap.name, tap.channels) for tap in declare_taps("resnet10t", 64)]
        [('layer1', 64), ('layer2', 128), ('layer3', 256), ('layer4', 512)]
        >>> [tap.name for tap in declare_taps("vit_tiny_patch16_224", 64)]
        ['blocks.2', 'blocks.5', 'blocks.8', 'blocks.11']
    """
    side = input_size or preparation(name).input_size
    network = shapes_alone(name, side)
    info = list(network.feature_info)
    declared = tuple(Tap(info[k]["module"], info[k]["num_chs"]) for k in _places(network))
    try:
        maps, _ = Tapped.forward(network, torch.empty(1, 3, side, side, device="meta"))
    except Exception as error:  # each family of timm has its own words for it
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"input_size: expected one that {name!r} of timm can take, but got {side} ({said})"
        ) from error
    came = [tuple(tap.shape[:2]) if tap.dim() == 4 else tuple(tap.shape) for tap in maps]
    if came != [(1, tap.channels) for tap in declared]:
        raise ValueError(
            f"network: expected {name!r} of timm to return maps of the channels that it declares, "
            f"{[tap.channels for tap in declared]}, but got {came}"
        )
    return declared


def preparation(name: str) -> Preparation:
    """How timm prepares images for a network, by the model's own data config.

    Raises:
        ValueError: if timm knows no such network, or prepares its images in another way.
    """
    config = resolve_model_data_config(shapes_alone(name))
    channels, height, width = config["input_size"]
    if (channels, height) != (3, width) or config["crop_mode"] not in CROPS:
        raise ValueError(
            f"network: expected one whose images are square, RGB and cropped by one of {CROPS}, "
            f"but {name!r} of timm has {config['input_size']} and {config['crop_mode']!r}"
        )
    return Preparation(
        height,
        tuple(config["mean"]),
        tuple(config["std"]),
        config["interpolation"],
        config["crop_pct"],
        config["crop_mode"] == "squash",
        floors=True,
    )


def classifier(network: Any) -> nn.Linear | None:
    """The fully connected layer that ends the network; None where it ends otherwise."""
    found = network.get_classifier()
    return found if isinstance(found, nn.Linear) else None


def last_width(name: str, input_size: int) -> int | None:
    """Length of the vector that goes into the classifier; None where that is no single layer."""
    linear = classifier(shapes_alone(name, input_size))
    return None if linear is None else linear.in_features


def _places(network: Any) -> tuple[int, ...]:
    """Which of the maps that a network lists are its taps."""
    count = len(list(network.feature_info))
    if count > STAGES:
        return tuple((k + 1) * count // TAPS - 1 for k in range(TAPS))
    return tuple(range(count))[-TAPS:]


def create(name: str, num_classes: int, input_size: int | None, **more: Any) -> Any:
    """A model of timm; those of a fixed input are made for that input."""
    if input_size is not None and fixed_input(name):
        more["img_size"] = input_size
    return timm.create_model(name, num_classes=num_classes, **more)


@lru_cache
def fixed_input(name: str) -> bool:
    """Whether a network is built for inputs of one size."""
    return bool(shapes_alone(name).pretrained_cfg.get("fixed_input_size"))


@lru_cache
def shapes_alone(name: str, input_size: int | None = None) -> Any:
    """A network on torch's meta device: its maps have shapes and no numbers.

    Raises:
        ValueError: if timm knows no such network, or it cannot say what its maps are.
    """
    _check_known(name)
    try:
        try:
            with torch.device("meta"):
                network = create(name, 2, input_size)
        except (NotImplementedError, RuntimeError):  # some compute their widths with tensors
            network = create(name, 2, input_size).to("meta")
    except Exception as error:  # a tag that is none, an input of no whole patches
        said = " ".join(str(error).split())
        raise ValueError(f"network: timm cannot make {name!r} ({said})") from error
    if not hasattr(network, "forward_intermediates") or not getattr(network, "feature_info", ()):
        raise ValueError(
            f"network: expected one whose stages timm {timm.__version__} returns "
            f"(`forward_intermediates`), but {name!r} has none; a newer timm may have them"
        )
    network.tapped = _places(network)
    return network.eval()


def _check_known(name: str) -> None:
    architecture = name.partition(".")[0]
    if timm.is_model(architecture):
        return
    near = difflib.get_close_matches(architecture, timm.list_models(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`timm.list_models()` names those that are"
    raise ValueError(f"network: timm has no {architecture!r}; {hint}")
