"""Held images: a batch read at once is to the bit what its samples are one by one, on the
host and on the device.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from models.process.seeding import derive_seed, seeded
from models.training.loading import Augmented, loader, train_loader
from tasks.classification import Classification
from tasks.classification.held import HeldView, cropped, draw_crop
from tests import contract, imagekit
from tests.conftest import REPOSITORY
from tests.imagekit import classification
from tests.toy import model_of
from tools import al_train
from tools.data.sandbox.classification import make_classification

IDS = [7, 0, 11, 3, 3, 5]
SETTINGS = [
    {},
    {"padding": 0},
    {"flip": 0.0},
    {"flip": 1.0},
    {"padding": 1, "flip": 0.3},
    {"padding": 0, "flip": 0.0},
]


def one_by_one(
    task: Classification, keys: list[tuple[int, int]], seed: int
) -> dict[str, torch.Tensor]:
    """The reference: every sample through torchvision's transforms under its own seed, and
    torch's collation.
    """
    samples = []
    for epoch, index in keys:
        with seeded(derive_seed(seed, epoch, index)):
            samples.append(task.dataset("train")[index])
    images, labels = default_collate(samples)
    return {"images": images, "labels": labels}


def seen(task: Classification, batch: dict) -> dict[str, torch.Tensor]:
    """A batch with its images, made by the task where it holds places."""
    return {"images": task.pictures.images(batch), "labels": batch["labels"]}


def same(first: dict, second: dict) -> bool:
    """Numbers, types, and how they lie in memory, which decides what convolutions compute."""
    assert first.keys() == second.keys()
    return all(
        torch.equal(first[key], second[key])
        and first[key].dtype == second[key].dtype
        and first[key].stride() == second[key].stride()
        for key in first
    )


# ---------------------------------------------------------------- the same views


@pytest.mark.parametrize("where", ["memory", "device"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_training_views_are_torchvisions_to_the_bit(image_folder: Path, settings: dict, where: str):
    task = classification(image_folder, held=where, **settings)
    view = Augmented(task.dataset("train"), seed=3)
    for epoch in range(8):
        keys = [(epoch, i) for i in IDS]
        assert same(seen(task, task.collate(view.__getitems__(keys))), one_by_one(task, keys, 3))


@pytest.mark.parametrize("where", ["memory", "device"])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_loaders_read_the_same_whatever_the_workers(image_folder: Path, workers: int, where: str):
    task = classification(image_folder, held=where)
    data = train_loader(task.dataset("train"), range(2, 12), 4, workers, task.collate, seed=5)
    for epoch in range(2):
        data.sampler.set_epoch(epoch)
        keys = list(data.sampler)
        batches = [seen(task, batch) for batch in data]
        expected = [
            one_by_one(task, keys[k : k + 4], derive_seed(5, "augmentation")) for k in (0, 4, 8)
        ]
        assert [len(batch["labels"]) for batch in batches] == [4, 4, 2]
        assert all(same(found, wanted) for found, wanted in zip(batches, expected, strict=True))
    if workers:
        data._iterator._shutdown_workers()


@pytest.mark.parametrize("where", ["memory", "device"])
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", ["pool", "test"])
def test_pool_and_test_are_read_as_they_are(
    image_folder: Path, split: str, workers: int, where: str
):
    task = classification(image_folder, held=where, test_limit=4)
    task.dataset("train")  # whose images must not be taken for the test set's
    view = task.dataset(split)
    images, labels = default_collate([view[i] for i in range(len(view))])
    (batch,) = loader(view, None, 64, workers, task.collate)
    assert same(seen(task, batch), {"images": images, "labels": labels})
    assert len(labels) == {"pool": 12, "test": 4}[split]


def test_on_the_device_a_batch_is_small_integers(image_folder: Path):
    task = classification(image_folder, held="device")
    batch = task.collate(Augmented(task.dataset("train"), 0).__getitems__([(0, 4), (0, 9)]))
    assert {key: tuple(value.shape) for key, value in batch.items() if key != "split"} == {
        "ids": (2,), "crops": (2, 3), "labels": (2,),
    }  # fmt: skip
    assert batch["ids"].tolist() == [4, 9] and batch["split"] == "train"
    pool, test = (task.collate(task.dataset(split).__getitems__([1])) for split in ("pool", "test"))
    assert pool.keys() == test.keys() == {"ids", "labels", "split"} and (
        pool["split"],
        test["split"],
    ) == (
        "train",
        "test",
    )


def test_cifar_is_held_without_a_copy(tmp_path: Path, monkeypatch):
    task = classification(imagekit.make_cifar10(tmp_path, monkeypatch), format="cifar10")
    view, images = task.dataset("train"), task.pictures.pool.held
    assert isinstance(view, HeldView)
    (tensor,) = task.pictures.held["train"]._images.values()
    assert tensor.data_ptr() == images.ctypes.data and tensor.shape == (20, 3, 32, 32)
    keys = [(1, i) for i in (19, 0, 7)]
    assert same(task.collate(Augmented(view, 1).__getitems__(keys)), one_by_one(task, keys, 1))


def test_a_folder_is_held_without_a_copy(image_folder: Path):
    task = classification(image_folder)
    task.dataset("pool")
    (tensor,) = task.pictures.held["train"]._images.values()
    assert tensor.data_ptr() == task.pictures.pool.held.ctypes.data


# ---------------------------------------------------------------- by hand


def test_a_crop_by_hand():
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    crops = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1]])
    found = cropped(image.expand(4, 1, 3, 3), crops, padding=1)[:, 0].tolist()
    assert found == [
        [[0, 0, 0], [0, 1, 2], [0, 4, 5]],  # the corner of the black frame
        [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
        [[3, 2, 1], [6, 5, 4], [9, 8, 7]],
        [[6, 5, 4], [9, 8, 7], [0, 0, 0]],
    ]


def test_draws_are_from_the_whole_range_and_the_global_generator():
    with seeded(1):
        drawn = [draw_crop(2, 0.25) for _ in range(2000)]
    with seeded(1):
        assert draw_crop(2, 0.25) == drawn[0]
    rows, columns, flips = zip(*drawn, strict=True)
    assert set(rows) == set(columns) == set(range(5)) and set(flips) == {0, 1}
    assert np.mean(flips) == pytest.approx(0.25, abs=0.04)


def test_reading_a_batch_leaves_the_global_generators(image_folder: Path):
    view = Augmented(classification(image_folder).dataset("train"), seed=3)
    with seeded(2):
        expected = torch.rand(1).item(), np.random.rand()
    with seeded(2):
        view.__getitems__([(0, 1), (0, 2)])
        assert (torch.rand(1).item(), np.random.rand()) == expected


# ---------------------------------------------------------------- what is not held


@pytest.mark.parametrize("where", ["auto", "device"])
def test_images_of_any_size_are_read_one_by_one(tmp_path: Path, where: str):
    large = imagekit.make_folder(tmp_path, width=90, height=70)
    task = classification(large, augmentation="resized_crop", input_size=28, held=where)
    view = task.dataset("train")
    assert not isinstance(view, HeldView)
    keys = [(2, i) for i in IDS]
    assert same(task.collate(Augmented(view, 4).__getitems__(keys)), one_by_one(task, keys, 4))


def test_images_too_many_to_hold_are_read_one_by_one(image_folder: Path, monkeypatch):
    monkeypatch.setattr("tasks.classification.sources.HELD_BYTES", 12 * 3072 - 1)
    task = classification(image_folder, held="device")
    assert not isinstance(task.dataset("train"), HeldView)
    keys = [(0, i) for i in IDS]
    assert same(
        task.collate(Augmented(task.dataset("train"), 4).__getitems__(keys)),
        one_by_one(task, keys, 4),
    )


def test_one_image_of_another_size_is_named_and_not_held(tmp_path: Path):
    odd = imagekit.make_folder(tmp_path)
    imagekit.write_image(odd / "train/cat/002.png", imagekit.pixels(1, 30, 31))
    task = classification(odd)
    (fault,) = task.check()
    assert re.search(r"cat/002\.png: expected 32 x 32 pixels, but got 30 x 31", fault), fault
    assert not isinstance(task.dataset("pool"), HeldView) and isinstance(
        task.pictures.pool.held, list
    )
    with pytest.raises(
        RuntimeError, match=r"got \[3, 32, 32\] at entry 0 and \[3, 31, 30\] at entry 1"
    ):
        task.collate([task.dataset("pool")[i] for i in (3, 5)])


# ---------------------------------------------------------------- where


@pytest.mark.parametrize(
    ("where", "gpu", "free", "expected"),
    [
        ("auto", False, 0, False), ("auto", True, 10 * 12 * 3072, True), ("auto", True, 10 * 12 * 3072 - 10, False),
        ("memory", True, 1 << 40, False), ("device", False, 0, True),
    ],
)  # fmt: skip
def test_auto_is_the_gpu_where_there_is_room(
    image_folder: Path, monkeypatch, where: str, gpu: bool, free: int, expected: bool
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 1 << 41))
    task = classification(image_folder, held=where)
    task.dataset("train")
    assert task.pictures.held["train"].on_device is expected


def test_images_are_copied_to_a_device_once(image_folder: Path):
    task = classification(image_folder, held="device")
    task.dataset("pool")
    on_host, ids = task.pictures.held["train"], torch.tensor([1, 2], device="meta")
    with torch.inference_mode():
        first = on_host._on(ids.device)
    assert (
        on_host._on(ids.device) is first
        and first.device.type == "meta"
        and not first.is_inference()
    )
    assert on_host.views(ids, torch.zeros(2, 3, dtype=torch.int64, device="meta")).shape == (
        2,
        3,
        32,
        32,
    )


# ---------------------------------------------------------------- with the rest


def test_places_keep_the_contract(image_folder: Path):
    contract.check_all(classification(image_folder, held="device"))


def test_scores_are_the_same_wherever_the_images_are(image_folder: Path):
    settings = ScoringSettings(batch_size=5, workers=0)
    found = []
    for where in ("memory", "device"):
        task = classification(image_folder, held=where)
        names = ["predicted_loss", "entropy"]
        found.append(
            score(
                model_of(task, seed=1, width=8),
                Samples(task.dataset("pool"), task.collate, range(1, 12)),
                names,
                settings,
            )
        )
    assert all(
        np.array_equal(found[0][name], found[1][name]) and len(found[0][name]) == 11
        for name in found[0]
    )


def test_losses_and_predictions_of_places_are_those_of_images(image_folder: Path):
    task = classification(image_folder, held="device")
    model = model_of(task, seed=1, width=8).eval()
    places = task.collate(task.dataset("test").__getitems__([0, 4, 5]))
    images = task.collate([task.dataset("test")[i] for i in (0, 4, 5)])
    assert "images" in images and "images" not in places
    want = frozenset({"loss", "probs", "gradient"})
    with torch.no_grad():
        first, second = model.output(places, want), model.output(images, want)
        assert torch.equal(first.loss, second.loss) and torch.equal(first.probs, second.probs)
        found = [
            [p.to_dict() for p in task.predict(model.network, batch)] for batch in (places, images)
        ]
    assert found[0] == found[1] and len(found[0]) == 3


def ran(folder: Path, shapes: Path, where: str, *more: str) -> dict[str, bytes]:
    arguments = [
        str(REPOSITORY / "configs/cls_sandbox.py"),
        "--smoke",
        "--wandb",
        "disabled",
        "--work-dir",
        str(folder),
    ]
    options = ["--cfg-options", f"task.data_root={shapes}", f"task.held={where}", *more]
    assert al_train.main([*arguments, *options]) == 0
    state = torch.load(folder / "cycles/01/checkpoint.pth", weights_only=True)["state_dict"]
    with np.load(folder / "queries/00.npz") as query:
        # where images are is one
        arrays = {k: v.tobytes() for k, v in query.items() if k != "receipt/settings"}
        return {k: v.numpy().tobytes() for k, v in state.items()} | arrays


@pytest.mark.slow
def test_a_run_ends_with_the_same_bytes_wherever_the_images_are(tmp_path: Path, capsys):
    shapes = make_classification(tmp_path / "data", 120, 45, 0, 0.3)
    memory = ran(tmp_path / "memory", shapes, "memory")
    device = ran(tmp_path / "device", shapes, "device", "training.workers=1", "scoring.workers=1")
    assert len(memory) > 20 and memory == device
    capsys.readouterr()
