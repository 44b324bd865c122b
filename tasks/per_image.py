"""Results of a test image by image, from which the metric of any resampled test set follows.

An evaluator that has them keeps them in its attribute `each` (see `per_image`); a run stores them
beside its rows, and reports draw test sets from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

import numpy as np

FORM = "form"  # the array that says which form the others are of
EPS = np.finfo(np.float32).eps


class PerImage(Protocol):
    """Results of N images."""

    @property
    def images(self) -> int:
        """N."""
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

    def metric(self, copies: np.ndarray) -> np.ndarray:
        """See `PerImage`; copies of a detection have one place in the order of scores."""
        there = copies @ self.there.astype(float)
        total = np.zeros(len(copies))
        for label in range(self.there.shape[1]):
            own = np.flatnonzero(self.label == label)
            own = own[np.argsort(-self.score[own], kind="stable")]
            number = copies[:, self.image[own]].astype(float)
            found = np.cumsum(number * self.right[own], axis=1)
            recall = found / np.maximum(there[:, [label]], EPS)
            precision = found / np.maximum(np.cumsum(number, axis=1), EPS)
            area = _area(recall, precision, int(self.points))
            total += np.where(there[:, label] > 0, area, 0.0)
        classes = (there > 0).sum(axis=1)
        return np.divide(total, classes, out=np.full(len(copies), np.nan), where=classes > 0)


def _area(recall: np.ndarray, precision: np.ndarray, points: int) -> np.ndarray:
    """(B,) average precision of (B, D) recalls, ascending, and precisions."""
    if not recall.shape[1]:
        return np.zeros(len(recall))
    # the best precision at this recall or a higher one
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
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


FORMS: dict[str, type[Ratio] | type[Matched]] = {"ratio": Ratio, "matched": Matched}


def per_image(evaluator: object) -> Ratio | Matched | None:
    """What an evaluator kept of its last test; None if it keeps nothing.

    Of several processes the first has it alone.
    """
    found = getattr(evaluator, "each", None)
    return found if isinstance(found, Ratio | Matched) else None


def packed(of: Ratio | Matched) -> dict[str, Any]:
    """Arrays by name, as a file holds them."""
    arrays = {one.name: getattr(of, one.name) for one in fields(of)}
    return {FORM: np.array(of.form), **arrays}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Ratio | Matched:
    """The results that `packed` made arrays of.

    Raises:
        KeyError: if one is missing.
        ValueError: if they are of no form, or of lengths that do not fit.
    """
    form = str(arrays[FORM])
    if form not in FORMS:
        raise ValueError(f"expected results of the form {' or '.join(FORMS)}, but got {form!r}")
    of = FORMS[form](**{one.name: arrays[one.name] for one in fields(FORMS[form])})
    columns = (of.right, of.counted) if isinstance(of, Ratio) else (
        of.image, of.label, of.score, of.right)  # fmt: skip
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise ValueError(f"expected columns of one length, but got {[c.shape for c in columns]}")
    if isinstance(of, Matched) and len(of.image):
        least, most = int(of.image.min()), int(of.image.max())
        if of.there.ndim != 2 or least < 0 or most >= len(of.there):
            raise ValueError(f"expected images 0 to {len(of.there) - 1}, but got {least} to {most}")
    return of
