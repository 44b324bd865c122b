"""Near duplicates among images, by how they look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tasks.data import read_image
from tools.label.labels import PoolImage

SIDE = 8  # of the grid of differences
CLOSE = 5  # of its 64 bits may differ between images that look the same


def fingerprint(image: PoolImage) -> np.ndarray:
    """The difference hash of an image: (64,) bool, whether each cell is brighter than the one left.

    Kept by hand: it is four lines, and the libraries that have it bring several others along.

    Source: N. Krawetz, "Kind of like that", 2013.
    """
    small = Image.fromarray(read_image(image.path)).convert("L").resize((SIDE + 1, SIDE))
    cells = np.asarray(small, dtype=np.int16)
    return (cells[:, 1:] > cells[:, :-1]).ravel()


def twins(images: Sequence[PoolImage]) -> dict[str, str]:
    """For each image that looks almost like an earlier one: its hash, and the key of that one."""
    prints = [fingerprint(image) for image in images]
    found = {}
    for place, (image, own) in enumerate(zip(images, prints, strict=True)):
        for other, before in zip(images[:place], prints[:place], strict=True):
            if np.count_nonzero(own != before) <= CLOSE:
                found[image.sha256] = other.key
                break
    return found
