"""Images for classification: coloured shapes, with a folder of images for each class.

A class is a colour and a shape, so a network learns the colours from few labels and the shapes from
more. hard.txt names the known share of hard images: small, of a dull and less certain colour,
crossed by a bar, noisy.

Image k of a split depends on (seed, split, k) and on whether it is hard; its class is k modulo the
number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.data.sandbox.common import Image, Rng, check_settings, publish
from tools.data.sandbox.controls import Control, Drawing, moved, named, noted, rules, spots

DRAWING = 1  # raise it when the same settings give other images: sets made before are then refused
SIDE = 32  # px
ENLARGED = 4  # shapes are drawn so many times as large
HUES = {"blue": 112, "green": 62, "red": 2}  # OpenCV's, in units of 2 degrees
SHAPES = {"circle": 32, "square": 4, "triangle": 3}  # corners
CLASSES = tuple(sorted(f"{hue}_{shape}" for hue in HUES for shape in SHAPES))


Drawn = tuple[Image, str]


class Look(NamedTuple):
    """The look of a kind of images. Pairs are ranges."""

    radius: tuple[float, float]  # px
    saturation: tuple[float, float]  # of 255
    hue_spread: float  # standard deviation in units of 2 degrees
    noise: float  # standard deviation in levels
    bars: int = 0  # drawn across the shape
    turn: float = np.pi / 9  # at most, to either side
    off: float | None = None  # px from the image's middle, at most; None is anywhere


EASY = Look(radius=(9, 13), saturation=(150, 255), hue_spread=4, noise=6)
HARD = Look(radius=(7.5, 10), saturation=(80, 130), hue_spread=8, noise=10, bars=1)
# as a network of few labels knows most of them
PLAIN = Look((11, 13), saturation=(200, 255), hue_spread=2, noise=4, turn=np.pi / 18, off=2)


def background(rng: Rng) -> Image:
    """Draw blotches that are nearly grey."""
    cells = (rng.uniform(60, 195, (4, 4, 1)) + rng.normal(0, 12, (4, 4, 3))).astype(np.float32)
    image = cv2.resize(cells, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return image.clip(0, 255).astype(np.uint8)


def mask(rng: Rng, corners: int, radius: float, look: Look) -> NDArray[np.float32]:
    """Draw a mask (SIDE, SIDE) in [0, 1]: a regular polygon, turned and placed at random."""
    angles = rng.uniform(-look.turn, look.turn) + 2 * np.pi * (np.arange(corners) + 0.5) / corners
    least = radius + 1 if look.off is None else SIDE / 2 - look.off
    centre = rng.uniform(least, SIDE - least, 2)
    points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    large = np.zeros((SIDE * ENLARGED, SIDE * ENLARGED), np.uint8)
    cv2.fillPoly(large, [np.round(points * ENLARGED).astype(np.int32)], (255,))
    small = cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)


def colour(rng: Rng, name: str, look: Look) -> NDArray[np.float64]:
    """Draw a shade (3,) of a named colour, BGR."""
    hue = round(rng.normal(HUES[name], look.hue_spread)) % 180
    saturation = round(rng.uniform(*look.saturation))
    value = round(rng.uniform(110, 230))
    shade = np.array([[[hue, saturation, value]]], np.uint8)
    return cv2.cvtColor(shade, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


def draw_bar(rng: Rng, image: Image, alpha: NDArray[np.float32]) -> None:
    """Draw a grey bar through the shape into `image`."""
    y, x = np.argwhere(alpha > 0.5).mean(0) + rng.uniform(-2, 2, 2)
    angle = rng.uniform(0, np.pi)
    reach = 2 * SIDE
    ends = [
        (round(x + s * reach * np.cos(angle)), round(y + s * reach * np.sin(angle)))
        for s in (-1, 1)
    ]
    cv2.line(
        image, ends[0], ends[1], [rng.uniform(60, 195)] * 3, int(rng.integers(2, 4)), cv2.LINE_AA
    )


def draw_image(seed: int, split: int, index: int, hard: bool, easy: Look = EASY) -> Drawn:
    """Draw image `index` (from 0) of train (split 0) or test (1), and return its class, too.

    It depends only on these arguments; `easy` is the look where it is not hard.
    """
    rng = np.random.default_rng([seed, split, index, int(hard), 1])
    look = HARD if hard else easy
    name = CLASSES[index % len(CLASSES)]
    hue, _, shape = name.partition("_")
    image = background(rng)
    alpha = mask(rng, SHAPES[shape], rng.uniform(*look.radius), look)
    share = alpha[..., None]
    image = (image * (1 - share) + colour(rng, hue, look) * share).round().astype(np.uint8)
    for _ in range(look.bars):
        draw_bar(rng, image, alpha)
    noisy = image + rng.normal(0, look.noise, image.shape)
    return noisy.round().clip(0, 255).astype(np.uint8), name


def _seen(drawn: Drawn, change: Callable[[Image], Image], by: tuple[int, int]) -> Drawn:
    return change(moved(drawn[0], *by)), drawn[1]


def _mislabeled(drawn: Drawn, other: Drawn) -> Drawn:
    return drawn[0], other[1]


DRAWINGS = Drawing(
    draw_image,
    partial(draw_image, hard=False),
    _seen,
    _mislabeled,
    partial(draw_image, hard=False, easy=PLAIN),
)


def write_classification(target: Path, settings: dict[str, Any]) -> str:
    """Write train/<class>/, test/<class>/ and hard.txt below `target`; return counts in words."""
    hard_paths: list[str] = []
    counts = {"train": settings["pool"], "test": settings["test"]}
    for split, (folder, count) in enumerate(counts.items()):
        for name in CLASSES:
            (target / folder / name).mkdir(parents=True)
        for spot in spots(settings, split, count):
            image, name = DRAWINGS.sample(settings, split, spot)
            path = f"{folder}/{name}/{spot.number:06d}.png"
            (target / path).write_bytes(cv2.imencode(".png", image)[1].tobytes())
            hard_paths += [path] * spot.other
    (target / "hard.txt").write_text("".join(f"{path}\n" for path in hard_paths), encoding="utf-8")
    return (
        f"{settings['pool']} + {settings['test']} images of {len(CLASSES)} classes, "
        f"{len(hard_paths)} hard"
    )


def make_classification(
    root: Path, pool: int, test: int, seed: int, hard: float, control: Control | None = None
) -> Path:
    """Make root/shapes with a share `hard` of hard images, and return its path.

    ValueError: bad settings; FileExistsError: made with others.
    """
    least = len(CLASSES)
    most = 10**6
    expected = {
        f"{name}: expected {least} (an image a class) to {most} images, got {count}": (
            least <= count <= most
        )
        for name, count in (("pool", pool), ("test", test))
    }
    check_settings(expected | rules(pool, hard, control), seed, hard)
    settings = {
        "task": "cls",
        "drawing": DRAWING,
        "pool": pool,
        "test": test,
        "seed": seed,
        "hard": hard,
    } | noted(control)
    return publish(root / named("shapes", control), settings, write_classification)
