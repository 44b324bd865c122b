"""Persons in COCO's person_keypoints json for tests: what CVAT, Roboflow and COCO's own have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tasks.pose import Pose
from tasks.pose.keypoint_people import COCO_JOINTS

PER_IMAGE = {"train": (2, 1, 1, 3, 1, 1, 1, 2), "test": (1, 2, 1, 1, 1)}
LISTS = {"train": "images:annotations/train.json", "test": "images:annotations/test.json"}
# heatmaps of 8 x 8 cells, and seconds a training
SMALL: dict[str, Any] = {"network": "simple:resnet10t", "input_size": 32}


def person(rng: np.random.Generator, size: int, joints: int) -> dict[str, Any]:
    """A person in the middle of an image whose joints lie in its box; some are not annotated."""
    width, height = rng.uniform(0.3 * size, 0.5 * size, 2)
    x, y = rng.uniform(0.05 * size, 0.45 * size, 2)
    spots = np.array([x, y]) + rng.random((joints, 2)) * [width, height]
    seen = rng.choice(3, joints, p=(0.2, 0.2, 0.6))
    seen[0] = 2
    points = np.where(seen[:, None] > 0, np.c_[spots, seen], 0).round(2)
    return {
        "bbox": np.round([x, y, width, height], 2).tolist(),
        "area": round(0.6 * width * height, 2),
        "iscrowd": 0,
        "keypoints": points.reshape(-1).tolist(),
        "num_keypoints": int((seen > 0).sum()),
    }


def category(joints: tuple[str, ...] = COCO_JOINTS) -> dict[str, Any]:
    """The category of persons as COCO's json has it."""
    return {"id": 1, "name": "person", "keypoints": list(joints), "skeleton": [[1, 2], [2, 3]]}


def make_coco(
    root: Path, size: int = 80, seed: int = 0, joints: tuple[str, ...] = COCO_JOINTS
) -> Path:
    """Images of `size` x `size` pixels and annotations/{train,test}.json below `root`.

    12 and 6 persons; in the first image of each json there are a crowd and a person without an
    annotated joint besides.
    """
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    for split, counts in PER_IMAGE.items():
        images: list[dict] = []
        annotations: list[dict] = []
        for k, count in enumerate(counts):
            name = f"{split}{k:03d}.png"
            pixels = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (size, size))
            cv2.imwrite(str(root / "images" / name), pixels)
            images.append({"id": 40 + k, "file_name": name, "width": size, "height": size})
            here = [person(rng, size, len(joints)) for _ in range(count)]
            if k == 0:
                nobody = {"keypoints": [0] * (3 * len(joints)), "num_keypoints": 0}
                here += [here[0] | nobody | {"bbox": [5, 5, 20, 20]}]
                here += [here[0] | nobody | {"bbox": [40, 40, 30, 30], "iscrowd": 1}]
            annotations += [one | {"image_id": 40 + k, "category_id": 1} for one in here]
        for number, annotation in enumerate(annotations, 1):
            annotation["id"] = number
        data = {"images": images, "annotations": annotations, "categories": [category(joints)]}
        (root / f"annotations/{split}.json").write_text(json.dumps(data))
    return root


def pose(root: Path, **settings: Any) -> Pose:
    """The task with a small network."""
    return Pose(str(root), format="coco", **(SMALL | LISTS | settings))
