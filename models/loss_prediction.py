"""The loss-prediction module and its objectives, the same for every task.

The module is a small network that ranks samples by their loss.

Source: Yoo and Kweon, "Learning Loss for Active Learning", CVPR 2019, section 3 (module and ranking
loss); Shukla and Ahmed, "A Mathematical Analysis of Learning Loss for Active Learning in
Regression", CVPRW 2021 (KL objective and the convolution before the pooling); Kye et al., "TiDAL:
Learning Training Dynamics for Active Learning", ICCV 2023 (the dynamics in place of the loss).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.training.settings import Pooling


class LossPrediction(nn.Module):
    """Predicts the loss of each sample from the feature maps that its network computed anyway.

    Every map is pooled over its places to one vector, every sequence of tokens over its tokens, and
    mapped to `width` features by a fully connected layer and a ReLU; their concatenation is mapped
    to one number, or to one for each class. No dropout, no batch norm, and no activation on them.

    Args:
        channels: channels of each tap, as the task declares them.
        width: features kept of each tap (128 in the paper).
        pooling: ``"gap"``, global average pooling as in the paper; ``"conv_gap"``, a 3x3
            convolution before it.
        classes: of which it predicts logits in place of one loss; None is one loss.

    Examples:
        >>> module = LossPrediction(channels=(64, 128), width=16)
        >>> taps = torch.zeros(4, 64, 8, 8), torch.zeros(4, 128, 4, 4)
        >>> module(taps).shape
        torch.Size([4])
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int = 128,
        pooling: Pooling = "gap",
        classes: int | None = None,
    ) -> None:
        super().__init__()
        if not channels or any(c < 1 for c in channels):
            raise ValueError(
                "Expected `channels` to hold a positive number for each tap, but got "
                f"{tuple(channels)}"
            )
        if width < 1:
            raise ValueError(f"Expected `width` to be at least 1, but got {width}")
        if pooling not in get_args(Pooling):
            raise ValueError(
                f"Expected `pooling` to be one of {get_args(Pooling)}, but got {pooling!r}"
            )
        if classes is not None and classes < 1:
            raise ValueError(f"Expected `classes` to be at least 1, but got {classes}")
        self.channels, self.pooling, self.classes = tuple(channels), pooling, classes
        self.branches = nn.ModuleList(_branch(c, width, pooling) for c in channels)
        self.head = nn.Linear(width * len(self.channels), classes or 1)

    def forward(self, taps: Sequence[Tensor]) -> Tensor:
        """Predict the losses of B samples, or their classes.

        Args:
            taps: one tensor for every tap: a map (B, channels_k, H_k, W_k), or tokens
                (B, N_k, channels_k).

        Returns:
            (B,) predicted losses: their order has a meaning, their scale has not (unless the
            objective is "mse"). With `classes`, logits (B, classes).

        Raises:
            ValueError: if the taps are not the declared ones, or tokens are to be convolved.
        """
        expected = [*self.channels, *(0,) * len(taps)]  # of too many, none
        channels = tuple(_channels(tap, c) for tap, c in zip(taps, expected, strict=False))
        if channels != self.channels:
            raise ValueError(
                f"Expected taps (B, C, H, W) or (B, N, C) with channels {self.channels}, but got "
                f"{channels}"
            )
        pooled = [
            branch(self._as_map(tap)) for branch, tap in zip(self.branches, taps, strict=True)
        ]
        predicted = self.head(torch.cat(pooled, dim=1))
        return predicted.squeeze(1) if self.classes is None else predicted

    def _as_map(self, tap: Tensor) -> Tensor:
        """Tokens (B, N, C) as a map (B, C, N, 1), of which the mean is theirs; maps as they are."""
        if tap.dim() == 4:
            return tap
        refuse_tokens(self.pooling)
        return tap.mT.unsqueeze(3)


def refuse_tokens(pooling: Pooling) -> None:
    """Refuse a pooling that takes places beside each other, which tokens do not have.

    Raises:
        ValueError: if it does.
    """
    if pooling == "conv_gap":
        raise ValueError(
            "Expected taps that are maps (B, C, H, W) for the pooling 'conv_gap', which convolves "
            "places beside each other, but got tokens (B, N, C); set module.pooling to 'gap'"
        )


def _channels(tap: Tensor, expected: int) -> int | tuple[int, ...]:
    """Channels of a map, or of tokens that have the expected ones; else the shape."""
    if tap.dim() == 4:
        return tap.shape[1]
    if tap.dim() == 3 and tap.shape[2] == expected:
        return expected
    return tuple(tap.shape)


def _branch(channels: int, width: int, pooling: Pooling) -> nn.Sequential:
    """The layers for one tap: pooling -> fully connected -> ReLU."""
    before: list[nn.Module] = []
    if pooling == "conv_gap":
        before = [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(
        *before, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, width), nn.ReLU()
    )


def ranking_loss(predicted: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    """The paper's ranking objective: a hinge on pairs of samples.

    It is the mean over pairs of max(0, -s * (p_i - p_j) + margin), with s = +1 if l_i > l_j else
    -1.

    The batch's samples form the pairs (i, B-1-i); an odd batch leaves its middle sample out.

    Args:
        predicted: (B,) predicted losses.
        target: (B,) true losses; constants, no gradient flows into them.
        margin: the hinge's margin, in units of the prediction.

    Returns:
        A scalar; 0 (with a gradient of 0) where the batch holds no pair.

    Examples:
        >>> predicted = torch.tensor([2.0, 0.0, 1.0, 0.0])
        >>> target = torch.tensor([1.0, 0.0, 3.0, 2.0])
        >>> ranking_loss(predicted, target)  # pair (0, 3): 3, in the wrong order; (1, 2): 0
        tensor(1.5000)
    """
    p_i, p_j, l_i, l_j = _pairs(predicted, target)
    sign = torch.where(l_i > l_j, 1.0, -1.0)
    return _mean(F.relu(margin - sign * (p_i - p_j)), predicted)


def mse_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Regression of the true loss by mean squared error: the paper's ablation.

    Shapes as in `ranking_loss`.

    Examples:
        >>> mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """
    _check(predicted, target)
    return _mean((predicted - target.detach()) ** 2, predicted)


def kl_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The objective of LL++: Kullback-Leibler divergence on pairs of samples.

    It is the mean over pairs of KL(t || q), with t = (l_i, l_j) / (l_i + l_j) and q = softmax(p_i,
    p_j).

    Pairs and shapes as in `ranking_loss`. True losses must not be negative; a pair of zeros counts
    as (1/2, 1/2).

    Examples:
        >>> kl_loss(torch.zeros(2), torch.tensor([3.0, 1.0]))  # (3/4, 1/4) against (1/2, 1/2)
        tensor(0.1308)
    """
    p_i, p_j, l_i, l_j = _pairs(predicted, target)
    if bool((target < 0).any()):
        raise ValueError(f"Expected true losses of at least 0, but got {target.min().item()}")
    losses = torch.stack((l_i, l_j), dim=1)
    total = losses.sum(dim=1, keepdim=True)
    share = torch.where(total > 0, losses / total.clamp(min=torch.finfo(losses.dtype).tiny), 0.5)
    log_q = F.log_softmax(torch.stack((p_i, p_j), dim=1), dim=1)
    return _mean(F.kl_div(log_q, share, reduction="none").sum(dim=1), predicted)


def dynamics_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The objective of TiDAL: Kullback-Leibler divergence of each sample from its dynamics.

    It is the mean over samples of KL(t || softmax(p)), with t the mean of the sample's class
    probabilities over the epochs so far.

    Args:
        predicted: (B, C) logits.
        target: (B, C) means; constants, no gradient flows into them.

    Examples:
        >>> dynamics_loss(torch.zeros(1, 2), torch.tensor([[0.75, 0.25]]))
        tensor(0.1308)
    """
    if predicted.dim() != 2 or predicted.shape != target.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise ValueError(f"Expected logits and mean probabilities (B, C), but got {shapes}")
    log_q = F.log_softmax(predicted, dim=1)
    return _mean(F.kl_div(log_q, target.detach(), reduction="none").sum(dim=1), predicted)


def _check(predicted: Tensor, target: Tensor) -> None:
    if predicted.dim() != 1 or predicted.shape != target.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise ValueError(f"Expected predicted and true losses of one shape (B,), but got {shapes}")


def _pairs(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both members of the pairs (i, B-1-i), i < B // 2: predictions, then constant true losses."""
    _check(predicted, target)
    half = len(predicted) // 2
    target = target.detach()
    return predicted[:half], predicted.flip(0)[:half], target[:half], target.flip(0)[:half]


def _mean(values: Tensor, predicted: Tensor) -> Tensor:
    """The mean, or a zero that keeps the graph if there is nothing to average."""
    if not values.numel():
        return predicted.sum() * 0.0
    return values.mean()
