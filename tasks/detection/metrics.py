"""Detection metrics by mmdet and pycocotools, with the average precision of every class."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Literal

import numpy as np
import torch
from mmengine.structures import InstanceData

# before mmdet: it installs the operators that mmdet needs
from models.networks import ssd  # noqa: F401
from tasks.detection.coco import Coco
from tasks.per_image import Matched

from mmdet.datasets.api_wrappers import COCO  # isort: skip
from mmdet.evaluation import CocoMetric, VOCMetric, eval_map  # isort: skip
from mmdet.evaluation.functional.mean_ap import get_cls_results, tpfp_default  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip

MOST = 100  # detections of a class in an image that COCO's evaluation takes


class VocMap(VOCMetric):
    """mmdet's VOCMetric (mean AP at IoU 0.5) that also returns each class's AP.

    Args:
        classes: names in label order.
        mode: ``"11points"`` as in VOC2007, or ``"area"`` as from VOC2010 on.

    Attributes:
        each: the detections, matched image by image, once they are known.
    """

    each: Matched | None = None

    def __init__(self, classes: Sequence[str], mode: Literal["11points", "area"]) -> None:
        super().__init__(metric="mAP", eval_mode=mode, prefix="voc")
        # keys as they are; given to the constructor, None would mean mmdet's default
        self.prefix = None
        self.classes = tuple(classes)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return `mAP` and `AP/<class>` in [0, 1].

        A class that the test set does not hold has NaN and is not in the mean. Without a box to
        judge by, all are NaN.
        """
        truth, detections = zip(*results, strict=True)
        self.each = matched(truth, detections, self.eval_mode)
        # called as VOCMetric does, which throws the classes' results away
        mean, classes = eval_map(
            detections,
            truth,
            iou_thr=0.5,
            dataset=self.classes,
            logger="silent",
            eval_mode=self.eval_mode,
            use_legacy_coordinate=True,
            nproc=min(4, os.cpu_count() or 1),
        )
        each = dict.fromkeys((f"AP/{name}" for name in self.classes), math.nan)
        for name, result in zip(self.classes, classes, strict=True):
            if result["num_gts"] > 0:
                each[f"AP/{name}"] = float(result["ap"])
        if not any(result["num_gts"] > 0 for result in classes):
            mean = math.nan
        return {"mAP": float(mean), **each}


def matched(truth: Sequence[dict], detections: Sequence[list], mode: str) -> Matched:
    """Match detections with boxes as `eval_map` does it, image by image.

    Args:
        truth: of each image, as VOCMetric has it.
        detections: of each image, for each class an array (n, 5) of boxes and scores.
        mode: see `VocMap`.
    """
    classes = len(detections[0])
    there = np.zeros((len(truth), classes), dtype=np.int32)
    found: list[tuple[np.ndarray, ...]] = []
    for label in range(classes):
        boxes, gts, ignored = get_cls_results(detections, truth, label)
        for image, (own, known, hidden) in enumerate(zip(boxes, gts, ignored, strict=True)):
            there[image, label] = len(known)
            if not len(own):
                continue
            (tp,), (fp,) = tpfp_default(own, known, hidden, 0.5, use_legacy_coordinate=True)
            counts = (tp + fp) > 0
            scores, right = own[counts, 4].astype(np.float32), tp[counts] > 0
            where = np.full(len(scores), image, np.int32), np.full(len(scores), label, np.int16)
            found.append((*where, scores, right))
    points = np.array(11 if mode == "11points" else 0)
    kinds = (np.int32, np.int16, np.float32, bool)
    empty = tuple(np.empty(0, kind) for kind in kinds)
    places, labels, scores_, rights = (np.concatenate(c) for c in zip(empty, *found, strict=True))
    return Matched(places, labels, scores_, rights, there, points)


class CocoMap(CocoMetric):
    """mmdet's CocoMetric, which uses pycocotools, with the AP of each class.

    It returns mAP over IoU .5 to .95, `mAP_50`, `mAP_75` and the AP of each class.

    Each takes the `MOST` surest detections of a class in an image, as pycocotools does; mmdet's own
    numbers for a class and for one IoU take 1,000 and stand beside a mean over others.

    Args:
        coco: the test set, as the data set has read it.
    """

    def __init__(self, coco: Coco) -> None:
        super().__init__(metric="bbox", classwise=True, prefix="coco", proposal_nums=(1, 10, MOST))
        self.prefix = None
        self._coco_api = COCO()
        # pycocotools writes into annotations; 2.0.9 and 2.0.10 stop without `info`
        self._coco_api.dataset = {
            "info": {},
            "images": coco.images,
            "categories": coco.categories,
            "annotations": [dict(annotation) for annotation in coco.annotations],
        }
        with redirect_stdout(StringIO()):  # pycocotools prints what it does
            self._coco_api.createIndex()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return CocoMetric's numbers under the names that VocMap uses too.

        CocoMetric rounds them to three digits.
        """
        # else all images of the json, seen or not
        self.img_ids = [truth["img_id"] for truth, _ in results]
        with redirect_stdout(StringIO()):
            raw = super().compute_metrics(results)
        if not raw:  # CocoMetric returns nothing where nothing was detected
            value = 0.0 if self.judged() else math.nan
            return dict.fromkeys(("mAP", "mAP_50", "mAP_75"), value)
        each = {
            f"AP/{k.removesuffix('_precision')}": float(v)
            for k, v in raw.items()
            if k.endswith("_precision")
        }
        return {key: _share(raw[f"bbox_{key}"]) for key in ("mAP", "mAP_50", "mAP_75")} | each

    def judged(self) -> bool:
        """Whether an image that was seen has a box that counts."""
        boxes = self._coco_api.load_anns(
            self._coco_api.get_ann_ids(img_ids=self.img_ids, iscrowd=False)
        )
        return any(box["category_id"] in self.cat_ids for box in boxes)


def _share(value: float) -> float:
    """Return a number of pycocotools in [0, 1], with NaN for its -1: nothing to judge by."""
    return math.nan if value < 0 else float(value)


def beside_truth(sample: DetDataSample, predicted: InstanceData) -> DetDataSample:
    """A prediction and its annotation, both in the pixels of the image as it is on disk."""
    both = DetDataSample(metainfo=sample.metainfo, pred_instances=predicted)
    for field, flag in (("gt_instances", 0), ("ignored_instances", 1)):
        boxes = [i for i in sample.instances if i["ignore_flag"] == flag]
        corners = torch.tensor([i["bbox"] for i in boxes], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([i["bbox_label"] for i in boxes], dtype=torch.long)
        both.set_field(InstanceData(bboxes=corners, labels=labels), field)
    return both
