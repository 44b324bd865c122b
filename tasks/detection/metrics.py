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
from tasks.coco_matched import averages, detections, matched_at, precisions
from tasks.detection.coco import Coco
from tasks.per_image import Matched, MatchedAt

from mmdet.datasets.api_wrappers import COCO, COCOeval  # isort: skip
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
            without_ties(detections),
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


def without_ties(detections: Sequence[Sequence[np.ndarray]]) -> list[tuple[np.ndarray, ...]]:
    """Detections with places in the order of a class's scores, the surest highest, for scores.

    Of equal scores, as in single precision, that of the earlier image is surer, then the earlier
    in an image. `eval_map` uses scores for their order alone, and its sort is not stable: equal
    ones would come in another order on another CPU, and the mean AP with them.

    Args:
        detections: of each image, for each class an array (n, 5) of boxes and scores.
    """
    classes = []
    for own in zip(*detections, strict=True):
        boxes = np.vstack(own).astype(float)  # no place is rounded
        order = np.argsort(-boxes[:, 4].astype(np.float32), kind="stable")
        boxes[order, 4] = np.arange(len(order), 0, -1)
        classes.append(np.split(boxes, np.cumsum([len(one) for one in own])[:-1]))
    return list(zip(*classes, strict=True))


def matched(truth: Sequence[dict], detections: Sequence[list], mode: str) -> Matched:
    """Match detections with boxes as `eval_map` does it `without_ties`, image by image.

    Args:
        truth: of each image, as VOCMetric has it.
        detections: of each image, for each class an array (n, 5) of boxes and scores.
        mode: see `VocMap`.
    """
    classes = len(detections[0])
    there = np.zeros((len(truth), classes), dtype=np.int32)
    found: list[tuple[np.ndarray, ...]] = []
    by_place = without_ties(detections)
    for label in range(classes):
        boxes, gts, ignored = get_cls_results(by_place, truth, label)
        for image, (own, known, hidden) in enumerate(zip(boxes, gts, ignored, strict=True)):
            there[image, label] = len(known)
            if not len(own):
                continue
            (tp,), (fp,) = tpfp_default(own, known, hidden, 0.5, use_legacy_coordinate=True)
            counts = (tp + fp) > 0
            scores = detections[image][label][counts, 4].astype(np.float32)
            right = tp[counts] > 0
            where = np.full(len(scores), image, np.int32), np.full(len(scores), label, np.int16)
            found.append((*where, scores, right))
    points = np.array(11 if mode == "11points" else 0)
    kinds = (np.int32, np.int16, np.float32, bool)
    empty = tuple(np.empty(0, kind) for kind in kinds)
    places, labels, scores_, rights = (np.concatenate(c) for c in zip(empty, *found, strict=True))
    return Matched(places, labels, scores_, rights, there, points)


class CocoMap(CocoMetric):
    """pycocotools' evaluation of what mmdet's CocoMetric gathers, with the AP of each class.

    It returns mAP over IoU .5 to .95, `mAP_50`, `mAP_75` and the AP of each class.

    Each takes the `MOST` surest detections of a class in an image, as pycocotools does.
    CocoMetric's numbers for a class and for one IoU take 1,000 and stand beside a mean over others,
    and all are rounded to three digits.

    Args:
        coco: the test set, as the data set has read it.

    Attributes:
        each: the detections, matched image by image, once they are known.
    """

    each: MatchedAt | None = None

    def __init__(self, coco: Coco) -> None:
        super().__init__(metric="bbox", prefix="coco", proposal_nums=(1, 10, MOST))
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
        """Return the numbers in [0, 1], under the names that VocMap uses too.

        A class that the test set does not hold has NaN and is not in the mean. Without a box to
        judge by, all are NaN.
        """
        names = self.dataset_meta["classes"]
        classes = self._coco_api.get_cat_ids(cat_names=names)
        boxes = [
            {
                "image_id": found["img_id"],
                "category_id": classes[label],
                "bbox": self.xyxy2xywh(box),
                "score": float(score),
            }
            for _, found in results
            for label, box, score in zip(
                found["labels"], found["bboxes"], found["scores"], strict=True
            )
        ]
        with redirect_stdout(StringIO()):
            evaluation = COCOeval(self._coco_api, detections(self._coco_api, boxes), "bbox")
            evaluation.params.catIds = classes
            # else all images of the json, seen or not
            evaluation.params.imgIds = [truth["img_id"] for truth, _ in results]
            evaluation.params.maxDets = list(self.proposal_nums)
            evaluation.evaluate()
            evaluation.accumulate()
        self.each = matched_at(evaluation)
        table = precisions(evaluation)
        means = dict(zip(("mAP", "mAP_50", "mAP_75"), averages(table), strict=True))
        places = [evaluation.params.catIds.index(one) for one in classes]  # it sorts them
        each = zip(names, table.mean(axis=0)[places].tolist(), strict=True)
        return means | {f"AP/{name}": value for name, value in each}


def beside_truth(sample: DetDataSample, predicted: InstanceData) -> DetDataSample:
    """A prediction and its annotation, both in the pixels of the image as it is on disk."""
    both = DetDataSample(metainfo=sample.metainfo, pred_instances=predicted)
    for field, flag in (("gt_instances", 0), ("ignored_instances", 1)):
        boxes = [i for i in sample.instances if i["ignore_flag"] == flag]
        corners = torch.tensor([i["bbox"] for i in boxes], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([i["bbox_label"] for i in boxes], dtype=torch.long)
        both.set_field(InstanceData(bboxes=corners, labels=labels), field)
    return both
