"""What pycocotools matched in an evaluation, image by image, and its average precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.per_image import MatchedAt


def detections(truth: COCO, found: list[dict[str, Any]]) -> COCO:
    """What `truth.loadRes` makes of detections, of none, too."""
    if found:
        return truth.loadRes(found)
    nothing = COCO()
    nothing.dataset = {**truth.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


def matched_at(evaluation: COCOeval) -> MatchedAt:
    """The detections of an evaluation, over all areas, as `accumulate` reads them.

    Args:
        evaluation: after its `evaluate`.
    """
    settings = evaluation.params
    images, labels = len(settings.imgIds), len(settings.catIds)
    there = np.zeros((images, labels), dtype=np.int32)
    overlaps = len(settings.iouThrs)
    empty = np.empty((0, overlaps), bool)
    found = [(np.empty(0, np.int32), np.empty(0, np.int16), np.empty(0), empty, empty)]
    for number in range(labels):
        start = number * len(settings.areaRng) * images  # all areas come first
        for place, one in enumerate(evaluation.evalImgs[start : start + images]):
            if one is None:
                continue
            there[place, number] = np.count_nonzero(one["gtIgnore"] == 0)
            scores = np.array(one["dtScores"], dtype=float)
            known, counts = one["dtMatches"].T != 0, ~one["dtIgnore"].T
            places = np.full(len(scores), place, np.int32)
            names = np.full(len(scores), number, np.int16)
            found.append((places, names, scores, known & counts, ~known & counts))
    image, label, score, right, wrong = (np.concatenate(part) for part in zip(*found, strict=True))
    return MatchedAt(image, label, score, right, wrong, there)


def precisions(evaluation: COCOeval) -> np.ndarray:
    """(T, C) average precision at each overlap of each class; not-a-number where nothing counts.

    Args:
        evaluation: after its `accumulate`; over all areas, with the most detections.
    """
    points = evaluation.eval["precision"][:, :, :, 0, -1]  # (T, R, C)
    return np.where(points[:, 0] < 0, np.nan, points.mean(axis=1))


def averages(table: np.ndarray) -> tuple[float, float, float]:
    """Means of `precisions` at COCO's ten overlaps: of all, at .5 and at .75."""
    known = table[:, ~np.isnan(table[0])]
    if not known.size:
        return (math.nan,) * 3
    return float(known.mean()), float(known[0].mean()), float(known[5].mean())
