"""The data of detection as mmdet reads it: train, pool and test views of boxes in VOC's or COCO's form."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.dataset import BaseDataset, Compose, ConcatDataset
from mmengine.registry import DefaultScope
from torchvision import tv_tensors
from torchvision.transforms import v2

from models.ssd import MEAN_RGB  # installs the operators that mmdet needs, so it comes before mmdet
from tasks.data import first_fault_raised, read_bgr
from tasks.detection.voc_files import Pair, pairs
from tasks.detection.voc_xml import declared_size, read_xml
from tasks.images import read_header

from mmcv.transforms import BaseTransform  # isort: skip
from mmdet.datasets import CocoDataset, XMLDataset  # isort: skip

Format = Literal["voc", "coco"]
Augmentation = Literal["ssd", "mmdet", "flip"]
Difficult = Literal["ignore", "train"]
META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


class LoadImage(BaseTransform):
    """mmcv's `LoadImageFromFile` for files that are checked first."""

    def transform(self, results: dict) -> dict:
        """Read `img_path` into `img`, BGR, turned as its EXIF says."""
        results["img"] = read_bgr(Path(results["img_path"]))
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


class KeepDifficult(BaseTransform):
    """Lets difficult (or crowd) boxes be trained on like any other; evaluation goes by the annotation itself."""

    def transform(self, results: dict) -> dict:
        """Clear the flags that send a box to the ignored instances."""
        results["gt_ignore_flags"][:] = False
        return results


class SSDCrop(BaseTransform):
    """The original SSD's crop: *one* box must overlap the crop enough, where mmdet's MinIoURandomCrop asks it of all.

    The draw is torchvision's `RandomIoUCrop`, made after the original Caffe sampler.
    """

    def __init__(self) -> None:
        self._draw = v2.RandomIoUCrop()

    def transform(self, results: dict) -> dict:
        """Crop the image; keep the boxes whose centres are inside, clipped to the crop."""
        height, width = results["img"].shape[:2]
        if min(height, width) * self._draw.min_scale < 1:  # a crop could be of no pixel, which torchvision divides by
            return results
        boxes = results["gt_bboxes"]
        corners = tv_tensors.BoundingBoxes(boxes.tensor, format="XYXY", canvas_size=(height, width))
        crop = self._draw.make_params([torch.empty(3, height, width, device="meta"), corners])
        if not crop:
            return results
        top, left = crop["top"], crop["left"]
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


def train_pipeline(augmentation: Augmentation, size: int, difficult: Difficult) -> list[dict]:
    """From file to network input with augmentation.

    Args:
        augmentation: ``"ssd"``, the original order and crop; ``"mmdet"``, those of mmdet's `ssd300_voc0712.py`;
            ``"flip"``, mirroring alone.
        size: side of the network's square input in pixels.
        difficult: what becomes of boxes marked difficult.
    """
    colour = dict(
        type="PhotoMetricDistortion", brightness_delta=32, contrast_range=(0.5, 1.5), saturation_range=(0.5, 1.5),
        hue_delta=18,
    )  # fmt: skip
    expand = dict(type="Expand", mean=MEAN_RGB, to_rgb=True, ratio_range=(1, 4))
    crop = dict(type="MinIoURandomCrop", min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3)
    resize, flip = dict(type="Resize", scale=(size, size), keep_ratio=False), dict(type="RandomFlip", prob=0.5)
    steps: dict[str, list[dict]] = {
        "ssd": [colour, expand, dict(type=SSDCrop), resize, flip],
        "mmdet": [expand, crop, resize, flip, colour],
        "flip": [resize, flip],
    }
    return [*_load(difficult), *steps[augmentation], dict(type="PackDetInputs", meta_keys=META)]


def test_pipeline(size: int, difficult: Difficult) -> list[dict]:
    """From file to network input as at test time: boxes in its pixels, and the annotation itself in `instances`."""
    resize = dict(type="Resize", scale=(size, size), keep_ratio=False)
    return [*_load(difficult), resize, dict(type="PackDetInputs", meta_keys=(*META, "instances"))]


def _load(difficult: Difficult) -> list[dict]:
    keep = [dict(type=KeepDifficult)] if difficult == "train" else []
    return [dict(type=LoadImage), dict(type="LoadAnnotations", with_bbox=True), *keep]


class VocBoxes(XMLDataset):
    """Samples of VOC's form wherever they lie, read as mmdet reads them.

    Args:
        pairs: the samples in order.
        options: mmdet's.
    """

    def __init__(self, pairs: Sequence[Pair], **options: Any) -> None:
        self._pairs = pairs
        super().__init__(**options)
        self._pairs = ()

    def load_data_list(self) -> list[dict]:
        """A record of each sample, as mmdet's own."""
        self.cat2label = {name: label for label, name in enumerate(self.metainfo["classes"])}
        return [self._record(pair) for pair in self._pairs]

    def _record(self, pair: Pair) -> dict:
        tree = first_fault_raised(read_xml(pair.xml, pair.no_xml))
        size = first_fault_raised(declared_size(tree, str(pair.xml)))
        width, height = size or first_fault_raised(read_header(pair.image, pair.no_image)).size
        boxes = self._parse_instance_info(tree, minus_one=True)
        paths = dict(img_path=str(pair.image), img_id=pair.name, xml_path=str(pair.xml))
        return paths | dict(height=height, width=width, instances=boxes)


def read(
    form: Format, root: Path, lists: Sequence[str], classes: Sequence[str], pipeline: list[dict], train: bool
) -> ConcatDataset:
    """Read annotations: every image of the lists, in the lists' order; nothing is filtered or replaced."""
    options = dict(
        metainfo=dict(classes=tuple(classes)), pipeline=pipeline, test_mode=not train, filter_cfg=None, max_refetch=0
    )
    with DefaultScope.overwrite_default_scope("mmdet"), redirect_stdout(StringIO()):  # pycocotools prints
        if form == "voc":
            first: dict[Path, str] = {}
            samples = [first_fault_raised(pairs(root, entry, first)) for entry in lists]
            parts = [VocBoxes(some, **options) for some in samples]
        else:
            parts = [_coco(root, name, options) for name in lists]
    return ConcatDataset(parts, ignore_keys=["dataset_type"])


def _coco(root: Path, name: str, options: dict) -> BaseDataset:
    images, _, annotations = name.partition(":")
    return CocoDataset(data_root=str(root), ann_file=annotations, data_prefix=dict(img=images), **options)


def kept(dataset: ConcatDataset, chosen: Sequence[bool]) -> ConcatDataset:
    """The samples that are `chosen`, in order; `dataset` itself is cut down, as mmengine's copy mixes up data sets."""
    flags = iter(chosen)
    for part in dataset.datasets:
        part.get_subset_([i for i in range(len(part)) if next(flags)])
    return ConcatDataset(dataset.datasets, ignore_keys=["dataset_type"])


def seen_as_at_test_time(dataset: ConcatDataset, pipeline: list[dict]) -> ConcatDataset:
    """The same samples in the same order through the test pipeline; the annotations are shared, not read again."""
    parts = [copy.copy(part) for part in dataset.datasets]
    with DefaultScope.overwrite_default_scope("mmdet"):
        for part in parts:
            part.pipeline, part.test_mode = Compose(pipeline), True
    return ConcatDataset(parts, ignore_keys=["dataset_type"])
