"""The spread of a ranking over resampled test sets: what it owes to these test images.

Test images are drawn with replacement, as many as there are; all strategies, seeds and cycles are
judged on the same draw, from what each run kept of its tests image by image (`tasks.per_image`).
The networks stay the same: what other seeds would give is the tests' of seeds to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tasks.per_image import PerImage
from tools.compare.curves import LEVEL, lower
from tools.compare.ranking.ranks import ranked
from tools.compare.ranking.resampling import taus
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import Run
from tools.record.rows import HELD, area_under_curve

MOST = 1000  # draws
FEWEST = 200
WORK = 2e9  # detections of all draws, a minute or so
NUMBERS = 2e7  # in the table of draws
CLOSE = 1e-5  # how far kept results may be from the row: single precision
Legs = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Resampled:
    """Scores over drawn test sets.

    Args:
        reason: why there are none; empty if there are.
        score: "area" under the curve, or "final" metric where areas would take too long.
        images: in the test set.
        draws: of it.
        legs: L names.
        seeds: that all have, of which scores are means.
        mean: (L,) scores on the test set itself.
        low: (L,) of the 95% percentile interval over the draws.
        high: (L,) of the same.
        gain: (L,) over the first strategy, on the test set itself; more is better.
        gain_low: (L,) of the interval of the gain, on the same draws.
        gain_high: (L,) of the same.
        first: (L,) share of the draws in which each is best.
        tau: mean of Kendall's tau between a draw's order and that of the test set; not-a-number
            with one strategy.
        tau_low: its 2.5% percentile.
        left_out: a sentence for each strategy and seed that does not count, and why.
    """

    reason: str = ""
    score: str = "area"
    images: int = 0
    draws: int = 0
    legs: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    mean: np.ndarray = field(default_factory=lambda: np.empty(0))
    low: np.ndarray = field(default_factory=lambda: np.empty(0))
    high: np.ndarray = field(default_factory=lambda: np.empty(0))
    gain: np.ndarray = field(default_factory=lambda: np.empty(0))
    gain_low: np.ndarray = field(default_factory=lambda: np.empty(0))
    gain_high: np.ndarray = field(default_factory=lambda: np.empty(0))
    first: np.ndarray = field(default_factory=lambda: np.empty(0))
    tau: float = math.nan
    tau_low: float = math.nan
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.reason:
            return self.reason
        text = f"over {self.draws:,} drawn test sets of {self.images:,} images"
        if len(self.legs) < 2:
            return (
                f"{text} {self.legs[0]}'s {self.score} is {self.low[0]:.3g} to {self.high[0]:.3g}"
            )
        leader = int(np.argmax(self.first))
        agrees = f"agrees with that of the test set by Kendall's tau {self.tau:.2f} in the mean"
        if math.isnan(self.tau):
            agrees = "cannot be compared with that of the test set, on which all are equal"
        return (
            f"{text} the order by {self.score} {agrees}; {self.legs[leader]} is first in "
            f"{self.first[leader]:.0%}"
        )


def resampled(legs: Legs) -> Resampled:
    """Judge all strategies again on drawn test sets."""
    if any(run.metric.startswith(HELD) for runs in legs.values() for run in runs):
        return Resampled("Compared by the validation split, of which no test image is a part.")
    kept, left_out = _usable(legs)
    if not kept:
        why = left_out[0] if left_out else "no run is finished"
        return Resampled(f"It is unknown how far another test set would move this: {why}.")
    seeds = sorted(set.intersection(*({run.seed for run in runs} for runs in kept.values())))
    if not seeds:
        return Resampled("The strategies have no seed in common to judge on other test sets.")
    every = {run.seed for runs in kept.values() for run in runs}
    if extra := sorted(every - set(seeds)):
        left_out.append(f"seeds {', '.join(map(str, extra))}: some strategies lack them")
    runs = [[run for run in kept[leg] if run.seed in seeds] for leg in kept]
    whole = _judged(runs[0][0], -1)
    images = whole.images
    score, draws = _plan(whole, images, runs)
    rng = np.random.default_rng(0)
    copies = rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(float)
    copies = np.vstack([np.ones(images), copies])
    scores = np.array([[_scores(run, score, copies) for run in of_leg] for of_leg in runs])
    less = lower(run for of_leg in runs for run in of_leg)
    return _spread(tuple(kept), tuple(seeds), score, images, scores.mean(axis=1), less, left_out)


def _usable(legs: Legs) -> tuple[dict[str, Sequence[Run]], list[str]]:
    """The strategies whose tests can be drawn again, and why others cannot be."""
    faults = {leg: _fault(runs) for leg, runs in legs.items()}
    left_out = [f"{leg}: {fault}" for leg, fault in faults.items() if fault]
    kept = {leg: runs for leg, runs in legs.items() if not faults[leg]}
    sizes = {leg: _judged(runs[0], -1).images for leg, runs in kept.items()}
    first = next(iter(sizes), "")
    for leg, images in sizes.items():
        if images != sizes[first]:
            left_out.append(
                f"{leg}: its tests have {images} images, those of {first} {sizes[first]}"
            )
            del kept[leg]
    return kept, left_out


def _spread(
    legs: tuple[str, ...],
    seeds: tuple[int, ...],
    score: str,
    images: int,
    scores: np.ndarray,
    less: bool,
    left_out: Sequence[str],
) -> Resampled:
    """Sum up (L, 1 + draws) scores, the first of the test set itself."""
    scores = scores[:, ~np.isnan(scores).any(axis=0)]
    tail = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    good = -scores if less else scores
    gains = good - good[:1]
    low, high = np.quantile(scores[:, 1:], tail, axis=1)
    gain_low, gain_high = np.quantile(gains[:, 1:], tail, axis=1)
    places = ranked(good.T)
    best = places[1:] == places[1:].min(axis=1, keepdims=True)
    agreed = taus(places[1:], places[0]) if len(legs) > 1 else np.array([])
    agreed = agreed[~np.isnan(agreed)]
    return Resampled(
        "",
        score,
        images,
        scores.shape[1] - 1,
        legs,
        seeds,
        scores[:, 0],
        low,
        high,
        gains[:, 0],
        gain_low,
        gain_high,
        (best / best.sum(axis=1, keepdims=True)).mean(axis=0),
        float(agreed.mean()) if len(agreed) else math.nan,
        float(np.quantile(agreed, tail[0])) if len(agreed) else math.nan,
        tuple(left_out),
    )


def _judged(run: Run, cycle: int) -> PerImage:
    numbers = [row["cycle"] for row in run.rows]
    found = RunFolder(run.folder).judged(numbers[cycle])
    if found is None:
        raise RunFolderError(f"{run.folder}: no test image by image in cycle {numbers[cycle]}")
    return found


def _fault(runs: Sequence[Run]) -> str:
    """Why the tests of some runs cannot be drawn again; empty if they can be."""
    images = set()
    for run in runs:
        for place, value in enumerate(run.values):
            path = RunFolder(run.folder).judged_file(run.rows[place]["cycle"])
            if not path.exists():
                return (
                    f"its runs did not keep their tests image by image ({run.folder}); the "
                    "metrics of the three tasks are kept so, those of other tasks may not be"
                )
            found = _judged(run, place)
            images.add(found.images)
            again = float(found.metric(np.ones((1, found.images)))[0])
            if math.isnan(again):
                return f"{path} has nothing that counts"
            if not abs(again - value) <= CLOSE * max(1.0, abs(value)):
                return f"{path} gives {again:.4g}, but the row has {value:.4g}"
    if len(images) != 1:
        return f"its tests have {sorted(images)} images"
    return ""


def _plan(whole: PerImage, images: int, runs: Sequence[Sequence[Run]]) -> tuple[str, int]:
    """The score, and the number of draws, that a minute or so allows."""
    draws = int(min(MOST, max(FEWEST, NUMBERS // images)))
    if not whole.detections:
        return "area", draws
    count = sum(map(len, runs)) * whole.detections
    cycles = max(len(run.rows) for of_leg in runs for run in of_leg)
    if count * cycles * FEWEST <= WORK:
        return "area", int(min(draws, WORK // (count * cycles)))
    return "final", int(min(draws, max(FEWEST, WORK // count)))


def _scores(run: Run, score: str, copies: np.ndarray) -> np.ndarray:
    """(B,) a run's score on each test set."""
    if score == "final":
        return _judged(run, -1).metric(copies)
    values = [_judged(run, place).metric(copies) for place in range(len(run.rows))]
    return np.array([area_under_curve(run.labeled, column) for column in np.transpose(values)])
