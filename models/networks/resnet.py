"""Classification networks that return their four stage outputs beside the logits.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; for 32x32 images with
the stem that CIFAR implementations share (3x3, stride 1, no max-pooling) before the four stages of
the ImageNet network.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
import torchvision.models
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from torchvision.models.resnet import BasicBlock

from models.output import Tap

STAGES = 4
REFERENCE = 224  # px, the input on which torchvision's networks show where their stages end
CIFAR_NETWORKS = {  # name -> channels of the first stage, blocks a stage
    "resnet18_cifar": (64, 2),  # 11,173,962 parameters for 10 classes
    "resnet18_cifar_w8": (8, 2),  # 176,402
    "resnet10_cifar_w16": (16, 1),
    "resnet10_cifar_w8": (8, 1),
}

Outputs = tuple[tuple[Tensor, ...], Tensor]  # taps, logits


class CifarResNet(nn.Module):
    """A ResNet for small images: four stages of basic blocks on a 3x3 stem of stride 1.

    Its parameters have torchvision's names.

    Args:
        num_classes: length of the logits.
        width: channels of the stem and the first stage; every stage after it doubles them and
            halves the map.
        blocks: in each stage.
    """

    def __init__(self, num_classes: int, width: int = 64, blocks: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(width, width, 1, blocks)
        self.layer2 = _stage(width, 2 * width, 2, blocks)
        self.layer3 = _stage(2 * width, 4 * width, 2, blocks)
        self.layer4 = _stage(4 * width, 8 * width, 2, blocks)
        self.fc = nn.Linear(8 * width, num_classes)
        for module in self.modules():  # as torchvision's ResNet
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Outputs:
        """Compute the outputs of the four stages and logits (B, C) of images (B, 3, H, W).

        The images are normalised; the stages have strides 1, 2, 4 and 8.
        """
        first = self.layer1(self.relu(self.bn1(self.conv1(images))))
        second = self.layer2(first)
        third = self.layer3(second)
        fourth = self.layer4(third)
        return (first, second, third, fourth), self.fc(fourth.mean(dim=(2, 3)))


def _stage(before: int, channels: int, stride: int, blocks: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or before != channels:
        shortcut = nn.Sequential(
            nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
        )
    first = BasicBlock(before, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(blocks - 1)))


class Tapped(nn.Module):
    """A network of torchvision that also returns feature maps.

    Its graph is traced; there are no hooks.

    Args:
        network: maps images to logits.
        names: its modules whose outputs are the taps.
    """

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        wanted = {name: name for name in names}
        train, test = ({**wanted, nodes[-1]: "logits"} for nodes in get_graph_node_names(network))
        self.network = create_feature_extractor(
            network, train_return_nodes=train, eval_return_nodes=test
        )

    def forward(self, images: Tensor) -> Outputs:
        """Normalised images (B, 3, H, W) -> maps in the order of `names`; logits (B, C)."""
        outputs = self.network(images)
        return tuple(outputs[name] for name in self.names), outputs["logits"]


def declare_taps(name: str, input_size: int) -> tuple[Tap, ...]:
    """The four taps of a network, known without data.

    Args:
        name: a key of `CIFAR_NETWORKS`, or a classification network of torchvision.
        input_size: side of its input in pixels.

    Raises:
        ValueError: if there is no such network, it has no four stages, or its input cannot be so
            small.
    """
    if name in CIFAR_NETWORKS:
        width, _ = CIFAR_NETWORKS[name]
        return tuple(Tap(f"layer{k + 1}", width << k) for k in range(STAGES))
    taps = _torchvision_taps(name)
    try:
        _shapes_alone(name)(torch.empty(1, 3, input_size, input_size, device="meta"))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"input_size: expected one that {name!r} can take, but got {input_size} ({error})"
        ) from error
    return taps


def build(name: str, num_classes: int) -> nn.Module:
    """A fresh network, initialised as torchvision does; `forward` returns taps and logits.

    Errors as `declare_taps`.
    """
    if name in CIFAR_NETWORKS:
        return CifarResNet(num_classes, *CIFAR_NETWORKS[name])
    names = tuple(tap.name for tap in _torchvision_taps(name))
    return Tapped(torchvision.models.get_model(name, weights=None, num_classes=num_classes), names)


@contextmanager
def last_input(network: nn.Module, layer: nn.Linear | None = None) -> Iterator[list[Tensor]]:
    """Within, a forward pass adds the last fully connected layer's input (B, D) to the list.

    Args:
        network: that is run.
        layer: the one that is meant; None is the last one that the network names.

    Raises:
        ValueError: if the network has no fully connected layer.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    linear += [] if layer is None else [layer]
    if not linear:
        raise ValueError(
            "Expected a network with a fully connected layer for gradient embeddings, but got none"
        )
    kept: list[Tensor] = []
    handle = linear[-1].register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    try:
        yield kept
    finally:
        handle.remove()


def residual(logits: Tensor) -> Tensor:
    """The cross-entropy's gradient (B, C) by logits (B, C), the likeliest class as label."""
    return logits.softmax(dim=1) - F.one_hot(logits.argmax(dim=1), logits.shape[1])


@lru_cache
def _torchvision_taps(name: str) -> tuple[Tap, ...]:
    """The last maps of the four coarsest resolutions before the pooling.

    In a ResNet they are layer1 to layer4.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, [*CIFAR_NETWORKS, *known], n=1)
        if near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = f"expected one of {', '.join(CIFAR_NETWORKS)} or torchvision's"
        raise ValueError(f"network: {name!r} is unknown; {hint}")
    maps: dict[int, Tap] = {}  # side in pixels -> the newest map of that side
    # in training these return two more classifiers' logits
    if name not in ("googlenet", "inception_v3"):
        network = _shapes_alone(name)
        for path, module in _body(network):
            module.register_forward_hook(lambda _, __, out, path=path: _note(maps, path, out))
        network(torch.empty(1, 3, REFERENCE, REFERENCE, device="meta"))
    if len(maps) < STAGES:
        raise ValueError(
            f"network: expected one with {STAGES} stages of maps (B, C, H, W), such as 'resnet50', "
            f"but got {name!r}"
        )
    return tuple(maps[side] for side in sorted(maps, reverse=True)[-STAGES:])


def _shapes_alone(name: str) -> nn.Module:
    """A network of torchvision on torch's meta device: its maps have shapes and no numbers."""
    try:
        with torch.device("meta"):
            return torchvision.models.get_model(name, weights=None).eval()
    except NotImplementedError:  # RegNets compute their widths with tensors
        return torchvision.models.get_model(name, weights=None).eval().to("meta")


def _body(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Modules whose maps may be a stage's, up to the classifier's pooling.

    They are the children, and the children of sequences.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d) or name == "classifier":
            return
        yield f"{prefix}{name}", child
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _body(child, f"{prefix}{name}.")


def _note(maps: dict[int, Tap], path: str, out: object) -> None:
    if isinstance(out, Tensor) and out.dim() == 4 and out.shape[2] == out.shape[3]:
        maps[out.shape[2]] = Tap(path, out.shape[1])
