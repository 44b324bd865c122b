"""From a file to a detector's input: mmdet's pipelines, and steps of them that mmdet lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

# installs the operators that mmdet needs, so it comes before mmdet
from models.networks.ssd import MEAN_RGB
from tasks.data import read_bgr

from mmcv.transforms import BaseTransform  # isort: skip
from mmdet.datasets.transforms import Resize  # isort: skip

Augmentation = Literal["ssd", "mmdet", "flip", "none"]
Difficult = Literal["ignore", "train"]
META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


class Canvas(NamedTuple):
    """How an image becomes a network's input.

    Args:
        width: of the input in pixels.
        height: of it.
        keep_ratio: whether images keep their ratio and are padded on the right and below; else
            they are stretched.
        pad: colour (B, G, R) of what is padded.
    """

    width: int
    height: int
    keep_ratio: bool = False
    pad: tuple[int, int, int] = (0, 0, 0)


class FitInside(BaseTransform):
    """Resizes an image, and its boxes, to fit into a canvas, and pads it to the whole canvas.

    All inputs have one size, so what a network makes of an image does not depend on the batch.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas

    def transform(self, results: dict) -> dict:
        """Resize and pad; `img_shape` is the image's size without the padding."""
        height, width = results["img"].shape[:2]
        scale = min(self._canvas.width / width, self._canvas.height / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        results = Resize(scale=size, keep_ratio=False).transform(results)
        below, right = self._canvas.height - size[1], self._canvas.width - size[0]
        results["img"] = cv2.copyMakeBorder(
            results["img"], 0, below, 0, right, cv2.BORDER_CONSTANT, value=self._canvas.pad
        )
        return results


class LoadImage(BaseTransform):
    """mmcv's `LoadImageFromFile` for files that are checked first."""

    def transform(self, results: dict) -> dict:
        """Read `img_path` into `img`, BGR, turned by its EXIF."""
        results["img"] = read_bgr(Path(results["img_path"]))
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


class KeepDifficult(BaseTransform):
    """Lets difficult (or crowd) boxes be trained on like any other.

    Evaluation goes by the annotation itself.
    """

    def transform(self, results: dict) -> dict:
        """Clear the flags that send a box to the ignored instances."""
        results["gt_ignore_flags"][:] = False
        return results


class SSDCrop(BaseTransform):
    """The random crop of the original SSD.

    One box must overlap the crop enough; mmdet's MinIoURandomCrop requires it of all boxes.

    The draw is torchvision's `RandomIoUCrop`, made after the original Caffe sampler.
    """

    def __init__(self) -> None:
        self._draw = v2.RandomIoUCrop()

    def transform(self, results: dict) -> dict:
        """Crop the image; keep the boxes whose centres are inside, clipped to the crop."""
        height, width = results["img"].shape[:2]
        # a crop could be of no pixel, which torchvision divides by
        if min(height, width) * self._draw.min_scale < 1:
            return results
        boxes = results["gt_bboxes"]
        corners = tv_tensors.BoundingBoxes(boxes.tensor, format="XYXY", canvas_size=(height, width))
        crop = self._draw.make_params([torch.empty(3, height, width, device="meta"), corners])
        if not crop:
            return results
        top = crop["top"]
        left = crop["left"]
        inside = crop["is_within_crop_area"]
        results["img"] = results["img"][top : top + crop["height"], left : left + crop["width"]]
        results["img_shape"] = results["img"].shape[:2]
        boxes = boxes[inside]
        boxes.translate_([-left, -top])
        boxes.clip_(results["img_shape"])
        results["gt_bboxes"] = boxes
        results["gt_bboxes_labels"] = results["gt_bboxes_labels"][inside.numpy()]
        results["gt_ignore_flags"] = results["gt_ignore_flags"][inside.numpy()]
        return results


def train_pipeline(augmentation: Augmentation, canvas: Canvas, difficult: Difficult) -> list[dict]:
    """Return the steps from file to network input, with augmentation.

    Args:
        augmentation: ``"ssd"``, the original order and crop; ``"mmdet"``, those of mmdet's
            `ssd300_voc0712.py`; ``"flip"``, mirroring alone; ``"none"``, images as they are.
        canvas: the network's input.
        difficult: what becomes of boxes marked difficult.
    """
    colour = dict(
        type="PhotoMetricDistortion",
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
    )
    expand = dict(type="Expand", mean=MEAN_RGB, to_rgb=True, ratio_range=(1, 4))
    crop = dict(type="MinIoURandomCrop", min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3)
    resize = _resize(canvas)
    flip = dict(type="RandomFlip", prob=0.5)
    steps: dict[str, list[dict]] = {
        "ssd": [colour, expand, dict(type=SSDCrop), resize, flip],
        "mmdet": [expand, crop, resize, flip, colour],
        "flip": [resize, flip],
        "none": [resize],
    }
    return [*_load(difficult), *steps[augmentation], dict(type="PackDetInputs", meta_keys=META)]


def test_pipeline(canvas: Canvas, difficult: Difficult) -> list[dict]:
    """Return the steps from file to network input at test time.

    Boxes are in the input's pixels; `instances` has the annotation itself.
    """
    pack = dict(type="PackDetInputs", meta_keys=(*META, "instances"))
    return [*_load(difficult), _resize(canvas), pack]


def _resize(canvas: Canvas) -> dict:
    if canvas.keep_ratio:
        return dict(type=FitInside, canvas=canvas)
    return dict(type="Resize", scale=(canvas.width, canvas.height), keep_ratio=False)


def _load(difficult: Difficult) -> list[dict]:
    steps: list[dict] = [dict(type=LoadImage), dict(type="LoadAnnotations", with_bbox=True)]
    if difficult == "train":
        steps.append(dict(type=KeepDifficult))
    return steps
