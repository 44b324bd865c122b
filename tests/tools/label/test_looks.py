"""Near duplicates are seen by how they look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tools.label.labels import PoolImage
from tools.label.looks import fingerprint, twins


def scene(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A smooth picture of chance."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def saved(root: Path, name: str, image: Image.Image, **how) -> PoolImage:
    path = root / name
    image.save(path, **how)
    return PoolImage(name, path, image.size, name)


def test_the_difference_hash_by_hand(tmp_path: Path):
    ramp = np.tile(np.arange(0, 90, 10, dtype=np.uint8), (8, 1))  # nine columns, each brighter
    image = saved(tmp_path, "ramp.png", Image.fromarray(ramp).convert("RGB"))
    assert fingerprint(image).tolist() == [True] * 64
    flipped = saved(tmp_path, "back.png", Image.fromarray(ramp[:, ::-1].copy()).convert("RGB"))
    assert fingerprint(flipped).tolist() == [False] * 64


def test_copies_with_noise_are_twins_and_others_are_not(tmp_path: Path):
    images = [saved(tmp_path, f"{k}.png", scene(k)) for k in range(12)]
    copies = [
        saved(tmp_path, "jpeg.jpg", scene(3), quality=35),
        saved(tmp_path, "small.jpg", scene(5, (60, 45)), quality=80),
        saved(tmp_path, "bright.png", scene(7).point(lambda value: int(0.9 * value + 10))),
    ]
    expected = {"jpeg.jpg": "3.png", "small.jpg": "5.png", "bright.png": "7.png"}
    assert twins([*images, *copies]) == expected
    assert twins([]) == {}
    assert twins([copies[0], images[3]]) == {"3.png": "jpeg.jpg"}, "the earlier one is named"
