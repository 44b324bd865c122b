"""Makes mmdet's models importable with mmcv-lite, which has no compiled operators.

`mmcv` with compiled operators has no wheel for current torch versions. What torchvision has takes
the operators' places: non-maximum suppression, RoIAlign, deformable convolutions and the focal
loss; multi-scale deformable attention is mmcv's own PyTorch form. `install()` must run before
mmdet is imported. It steps aside where mmcv has its own extension.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torchvision
from torch import Tensor
from torch.nn import functional as F


class OperatorError(NotImplementedError):
    """An operator of mmcv that neither torchvision nor mmcv's Python has."""

    def __init__(self, name: str) -> None:
        self.operator = name
        super().__init__(
            f"The operator `{name}` needs mmcv's compiled extension, which is not installed "
            "(mmcv-lite has none). "
            "Install `mmcv` with its extension, or choose a model that does not use this operator."
        )


def install() -> None:
    """Put torchvision's operators in the places of mmcv's, and a clear error in those of the rest.

    Raises:
        ImportError: if neither mmcv nor mmcv-lite is installed.
    """
    if importlib.util.find_spec("mmcv") is None:
        raise ImportError(
            "Expected the package `mmcv-lite` or `mmcv`; install this project with `pip install -e "
            ".`"
        )
    if importlib.util.find_spec("mmcv._ext") is not None:
        return
    from mmcv.utils import ext_loader

    ext_loader.load_ext = _load
    from mmcv import ops

    attention = SimpleNamespace(apply=_multi_scale_attention)
    for module, name, stand_in in (
        ("roi_align", "roi_align", _roi_align),
        ("deform_conv", "deform_conv2d", _deform_conv2d),
        ("modulated_deform_conv", "modulated_deform_conv2d", _modulated_deform_conv2d),
        ("focal_loss", "sigmoid_focal_loss", _sigmoid_focal_loss),
        ("multi_scale_deform_attn", "MultiScaleDeformableAttnFunction", attention),
    ):
        setattr(sys.modules[f"mmcv.ops.{module}"], name, stand_in)
        if hasattr(ops, name):
            setattr(ops, name, stand_in)


def _load(name: str, functions: Sequence[str]) -> SimpleNamespace:
    """Stand in for `mmcv.utils.ext_loader.load_ext`: a callable for every name in `functions`."""
    return SimpleNamespace(**{f: _nms if f == "nms" else _missing(f) for f in functions})


def _missing(name: str) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        """Raise the error that names the operator."""
        raise OperatorError(name)

    return fail


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """mmcv's NMS by torchvision's: indices of the kept boxes, best score first.

    Args:
        boxes: (N, 4) corners x1, y1, x2, y2 in pixels.
        scores: (N,).
        iou_threshold: a box goes when its overlap with a better one is above this.
        offset: 1 if a box's width is x2 - x1 + 1.
    """
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes.float(), scores.float(), iou_threshold)


def _roi_align(
    input: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: str = "avg",
    aligned: bool = True,
) -> Tensor:
    """mmcv's RoIAlign by torchvision's: (N, C, H, W) from maps (B, C, h, w) and rois (N, 5).

    A row of `rois` is the number of an image and the corners of a region in it.
    """
    if pool_mode != "avg":
        raise OperatorError(f"roi_align with pool_mode={pool_mode!r}")
    samples = sampling_ratio if sampling_ratio > 0 else -1  # each library's word for adaptive
    rois = rois.to(input.dtype)
    return torchvision.ops.roi_align(input, rois, output_size, spatial_scale, samples, aligned)


def _deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
) -> Tensor:
    """mmcv's deformable convolution by torchvision's, which reads both groups off the shapes."""
    weight = weight.to(input.dtype)
    offset = offset.to(input.dtype)
    return torchvision.ops.deform_conv2d(input, offset, weight, None, stride, padding, dilation)


def _modulated_deform_conv2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """mmcv's modulated deformable convolution by torchvision's."""
    offset, mask, weight = (part.to(input.dtype) for part in (offset, mask, weight))
    bias = bias if bias is None else bias.to(input.dtype)
    return torchvision.ops.deform_conv2d(
        input, offset, weight, bias, stride, padding, dilation, mask
    )


def _sigmoid_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """mmcv's focal loss by torchvision's.

    Args:
        input: (N, C) logits.
        target: (N,) labels; C is background.
        gamma: exponent of the modulating factor.
        alpha: weight of the positive class.
        weight: None; mmdet gives no other.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
    """
    if weight is not None:
        raise OperatorError("sigmoid_focal_loss with weights of classes")
    classes = input.shape[1]
    positive = F.one_hot(target.long(), classes + 1)[:, :classes].to(input.dtype)
    loss = torchvision.ops.sigmoid_focal_loss(input, positive, alpha, gamma)
    if reduction == "mean":
        return loss.sum() / len(loss)  # as mmcv: a mean over rows
    return loss.sum() if reduction == "sum" else loss


def _multi_scale_attention(
    value: Tensor,
    shapes: Tensor,
    starts: Tensor,
    locations: Tensor,
    weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention in mmcv's own PyTorch form, which it has for CPUs."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    locations, weights = locations.type_as(value), weights.type_as(value)
    return multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
