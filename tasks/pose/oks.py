"""Average precision by object keypoint similarity (OKS), by pycocotools.

Source: COCO's keypoint evaluation, cocodataset.org.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.coco_matched import averages, matched_at, precisions
from tasks.per_image import MatchedAt
from tasks.pose.keypoint_json import Keypoints, counts
from tasks.pose.keypoint_people import KeypointPeople
from tasks.pose.metrics import PoseMetric

MOST = 20  # detections of an image that pycocotools takes
SURE = 0.2  # heatmaps with lower maxima have no part in a person's score; Xiao et al.'s code
KEYS = ("AP", "AP_50", "AP_75")  # as the first numbers of pycocotools' summary


class OksAp(PoseMetric):
    """AP over OKS .50 to .95, AP_50 and AP_75, of persons whose boxes are given.

    A person's score is the mean of its heatmaps' maxima above `SURE`, 0 without any. Crowds and
    persons without an annotated joint are ignored as pycocotools does it.

    Args:
        found: the test set, as the data set has read it.
        people: the persons of it that predictions are of.
        sigmas: (J,), of each joint.

    Attributes:
        each: the persons that were predicted, matched image by image, once they are known.
    """

    key = "AP"
    lacking = "they count nothing in AP"
    each: MatchedAt | None = None

    def __init__(
        self, found: Keypoints, people: KeypointPeople, sigmas: NDArray[np.float64]
    ) -> None:
        super().__init__(prefix="pose")
        # keys as they are; given to the constructor, None would mean mmengine's default
        self.prefix = None
        self.found, self.sigmas = found, sigmas
        self.persons = [annotation for annotation in found.annotations if counts(annotation)]
        self.counted = people.annotated
        self.scored = np.ones(len(found.joints), dtype=bool)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the joints of each person and its score."""
        for sample in data_samples:
            joints = np.asarray(sample["joints"], dtype=np.float64)
            self.results.append((sample["person"], joints, person_score(sample["maxima"])))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Shares in [0, 1]; NaN where there is nobody to judge by.

        Persons of whom nothing was predicted, as `test_limit` leaves them out, are no misses.
        """
        seen = [self.persons[person] for person, *_ in results]
        images = {person["image_id"] for person in seen}
        ids = {person["id"] for person in seen}
        truth = [
            dict(annotation)  # pycocotools writes into them
            for annotation in self.found.annotations
            if annotation["id"] in ids
            or (annotation["image_id"] in images and not counts(annotation))
        ]
        detections = [
            {
                "image_id": person["image_id"],
                "category_id": person["category_id"],
                "keypoints": np.insert(joints, 2, 1, axis=1).reshape(-1).tolist(),
                "score": score,
            }
            for person, (_, joints, score) in zip(seen, results, strict=True)
        ]
        if not detections:
            return dict.fromkeys(KEYS, math.nan)
        evaluation = _evaluated(truth, detections, self.sigmas)
        self.each = matched_at(evaluation)
        return dict(zip(KEYS, averages(precisions(evaluation)), strict=True))


def person_score(maxima: Sequence[float] | NDArray[Any]) -> float:
    """The mean of a person's heatmap maxima above `SURE`, 0 if there is none.

    Examples:
        >>> person_score([0.5, 0.1, 0.7])
        0.6
    """
    values = np.asarray(maxima, dtype=np.float64)
    sure = values[values > SURE]
    return float(sure.mean()) if len(sure) else 0.0


def _evaluated(truth: list[dict], detections: list[dict], sigmas: NDArray[np.float64]) -> COCOeval:
    with redirect_stdout(StringIO()):  # pycocotools prints what it does
        coco = COCO()
        images = sorted({annotation["image_id"] for annotation in truth})
        coco.dataset = {
            "info": {},  # pycocotools 2.0.9 and 2.0.10 stop without
            "images": [{"id": image} for image in images],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": truth,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation
