"""Accuracy, of all samples and of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric


class Accuracy(BaseMetric):
    """Share of the samples whose most probable class is the right one.

    Of equally probable classes the first counts.

    Args:
        classes: names in label order.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(prefix="classification")
        # keys as they are; given to the constructor, None would mean mmengine's default
        self.prefix = None
        self.classes = tuple(classes)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the true and the predicted label of each sample."""
        self.results += [(sample["label"], sample["predicted"]) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return `accuracy` and `accuracy/<class>` in [0, 1].

        A class that the test set does not hold has NaN.
        """
        truth, predicted = np.array(results, dtype=np.int64).T
        right = np.bincount(truth[truth == predicted], minlength=len(self.classes))
        counts = np.bincount(truth, minlength=len(self.classes))
        each = np.divide(right, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        names = (f"accuracy/{name}" for name in self.classes)
        return {
            "accuracy": float(right.sum() / counts.sum()),
            **dict(zip(names, each.tolist(), strict=True)),
        }
