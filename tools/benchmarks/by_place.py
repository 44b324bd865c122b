"""Losstap's strategies by place, for `tools/bench.py select`: a script of one contender.

python tools/benchmarks/by_place.py QUESTIONS.npz ANSWERS.npz
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

import numpy as np

from acquisition.bag_distances import distances
from acquisition.clustering import typiclust
from acquisition.diversity import badge
from acquisition.herding import herd
from acquisition.matching import medoids
from acquisition.probcover import dcom, probcover
from models.process.seeding import stream
from tools.benchmarks.timed import Data, Prepare, main

Run = Callable[[], np.ndarray]
CLUSTERS = 10  # that decide ProbCover's radius
KEPT = 4  # times the budget: what PPAL's first stage leaves to the second
BOXES = 100  # of each of these samples, of so many classes:
CLASSES = 20


def bags(count: int, dims: int) -> np.ndarray:
    """(count, BOXES, 2 + dims) scores that all count, labels drawn evenly, normal features."""
    rng = stream("select", "bags")
    made = rng.standard_normal((count, BOXES, 2 + dims), dtype=np.float32)
    made[..., 0] = 1 - 0.9 * rng.random((count, BOXES))
    made[..., 1] = rng.integers(CLASSES, size=(count, BOXES))
    return made


def _of_rows(pick: Callable[..., np.ndarray], *more: str) -> Prepare:
    """Of a strategy that takes features, labeled features, the budget, and others by name."""

    def prepare(data: Data) -> Run:
        """What is measured."""
        given = {name: data[name] for name in more}
        return partial(pick, data["features"], data["labeled"], int(data["budget"]), **given)

    return prepare


def _probcover(data: Data) -> Run:
    return partial(
        probcover,
        data["features"],
        data["labeled"],
        int(data["budget"]),
        stream("select"),
        clusters=CLUSTERS,
    )


def _dcom(data: Data) -> Run:
    features, labeled = data["features"], data["labeled"]
    classes = np.split(data["classes"], [len(labeled)])[::-1]
    return partial(
        dcom,
        features,
        labeled,
        int(data["budget"]),
        stream("select"),
        margins=data["weights"],
        classes=(classes[0], classes[1]),
        clusters=CLUSTERS,
    )


def _typiclust(data: Data) -> Run:
    """With as many clusters as scikit-activeml's."""
    budget = int(data["budget"])
    return partial(
        typiclust,
        data["features"],
        data["labeled"],
        budget,
        stream("select"),
        max_clusters=len(data["labeled"]) + budget,
    )


def _badge(data: Data) -> Run:
    residuals = data["probs"].copy()
    residuals[np.arange(len(residuals)), residuals.argmax(axis=1)] -= 1
    return partial(badge, residuals, data["features"], int(data["budget"]), stream("select"))


def _ppal(data: Data) -> Run:
    """The second stage."""
    budget = int(data["budget"])
    made = bags(KEPT * budget, data["features"].shape[1])
    return lambda: medoids(distances(made), budget, stream("select"))


OURS: dict[str, Prepare] = {
    "maxherding": _of_rows(herd),
    "uherding": _of_rows(herd, "weights"),
    "probcover": _probcover,
    "dcom": _dcom,
    "typiclust": _typiclust,
    "badge": _badge,
    "ppal": _ppal,
}


if __name__ == "__main__":
    main(OURS, sys.argv[1:])
