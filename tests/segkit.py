"""Tiny data in the layout of VOC's segmentation: images of coloured shapes and their
palette masks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

VOID = 255
# VOC's colours of the background, 1, 2, 3, and void; of all 256 numbers, else the file would hold
# fewer bits a pixel
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * (251 * 3) + [224, 224, 192]
# of the pixels, by class
COLOURS = np.array([[90, 90, 90], [220, 60, 60], [60, 200, 80], [230, 220, 70]])


def make_seg(root: Path, train: int = 16, test: int = 8, seed: int = 0) -> Path:
    """Write `root`/JPEGImages, SegmentationClass and ImageSets/Segmentation.

    The last training image is all void.
    """
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    # the list's order is no sorted one
    names = [f"2007_{number:06d}" for number in rng.permutation(train + test)]
    for name in names:
        write_pair(root, name, *draw(rng))
    image, mask = draw(rng)
    write_pair(root, names[train - 1], image, np.full_like(mask, VOID))
    write_list(root, "train", names[:train])
    write_list(root, "val", names[train:])
    return root


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) of one to three blocks with void borders on a noisy ground, and
    its mask (H, W).
    """
    height, width = rng.integers(64, 97, 2)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 4)):
        top, left = rng.integers(0, height - 24), rng.integers(0, width - 24)
        down, right = top + rng.integers(20, 40), left + rng.integers(20, 40)
        mask[top:down, left:right] = VOID
        mask[top + 2 : down - 2, left + 2 : right - 2] = rng.integers(1, len(COLOURS))
    shown = np.where(mask == VOID, 0, mask)
    tint = rng.normal(0, 25, 3) + rng.normal(0, 15, (height, width, 3))
    return np.clip(COLOURS[shown] + tint, 0, 255).astype(np.uint8), mask


def write_pair(root: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    Image.fromarray(image).save(root / f"JPEGImages/{name}.jpg")
    palette = Image.fromarray(mask).convert("L")
    palette.putpalette(PALETTE)
    palette.save(root / f"SegmentationClass/{name}.png")


def write_list(root: Path, name: str, names: list[str]) -> None:
    (root / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(names) + "\n")
