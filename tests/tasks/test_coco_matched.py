"""COCO's AP of any resampled test set, by pycocotools given that test set."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks import per_image
from tasks.coco_matched import averages, detections, matched_at, precisions
from tasks.per_image import MatchedAt, packed, unpacked
from tests.tasks.test_per_image import draws

IMAGES = 14
CATEGORIES = (30, 4, 17)  # nothing is of the last


def scene(kind: str, seed: int) -> tuple[list[dict], list[dict]]:
    """Annotations, some of crowds or of nothing that counts, and detections near and far."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(IMAGES):
        for _ in range(int(rng.integers(0, 5))):
            corner, side = rng.random(2) * 100, 8 + rng.random(2) * 60
            points = corner + rng.random((17, 2)) * side
            one: dict[str, Any] = {
                "id": len(truth) + 1,
                "image_id": image,
                "category_id": 30 if kind == "keypoints" else int(rng.choice([30, 4])),
                "bbox": [*corner, *side],
                "area": float(side.prod()),
                "iscrowd": int(rng.random() < 0.15),
                "keypoints": np.insert(points, 2, 2, axis=1).ravel().tolist(),
                "num_keypoints": int(rng.choice([0, 17], p=[0.1, 0.9])),
            }
            truth.append(one)
            for spread in rng.choice([0.5, 3.0, 40.0], int(rng.integers(0, 4))):
                moved = points + rng.normal(0, spread / 2, points.shape)
                found.append(
                    {
                        "image_id": image,
                        "category_id": one["category_id"],
                        "bbox": [*(corner + rng.normal(0, spread / 2, 2)), *side],
                        "score": float(rng.random()),
                        "keypoints": np.insert(moved, 2, 1, axis=1).ravel().tolist(),
                    }
                )
    return truth, found


def evaluated(kind: str, truth: list[dict], found: list[dict], images: int = IMAGES) -> COCOeval:
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": number} for number in CATEGORIES],
        "annotations": [dict(one) for one in truth],
    }
    if kind == "bbox":  # else pycocotools takes the extent of keypoints for a detection's box
        found = [{k: v for k, v in one.items() if k != "keypoints"} for one in found]
    else:
        found = [{k: v for k, v in one.items() if k != "bbox"} for one in found]
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, detections(coco, found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def of_images(rows: list[dict], images: np.ndarray) -> list[dict]:
    """The rows of drawn images, each draw an image of its own."""
    drawn = [
        {**row, "image_id": place}
        for place, image in enumerate(images)
        for row in rows
        if row["image_id"] == image
    ]
    return [{**row, "id": number} for number, row in enumerate(drawn, start=1)]


@pytest.mark.parametrize("kind", ["bbox", "keypoints"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("numbers", [1, 1 << 24])
def test_drawn_test_sets_have_pycocotools_ap(kind: str, seed: int, numbers: int, monkeypatch):
    monkeypatch.setattr(per_image, "NUMBERS", numbers)  # of test sets that are judged at a time
    truth, found = scene(kind, seed)
    whole = evaluated(kind, truth, found)
    kept = matched_at(whole)
    assert kept.images == IMAGES and kept.detections == 10 * len(kept.image)
    assert not (kept.right & kept.wrong).any() and (~(kept.right | kept.wrong)).any()
    taken, copies = draws(IMAGES, seed)
    own = kept.metric(copies)
    expected = [
        evaluated(kind, of_images(truth, row), of_images(found, row)).stats[0] for row in taken
    ]
    np.testing.assert_allclose(own, expected, rtol=1e-9)
    assert len(set(np.round(own, 4))) == len(taken) and 0.05 < own[0] < 0.9
    table = precisions(whole)
    assert averages(table) == pytest.approx(whole.stats[:3], abs=1e-12)
    assert np.isnan(table).all(axis=0).tolist() == [kind == "keypoints", True, False]


def test_nothing_there_and_nothing_found():
    truth, found = scene("bbox", 0)
    nothing = evaluated("bbox", truth, [])
    assert averages(precisions(nothing)) == (0, 0, 0)
    kept = matched_at(nothing)
    assert kept.right.shape == (0, 10) and kept.metric(np.ones((1, IMAGES))).tolist() == [0]
    crowds = [{**one, "iscrowd": 1} for one in truth]
    nobody = evaluated("bbox", crowds, found)
    assert np.isnan(averages(precisions(nobody))).all()
    assert np.isnan(matched_at(nobody).metric(np.ones((2, IMAGES)))).all()


def test_it_comes_back_from_its_arrays_and_faults_in_them_are_an_error():
    kept = matched_at(evaluated("bbox", *scene("bbox", 1)))
    arrays = packed(kept)
    back = unpacked(arrays)
    assert isinstance(back, MatchedAt)
    for name, values in arrays.items():
        np.testing.assert_array_equal(packed(back)[name], values)
    with pytest.raises(ValueError, match="columns of one length"):
        unpacked({**arrays, "wrong": kept.wrong[1:]})
    with pytest.raises(ValueError, match="images 0 to 13, but got"):
        unpacked({**arrays, "image": kept.image + 100})
