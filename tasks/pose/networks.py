"""The networks of the pose task, known before any data flows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from torch import nn

from models.networks import hourglass, weights
from models.networks.hourglass import STRIDE, StackedHourglass, declare_taps
from models.networks.weights import WeightsError
from models.output import Tap

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as HRNet takes them
TORCH = """
from torch import Tensor, nn
from torch.nn import functional as F
"""
TIMM = """
from typing import Any

from torch import Tensor, nn
"""
Pretrained = bool | str | None
Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class Loading:
    """How a network is made without this project.

    Args:
        library: that its code needs: "torch" or "timm".
        title: the class.
        parts: functions and classes of its code, the class last.
        imports: lines that these need.
        lines: that make `network`.
    """

    library: str
    title: str
    parts: tuple[Any, ...]
    imports: str
    lines: list[str]


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

    def bare(self, joints: int) -> nn.Module:
        """One of the right shape, with random weights."""
        ...

    def loading(self, joints: int) -> Loading:
        """How the network is made without this project."""
        ...

    def pinned(self) -> dict[str, Any]:
        """See `tasks.base.Pinned`."""
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

    bare = build

    def loading(self, joints: int) -> Loading:
        """See `Network`."""
        settings = ", ".join(f"{key}={value}" for key, value in asdict(self.settings).items())
        parts = (
            hourglass.Residual,
            hourglass._residuals,
            hourglass.Hourglass,
            StackedHourglass,
        )
        made = [f"network = StackedHourglass({joints}, {settings})"]
        return Loading("torch", "StackedHourglass", parts, TORCH, made)

    def pinned(self) -> dict[str, Any]:
        """Nothing: it begins from no file."""
        return {}

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

    def bare(self, joints: int) -> nn.Module:
        """See `Network`."""
        from models.networks import simple_pose

        return simple_pose.build(self.name, joints, self.size)

    def loading(self, joints: int) -> Loading:
        """See `Network`."""
        from models.networks import simple_pose

        kind, _, name = self.name.partition(":")
        options = simple_pose.options_of(kind, name, self.size)
        given = "".join(f", {key}={value!r}" for key, value in options.items())
        made = [f'backbone = timm.create_model("{name}"{given})']
        parts: tuple[Any, ...]
        if kind == "simple":
            parts = (simple_pose._initialise, simple_pose.SimplePose)
        else:
            parts = (simple_pose._initialise, simple_pose._moved, simple_pose.HighResolutionPose)
        title = parts[-1].__name__
        made.append(f"network = {title}(backbone, {joints})")
        constants = "\n".join(
            f"{key} = {getattr(simple_pose, key)!r}"
            for key in ("FEATURES", "KERNEL", "DECONVOLUTIONS", "SPREAD")
        )
        return Loading("timm", title, parts, f"{TIMM}\n\n{constants}", made)

    def pinned(self) -> dict[str, Any]:
        """The file of weights that its backbone begins from; see `Network`."""
        named = [self.pretrained] if isinstance(self.pretrained, str) else []
        return weights.hashes("task.pretrained", named)

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
