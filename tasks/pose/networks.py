"""The networks of the pose task, known before any data flows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

from torch import nn

from models.networks.hourglass import STRIDE, StackedHourglass, declare_taps
from models.networks.weights import WeightsError
from models.output import Tap

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as HRNet takes them
Pretrained = bool | str | None
Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class HourglassSettings:
    """See `models.networks.hourglass.StackedHourglass`."""

    stacks: int
    features: int
    blocks: int
    depth: int


class Network(Protocol):
    """A network that is to be built: what it promises, and how it is made.

    Attributes:
        taps: that its `forward` returns beside heatmaps.
        stride: pixels of the input for one cell of a heatmap.
        mean: that is subtracted from images in [0, 1].
        std: by which they are divided then.
    """

    taps: tuple[Tap, ...]
    stride: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def build(self, joints: int) -> nn.Module:
        """A fresh one."""
        ...

    def faults(self) -> list[str]:
        """Weights that are not there, or are others."""
        ...


class HourglassNetwork:
    """A stacked hourglass.

    Raises:
        ValueError: if an hourglass cannot halve the input so often, or weights are asked for.
    """

    stride, mean, std = STRIDE, MEAN, STD

    def __init__(self, settings: HourglassSettings, size: Size, pretrained: Pretrained) -> None:
        multiple = STRIDE << settings.depth
        odd = [side for side in size if side % multiple]
        if odd:
            raise ValueError(
                f"input_size: expected a multiple of {multiple} for depth {settings.depth}, but "
                f"got {odd[0]}"
            )
        if pretrained:
            raise ValueError(
                f"pretrained: expected None for the network 'hourglass', but got {pretrained!r}"
            )
        self.settings = settings
        self.taps = declare_taps(settings.stacks, settings.features)

    def build(self, joints: int) -> StackedHourglass:
        """See `Network`."""
        return StackedHourglass(joints, **asdict(self.settings))

    def faults(self) -> list[str]:
        """None: it has no weights to load."""
        return []


class TimmNetwork:
    """A network on a backbone of timm.

    Raises:
        ValueError: if there is no such network, or it does not take images of this size.
    """

    def __init__(self, name: str, size: Size, pretrained: Pretrained) -> None:
        from models.networks import simple_pose  # timm takes seconds to import

        declared = simple_pose.declare(name, size)
        self.taps, self.stride = declared.taps, declared.stride
        self.mean, self.std = declared.mean, declared.std
        self.name, self.size, self.pretrained = name, size, pretrained

    def build(self, joints: int) -> nn.Module:
        """See `Network`.

        Raises:
            WeightsError: if the weights are not there, or are others.
        """
        from models.networks import simple_pose

        return simple_pose.build(self.name, joints, self.size, self.pretrained)

    def faults(self) -> list[str]:
        """See `Network`; downloads the weights on first use."""
        if not self.pretrained:
            return []
        try:
            self.build(joints=1)
        except WeightsError as error:
            return [f"task.pretrained: {error}"]
        return []


def network_of(
    name: str, hourglass: HourglassSettings, size: Size, pretrained: Pretrained
) -> Network:
    """The network of a config.

    Args:
        name: ``"hourglass"``, or what `models.networks.simple_pose.build` takes.
        hourglass: settings of the former.
        size: of the input.
        pretrained: weights of the latter's backbone.

    Raises:
        ValueError: if the settings do not fit each other.
    """
    if name == "hourglass":
        return HourglassNetwork(hourglass, size, pretrained)
    return TimmNetwork(name, size, pretrained)
