"""Parts that all sandboxes share: backgrounds, marks, the choice of hard samples, publishing."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128  # px, width and height of a background
BLOCK = 20  # samples among which the hard ones are chosen
# px, half axes of the ellipses that look like lines, dots and blobs
CLUTTER = ((24, 1), (1, 1), (5, 2))

Image = NDArray[np.uint8]  # (height, width, 3), BGR
Rng = np.random.Generator


def background(rng: Rng) -> Image:
    """Draw a mid-tone with texture of three sizes.

    It is far enough from black and white to leave room for contrast.
    """
    texture = np.full((SIDE, SIDE, 3), rng.uniform(80, 175, 3), np.float32)
    for cells, spread in ((3, 16.0), (11, 7.0), (36, 5.0)):
        grid = rng.normal(0, spread, (cells, cells, 3)).astype(np.float32)
        texture += cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return texture.clip(45, 210).astype(np.uint8)


def colour_beside(
    rng: Rng, surround: NDArray[Any], contrast: tuple[float, float]
) -> NDArray[np.float64]:
    """Draw a colour (3,) at a random distance from `surround` (3,).

    It lies in the first of 32 directions that stays in [0, 255].
    """
    directions = rng.normal(size=(32, 3))
    colours = surround + rng.uniform(*contrast) * directions / np.linalg.norm(
        directions, axis=1, keepdims=True
    )
    overshoot = np.abs(colours - colours.clip(0, 255)).sum(1)
    return colours[overshoot.argmin()].clip(0, 255)


def draw_mark(rng: Rng, image: Image, centre: NDArray[Any], half_axes: NDArray[Any]) -> None:
    """Draw an ellipse, turned at random and in a colour unlike the image's mean, into `image`.

    `centre` and `half_axes` are (2,), in pixels.
    """
    x, y, a, b = (round(16 * v) for v in (*centre, *half_axes))  # in sixteenths, for shift
    colour = colour_beside(rng, np.array(cv2.mean(image)[:3]), (40, 90)).tolist()
    cv2.ellipse(
        image, (x, y), (a, b), rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA, shift=4
    )


def hard_flags(seed: int, split: int, count: int, share: float) -> list[bool]:
    """Return which scenes of a list are hard: exactly round(share * count).

    They are spread evenly over the blocks, and at random within each.
    """
    flags: list[bool] = []
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        # 0 and 1 are scenes
        order = np.random.default_rng([seed, split, start, 2]).permutation(stop - start)
        flags += (order < round(share * stop) - round(share * start)).tolist()
    return flags


def check_settings(rules: dict[str, bool], seed: int, hard: float) -> None:
    """Raise a ValueError that names every broken rule: of those given, and of all sandboxes."""
    rules = rules | {
        f"seed: expected a number >= 0, got {seed}": seed >= 0,
        f"hard: expected a share in [0, 1], got {hard}": 0 <= hard <= 1,
    }
    if not all(rules.values()):
        raise ValueError("; ".join(rule for rule, holds in rules.items() if not holds))


def publish(
    target: Path, settings: dict[str, Any], write: Callable[[Path, dict[str, Any]], str]
) -> Path:
    """Let `write` fill a folder beside `target`, and rename it.

    A target with the same settings is left as it is.
    """
    if target.exists():
        note = target / "sandbox.json"
        made = {}
        if note.exists():
            made = json.loads(note.read_text(encoding="utf-8"))
        other = [
            f"{k}: {made.get(k)} there, {v} now" for k, v in settings.items() if made.get(k) != v
        ]
        if other:
            raise FileExistsError(
                f"{target} is kept, as it was not made with these settings ({'; '.join(other)})"
            )
        print(f"{target} is there already, made with these settings")
        return target
    start = time.perf_counter()
    building = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)  # of a killed process that had the same id
    building.mkdir(parents=True)
    try:
        counts = write(building, settings)
        (building / "sandbox.json").write_text(json.dumps(settings), encoding="utf-8")
        building.rename(target)
    except BaseException:
        shutil.rmtree(building)
        raise
    print(f"{target}: {counts}; {time.perf_counter() - start:.1f} s")
    return target
