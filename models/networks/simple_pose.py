"""Pose networks on timm's backbones, which return taps and heatmaps as the hourglass does.

Sources: Xiao, Wu and Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018
(three deconvolutions on a backbone); Sun et al., "Deep High-Resolution Representation Learning for
Human Pose Estimation", CVPR 2019 (HRNet's highest resolution and one convolution).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import load_state_dict
from torch import Tensor, nn

from models.networks.weights import WeightsError, lacking, locate
from models.output import Tap

Found = tuple[tuple[Tensor, ...], tuple[Tensor]]  # taps, and the heatmaps as the only ones
Size = tuple[int, int]  # width and height in pixels
Pretrained = bool | str | None

KINDS = ("simple", "hrnet")
FEATURES, KERNEL, DECONVOLUTIONS = 256, 4, 3  # Xiao et al., section 2
SPREAD = 1e-3  # of the weights of deconvolutions and last convolution; Xiao et al.'s code
STAGES = 4  # so many of a backbone's last maps are taps


@dataclass(frozen=True)
class Declared:
    """What is known of a network before any data flows.

    Args:
        taps: the outputs of the backbone's stages.
        stride: pixels of the input for one cell of a heatmap.
        mean: of red, green and blue in [0, 1], which is subtracted from images.
        std: by which they are divided then.
    """

    taps: tuple[Tap, ...]
    stride: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class SimplePose(nn.Module):
    """A backbone of timm, three deconvolutions of stride 2, and a 1x1 convolution to heatmaps.

    Args:
        backbone: made by timm with `features_only`.
        joints: heatmaps of a sample.
    """

    def __init__(self, backbone: Any, joints: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels_last = str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC")
        channels = [int(backbone.feature_info.channels()[-1]), *[FEATURES] * DECONVOLUTIONS]
        self.deconvolutions = nn.Sequential(
            *(
                nn.Sequential(
                    nn.ConvTranspose2d(before, after, KERNEL, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                )
                for before, after in zip(channels, channels[1:], strict=False)
            )
        )
        self.score = nn.Conv2d(FEATURES, joints, 1)
        _initialise(self.deconvolutions, self.score)

    def forward(self, images: Tensor) -> Found:
        """Normalised images (B, 3, H, W) -> maps of the stages; heatmaps (B, joints, H/4, W/4).

        Where the last stage's stride is no 32, heatmaps have an eighth of it.
        """
        maps = self.backbone(images)
        if self.channels_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return tuple(maps), (self.score(self.deconvolutions(maps[-1])),)


class HighResolutionPose(nn.Module):
    """timm's HRNet, whose last fusion makes the highest resolution alone, and a 1x1 convolution.

    The other rows of that fusion lead to no heatmap and are taken out, as in the paper.

    Args:
        backbone: timm's HRNet, made with `features_only` and `feature_location=""`.
        joints: heatmaps of a sample.
    """

    def __init__(self, backbone: Any, joints: int) -> None:
        super().__init__()
        last = backbone.stage4[-1]
        last.fuse_layers = last.fuse_layers[:1]
        for name in ("global_pool", "head_drop", "classifier"):
            delattr(backbone, name)
        self.backbone = backbone
        self.score = nn.Conv2d(last.num_in_chs[0], joints, 1)
        _initialise(self.score)

    def forward(self, images: Tensor) -> Found:
        """Normalised images (B, 3, H, W) -> the highest resolution after each stage; heatmaps.

        All of them are (B, channels, H/4, W/4).
        """
        net: Any = self.backbone
        x = net.act1(net.bn1(net.conv1(images)))
        x = net.act2(net.bn2(net.conv2(x)))
        branches = [net.layer1(x)]
        taps = [branches[0]]
        for number in (2, 3, 4):
            branches = _moved(getattr(net, f"transition{number - 1}"), branches)
            branches = getattr(net, f"stage{number}")(branches)
            taps.append(branches[0])
        return tuple(taps), (self.score(taps[-1]),)


def _moved(transition: nn.ModuleList, branches: list[Tensor]) -> list[Tensor]:
    """Branches as a stage takes them: the lowest one makes what is new, as in timm's `stages`."""
    moved = []
    for k, layer in enumerate(transition):
        source = branches[min(k, len(branches) - 1)]
        moved.append(layer(source))
    return moved


def _initialise(*parts: nn.Module) -> None:
    """Draw the weights of new layers as Xiao et al.'s code does."""
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=SPREAD)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def build(network: str, joints: int, size: Size, pretrained: Pretrained = None) -> Any:
    """A fresh network.

    Args:
        network: ``"simple:<name in timm>"`` or ``"hrnet:<name in timm>"``.
        joints: heatmaps of a sample.
        size: of its input.
        pretrained: weights of the backbone; see `backbone`.

    Raises:
        ValueError: if timm has no such backbone, or it has no stages.
        WeightsError: if there are no such weights.
    """
    kind, name = _parts(network)
    make = SimplePose if kind == "simple" else HighResolutionPose
    return make(backbone(kind, name, size, pretrained), joints)


def declare(network: str, size: Size) -> Declared:
    """What a network promises, found by an image without content.

    Raises:
        ValueError: if timm has no such backbone, or it cannot take images of this size.

    Examples:
        >>> found = declare("simple:resnet18", (192, 256))
        >>> [(tap.name, tap.channels) for tap in found.taps], found.stride
        ([('stage1', 64), ('stage2', 128), ('stage3', 256), ('stage4', 512)], 4)
    """
    width, height = size
    try:
        with torch.device("meta"), torch.no_grad():
            made = build(network, 1, size).eval()
            maps, (heatmaps,) = made(torch.zeros(1, 3, height, width))
    except (AssertionError, IndexError, RuntimeError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"network: expected a backbone with stages for images of {width} x {height} pixels, "
            f"but got {network!r}, of which timm says: {said}; name another"
        ) from error
    stride = width // heatmaps.shape[3]
    if (heatmaps.shape[3] * stride, heatmaps.shape[2] * stride) != size:
        came = f"{heatmaps.shape[3]} x {heatmaps.shape[2]}"
        raise ValueError(
            f"input_size: expected sides that {network!r} halves to whole cells, such as "
            f"multiples of 32, but got {width} x {height}, with heatmaps of {came}"
        )
    config: dict[str, Any] = made.backbone.pretrained_cfg
    taps = tuple(Tap(f"stage{k}", one.shape[1]) for k, one in enumerate(maps, 1))
    return Declared(taps, stride, tuple(config["mean"]), tuple(config["std"]))


def _parts(network: str) -> tuple[str, str]:
    """The kind and timm's name.

    Raises:
        ValueError: if either is unknown.
    """
    kind, _, name = network.partition(":")
    if kind not in KINDS or not name:
        raise ValueError(
            "network: expected 'hourglass', 'simple:<backbone of timm>' or 'hrnet:<HRNet of "
            f"timm>', but got {network!r}"
        )
    highest = timm.list_models("hrnet*")
    known = highest if kind == "hrnet" else timm.list_models(exclude_filters="hrnet*")
    plain = name.partition(".")[0]
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=3) or known[:3]
        raise ValueError(
            f"network: expected '{kind}:' and a name of timm {timm.__version__}, but got "
            f"{name!r}; near it are {near}"
        )
    return kind, name


def backbone(kind: str, name: str, size: Size, pretrained: Pretrained) -> Any:
    """timm's model that returns the maps of its stages.

    Args:
        kind: ``"simple"`` or ``"hrnet"``.
        name: what timm calls it, with or without the tag of its weights.
        size: of its input; of concern for networks that have positions.
        pretrained: True for the weights that timm names (downloaded on first use), a file of
            timm's (.safetensors, or torch's), or None for random ones.

    Raises:
        WeightsError: if there are no such weights, or the file holds others.
    """
    return load(name, pretrained, options_of(kind, name, size))


def options_of(kind: str, name: str, size: Size) -> dict[str, Any]:
    """What `timm.create_model` is given besides the name; arguments as of `backbone`."""
    options: dict[str, Any] = dict(features_only=True, out_indices=tuple(range(-STAGES, 0)))
    if kind == "hrnet":
        options = dict(features_only=True, feature_location="")
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = size[::-1]
    return options


def load(name: str, pretrained: Pretrained, options: dict[str, Any]) -> Any:
    """`timm.create_model` with the weights that are asked for, or an error that says what to do."""
    if not pretrained:
        return timm.create_model(name, **options)
    if isinstance(pretrained, str):
        path = locate(pretrained)
        _check_file(name, path)
        options = options | dict(pretrained_cfg_overlay=dict(file=str(path)))
    try:
        return timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # of the hub, of the connection, of timm where there are no weights
        said = " ".join(str(error).split())[:200]
        raise WeightsError(f"Could not load timm's weights of {name!r}: {said}") from error


def _check_file(name: str, path: Path) -> None:
    """Refuse a file that lacks a tensor of the backbone: timm would leave that one random."""
    try:
        held = load_state_dict(str(path))
    except Exception as error:  # torch raises many kinds for files that are none of its own
        raise WeightsError(
            f"Expected weights of timm in {path}, but it cannot be read ({type(error).__name__})"
        ) from error
    with torch.device("meta"):
        needed = timm.create_model(name, num_classes=0).state_dict()
    absent = lacking(held, needed)
    if absent:
        raise WeightsError(
            f"Expected timm's weights of {name!r} in {path}, but it lacks {len(absent)} of "
            f"{len(needed)} tensors, such as {absent[:3]}"
        )
