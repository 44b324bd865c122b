"""Simulated people: rates are met, what is not wrong stays, and only what is learned is noisy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, kstest

from tasks.detection.noise import drawn_by, jittered
from tasks.noise import Annotator, Fallible, Noisy, other
from tasks.pose.noise import placed
from tasks.pose.people import People
from tests import contract, devkit, imagekit, keypointkit, posekit

SIZE = (400.0, 300.0)
BOXES = 4_000
LIKELY = 1e-6  # of a count that is right, to be further from its mean


def likely(count: int, of: int, rate: float) -> bool:
    """Whether a count is no surprise for a binomial of this rate."""
    return binomtest(count, of, rate).pvalue > LIKELY


def image(boxes: int = 2, index: int = 0) -> dict[str, Any]:
    """A record as mmdet makes it, with boxes in the middle of an image."""
    rng = np.random.default_rng(index)
    corners = [[x, y, x + 60.0, y + 40.0] for x, y in rng.uniform(120, 200, (boxes, 2)).tolist()]
    instances = [
        {"bbox": box, "bbox_label": k % 5, "ignore_flag": k % 2} for k, box in enumerate(corners)
    ]
    return {"instances": instances, "width": SIZE[0], "height": SIZE[1]}


def drawings(seed: int = 0, **rates: float) -> list[tuple[dict, Any]]:
    """Many images, each with what somebody draws on it."""
    somebody = Annotator(Noisy(**rates), seed)
    images = [image(index=k) for k in range(BOXES // 2)]
    return [(one, drawn_by(somebody, one, f"{k}.jpg", 5)) for k, one in enumerate(images)]


def persons(count: int = 3_000) -> People:
    """Persons of six joints: two pairs with sides, the last two without."""
    rng = np.random.default_rng(0)
    return People(
        paths=tuple(Path(f"{k}.jpg") for k in range(count)),
        names=tuple(f"{k}.jpg person 1" for k in range(count)),
        centres=rng.uniform(0, 200, (count, 2)),
        sides=rng.uniform(100, 200, count),
        joints=rng.uniform(0, 200, (count, 6, 2)),
        annotated=rng.random((count, 6)) < 0.8,
    )


MIRRORED = [1, 0, 3, 2, 4, 5]

# ------------------------------------------------------------------ boxes


def test_missed_boxes():
    found = drawings(missed=0.1)
    kept = sum(len(made.boxes) for _, made in found)
    assert likely(BOXES - kept, BOXES, 0.1)
    for one, made in found:
        assert [box for box in one["instances"] if box in made.boxes] == made.boxes
        assert made.altered == (len(made.boxes) < 2)


def test_doubled_boxes():
    found = drawings(doubled=0.2)
    twice = sum(len(made.boxes) - 2 for _, made in found)
    assert likely(twice, BOXES, 0.2)
    assert all(made.altered == (len(made.boxes) > 2) for _, made in found)
    assert {str(box) for _, made in found for box in made.boxes} == {
        str(box) for one, _ in found for box in one["instances"]
    }
    # each copy is drawn by itself
    first, second = drawings(doubled=1.0, jitter=0.05)[0][1].boxes[:2]
    assert first["bbox"] != second["bbox"] and first["bbox_label"] == second["bbox_label"]


def test_wrong_classes_are_each_as_likely():
    found = drawings(flipped=0.3)
    pairs = [
        (before["bbox_label"], after["bbox_label"])
        for one, made in found
        for before, after in zip(one["instances"], made.boxes, strict=True)
    ]
    wrong = [after for before, after in pairs if before != after]
    assert likely(len(wrong), BOXES, 0.3)
    of_zero = [after for before, after in pairs if before == 0 and after != 0]
    assert all(likely(of_zero.count(k), len(of_zero), 0.25) for k in (1, 2, 3, 4))
    assert all(made.altered == (one["instances"] != made.boxes) for one, made in found)


def test_jitter_is_normal_with_the_sides_share():
    found = drawings(jitter=0.05)
    before = np.array([box["bbox"] for one, _ in found for box in one["instances"]])
    after = np.array([box["bbox"] for _, made in found for box in made.boxes])
    moves = (after - before) / [60, 40, 60, 40] / 0.05
    assert kstest(moves.ravel(), "norm").pvalue > 1e-4
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.08
    assert not any(made.altered for _, made in found)  # a moved box is no mistake


def test_jittered_boxes_stay_boxes_of_the_image():
    rng = np.random.default_rng(0)
    for _ in range(500):
        low = rng.uniform(0, [390, 290])
        box = [*low, *(low + rng.uniform(1, 10, 2))]
        made = jittered(box, rng.normal(size=4), Noisy(jitter=1.0), SIZE)
        x1, y1, x2, y2 = made
        assert x1 >= 0 and y1 >= 0 and x2 <= SIZE[0] and y2 <= SIZE[1]
        assert x2 - x1 >= 1 - 1e-9 and y2 - y1 >= 1 - 1e-9


def test_mistakes_are_independent_of_each_other():
    """A higher rate keeps the mistakes of a lower one, and another rate changes none."""
    low, high = drawings(missed=0.1), drawings(missed=0.3, flipped=0.5)
    for (_, few), (_, many) in zip(low, high, strict=True):
        kept = [box["bbox"] for box in few.boxes]
        assert all(box["bbox"] in kept for box in many.boxes)


# ------------------------------------------------------------------ joints


def test_left_and_right_change_places():
    people = persons()
    made, altered = placed(Annotator(Noisy(swapped=0.1), 0), people, MIRRORED)
    pairs = 0
    for a, b in ((0, 1), (2, 3)):
        swapped = (made.joints[:, a] == people.joints[:, b]).all(axis=1)
        assert (made.joints[swapped][:, b] == people.joints[swapped][:, a]).all()
        assert (made.annotated[swapped][:, a] == people.annotated[swapped][:, b]).all()
        pairs += int(swapped.sum())
    assert likely(pairs, 2 * len(people), 0.1)
    assert (made.joints[:, 4:] == people.joints[:, 4:]).all()
    differs = (made.joints != people.joints).any(axis=2)
    seen = differs & (made.annotated | people.annotated)
    assert (altered == seen.any(axis=1)).all()


def test_joints_are_left_out():
    people = persons()
    made, altered = placed(Annotator(Noisy(dropped=0.15), 0), people, MIRRORED)
    lost = people.annotated & ~made.annotated
    assert likely(int(lost.sum()), int(people.annotated.sum()), 0.15)
    assert not (made.annotated & ~people.annotated).any()
    assert (made.joints == people.joints).all() and (altered == lost.any(axis=1)).all()


def test_joints_move_by_the_persons_height():
    people = persons()
    made, altered = placed(Annotator(Noisy(jitter=0.02), 0), people, MIRRORED)
    moves = (made.joints - people.joints) / people.heights[:, None, None] / 0.02
    assert kstest(moves.ravel(), "norm").pvalue > 1e-4
    assert not altered.any() and (made.annotated == people.annotated).all()
    assert made.centres is people.centres and made.sides is people.sides  # the crop is given


# ------------------------------------------------------------------ classes


def test_classes_are_flipped():
    names = [f"{k}.png" for k in range(5_000)]
    truth = [k % 10 for k in range(5_000)]
    found = Annotator(Noisy(flipped=0.2), 3).classes(names, truth, 10)
    wrong = [(a, b) for a, b in zip(truth, found, strict=True) if a != b]
    assert likely(len(wrong), 5_000, 0.2)
    assert {b for _, b in wrong} == set(range(10))
    assert Annotator(Noisy(flipped=1.0), 3).classes(["a", "b"], [-1, 1], 3)[0] == -1


def test_another_class():
    draws = np.random.default_rng(0).random(6_000).tolist()
    found = [other(2, which, 4) for which in draws]
    assert all(likely(found.count(k), 6_000, 1 / 3) for k in (0, 1, 3)) and 2 not in found
    assert other(1, 0.3, 2) == 0 and other(0, 0.999, 2) == 1 and other(0, 0.5, 1) == 0


# ------------------------------------------------------------------ the three tasks

RATES = dict(missed=0.3, doubled=0.2, jitter=0.05, flipped=0.5, swapped=0.5, dropped=0.3)


def made(kind: str, root: Path, **settings: Any) -> Any:
    """A task on made images; written once."""
    if kind == "voc":
        return devkit.detection(root if (root / "VOC2007").exists() else devkit.make_voc(root))
    if kind == "boxes":
        lists = dict(train=["images:train.json"], test=["images:test.json"])
        home = root if (root / "images").exists() else devkit.make_coco(root)
        return devkit.detection(home, format="coco", **lists)
    if kind == "poses":
        return keypointkit.pose(root if (root / "images").exists() else keypointkit.make_coco(root))
    if kind == "mpii":
        return posekit.pose(root if (root / "images").exists() else posekit.make_mpii(root))
    home = root if (root / "train").exists() else imagekit.make_folder(root)
    return imagekit.classification(home, **settings)


KINDS = ("voc", "boxes", "poses", "mpii", "classes")


def labels(task: Any, split: str) -> list[Any]:
    """What the samples of a view are labeled with, without the draws of augmentation."""
    dataset = task.dataset(split)
    found = []
    for i in range(len(dataset)):
        if hasattr(dataset, "get_data_info"):
            boxes = dataset.get_data_info(i)["instances"]
            found.append([(b["bbox"], b["bbox_label"], b["ignore_flag"]) for b in boxes])
        elif hasattr(dataset, "people"):
            people = dataset.people
            found.append((people.joints[i].tolist(), people.annotated[i].tolist()))
        else:
            found.append(dataset[i][1])
    return found


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def test_only_what_is_learned_is_noisy(kind: str, tmp_path: Path):
    clean, task = made(kind, tmp_path), made(kind, tmp_path)
    assert isinstance(task, Fallible)
    task.noisy(Noisy(**RATES), 7)
    assert clean.check() == task.check() == []
    assert labels(task, "train") != labels(clean, "train")
    assert labels(task, "pool") == labels(clean, "pool") == labels(clean, "train")
    assert labels(task, "test") == labels(clean, "test")
    for split in ("pool", "test"):
        assert task.sources(split) == clean.sources(split)
    size = len(task.dataset("pool"))
    assert [task.name(i) for i in range(size)] == [clean.name(i) for i in range(size)]
    assert [task.traits(i) for i in range(size)] == [clean.traits(i) for i in range(size)]
    wrong = [task.altered(i) for i in range(size)]
    assert any(wrong) and not any(clean.altered(i) for i in range(size))
    count = len(task.dataset("test"))
    torch.manual_seed(0)
    scores = contract.evaluated(clean, count)
    torch.manual_seed(0)
    assert contract.evaluated(task, count) == pytest.approx(scores, nan_ok=True)


def test_effort_is_that_of_what_was_drawn(kind: str, tmp_path: Path):
    task = made(kind, tmp_path)
    task.noisy(Noisy(**RATES), 7)
    counts = []
    for label in labels(task, "train"):
        if kind == "classes":
            counts.append(1)
        else:
            counts.append(len(label) if kind in ("voc", "boxes") else sum(label[1]))
    assert [task.effort(i) for i in range(len(counts))] == counts


def test_a_rate_of_zero_changes_nothing(kind: str, tmp_path: Path):
    clean, task = made(kind, tmp_path), made(kind, tmp_path)
    task.noisy(Noisy(), 7)
    assert labels(task, "train") == labels(clean, "train")
    size = len(task.dataset("pool"))
    assert [task.effort(i) for i in range(size)] == [clean.effort(i) for i in range(size)]
    assert not any(task.altered(i) for i in range(size))
    assert task.notes() == clean.notes()


def test_noise_follows_from_seed_and_name_alone(kind: str, tmp_path: Path):
    """Not from the order in which is read, nor from any global state."""
    first, again, another = (made(kind, tmp_path) for _ in range(3))
    for task, seed in ((first, 7), (again, 7), (another, 8)):
        np.random.seed(seed)
        torch.manual_seed(seed)
        task.noisy(Noisy(**RATES), seed)
    found = labels(first, "train")
    backwards = [again.altered(i) for i in reversed(range(len(found)))]
    assert backwards[::-1] == [first.altered(i) for i in range(len(found))]
    assert labels(again, "train") == found
    assert labels(another, "train") != found


def test_rates_without_a_meaning_are_told(kind: str, tmp_path: Path):
    task = made(kind, tmp_path)
    task.noisy(Noisy(**RATES), 0)
    told = [note for note in task.notes() if note.startswith("oracle.")]
    idle = {
        "voc": ["swapped", "dropped"],
        "boxes": ["swapped", "dropped"],
        "poses": ["missed", "doubled", "flipped"],
        "mpii": ["missed", "doubled", "flipped"],
        "classes": ["missed", "doubled", "jitter", "swapped", "dropped"],
    }[kind]
    assert [note.split(":")[0] for note in told] == [f"oracle.{name}" for name in idle]


def test_noisy_samples_can_be_learned(kind: str, tmp_path: Path):
    task = made(kind, tmp_path)
    task.noisy(Noisy(**RATES), 7)
    network = task.build()
    train = task.dataset("train")
    batch = task.collate([train[i] for i in range(4)])
    loss = task.forward(network.train(), batch, frozenset({"loss"})).loss
    assert loss.shape == (4,) and torch.isfinite(loss).all()


def test_views_of_held_and_of_frozen_images_are_noisy_too(tmp_path: Path):
    frozen = dict(network="timm:resnet10t", input_size=32, frozen=True, cache=str(tmp_path / "c"))
    for settings in ({}, frozen):
        task = made("classes", tmp_path / "data", **settings)
        task.noisy(Noisy(flipped=1.0), 0)
        assert task.check() == []
        truth = task.pictures.listed("pool").labels
        rows = task.dataset("train").__getitems__(range(len(truth)))
        assert all(row.label != label for row, label in zip(rows, truth, strict=True))
        rows = task.dataset("pool").__getitems__(range(len(truth)))
        assert [row.label for row in rows] == list(truth)
