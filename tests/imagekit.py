"""Tiny classification data in the real layouts: a folder of images for each class, and
CIFAR's pickled batches.
"""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
from torchvision.datasets import CIFAR10

from tasks.classification import Classification

CLASSES = ("bird", "cat", "dog")
SIZES = {"train": {"bird": 3, "cat": 5, "dog": 4}, "test": {"bird": 2, "cat": 1, "dog": 3}}


def classification(root: Path, **settings) -> Classification:
    """The adapter on the folder at `root`, with the small network."""
    return Classification(str(root), **(dict(network="resnet10_cifar_w8") | settings))


def pixels(seed: int, width: int = 32, height: int = 32) -> np.ndarray:
    """(height, width, 3) uint8, no two alike and none with a black pixel."""
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


def write_image(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def make_folder(root: Path, width: int = 32, height: int = 32) -> Path:
    """`root`/{train,test}/<class>/<k>.png; the names of files are written in no order."""
    seed = 0
    for split, classes in SIZES.items():
        for name, count in reversed(classes.items()):
            for k in reversed(range(count)):
                seed += 1
                write_image(root / split / name / f"{k:03d}.png", pixels(seed, width, height))
    return root


def make_cifar10(root: Path, monkeypatch, per_batch: int = 4) -> Path:
    """CIFAR-10's files at `root`, with few images.

    Torchvision is told their MD5 and that of the archive beside it.
    """
    home = root / CIFAR10.base_folder
    home.mkdir(parents=True)
    names = [name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)]
    for seed, name in enumerate(names):
        images = np.random.default_rng(seed).integers(
            0, 256, (per_batch, 3, 32, 32), dtype=np.uint8
        )
        entry = {
            "data": images.reshape(per_batch, -1),
            "labels": [(seed + 3 * k) % 10 for k in range(per_batch)],
            "batch_label": name,
            "filenames": [f"{seed}_{k}.png" for k in range(per_batch)],
        }
        (home / name).write_bytes(pickle.dumps(entry))
    meta = {"label_names": [f"class{k}" for k in range(10)], "num_vis": 3072}
    (home / "batches.meta").write_bytes(pickle.dumps(meta))
    with tarfile.open(root / CIFAR10.filename, "w:gz") as archive:
        archive.add(home, CIFAR10.base_folder)
    _patch(CIFAR10, home, monkeypatch)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(root / CIFAR10.filename))
    return root


def make_cifar100(root: Path, monkeypatch, count: int = 6) -> Path:
    """CIFAR-100's files at `root`: fine and coarse labels in one file a split."""
    from torchvision.datasets import CIFAR100

    home = root / CIFAR100.base_folder
    home.mkdir(parents=True)
    for seed, name in enumerate(("train", "test")):
        images = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = [(17 * k + seed) % 100 for k in range(count)]
        entry = {
            "data": images,
            "fine_labels": labels,
            "coarse_labels": [label // 5 for label in labels],
        }
        (home / name).write_bytes(pickle.dumps(entry))
    (home / "meta").write_bytes(
        pickle.dumps({"fine_label_names": [f"fine{k}" for k in range(100)]})
    )
    _patch(CIFAR100, home, monkeypatch)
    return root


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def _patch(data: type[CIFAR10], home: Path, monkeypatch) -> None:
    for key in ("train_list", "test_list"):
        monkeypatch.setattr(data, key, [[name, md5(home / name)] for name, _ in getattr(data, key)])
    monkeypatch.setattr(data, "meta", data.meta | {"md5": md5(home / data.meta["filename"])})
