"""Scikit-activeml's strategies by place, for `tools/bench.py select`: a script of one contender.

    python tools/benchmarks/their_places.py QUESTIONS.npz ANSWERS.npz

It is run by the Python of an environment that has it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

import numpy as np
from skactiveml.pool import Badge, MaxHerding, ProbCover, TypiClust

from tools.benchmarks.second_opinion import Fitted
from tools.benchmarks.timed import Data, Prepare, main

ITERATIONS = 20  # of k-means, as ours


def _asked(
    strategy: Callable[[Data], Any], more: Callable[[Data], dict[str, Any]] = lambda data: {}
) -> Prepare:
    """A strategy gets one array, and labels of which some are missing."""

    def prepare(data: Data) -> Callable[[], np.ndarray]:
        """What is measured."""
        features, labeled = data["features"], data["labeled"]
        rows = np.concatenate([labeled, features])
        known = np.concatenate([np.zeros(len(labeled)), np.full(len(features), np.nan)])
        query, given = strategy(data).query, more(data)
        budget = int(data["budget"])
        return lambda: np.asarray(query(rows, known, batch_size=budget, **given)) - len(labeled)

    return prepare


def _of_length_1(prepare: Prepare) -> Prepare:
    """With rows of length 1 in float64."""

    def prepared(data: Data) -> Callable[[], np.ndarray]:
        """What is measured."""
        both = {name: data[name].astype(np.float64) for name in ("features", "labeled")}
        units = {
            name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in both.items()
        }
        return prepare({**data, **units})

    return prepared


THEIRS: dict[str, Prepare] = {
    "maxherding": _asked(
        lambda data: MaxHerding(metric_dict={"gamma": float(data["width"]) ** -2}, random_state=0)
    ),
    "probcover": _of_length_1(
        _asked(lambda data: ProbCover(n_classes=2, deltas=[float(data["radius"])], random_state=0))
    ),
    "typiclust": _asked(
        lambda data: TypiClust(cluster_algo_dict={"max_iter": ITERATIONS}, random_state=0)
    ),
    "badge": _asked(
        lambda data: Badge(random_state=0),
        lambda data: {"clf": Fitted(data["probs"]), "fit_clf": False},
    ),
}


if __name__ == "__main__":
    main(THEIRS, sys.argv[1:])
