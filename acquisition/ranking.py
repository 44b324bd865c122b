"""How well predicted losses rank samples, measured against their true losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from torch.utils.data import Dataset

from acquisition.scoring import Pass, Samples, score
from acquisition.settings import ScoringSettings
from models.training.joint import JointModel


def ordered_pairs(predicted: np.ndarray, true: np.ndarray) -> float | None:
    """Share of pairs with different true losses that the predictions put in the right order.

    A tie of two predictions counts as one half.

    Chance is 0.5. This is Somers' D of the predictions given the true losses, mapped from [-1, 1]
    to [0, 1].

    Args:
        predicted: (N,); true: (N,).

    Returns:
        None if no two true losses differ; not-a-number where an input is (it has no place in an
        order).
    """
    _check(predicted, true)
    if np.isnan(predicted).any() or np.isnan(true).any():
        return math.nan
    right = ties = pairs = 0
    for i in range(len(true) - 1):  # row by row: nothing of size N x N is held
        comparable = true[i + 1 :] != true[i]
        sign = _compare(true[i + 1 :], true[i]) * _compare(predicted[i + 1 :], predicted[i])
        pairs += int(comparable.sum())
        right += int((sign[comparable] > 0).sum())
        ties += int((sign[comparable] == 0).sum())
    if not pairs:
        return None
    return (right + 0.5 * ties) / pairs


def spearman(predicted: np.ndarray, true: np.ndarray) -> float | None:
    """Spearman's rank correlation with average ranks for ties.

    None if either side is constant.
    """
    _check(predicted, true)
    if len(true) < 2 or (predicted == predicted[0]).all() or (true == true[0]).all():
        return None
    from scipy.stats import rankdata  # takes a second, so not at a run's start

    return float(np.corrcoef(rankdata(predicted), rankdata(true))[0, 1])


def quality(predicted: np.ndarray, true: np.ndarray) -> dict[str, float | None]:
    """Both measures and the number of samples."""
    return {
        "n": len(true),
        "pairs": ordered_pairs(predicted, true),
        "spearman": spearman(predicted, true),
    }


def module_quality(
    model: JointModel,
    dataset: Dataset,
    collate: Callable,
    groups: Mapping[str, np.ndarray],
    settings: ScoringSettings,
) -> dict[str, float | None]:
    """Measure `quality` on groups of samples.

    The module's order is that of its predicted losses, or of the entropies of the dynamics that it
    predicts. This reads labels of unlabeled samples: it is a measure for reports, and no strategy
    sees it.

    Args:
        model: with its loss-prediction module.
        dataset: the pool as seen at test time; `collate` is the task's.
        groups: name -> ids; they may overlap.
        settings: of the one pass over all of them.

    Returns:
        ``ranking/<group>/n``, ``/pairs`` and ``/spearman``.
    """
    ids = np.unique(np.concatenate(list(groups.values())))
    samples = Samples(dataset, collate, ids)
    signal = "predicted_loss" if model.dynamics is None else "dynamics_entropy"
    rows = score(model, samples, (signal, "loss"), settings, Pass("ranking quality"))
    measures: dict[str, float | None] = {}
    for group, members in groups.items():
        at = np.searchsorted(ids, members)
        measured = quality(rows[signal][at], rows["loss"][at])
        measures |= {f"ranking/{group}/{name}": value for name, value in measured.items()}
    return measures


def _compare(values: np.ndarray, with_value: float) -> np.ndarray:
    """1 if larger, -1 if smaller, 0 if equal.

    A difference would not do for two infinities.
    """
    return np.greater(values, with_value).astype(int) - np.less(values, with_value)


def _check(predicted: np.ndarray, true: np.ndarray) -> None:
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            f"Expected two arrays of one shape (N,), but got {predicted.shape} and {true.shape}"
        )
