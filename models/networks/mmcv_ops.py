"""Make mmdet's models importable with mmcv-lite, which has no compiled operators.

Non-maximum suppression comes from torchvision instead.

`mmcv` with compiled operators has no wheel for current torch versions, and SSD needs one operator
of it: NMS. `install()` must run before mmdet is imported. It does nothing where mmcv has its own
extension.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torchvision
from torch import Tensor


def install() -> None:
    """Make `mmcv.utils.ext_loader` return torchvision's NMS.

    Any other operator raises a clear error when it is called.
    """
    if importlib.util.find_spec("mmcv") is None:
        raise ImportError(
            "Expected the package `mmcv-lite` or `mmcv`; install this project with `pip install -e "
            ".`"
        )
    if importlib.util.find_spec("mmcv._ext") is None:
        from mmcv.utils import ext_loader

        ext_loader.load_ext = _load


def _load(name: str, functions: Sequence[str]) -> SimpleNamespace:
    """Replace `mmcv.utils.ext_loader.load_ext`: return one callable for each of `functions`."""
    operators = {function: _missing(function) for function in functions}
    if "nms" in operators:
        operators["nms"] = _nms
    return SimpleNamespace(**operators)


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


def _missing(name: str) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        """Raise the error of an operator that is not installed."""
        raise NotImplementedError(
            f"The operator `{name}` needs mmcv's compiled extension, which is not installed "
            "(mmcv-lite has none). Install `mmcv` with its extension, or choose a model that does "
            "not use this operator."
        )

    return fail
