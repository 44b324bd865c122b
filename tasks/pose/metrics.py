"""Percentage of correct keypoints, relative to the person's head or the box of its joints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from tasks.per_image import Ratio


class PoseMetric(BaseMetric):
    """A metric that tells which joints it counts.

    Attributes:
        key: what the result is called.
        counted: (N, J) bool, the joints of the test persons that count.
        scored: (J,) bool, those that have a part in the result.
        lacking: what comes of a joint that counts for nobody.
    """

    key: str
    counted: np.ndarray
    scored: np.ndarray
    lacking: str


class Pck(PoseMetric):
    """Share of the joints that are found within `threshold` sizes of their person.

    With head sizes it is PCKh (Andriluka et al., CVPR 2014). Joints of persons of size 0 do not
    count: nothing could be close enough.

    Args:
        key: what the result is called; `key`/<joint> are those of single joints.
        joints: their names.
        unscored: names that are left out of the result over all joints.
        truth: (N, J, 2) in pixels of the image.
        annotated: (N, J) bool; other joints do not count.
        sizes: (N,) in pixels of the image.
        threshold: in sizes.
        images: (N,) a number for the image of each person; None where each has one of its own.

    Attributes:
        each: how many of the joints that count in the result are right in each image, once they
            are known.
    """

    def __init__(
        self,
        key: str,
        joints: Sequence[str],
        unscored: Sequence[str],
        truth: np.ndarray,
        annotated: np.ndarray,
        sizes: np.ndarray,
        threshold: float,
        images: np.ndarray | None = None,
    ) -> None:
        super().__init__(prefix="pose")
        # keys as they are; given to the constructor, None would mean mmengine's default
        self.prefix = None
        self.key = key
        self.joints = tuple(joints)
        self.threshold = threshold
        self.lacking = f"their {key} is not a number"  # of a joint that no test person has
        self.scored = np.array([name not in unscored for name in joints])
        self.truth = truth
        self.counted = annotated & (sizes > 0)[:, None]
        self.sizes = sizes
        self.images = np.arange(len(truth)) if images is None else images
        self.each: Ratio | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Record which joints of each person count and which are right."""
        for sample in data_samples:
            person = sample["person"]
            errors = np.linalg.norm(sample["joints"] - self.truth[person], axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):  # a size of 0 does not count
                right = errors / self.sizes[person] <= self.threshold
            found = self.counted[person] & right
            self.results.append((self.counted[person], found, self.images[person]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return shares in [0, 1]; NaN for a joint that is annotated in no person."""
        if not results:
            return dict.fromkeys((self.key, *(f"{self.key}/{n}" for n in self.joints)), np.nan)
        shown, found, images = (np.array(column) for column in zip(*results, strict=True))
        self.each = self._by_image(shown, found, images)
        counted, right = shown.sum(axis=0), found.sum(axis=0)
        each = np.divide(right, counted, out=np.full(len(counted), np.nan), where=counted > 0)
        total = counted[self.scored].sum()
        overall = right[self.scored].sum() / total if total else np.nan
        names = (f"{self.key}/{name}" for name in self.joints)
        return {self.key: float(overall), **dict(zip(names, each.tolist(), strict=True))}

    def _by_image(self, counted: np.ndarray, right: np.ndarray, images: np.ndarray) -> Ratio:
        """Joints of each image that count in the result, of (N, J) joints of persons."""
        _, place = np.unique(images, return_inverse=True)
        sums = [
            np.bincount(place, joints[:, self.scored].sum(axis=1)).astype(np.int32)
            for joints in (right, counted)
        ]
        return Ratio(*sums)
