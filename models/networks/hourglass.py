"""The stacked hourglass network; the last map of each stack is a tap.

Source: Newell, Yang and Deng, ECCV 2016.

Layer for layer the PyTorch port by W. Yang (github.com/bearpaw/pytorch-pose), whose weights for
MPII are published (github.com/anibali/pytorch-stacked-hourglass, on PyPI): with the same weights
the same heatmaps, and the same number of parameters, 6,730,912 for 2 stacks of 256 features and 16
joints, 25,594,624 for 8 stacks.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.output import Tap

STRIDE = 4  # pixels of the input for one cell of a heatmap


class Residual(nn.Module):
    """A bottleneck with batch norm and ReLU before each convolution.

    Args:
        channels: of the input.
        features: of the output; half as many in between.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        half = features // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, half, 1),
            nn.BatchNorm2d(half), nn.ReLU(inplace=True), nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half), nn.ReLU(inplace=True), nn.Conv2d(half, features, 1),
        )  # fmt: skip
        self.skip = nn.Identity() if channels == features else nn.Conv2d(channels, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, features, H, W)."""
        return self.skip(x) + self.body(x)


def _residuals(features: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(features, features) for _ in range(blocks)))


class Hourglass(nn.Module):
    """One hourglass: max pooling down `depth` times, nearest-neighbour upsampling back up.

    Every resolution has a branch that skips the lower ones.

    Args:
        depth: how often the resolution is halved.
        features: channels of every map.
        blocks: residuals in a row wherever one stands in the paper's figure.
    """

    def __init__(self, depth: int, features: int, blocks: int) -> None:
        super().__init__()
        self.branch, self.down, self.up = (_residuals(features, blocks) for _ in range(3))
        self.inner: nn.Module
        if depth > 1:
            self.inner = Hourglass(depth - 1, features, blocks)
        else:
            self.inner = _residuals(features, blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, features, H, W) -> the same; H and W are divisible by 2 ** depth."""
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.branch(x) + F.interpolate(low, scale_factor=2.0)


class StackedHourglass(nn.Module):
    """Hourglasses in a row, with intermediate supervision.

    Each predicts heatmaps, which the next one takes as input.

    Args:
        joints: heatmaps of a sample.
        stacks: number of hourglasses.
        features: channels of the maps; divisible by 4.
        blocks: residuals in a row.
        depth: how often an hourglass halves the resolution.
    """

    def __init__(
        self, joints: int, stacks: int = 2, features: int = 256, blocks: int = 1, depth: int = 4
    ) -> None:
        super().__init__()
        quarter = features // 4
        self.stem = nn.Sequential(
            nn.Conv2d(3, quarter, 7, stride=2, padding=3),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            Residual(quarter, 2 * quarter),
            nn.MaxPool2d(2),
            Residual(2 * quarter, features),
            Residual(features, features),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                Hourglass(depth, features, blocks), _residuals(features, blocks),
                nn.Conv2d(features, features, 1), nn.BatchNorm2d(features), nn.ReLU(inplace=True),
            )
            for _ in range(stacks)
        )  # fmt: skip
        self.scores = nn.ModuleList(nn.Conv2d(features, joints, 1) for _ in range(stacks))
        self.back = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in range(stacks - 1))
        self.scores_back = nn.ModuleList(nn.Conv2d(joints, features, 1) for _ in range(stacks - 1))

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Compute the last map and the heatmaps of every stack from images (B, 3, H, W).

        The maps are (B, features, H/4, W/4) and the heatmaps (B, joints, H/4, W/4). H and W are
        divisible by 4 * 2 ** depth.
        """
        x = self.stem(images)
        maps = []
        heatmaps = []
        for k, (hourglass, score) in enumerate(zip(self.hourglasses, self.scores, strict=True)):
            maps.append(hourglass(x))
            heatmaps.append(score(maps[-1]))
            if k < len(self.back):
                x = x + self.back[k](maps[-1]) + self.scores_back[k](heatmaps[-1])
        return tuple(maps), tuple(heatmaps)


def declare_taps(stacks: int, features: int) -> tuple[Tap, ...]:
    """The last map of each stack, from which its heatmaps are computed."""
    return tuple(Tap(f"stack{k + 1}", features) for k in range(stacks))
