"""Results of a test image by image, from which the metric of any resampled test set follows.

An evaluator that has them keeps them in its attribute `each` (see `per_image`); a run stores them
beside its rows, and reports draw test sets from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

import numpy as np

FORM = "form"  # the array that says which form the others are of
EPS = np.finfo(np.float32).eps
RECALLS = np.linspace(0, 1, 101)  # at which COCO looks at the precision
NUMBERS = 1 << 24  # of one kind in memory at a time


class PerImage(Protocol):
    """Results of N images."""

    @property
    def images(self) -> int:
        """N."""
        ...

    @property
    def detections(self) -> int:
        """How many a test set's metric goes through, once for each overlap; 0 if it needs none."""
        ...

    def metric(self, copies: np.ndarray) -> np.ndarray:
        """(B,) the metric where image i is in a test set `copies[b, i]` times; not-a-number where
        nothing counts. `copies` are (B, N).
        """
        ...


@dataclass(frozen=True)
class Ratio:
    """A share: what is right in each image, of what counts in it.

    Args:
        right: (N,).
        counted: (N,).
    """

    form: ClassVar[str] = "ratio"
    right: np.ndarray = field(repr=False)
    counted: np.ndarray = field(repr=False)

    @property
    def images(self) -> int:
        """See `PerImage`."""
        return len(self.counted)

    detections: ClassVar[int] = 0

    def metric(self, copies: np.ndarray) -> np.ndarray:
        """See `PerImage`."""
        right, counted = (copies @ column.astype(float) for column in (self.right, self.counted))
        return np.divide(right, counted, out=np.full(len(copies), np.nan), where=counted > 0)


@dataclass(frozen=True)
class Matched:
    """Detections that were matched with what there is, for the mean AP over classes.

    Args:
        image: (D,) of each detection that counts.
        label: (D,) its class.
        score: (D,).
        right: (D,) whether it found something that no surer one had found.
        there: (N, C) things of each class in each image.
        points: 11 for the mean of precisions at 11 recalls, 0 for the area under the curve.
    """

    form: ClassVar[str] = "matched"
    image: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    score: np.ndarray = field(repr=False)
    right: np.ndarray = field(repr=False)
    there: np.ndarray = field(repr=False)
    points: np.ndarray = field(default_factory=lambda: np.array(0))

    @property
    def images(self) -> int:
        """See `PerImage`."""
        return len(self.there)

    @property
    def detections(self) -> int:
        """See `PerImage`."""
        return len(self.image)

    def metric(self, copies: np.ndarray) -> np.ndarray:
        """See `PerImage`; copies of a detection have one place in the order of scores."""
        there = copies @ self.there.astype(float)
        areas = np.zeros_like(there)
        for label, own in enumerate(_by_score(self)):
            for part in _parts(copies, own):
                number = copies[part][:, self.image[own]].astype(float)
                found = np.cumsum(number * self.right[own], axis=1)
                recall = found / np.maximum(there[part, label, None], EPS)
                precision = found / np.maximum(np.cumsum(number, axis=1), EPS)
                areas[part, label] = _area(recall, precision, int(self.points))
        return _mean_of_classes(areas, there)


@dataclass(frozen=True)
class MatchedAt:
    """Detections that were matched at T overlaps, for COCO's mean AP over overlaps and classes.

    Args:
        image: (D,) of each detection.
        label: (D,) its class.
        score: (D,).
        right: (D, T) whether it found something that no surer one had found.
        wrong: (D, T) whether it found nothing. What found something that is to be ignored, such as
            a crowd, is neither.
        there: (N, C) things of each class in each image that count.
    """

    form: ClassVar[str] = "matched at"
    image: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    score: np.ndarray = field(repr=False)
    right: np.ndarray = field(repr=False)
    wrong: np.ndarray = field(repr=False)
    there: np.ndarray = field(repr=False)

    @property
    def images(self) -> int:
        """See `PerImage`."""
        return len(self.there)

    @property
    def detections(self) -> int:
        """See `PerImage`."""
        return self.right.size

    def metric(self, copies: np.ndarray) -> np.ndarray:
        """See `PerImage`; the precision at 101 recalls, as pycocotools takes it."""
        there = copies @ self.there.astype(float)
        areas = np.zeros_like(there)
        overlaps = self.right.shape[1]
        for label, own in enumerate(_by_score(self)):
            for part in _parts(copies, own):
                number = copies[part][:, self.image[own]].astype(float)
                for right, wrong in zip(self.right[own].T, self.wrong[own].T, strict=True):
                    found = np.cumsum(number * right, axis=1)
                    missed = np.cumsum(number * wrong, axis=1)
                    recall = found / np.maximum(there[part, label, None], EPS)
                    precision = found / (found + missed + np.spacing(1))
                    areas[part, label] += _at_recalls(recall, precision) / overlaps
        return _mean_of_classes(areas, there)


def _by_score(of: Matched | MatchedAt) -> Iterator[np.ndarray]:
    """The places of each class's detections, the surest first."""
    for label in range(of.there.shape[1]):
        own = np.flatnonzero(of.label == label)
        yield own[np.argsort(-of.score[own], kind="stable")]


def _parts(copies: np.ndarray, own: np.ndarray) -> Iterator[slice]:
    """Test sets that are judged at a time: as many as fit into memory."""
    step = max(1, NUMBERS // max(1, len(own)))
    return (slice(start, start + step) for start in range(0, len(copies), step))


def _mean_of_classes(areas: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(B,) the mean of (B, C) over the classes of which there is something."""
    known = there > 0
    total, classes = np.where(known, areas, 0.0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, classes, out=np.full(len(areas), np.nan), where=classes > 0)


def _envelope(precision: np.ndarray) -> np.ndarray:
    """The best precision (B, D) at this recall or a higher one."""
    return np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]


def _at_recalls(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """(B,) the mean precision at `RECALLS`, 0 beyond the last, of (B, D) both."""
    best = np.pad(_envelope(precision), ((0, 0), (0, 1)))
    first = [np.searchsorted(row, RECALLS) for row in recall]
    return np.take_along_axis(best, np.array(first), axis=1).mean(axis=1)


def _area(recall: np.ndarray, precision: np.ndarray, points: int) -> np.ndarray:
    """(B,) average precision of (B, D) recalls, ascending, and precisions."""
    if not recall.shape[1]:
        return np.zeros(len(recall))
    best = _envelope(precision)
    if not points:
        steps = np.diff(recall, axis=1, prepend=0.0)
        return (steps * best).sum(axis=1)
    reached = np.zeros(len(recall))
    for least in np.arange(points) * (1 / (points - 1)):  # as mmdet rounds them
        enough = recall >= least
        first = enough.argmax(axis=1)
        at = np.take_along_axis(best, first[:, None], axis=1)[:, 0]
        reached += np.where(enough.any(axis=1), at, 0.0)
    return reached / points


Kept = Ratio | Matched | MatchedAt
FORMS: dict[str, type[Kept]] = {form.form: form for form in (Ratio, Matched, MatchedAt)}


def per_image(evaluator: object) -> Kept | None:
    """What an evaluator kept of its last test; None if it keeps nothing.

    Of several processes the first has it alone.
    """
    found = getattr(evaluator, "each", None)
    return found if isinstance(found, Kept) else None


def packed(of: Kept) -> dict[str, Any]:
    """Arrays by name, as a file holds them."""
    arrays = {one.name: getattr(of, one.name) for one in fields(of)}
    return {FORM: np.array(of.form), **arrays}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Kept:
    """The results that `packed` made arrays of.

    Raises:
        KeyError: if one is missing.
        ValueError: if they are of no form, or of lengths that do not fit.
    """
    form = str(arrays[FORM])
    if form not in FORMS:
        raise ValueError(f"expected results of the form {', or '.join(FORMS)}, but got {form!r}")
    of = FORMS[form](**{one.name: arrays[one.name] for one in fields(FORMS[form])})
    if isinstance(of, Ratio):
        columns = [of.right, of.counted]
    elif isinstance(of, Matched):
        columns = [of.image, of.label, of.score, of.right]
    else:
        columns = [of.image, of.label, of.score, *of.right.T, *of.wrong.T]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise ValueError(f"expected columns of one length, but got {[c.shape for c in columns]}")
    if not isinstance(of, Ratio) and len(of.image):
        least, most = int(of.image.min()), int(of.image.max())
        if of.there.ndim != 2 or least < 0 or most >= len(of.there):
            raise ValueError(f"expected images 0 to {len(of.there) - 1}, but got {least} to {most}")
    return of
