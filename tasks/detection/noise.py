"""Boxes as people draw them: missed, doubled, moved, and of a wrong class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.noise import Annotator, Noisy, other

MEANT = ("missed", "doubled", "jitter", "flipped")  # what a rate means something for
LEAST = 1.0  # pixels of a box's side


class Drawn(NamedTuple):
    """The boxes of an image as they were drawn, and whether one is wrong, jitter aside."""

    boxes: list[dict]
    altered: bool


def drawn_by(annotator: Annotator, info: dict, name: str, classes: int) -> Drawn:
    """What somebody draws on an image.

    Args:
        annotator: who does.
        info: mmdet's record of the image.
        name: of the sample.
        classes: their number.
    """
    truth: Sequence[dict] = info["instances"]
    rng, rates = annotator.stream(name), annotator.rates
    # drawn whatever the rates are, so that a higher one keeps the mistakes of a lower one
    chances = rng.random((len(truth), 4))
    moves = rng.standard_normal((len(truth), 2, 4))
    boxes: list[dict] = []
    altered = False
    for box, (missed, doubled, flipped, which), moved in zip(truth, chances, moves, strict=True):
        if missed < rates.missed:
            altered = True
            continue
        label = box["bbox_label"]
        if flipped < rates.flipped:
            label = other(label, which, classes)
        twice = bool(doubled < rates.doubled)
        altered |= twice or label != box["bbox_label"]
        for move in moved[: 1 + twice]:
            corners = jittered(box["bbox"], move, rates, (info["width"], info["height"]))
            boxes.append({**box, "bbox": corners, "bbox_label": label})
    return Drawn(boxes, altered)


def jittered(
    corners: Sequence[float], move: NDArray[np.float64], rates: Noisy, size: tuple[float, float]
) -> list[float]:
    """A box with each side moved, inside of its image.

    Args:
        corners: x1, y1, x2, y2 in pixels.
        move: (4,) normal numbers.
        rates: of which `jitter` counts.
        size: width and height of the image.
    """
    if rates.jitter == 0:
        return list(corners)
    x1, y1, x2, y2 = corners
    sides = np.array([x2 - x1, y2 - y1, x2 - x1, y2 - y1])
    found = np.array(corners) + rates.jitter * sides * move
    columns, rows = (
        _span(found[axis::2], length) for axis, length in zip((0, 1), size, strict=True)
    )
    return [columns[0], rows[0], columns[1], rows[1]]


def _span(ends: NDArray[np.float64], length: float) -> tuple[float, float]:
    """Two ends in order, within the image and `LEAST` pixels apart."""
    low, high = np.clip(np.sort(ends), 0, length).tolist()
    if high - low < LEAST:
        low = min(max(0.0, (low + high - LEAST) / 2), max(0.0, length - LEAST))
        high = min(low + LEAST, length)
    return low, high
