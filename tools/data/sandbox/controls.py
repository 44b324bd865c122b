"""Controls: data sets on which it is known beforehand what active learning must do.

**Positive**: nearly all of the pool is frames of a few places by day, near copies of each other.
The rest shows many other places at night, each once. Half of the test set is further frames of the
places by day, half of those at night. Whatever is known of a place at night comes from its one
sample, and few labels suffice for the days: whoever finds the nights must win.

**Negative**: the hard samples of the pool have the labels of another hard sample, which nothing in
the image foretells. The test set has clear samples alone. The loss of the hard ones stays high and
they teach nothing, so whoever chases it must lose.

A sample depends on (seed, split, place, number) and on its kind alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tools.data.sandbox import SHARES, Control
from tools.data.sandbox.common import Image, Rng, hard_flags

DRAWING = 2  # raise it when the same settings give other images: sets made before are then refused
PLACES = {"day": 2, "night": 3}  # in the place of a split, so that no place is a sample of one
DAYS = 3  # places by day; few, so that any first labels teach all of them
MOVED = 1  # px that a frame is moved by, at most
FLICKER = 2.0  # standard deviation, in levels, of what differs between frames beside that
DARK = 0.35  # share of the light that is left at night

Sample = TypeVar("Sample")
Level = TypeVar("Level", np.uint8, np.float32)


class Spot(NamedTuple):
    """Where a sample of a split comes from.

    Args:
        number: of the sample in its split, from 0.
        other: whether it is hard, at night or mislabeled.
        place: that it shows; its own number where no two samples show the same.
    """

    number: int
    other: bool
    place: int


def named(folder: str, control: Control | None) -> str:
    """The name of a data set's folder."""
    return folder if control is None else f"{folder}_{control}"


def noted(control: Control | None) -> dict[str, Any]:
    """What a control adds to the settings of a data set."""
    return {} if control is None else {"control": control, "controls_drawing": DRAWING}


def rules(pool: int, hard: float, control: Control | None) -> dict[str, bool]:
    """What must hold of a control's settings beside what must of all."""
    rule = f"hard: expected a share of the pool, got {hard} of {pool}, that is at least"
    if control is None or not 0 <= hard <= 1:
        return {}
    if control == "negative":
        return {f"{rule} one sample with false labels": round(hard * pool) >= 1}
    night = round(hard * pool)
    return {f"{rule} one sample at night and one by day": 1 <= night < pool}


def spots(settings: dict[str, Any], split: int, count: int) -> list[Spot]:
    """Where the samples of a split come from, in their order.

    Args:
        settings: of the data set.
        split: 0 for the pool, 1 for the test set.
        count: samples of the split.
    """
    control, share = settings.get("control"), settings["hard"]
    if control is not None and split:
        share = SHARES[control][1]
    flags = hard_flags(settings["seed"], split, count, share)
    if control != "positive":
        return [Spot(number, other, number) for number, other in enumerate(flags)]
    places = {False: DAYS, True: round(settings["hard"] * settings["pool"])}
    met = {False: 0, True: 0}
    found = []
    for number, other in enumerate(flags):
        found.append(Spot(number, other, met[other] % places[other]))
        met[other] += 1
    return found


@dataclass(frozen=True)
class Drawing(Generic[Sample]):
    """How a task's samples are drawn.

    Args:
        draw: the sample of (seed, split, index, whether it is hard).
        draw_night: the sample of (seed, split, index) as it is at a place at night, in full light.
        seen: the sample moved by whole pixels (right, down), and its image then changed.
        mislabeled: the first sample with the labels of the second.
        draw_clear: the sample of (seed, split, index) as it is where others have false labels; by
            default as `draw` has those that are not hard.
    """

    draw: Callable[[int, int, int, bool], Sample]
    draw_night: Callable[[int, int, int], Sample]
    seen: Callable[[Sample, Callable[[Image], Image], tuple[int, int]], Sample]
    mislabeled: Callable[[Sample, Sample], Sample]
    draw_clear: Callable[[int, int, int], Sample] | None = None

    def sample(self, settings: dict[str, Any], split: int, spot: Spot) -> Sample:
        """Draw a sample of the pool (split 0) or the test set (1)."""
        seed, control = settings["seed"], settings.get("control")
        rng = np.random.default_rng([seed, split, spot.number, int(spot.other), 3])
        if control == "positive":
            right, down = rng.integers(-MOVED, MOVED, 2, endpoint=True).tolist()
            if spot.other:
                whole = self.draw_night(seed, PLACES["night"], spot.place)
                return self.seen(whole, lambda image: flicker(rng, night(image)), (right, down))
            whole = self.draw(seed, PLACES["day"], spot.place, False)
            return self.seen(whole, lambda image: flicker(rng, image), (right, down))
        if control == "negative" and not spot.other and self.draw_clear is not None:
            return self.draw_clear(seed, split, spot.number)
        sample = self.draw(seed, split, spot.number, spot.other)
        if control == "negative" and spot.other:
            stranger = int(rng.integers(10**6))
            return self.mislabeled(sample, self.draw(seed, PLACES["night"], stranger, True))
        return sample


def night(image: Image) -> Image:
    """The image with little light."""
    return (image * DARK).round().astype(np.uint8)


def flicker(rng: Rng, image: Image) -> Image:
    """The image with noise that is hardly seen."""
    noisy = image + rng.normal(0, FLICKER, image.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def moved(image: NDArray[Level], right: int, down: int) -> NDArray[Level]:
    """The image (H, W, ...) moved by whole pixels; what comes in at the border repeats it."""
    height, width = image.shape[:2]
    y = (np.arange(height) - down).clip(0, height - 1)
    x = (np.arange(width) - right).clip(0, width - 1)
    return image[y[:, None], x]
