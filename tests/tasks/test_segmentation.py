"""The example of a task of one's own: contract, data, loss and mean IoU against
references, and two cycles of it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score
from torch.nn import functional as F

from models.process.seeding import seeded
from tests import contract, segkit
from tests.conftest import REPOSITORY
from tests.examples.segmentation import VOID, MeanIoU, Segmentation
from tools import al_train

CONFIG = REPOSITORY / "tests/examples/seg_voc.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return segkit.make_seg(tmp_path_factory.mktemp("seg") / "VOC2012")


@pytest.fixture
def task(root: Path) -> Segmentation:
    return Segmentation(str(root), classes=4, size=64)


def test_the_adapter_keeps_the_contract(task: Segmentation):
    contract.check_all(task)


def test_it_is_one_file_of_at_most_190_lines():
    assert len((REPOSITORY / "tests/examples/segmentation.py").read_text().splitlines()) <= 190


# ---------------------------------------------------------------- data


def test_the_pool_is_in_the_lists_order_and_masks_hold_the_files_numbers(
    root: Path, task: Segmentation
):
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    assert names != sorted(names) and len(names) == 16
    assert [task.name(i) for i in range(16)] == [f"JPEGImages/{name}.jpg" for name in names]
    whole = Segmentation(str(root), classes=4, size=80)
    for i, name in enumerate(names):
        image, mask = whole.dataset("pool")[i]
        numbers = np.array(Image.open(root / f"SegmentationClass/{name}.png"))
        rows, columns = (np.arange(80) * side // 80 for side in numbers.shape)
        assert np.array_equal(mask[0], numbers[np.ix_(rows, columns)])
        assert image.shape == (3, 80, 80) and image.dtype == torch.uint8


def test_image_and_mask_are_flipped_and_cropped_together(task: Segmentation):
    """The drawn classes have colours of their own, so the mask must lie on them after
    every draw.
    """
    far = []
    for i in range(15):  # the last mask is void
        with seeded(i):
            image, mask = task.dataset("train")[i]
        for number in range(4):
            there = mask[0] == number
            if there.sum() > 50:
                colour = image[:, there].float().mean(1) - torch.from_numpy(segkit.COLOURS[number])
                far.append(colour.abs().mean().item())
    assert len(far) > 20 and np.mean(far) < 30  # masks that are flipped alone: 46


def test_effort_counts_the_classes_beside_the_background(root: Path, task: Segmentation):
    for i, name in enumerate((root / "ImageSets/Segmentation/train.txt").read_text().split()):
        values = set(np.array(Image.open(root / f"SegmentationClass/{name}.png")).ravel().tolist())
        assert task.effort(i) == len(values - {0, 255})
    assert task.effort(15) == 0


def test_every_fault_is_listed_with_its_file(tmp_path: Path):
    root = segkit.make_seg(tmp_path / "VOC2012", train=4, test=2)
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    (root / f"JPEGImages/{names[0]}.jpg").unlink()
    (root / f"SegmentationClass/{names[1]}.png").unlink()
    segkit.write_pair(
        root, names[2], np.zeros((50, 60, 3), np.uint8), np.full((50, 60), 9, np.uint8)
    )
    Image.new("RGB", (10, 10)).save(root / f"JPEGImages/{names[3]}.jpg")
    task = Segmentation(str(root), classes=4)
    said = task.check(full=True)
    assert [Path(fault.partition(":")[0]).name for fault in said] == [
        f"{names[0]}.jpg", f"{names[1]}.png", f"{names[2]}.png", f"{names[3]}.png",
    ]  # fmt: skip
    assert "expected image (a file), but got nothing at this path" in said[0]
    assert "expected 255 or numbers below 4, but got {9}; mend the mask" in said[2]
    assert "expected the image's size (10, 10), but got (" in said[3]
    assert len(task.check()) == 3  # numbers in masks are read by the full check alone


def test_missing_lists_are_faults(tmp_path: Path):
    said = Segmentation(str(tmp_path)).check()
    assert (
        len(said) == 2 and f"{tmp_path}/ImageSets/Segmentation/train.txt: expected list" in said[0]
    )


# ---------------------------------------------------------------- loss and metric


def test_the_loss_is_torchs_cross_entropy_over_labeled_pixels_and_0_without_any(task: Segmentation):
    with seeded(1):
        network = task.build().eval()
    batch = contract.a_batch(task, "pool", [0, 3, 15])
    with torch.no_grad():
        loss = task.forward(network, batch, frozenset({"loss"})).loss
        mean, std = (
            torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        )
        logits = network((batch["images"] / 255 - mean) / std)["out"]
    by_hand = [
        F.cross_entropy(logits[i : i + 1], batch["masks"][i : i + 1], ignore_index=255).item()
        for i in (0, 1)
    ]
    assert loss.tolist() == pytest.approx([*by_hand, 0.0], rel=1e-5)
    assert (batch["masks"][2] == VOID).all()


def confusions(task: Segmentation, truth: np.ndarray, predicted: np.ndarray) -> list[np.ndarray]:
    """What `predict` makes of given masks: its network says `predicted`."""
    logits = F.one_hot(torch.from_numpy(predicted), 4).permute(0, 3, 1, 2).float()
    images = torch.zeros(len(truth), 3, *truth.shape[1:])
    return task.predict(
        lambda images: {"out": logits}, {"images": images, "masks": torch.from_numpy(truth)}
    )


def mean_iou(parts: list[np.ndarray]) -> float:
    metric = MeanIoU()
    for part in parts:
        metric.process({}, [part])
    return metric.evaluate(len(parts))["segmentation/mIoU"]


@pytest.mark.parametrize("classes", [4, 3], ids=["all classes", "one class never there"])
def test_mean_iou_is_sklearns(task: Segmentation, classes: int):
    rng = np.random.default_rng(classes)
    truth, predicted = rng.integers(0, classes, (2, 5, 8, 8))
    truth[rng.random(truth.shape) < 0.3] = VOID
    truth[4] = VOID
    found, seen = confusions(task, truth, predicted), truth != VOID
    assert np.array_equal(
        sum(found), confusion_matrix(truth[seen], predicted[seen], labels=range(4))
    )
    # over the classes that occur
    expected = jaccard_score(truth[seen], predicted[seen], average="macro")
    assert mean_iou(found) == pytest.approx(expected)
    assert found[4].sum() == 0


def test_mean_iou_by_hand(task: Segmentation):
    truth = np.array([[[0, 0, 1, 1], [2, 2, VOID, VOID]]])
    # 3 is predicted on void alone: it does not count
    predicted = np.array([[[0, 1, 1, 1], [0, 0, 3, 3]]])
    assert mean_iou(confusions(task, truth, predicted)) == pytest.approx(
        (1 / 4 + 2 / 3 + 0 / 2) / 3
    )
    assert mean_iou(confusions(task, truth, truth.clip(max=3))) == 1.0


def test_without_a_labeled_pixel_there_is_no_mean_iou(task: Segmentation):
    truth = np.full((1, 2, 2), VOID)
    assert np.isnan(mean_iou(confusions(task, truth, np.zeros_like(truth))))


# ---------------------------------------------------------------- the loop, which does not know it


@pytest.mark.parametrize("strategy", ["random", "learning_loss"])
@pytest.mark.slow
def test_two_cycles_run_through_the_loop(root: Path, tmp_path: Path, capsys, strategy: str):
    options = [
        "--wandb",
        "disabled",
        "--work-dir",
        str(tmp_path),
        "--strategy",
        strategy,
        "--cfg-options",
    ]
    settings = [f"task.data_root={root}", "task.classes=4"]
    assert al_train.main([str(CONFIG), "--smoke", *options, *settings]) == 0, (
        capsys.readouterr().out
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["labeled"] for row in rows] == [6, 10]
    assert all(0 <= row["segmentation/mIoU"] <= 1 for row in rows)
    assert rows[0]["effort"] < rows[1]["effort"]
    assert ("ranking/control/n" in rows[0]) == (strategy == "learning_loss")
