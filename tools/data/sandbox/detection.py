"""Scenes for detection: circles, squares and triangles as a PASCAL VOC devkit.

ImageSets/Main/hard.txt names the known share of hard scenes: small objects of low contrast,
occluded, in more clutter.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.data.sandbox.common import (
    CLUTTER,
    SIDE,
    Image,
    Rng,
    background,
    check_settings,
    colour_beside,
    draw_mark,
    publish,
)
from tools.data.sandbox.controls import Control, Drawing, moved, named, noted, rules, spots

DRAWING = 1  # raise it when the same settings give other images: sets made before are then refused
CORNERS = {"circle": 64, "square": 4, "triangle": 3}  # of the polygons that are drawn
EMPTY_SHARE = 0.02  # of all scenes
DIFFICULT_SHARE = 0.03  # of the objects in hard scenes
ANNOTATION = """<annotation><folder>VOC2007</folder><filename>{id}.jpg</filename>
\t<size><width>{side}</width><height>{side}</height><depth>3</depth></size><segmented>0</segmented>\
{objects}
</annotation>
"""
OBJECT = """
\t<object><name>{}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>{}</difficult>
\t\t<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""

Box = tuple[int, int, int, int]  # xmin, ymin, xmax, ymax in pixels, 1-based, inclusive


class Look(NamedTuple):
    """The look of a kind of scenes.

    Pairs are ranges; contrast is the distance of fill and surround in BGR levels.
    """

    side: tuple[float, float]  # px, longer side of an object
    contrast: tuple[float, float]
    max_iou: float
    clutter: tuple[int, int]  # marks in a scene
    bar_share: float  # of objects that a bar is drawn across


EASY = Look(side=(25, 59), contrast=(95, 160), max_iou=0.03, clutter=(6, 12), bar_share=0.0)
HARD = Look(side=(16, 23.5), contrast=(38, 55), max_iou=0.2, clutter=(18, 26), bar_share=0.5)
INVISIBLE = (7.0, 11.0)  # contrast of an object marked difficult


class Object(NamedTuple):
    """A drawn object.

    Alpha (SIDE, SIDE) in [0, 1] is its mask before anything covers it, box the mask's tight box.
    """

    name: str
    alpha: NDArray[np.float32]
    box: Box
    difficult: bool

    def moved(self, right: int, down: int) -> Object:
        """The object moved by whole pixels; it must stay inside the image."""
        xmin, ymin, xmax, ymax = self.box
        box = (xmin + right, ymin + down, xmax + right, ymax + down)
        return self._replace(alpha=moved(self.alpha, right, down), box=box)


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes with inclusive corners."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(width, 0) * max(height, 0)
    return shared / (sum((c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)) - shared)


def propose(rng: Rng, look: Look) -> Object:
    """Draw an object of random class, size, turn and place, inside the image.

    Its mask is drawn eight times as large.
    """
    name = str(rng.choice(list(CORNERS)))
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(CORNERS[name]) / CORNERS[name]
    points = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = (points - points.min(0)) / np.ptp(points, axis=0).max() * rng.uniform(*look.side)
    points += rng.uniform(2, SIDE - 2 - points.max(0))
    large = np.zeros((SIDE * 8, SIDE * 8), np.uint8)
    cv2.fillPoly(large, [np.round(points * 8).astype(np.int32)], (255,))
    small = cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    alpha = small.astype(np.float32) / np.float32(255)
    y, x = np.nonzero(alpha >= 0.5)
    box = (int(x.min()) + 1, int(y.min()) + 1, int(x.max()) + 1, int(y.max()) + 1)
    return Object(name, alpha, box, difficult=look is HARD and bool(rng.random() < DIFFICULT_SHARE))


def place_objects(rng: Rng, look: Look) -> list[Object]:
    """Place no object, or 1 to 4 of them.

    One that finds no free place in 12 tries is left out (never the first).
    """
    if rng.random() < EMPTY_SHARE:
        return []
    placed: list[Object] = []
    for _ in range(rng.integers(1, 5)):
        tries = (propose(rng, look) for _ in range(12))
        free = (t for t in tries if all(iou(t.box, other.box) <= look.max_iou for other in placed))
        placed.extend(itertools.islice(free, 1))
    return placed


def draw_object(rng: Rng, image: Image, thing: Object, contrast: tuple[float, float]) -> Image:
    """Return `image` with the object in a colour that differs by `contrast` from 3 px around it."""
    inside = (thing.alpha > 0).astype(np.uint8)
    ring = cv2.dilate(inside, np.ones((7, 7), np.uint8)) > inside
    colour = colour_beside(rng, image[ring].mean(0), contrast)
    alpha = thing.alpha[..., None]
    return (image * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def draw_scene(seed: int, split: int, index: int, hard: bool) -> tuple[Image, list[Object]]:
    """Draw scene `index` (from 0) of trainval (split 0) or test (1).

    It depends only on these four arguments.
    """
    rng = np.random.default_rng([seed, split, index, int(hard)])
    look = HARD if hard else EASY
    image = background(rng)
    for kind in rng.integers(len(CLUTTER), size=rng.integers(*look.clutter, endpoint=True)):
        draw_mark(
            rng, image, rng.uniform(0, SIDE, 2), np.array(CLUTTER[kind]) * rng.uniform(0.7, 1.4, 2)
        )
    objects = place_objects(rng, look)
    for thing in objects:
        contrast = INVISIBLE if thing.difficult else look.contrast
        image = draw_object(rng, image, thing, contrast)
    for thing in objects:
        # a bar anywhere across the object, which hides a part of it
        if rng.random() < look.bar_share:
            draw_mark(
                rng,
                image,
                rng.uniform(thing.box[:2], thing.box[2:]),
                rng.uniform((16, 1.3), (30, 2.0)),
            )
    return (image + rng.normal(0, 5, image.shape)).round().clip(0, 255).astype(np.uint8), objects


Scene = tuple[Image, list[Object]]


def _seen(scene: Scene, change: Callable[[Image], Image], by: tuple[int, int]) -> Scene:
    image, objects = scene
    return change(moved(image, *by)), [thing.moved(*by) for thing in objects]


def _mislabeled(scene: Scene, other: Scene) -> Scene:
    return scene[0], other[1]


DRAWINGS = Drawing(draw_scene, partial(draw_scene, hard=False), _seen, _mislabeled)


def write_detection(devkit: Path, settings: dict[str, Any]) -> str:
    """Write VOC2007 with images, annotations and lists below `devkit`; return counts in words."""
    voc = devkit / "VOC2007"
    pool = settings["pool"]
    boxes: Counter[str] = Counter()
    lists: dict[str, list[str]] = {"trainval": [], "test": [], "hard": []}
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (voc / folder).mkdir(parents=True)
    for split, (name, count) in enumerate((("trainval", pool), ("test", settings["test"]))):
        for spot in spots(settings, split, count):
            image, objects = DRAWINGS.sample(settings, split, spot)
            image_id = f"{split * pool + spot.number + 1:06d}"
            lists[name].append(image_id)
            lists["hard"] += [image_id] * spot.other
            (voc / f"JPEGImages/{image_id}.jpg").write_bytes(
                cv2.imencode(".jpg", image)[1].tobytes()
            )
            entries = "".join(OBJECT.format(o.name, int(o.difficult), *o.box) for o in objects)
            (voc / f"Annotations/{image_id}.xml").write_text(
                ANNOTATION.format(id=image_id, side=SIDE, objects=entries), encoding="utf-8"
            )
            boxes.update([o.name for o in objects] or ["no object"])
    for name, ids in lists.items():
        (voc / f"ImageSets/Main/{name}.txt").write_text(
            "".join(f"{id}\n" for id in ids), encoding="utf-8"
        )
    words = (
        f"{pool} + {settings['test']} images, {len(lists['hard'])} hard, "
        f"{boxes.pop('no object', 0)} empty; boxes: "
    )
    return words + ", ".join(f"{name} {count}" for name, count in sorted(boxes.items()))


def make_detection(
    root: Path, pool: int, test: int, seed: int, hard: float, control: Control | None = None
) -> Path:
    """Make root/VOCdevkit with a share `hard` of hard scenes, and return its path.

    ValueError: bad settings; FileExistsError: made with others.
    """
    expected = {
        f"pool: expected at least 1 scene, got {pool}": pool >= 1,
        f"test: expected at least 0 scenes, got {test}": test >= 0,
        "pool + test: expected at most 999999 scenes, as ids have six digits, got "
        f"{pool + test}": pool + test < 10**6,
    }
    check_settings(expected | rules(pool, hard, control), seed, hard)
    settings = {
        "task": "det",
        "drawing": DRAWING,
        "pool": pool,
        "test": test,
        "seed": seed,
        "hard": hard,
    } | noted(control)
    return publish(root / named("VOCdevkit", control), settings, write_detection)
