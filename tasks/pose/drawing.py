"""Drawing of a person: the crop, its joints, and the bones between them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

SIDE = 256  # pixels of the longer side
RIGHT = (255, 128, 0)
OTHER = (0, 200, 255)


def drawn(
    image: Tensor,
    joints: Tensor,
    annotated: Tensor,
    names: Sequence[str],
    bones: Sequence[tuple[int, int]],
) -> Image.Image:
    """Draw the annotated joints onto the crop; those of the right side in their own colour.

    Args:
        image: (3, height, width) uint8, RGB.
        joints: (J, 2) in pixels of the crop.
        annotated: (J,) bool.
        names: of the joints.
        bones: pairs of joints between which a line is drawn.
    """
    height, width = image.shape[1:]
    zoom = SIDE / max(width, height)
    shrink = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    sheet = cv2.resize(image.permute(1, 2, 0).numpy().copy(), size, interpolation=shrink)
    spots = [(round(x), round(y)) for x, y in (joints * zoom).tolist()]
    right = [name.startswith("right") for name in names]
    for a, b in bones:
        if annotated[a] and annotated[b]:
            colour = RIGHT if right[a] or right[b] else OTHER
            cv2.line(sheet, spots[a], spots[b], colour, 2, cv2.LINE_AA)
    for joint in np.flatnonzero(annotated.numpy()):
        colour = RIGHT if right[joint] else OTHER
        cv2.circle(sheet, spots[joint], 4, colour, -1, cv2.LINE_AA)
    return Image.fromarray(sheet)
