"""The views of pose estimation: every person is cut out of the image.

Train is augmented, pool and test are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from tasks.data import read_image
from tasks.pose.people import People

# share of the training views that are rotated at all, as in Newell's and HRNet's code
ROTATED = 0.6


@dataclass(frozen=True)
class Augmentation:
    """How far training views leave the person as annotated.

    Args:
        scale: the crop's side is multiplied by a normal number around 1 with this deviation, at
            most so far from 1.
        rotation: standard deviation of the angle in degrees, at most twice as far; of `ROTATED` of
            the views.
        flip: share of the views that are mirrored.
        colour: each channel is multiplied by a number at most so far from 1.
    """

    scale: float
    rotation: float
    flip: float
    colour: float


def crop_matrix(
    centre: np.ndarray,
    side: float,
    size: int | tuple[int, int],
    angle: float = 0.0,
    flip: bool = False,
) -> np.ndarray:
    """(2, 3) matrix from pixels of the image to pixels of the crop.

    Args:
        centre: (2,) of the crop in the image.
        side: of the crop in pixels of the image; its width where `size` is no square.
        size: of the crop in its own pixels; one side, or width and height.
        angle: degrees by which the crop is turned in the image, clockwise.
        flip: mirror the crop.
    """
    width, height = (size, size) if isinstance(size, int) else size
    zoom = width / side
    turn = np.deg2rad(angle)
    matrix = np.empty((2, 3))
    matrix[:, :2] = zoom * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix[:, 2] = np.array([width / 2, height / 2]) - matrix[:, :2] @ centre
    if flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width - 1
    return matrix


class View(Dataset):
    """Sample i is person i as a dict.

    `image` (3, height, width) uint8 RGB; `joints` (J, 2) in pixels of the crop; `annotated` (J,)
    bool; `inverse` (2, 3), the matrix from pixels of the crop to those of the image; `person`, i.

    Args:
        people: shared by the views of a split.
        size: width and height of the crops in pixels.
        mirrored: the joint that each joint becomes in a mirrored image.
        augmentation: None for the view without chance; torch's global generator draws.
    """

    def __init__(
        self,
        people: People,
        size: tuple[int, int],
        mirrored: Sequence[int],
        augmentation: Augmentation | None = None,
    ) -> None:
        self.people = people
        self.size = size
        self.mirrored = list(mirrored)
        self.augmentation = augmentation
        self.metainfo: dict[str, Any] = {}  # mmengine's test loop looks for it

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, Any]:
        people = self.people
        pixels = read_image(people.paths[index], upright=people.upright)
        matrix, gains = self._draw(people.centres[index], people.sides[index])
        crop = cv2.warpAffine(pixels, matrix, self.size, flags=cv2.INTER_LINEAR)
        joints = people.joints[index] @ matrix[:, :2].T + matrix[:, 2]
        annotated = people.annotated[index]
        if np.linalg.det(matrix[:, :2]) < 0:
            joints = joints[self.mirrored]
            annotated = annotated[self.mirrored]
        if gains is not None:
            crop = (crop * gains).clip(0, 255).astype(np.uint8)
        return {
            "image": torch.from_numpy(crop).permute(2, 0, 1).contiguous(),
            "joints": torch.from_numpy(joints.astype(np.float32)),
            "annotated": torch.from_numpy(annotated.copy()),
            "inverse": torch.from_numpy(cv2.invertAffineTransform(matrix).astype(np.float32)),
            "person": index,
        }

    def _draw(self, centre: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray | None]:
        """The crop's matrix, and the gains of red, green and blue."""
        chosen = self.augmentation
        if chosen is None:
            return crop_matrix(centre, side, self.size), None
        scale, angle = torch.randn(2).tolist()
        rotated, flip = (torch.rand(2) < torch.tensor([ROTATED, chosen.flip])).tolist()
        factor = float(np.clip(1 + chosen.scale * scale, 1 - chosen.scale, 1 + chosen.scale))
        degrees = 0.0
        if rotated:
            degrees = float(np.clip(angle, -2, 2)) * chosen.rotation
        gains = 1 + chosen.colour * (2 * torch.rand(3) - 1)
        return crop_matrix(centre, side * factor, self.size, degrees, flip), gains.numpy()
