"""Train, pool and test views of detection data, in VOC's or COCO's form, as mmdet reads it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import torch
from mmengine.dataset import Compose, ConcatDataset
from mmengine.registry import DefaultScope
from torchvision import tv_tensors
from torchvision.transforms import v2

# installs the operators that mmdet needs, so it comes before mmdet
from models.networks.ssd import MEAN_RGB
from tasks.data import first_fault_raised, read_bgr
from tasks.detection.coco import Coco
from tasks.detection.others import left_out
from tasks.detection.voc_files import Pair, pairs
from tasks.detection.voc_xml import declared_size, read_xml, uneven
from tasks.images import read_header

from mmcv.transforms import BaseTransform  # isort: skip
from mmdet.datasets import CocoDataset, XMLDataset  # isort: skip
from mmdet.datasets.transforms import Resize  # isort: skip

Format = Literal["voc", "coco"]
Augmentation = Literal["ssd", "mmdet", "flip", "none"]
Difficult = Literal["ignore", "train"]
UNEVEN = (
    "{} boxes have a corner at 0 or a fraction: read as mmdet does, as 1-based whole pixels, "
    "fractions cut off"
)
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


class VocBoxes(XMLDataset):
    """Samples of VOC's form wherever they lie, read as mmdet reads them.

    Args:
        pairs: the samples in order.
        options: mmdet's.
    """

    def __init__(self, pairs: Sequence[Pair], **options: Any) -> None:
        self._pairs = pairs
        self._left: Counter[str] = Counter()
        self._uneven = 0
        super().__init__(**options)
        self.notes: list[str] = []
        if pairs:
            self.notes += left_out(pairs[0].xml.parent, self._left)
        if self._uneven:
            self.notes.append(f"{pairs[0].xml.parent}: {UNEVEN.format(f'{self._uneven:,}')}")
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
        for item in tree.findall("object"):
            name = item.findtext("name", "")
            box = item.find("bndbox")
            if name not in self.cat2label:
                self._left[name] += 1
            elif box is not None:
                self._uneven += uneven(box)
        paths = dict(img_path=str(pair.image), img_id=pair.name, xml_path=str(pair.xml))
        return paths | dict(height=height, width=width, instances=boxes)


class CocoBoxes(CocoDataset):
    """mmdet's data set over annotations that were read before."""

    def __init__(self, coco: Coco, **options: Any) -> None:
        self._coco = coco
        self.notes = coco.notes
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        """A dict for each image, in their order, as `CocoDataset` makes it."""
        coco = self.__dict__.pop("_coco")  # workers get a copy of the data set
        self.cat_ids = [category["id"] for category in coco.categories]
        self.cat2label = {number: label for label, number in enumerate(self.cat_ids)}
        boxes: dict[int, list[dict]] = {image["id"]: [] for image in coco.images}
        for annotation in coco.annotations:
            boxes[annotation["image_id"]].append(annotation)
        raw = [
            dict(raw_img_info={**i, "img_id": i["id"]}, raw_ann_info=boxes[i["id"]])
            for i in coco.images
        ]
        return [self.parse_data_info(info) for info in raw]


def read_voc(
    root: Path, lists: Sequence[str], classes: Sequence[str], pipeline: list[dict], train: bool
) -> ConcatDataset:
    """Read annotations: every image of the lists, in the lists' order.

    Nothing is filtered or replaced.
    """
    first: dict[Path, str] = {}
    samples = [first_fault_raised(pairs(root, entry, first)) for entry in lists]
    with DefaultScope.overwrite_default_scope("mmdet"):
        parts = [VocBoxes(some, **_options(classes, pipeline, train)) for some in samples]
    return ConcatDataset(parts, ignore_keys=["dataset_type"])


def read_coco(coco: Coco, root: Path, pipeline: list[dict], train: bool) -> ConcatDataset:
    """The same for COCO: every image, in the order of the jsons."""
    options = _options([category["name"] for category in coco.categories], pipeline, train)
    with DefaultScope.overwrite_default_scope("mmdet"):
        part = CocoBoxes(coco, data_root=str(root), data_prefix=dict(img=""), **options)
    return ConcatDataset([part], ignore_keys=["dataset_type"])


def _options(classes: Sequence[str], pipeline: list[dict], train: bool) -> dict[str, Any]:
    names = dict(classes=tuple(classes))
    return dict(
        metainfo=names, pipeline=pipeline, test_mode=not train, filter_cfg=None, max_refetch=0
    )


def kept(dataset: ConcatDataset, chosen: Sequence[bool]) -> ConcatDataset:
    """The samples that are `chosen`, in order.

    `dataset` itself is cut down, as mmengine's copy mixes up data sets.
    """
    flags = iter(chosen)
    for part in dataset.datasets:
        part.get_subset_([i for i in range(len(part)) if next(flags)])
    return ConcatDataset(dataset.datasets, ignore_keys=["dataset_type"])


def labeled_as(dataset: ConcatDataset, boxes: Sequence[list[dict]]) -> ConcatDataset:
    """The same samples with other boxes, one list a sample; `dataset` stays as it is."""
    given = iter(boxes)
    parts = [copy.copy(part) for part in dataset.datasets]
    for part in parts:
        infos = [part.get_data_info(i) for i in range(len(part))]
        part.data_list = [{**info, "instances": next(given)} for info in infos]
        part.data_bytes, part.data_address = part._serialize_data()
    return ConcatDataset(parts, ignore_keys=["dataset_type"])


def seen_as_at_test_time(dataset: ConcatDataset, pipeline: list[dict]) -> ConcatDataset:
    """The same samples in the same order through the test pipeline.

    The annotations are shared, not read again.
    """
    parts = [copy.copy(part) for part in dataset.datasets]
    with DefaultScope.overwrite_default_scope("mmdet"):
        for part in parts:
            part.pipeline = Compose(pipeline)
            part.test_mode = True
    return ConcatDataset(parts, ignore_keys=["dataset_type"])
