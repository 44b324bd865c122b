"""Drawn persons as COCO's person_keypoints json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.data.sandbox.figure import SIDE

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis",
    "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
BONES = (
    (1, 2), (2, 3), (3, 7), (7, 4), (4, 5), (5, 6), (7, 8), (8, 9), (9, 10), (11, 12), (12, 13),
    (13, 8), (8, 14), (14, 15), (15, 16),
)  # fmt: skip
REACH = 4.0  # px that limbs and head reach beyond the joints
FILLED = 0.5  # share of its box that a figure fills, about


def annotation(joints: NDArray[np.float64], annotated: NDArray[np.bool_]) -> dict[str, Any]:
    """What COCO's json says of a person with joints (16, 2) in 0-based pixels.

    Joints that are not annotated have 0, 0, 0.
    """
    points = np.where(annotated[:, None], np.c_[joints, np.full(len(joints), 2)], 0).round(3)
    low = (joints.min(0) - REACH).clip(0, SIDE).round(2)
    size = ((joints.max(0) + REACH).clip(0, SIDE) - low).round(2)
    return {
        "keypoints": points.reshape(-1).tolist(),
        "num_keypoints": int(annotated.sum()),
        "bbox": [*low.tolist(), *size.tolist()],
        "area": round(FILLED * float(size.prod()), 2),
        "iscrowd": 0,
    }


def keypoints_json(names: Sequence[str], annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The json of a list of images with one person each."""
    numbers = range(1, len(names) + 1)
    images = [
        {"id": k, "file_name": name, "width": SIDE, "height": SIDE}
        for k, name in zip(numbers, names, strict=True)
    ]
    persons = [
        {"id": k, "image_id": k, "category_id": 1} | one
        for k, one in zip(numbers, annotations, strict=True)
    ]
    category = {"id": 1, "name": "person", "keypoints": JOINTS, "skeleton": BONES}
    return {"images": images, "annotations": persons, "categories": [category]}
