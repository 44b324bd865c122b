"""Results image by image give the metric of any resampled test set: as the evaluator itself does,
given that test set.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.classification.metrics import Accuracy
from tasks.detection.metrics import VocMap, eval_map, matched
from tasks.per_image import Matched, Ratio, packed, per_image, unpacked
from tasks.pose.metrics import Pck

DRAWS = 6


def draws(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(DRAWS, N) images drawn with replacement, the first draw all of them, and their counts."""
    taken = np.random.default_rng(seed).integers(images, size=(DRAWS, images))
    taken[0] = np.arange(images)
    return taken, np.array([np.bincount(row, minlength=images) for row in taken])


def test_accuracy():
    rng = np.random.default_rng(0)
    results = list(
        zip(rng.integers(3, size=40).tolist(), rng.integers(3, size=40).tolist(), strict=True)
    )
    metric = Accuracy(["a", "b", "c"])
    metric.compute_metrics(results)
    taken, copies = draws(40)
    own = metric.each.metric(copies)
    expected = [metric.compute_metrics([results[i] for i in row])["accuracy"] for row in taken]
    np.testing.assert_allclose(own, expected)


def test_joints_are_drawn_by_image_and_not_by_person():
    rng = np.random.default_rng(1)
    truth, shown = rng.random((30, 4, 2)) * 10, rng.random((30, 4)) < 0.8
    images = np.arange(30) // 3  # three persons each
    sizes = np.where(np.arange(30) == 4, 0.0, 2.0)  # one that does not count
    metric = Pck("PCK", "abcd", ["d"], truth, shown, sizes, 0.5, images)
    metric.process(
        None, [{"person": i, "joints": truth[i] + rng.normal(0, 0.8, (4, 2))} for i in range(30)]
    )
    results = metric.results
    value = metric.compute_metrics(results)["PCK"]
    kept = metric.each
    assert kept.images == 10 and 0.2 < value < 0.9
    taken, copies = draws(10)
    own = kept.metric(copies)
    expected = [
        metric.compute_metrics([results[3 * i + k] for i in row for k in range(3)])["PCK"]
        for row in taken
    ]
    np.testing.assert_allclose(own, expected)


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.random((count, 2)) * 40
    return np.hstack([corner, corner + 5 + rng.random((count, 2)) * 30]).astype(np.float32)


def scene(images: int, seed: int):
    """Boxes of two classes and a third that is nowhere, some to be ignored, and detections."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(images):
        known, hidden = boxes(rng, int(rng.integers(0, 4))), boxes(rng, int(rng.integers(0, 2)))
        labels = rng.integers(2, size=len(known))
        truth.append({"bboxes": known, "labels": labels, "bboxes_ignore": hidden,
                      "labels_ignore": rng.integers(2, size=len(hidden))})  # fmt: skip
        dets = []
        for label in range(3):
            near = np.vstack([known[labels == label] + rng.normal(0, 2, (sum(labels == label), 4)),
                              boxes(rng, int(rng.integers(0, 3)))])  # fmt: skip
            dets.append(np.hstack([near, rng.random((len(near), 1))]).astype(np.float32))
        found.append(dets)
    return truth, found


@pytest.mark.parametrize("mode", ["area", "11points"])
def test_mean_ap_is_mmdets_on_the_same_images(mode: str):
    truth, found = scene(25, 2)
    kept = matched(truth, found, mode)
    taken, copies = draws(25)
    own = kept.metric(copies)
    expected = [
        eval_map([found[i] for i in row], [truth[i] for i in row], iou_thr=0.5, dataset="voc",
                 logger="silent", eval_mode=mode, use_legacy_coordinate=True, nproc=1)[0]
        for row in taken
    ]  # fmt: skip
    np.testing.assert_allclose(own, expected, atol=1e-6)
    assert len(set(np.round(own, 4))) == DRAWS and 0.1 < own[0] < 0.9


def crowd(images: int, seed: int):
    """Many detections of two classes in each image, with four scores: a stable sort matters."""
    rng = np.random.default_rng(seed)
    truth, _ = scene(images, seed)
    found = []
    for one in truth:
        near = np.repeat(np.vstack([one["bboxes"], boxes(rng, 3)]), 8, axis=0)
        dets = []
        for _ in range(2):
            moved = near + rng.normal(0, 3, near.shape)
            scores = rng.choice([1.0, 0.75, 0.5, 0.1], (len(near), 1))
            dets.append(np.hstack([moved, scores]).astype(np.float32))
        found.append(dets)
    return truth, found


def mmdets(truth: list, found: list, mode: str) -> tuple[float, list[float]]:
    """The mean AP and each class's where scores are a little less from detection to detection."""
    steps = iter(1e-5 * np.arange(sum(len(boxes_) for dets in found for boxes_ in dets)))
    apart = [[np.hstack([b[:, :4], [[s - next(steps)] for s in b[:, 4]]]) for b in dets]
             for dets in found]  # fmt: skip
    mean, each = eval_map(apart, truth, iou_thr=0.5, dataset="ab", logger="silent", eval_mode=mode,
                          use_legacy_coordinate=True, nproc=1)  # fmt: skip
    return mean, [one["ap"] for one in each]


@pytest.mark.parametrize("mode", ["area", "11points"])
def test_of_equal_scores_the_earlier_counts_first_in_the_row_and_in_what_is_kept(mode: str):
    truth, found = crowd(30, 3)
    assert max(len(boxes_) for dets in found for boxes_ in dets) > 40
    metric = VocMap("ab", mode)
    row = metric.compute_metrics(list(zip(truth, found, strict=True)))
    mean, each = mmdets(truth, found, mode)
    backwards, _ = mmdets(truth[::-1], found[::-1], mode)
    assert abs(mean - backwards) > 1e-3, "the order of equal scores matters here"
    assert row["mAP"] == pytest.approx(mean, abs=1e-6)
    assert [row["AP/a"], row["AP/b"]] == pytest.approx(each, abs=1e-6)
    assert metric.each.metric(np.ones((1, 30)))[0] == pytest.approx(row["mAP"], abs=1e-6)
    assert set(np.unique(metric.each.score)) <= set(np.float32([1, 0.75, 0.5, 0.1]))


def test_equal_scores_by_hand():
    """One thing in each of two images, found in the second alone with the score of a miss."""
    box = np.array([[0, 0, 9, 9]], np.float32)
    empty = np.empty((0, 4), np.float32)
    one = {"bboxes": box, "labels": np.zeros(1, int), "bboxes_ignore": empty, "labels_ignore": np.empty(0, int)}  # fmt: skip
    miss, hit = (np.append(box + by, [[0.5]], axis=1).astype(np.float32) for by in (40, 0))
    for dets, expected in (([miss, hit], 0.25), ([hit, miss], 0.5)):
        metric = VocMap("a", "area")
        row = metric.compute_metrics([(one, [own]) for own in dets])
        assert row["mAP"] == metric.each.metric(np.ones((1, 2)))[0] == expected


def test_nothing_there_and_nothing_found():
    empty = np.empty((0, 4), np.float32)
    nothing = {"bboxes": empty, "labels": np.empty(0, int), "bboxes_ignore": empty, "labels_ignore": np.empty(0, int)}  # fmt: skip
    kept = matched([nothing] * 2, [[np.empty((0, 5), np.float32)]] * 2, "area")
    assert math.isnan(kept.metric(np.ones((1, 2)))[0])
    box = {**nothing, "bboxes": np.ones((1, 4), np.float32), "labels": np.zeros(1, int)}
    kept = matched([box, nothing], [[np.empty((0, 5), np.float32)]] * 2, "11points")
    np.testing.assert_array_equal(kept.metric(np.array([[1, 1], [0, 2]])), [0, math.nan])
    assert math.isnan(Ratio(np.zeros(2), np.zeros(2)).metric(np.ones((1, 2)))[0])


@pytest.mark.parametrize(
    "kept", [Ratio(np.array([1, 0]), np.array([1, 2])), matched(*scene(4, 0), "area")]
)
def test_results_come_back_from_their_arrays(kept):
    back = unpacked(packed(kept))
    assert type(back) is type(kept)
    for name, values in packed(kept).items():
        np.testing.assert_array_equal(packed(back)[name], values)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            {"form": np.array("mean")},
            ValueError,
            "form ratio, or matched, or matched at, but got 'mean'",
        ),
        ({"right": np.zeros(3)}, ValueError, r"one length, but got \[\(3,\), \(2,\)\]"),
    ],
)
def test_arrays_that_do_not_fit_are_an_error(change, error, match):
    with pytest.raises(error, match=match):
        unpacked({**packed(Ratio(np.zeros(2), np.ones(2))), **change})


def test_images_beyond_the_last_are_an_error():
    one = np.zeros(1, int)
    with pytest.raises(ValueError, match="images 0 to 1, but got 5 to 5"):
        unpacked(packed(Matched(one + 5, one, one, one, np.ones((2, 1)))))


def test_an_evaluator_that_keeps_nothing_has_nothing():
    assert per_image(object()) is None
