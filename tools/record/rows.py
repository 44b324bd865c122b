"""The rows of a run, one dict per cycle: columns, and the numbers that sum up a whole run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

AREA = "area_under_curve"
HELD = "validation/"  # beginning of the keys of the metrics on the validation split
TEMPERATURE = "query/temperature"  # of the probabilities that calibrated signals read
NOISE = "oracle/noisy"  # share of the labeled samples whose label has a mistake

Row = Mapping[str, Any]

STEPS = {"train": "train", "evaluate": "eval", "committee": "members", "score": "score"}


def column(rows: Sequence[Row], key: str) -> list[float]:
    """Return the values of a key of the rows; not-a-number where it is null or missing."""
    values = [row.get(key) for row in rows]
    return [math.nan if value is None else float(value) for value in values]


def area_under_curve(sizes: Sequence[float], scores: Sequence[float]) -> float:
    """Return the area under the metric over labeled samples, divided by the range of the sizes.

    It uses the trapezoid rule. So it is the mean score over the budget, in the metric's unit; with
    one size it is the score.
    """
    if len(sizes) != len(scores) or not sizes:
        raise ValueError(
            f"Expected as many scores as sizes, at least one, but got {len(scores)} and "
            f"{len(sizes)}"
        )
    if len(sizes) == 1:
        return float(scores[0])
    return float(np.trapezoid(scores, sizes) / (sizes[-1] - sizes[0]))


def final(metric: str) -> str:
    """Return the key of the last cycle's metric among a run's final numbers."""
    return f"final/{metric}"


def totals(metric: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the final numbers of a finished run; not-a-number where a row lacks its score."""
    scores = column(rows, metric)
    return {final(metric): scores[-1], AREA: area_under_curve(column(rows, "labeled"), scores)}


def measured(metric: str, lower: bool) -> str:
    """Return a metric's name for people, with the direction if lower is better."""
    return f"{metric} (lower is better)" if lower else metric
