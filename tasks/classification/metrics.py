"""Accuracy, of all samples and of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from tasks.classification.sources import UNLABELED
from tasks.per_image import Ratio


class Accuracy(BaseMetric):
    """Share of the samples whose most probable class is the right one.

    Of equally probable classes the first counts.

    Args:
        classes: names in label order.

    Attributes:
        each: which of the labeled test images were right, once they are known.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(prefix="classification")
        # keys as they are; given to the constructor, None would mean mmengine's default
        self.prefix = None
        self.classes = tuple(classes)
        self.each: Ratio | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the true and the predicted label of each sample that has a label."""
        pairs = [(sample["label"], sample["predicted"]) for sample in data_samples]
        self.results += [(label, predicted) for label, predicted in pairs if label != UNLABELED]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return `accuracy` and `accuracy/<class>` in [0, 1].

        A class that the test set does not hold has NaN, and so has all where nothing is labeled.
        """
        truth, predicted = np.array(results, dtype=np.int64).reshape(-1, 2).T
        self.each = Ratio(truth == predicted, np.ones(len(truth), dtype=bool))
        right = np.bincount(truth[truth == predicted], minlength=len(self.classes))
        counts = np.bincount(truth, minlength=len(self.classes))
        each = np.divide(right, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        names = (f"accuracy/{name}" for name in self.classes)
        total = counts.sum()
        return {
            "accuracy": float(right.sum() / total) if total else np.nan,
            **dict(zip(names, each.tolist(), strict=True)),
        }
