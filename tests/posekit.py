"""Persons in MPII's layout for tests: a few images, two persons in one of them, joints
that are not annotated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io

from tasks.pose import Pose

PER_IMAGE = {"train": (2, 1, 1, 3, 1, 1, 1, 2), "test": (1, 2, 1, 1, 1)}
SMALL = {"stacks": 2, "features": 16, "depth": 2, "input_size": 32}


def person(rng: np.random.Generator, image: str, size: int) -> dict[str, Any]:
    """A person whose joints lie around its centre; some of them are not annotated."""
    centre = rng.uniform(0.3 * size, 0.7 * size, 2)
    shown = rng.random(16) < 0.85
    joints = np.where(shown[:, None], centre + rng.normal(0, size / 8, (16, 2)), -1.0)
    return {
        "image": image,
        "center": centre.round(2).tolist(),
        "scale": round(float(rng.uniform(0.8, 1.2)) * size / 250, 4),
        "joints": joints.round(2).tolist(),
        "joints_vis": shown.astype(int).tolist(),
    }


def heads_of(persons: list[dict[str, Any]], side: float = 12.0) -> dict[str, np.ndarray]:
    """What gt_valid.mat holds for these persons.

    Heads are squares, larger from person to person.
    """
    joints = np.array([p["joints"] for p in persons], dtype=float)
    missing = 1 - np.array([p["joints_vis"] for p in persons])
    sides = side + np.arange(len(persons))
    low = np.array([p["center"] for p in persons])
    boxes = np.stack([low, low + sides[:, None]])  # (2, N, 2)
    return {
        "headboxes_src": boxes.transpose(0, 2, 1),
        "jnt_missing": missing.T,
        "pos_gt_src": joints.transpose(1, 2, 0),
    }


def make_mpii(root: Path, size: int = 80, seed: int = 0) -> Path:
    """Images of `size` x `size` pixels, annot/{train,valid}.json and gt_valid.mat below `root`.

    12 and 6 persons.
    """
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    (root / "annot").mkdir()
    for split, name in (("train", "train"), ("test", "valid")):
        persons = []
        for k, count in enumerate(PER_IMAGE[split]):
            image = f"{split}{k:03d}.jpg"
            pixels = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (size, size))
            cv2.imwrite(str(root / "images" / image), pixels)
            persons += [person(rng, image, size) for _ in range(count)]
        (root / f"annot/{name}.json").write_text(json.dumps(persons))
    scipy.io.savemat(root / "annot/gt_valid.mat", heads_of(persons))
    return root


def pose(root: Path, **settings: Any) -> Pose:
    """The task with a small network."""
    return Pose(str(root), **(SMALL | settings))
