"""The persons of COCO's keypoints as the views take them: boxes as crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.pose.keypoint_json import Keypoints, counts
from tasks.pose.keypoint_records import NUMBERS
from tasks.pose.people import MARGIN, People

# OKS's standard deviations as shares of the root of a person's area, by the names of COCO's joints
# (cocodataset.org, "Keypoint Evaluation")
SIGMAS = {
    "nose": 0.026,
    "left_eye": 0.025, "right_eye": 0.025, "left_ear": 0.035, "right_ear": 0.035,
    "left_shoulder": 0.079, "right_shoulder": 0.079, "left_elbow": 0.072, "right_elbow": 0.072,
    "left_wrist": 0.062, "right_wrist": 0.062, "left_hip": 0.107, "right_hip": 0.107,
    "left_knee": 0.087, "right_knee": 0.087, "left_ankle": 0.089, "right_ankle": 0.089,
}  # fmt: skip
COCO_JOINTS = tuple(SIGMAS)
OTHER_SIGMA = 0.067  # of joints that COCO does not have: the mean of its 17, rounded


@dataclass(frozen=True)
class KeypointPeople(People):
    """N persons of COCO's json to learn from or to be judged by; see `People`.

    Args:
        boxes: (N, 4), x, y, width and height in pixels of the image.
        areas: (N,) in pixels, by which OKS measures.
        ids: of their annotations in `Keypoints`.
    """

    upright: ClassVar[bool] = True  # as detection reads COCO's images

    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    ids: tuple[int, ...]

    @property
    def heights(self) -> np.ndarray:
        """(N,) of the persons' boxes in pixels."""
        return self.boxes[:, 3]

    def known(self, index: int) -> dict[str, Any]:
        """The box and the area."""
        return {"box": self.boxes[index].tolist(), "area": float(self.areas[index])}


def people_of(
    found: Keypoints, root: Path, size: tuple[int, int], unlabeled: bool = False
) -> KeypointPeople:
    """The persons of a split, in the order of its jsons.

    Args:
        found: what the jsons hold.
        root: the data set's folder.
        size: of the crops, width and height.
        unlabeled: take those of images in which nobody has an annotated joint, too; then persons
            are in the order of their images.
    """
    persons = [annotation for annotation in found.annotations if counts(annotation)]
    if unlabeled:
        persons = _with_unlabeled(found, {person["image_id"] for person in persons})
    files = {image["id"]: image["file_name"] for image in found.images}
    names = [files[person["image_id"]] for person in persons]
    boxes = np.array([person["bbox"] for person in persons], dtype=np.float64).reshape(-1, 4)
    points = np.array([person["keypoints"] for person in persons], dtype=np.float64)
    points = points.reshape(len(persons), len(found.joints), NUMBERS)
    return KeypointPeople(
        paths=tuple(root / name for name in names),
        names=tuple(
            f"{Path(name).as_posix()} person {person['place']}"
            for name, person in zip(names, persons, strict=True)
        ),
        centres=boxes[:, :2] + boxes[:, 2:] / 2,
        sides=crop_widths(boxes, size),
        joints=points[..., :2],
        annotated=points[..., 2] > 0,
        boxes=boxes,
        areas=np.array([person["area"] for person in persons], dtype=np.float64),
        ids=tuple(person["id"] for person in persons),
    )


def _with_unlabeled(found: Keypoints, labeled: set[int]) -> list[dict[str, Any]]:
    """The persons to learn from, and all of images that are not `labeled`, by image."""
    places = {image["id"]: place for place, image in enumerate(found.images)}
    persons = [
        one
        for one in found.annotations
        if counts(one) or not (one["iscrowd"] or one["image_id"] in labeled)
    ]
    return sorted(persons, key=lambda person: places[person["image_id"]])


def crop_widths(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """(N,) widths of the crops: boxes (N, 4) extended to the ratio of `size`, times `MARGIN`.

    Source: Xiao et al. 2018, section 3.1.
    """
    width, height = size
    return MARGIN * np.maximum(boxes[:, 2], boxes[:, 3] * width / height)


def oks_sigmas(joints: Sequence[str], given: Sequence[float] | None) -> NDArray[np.float64]:
    """(J,) of OKS: those of the setting, or COCO's by the joints' names."""
    if given is not None:
        return np.array(given, dtype=np.float64)
    return np.array([SIGMAS.get(name, OTHER_SIGMA) for name in joints])
