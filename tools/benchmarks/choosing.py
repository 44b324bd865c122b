"""A benchmark of strategies by place beside scikit-activeml's: `tools/bench.py select`.

Each contender picks in processes of its own, so that its peak of memory is its own, too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acquisition.herding import bandwidth, units
from acquisition.probcover import radius_of
from models.process.seeding import stream
from tools.benchmarks import apart, by_place, report
from tools.benchmarks.names import REFERENCES

CLASSES = 10  # of the probabilities and of the predicted classes, which are drawn
LIBRARY = "scikit-activeml"
SCRIPTS = {
    "losstap": Path(by_place.__file__),
    LIBRARY: Path(__file__).with_name("their_places.py"),
}


def questions(
    strategy: str, features: np.ndarray, labeled: np.ndarray, budget: int, decide: bool = False
) -> dict[str, np.ndarray]:
    """What a contender of one strategy gets.

    Args:
        strategy: its name.
        features: (N, D).
        labeled: (M, D).
        budget: number of picks.
        decide: whether to add what scikit-activeml's contender is given and losstap's finds by
            itself: the kernel's width, the radius of the balls.
    """
    rng = stream("select", "drawn")
    data = {
        "strategy": np.array(strategy),
        "features": features,
        "labeled": labeled,
        "budget": np.array(budget),
    }
    if strategy in ("uherding", "dcom"):
        data["weights"] = rng.random(len(features))
    if strategy == "dcom":
        rows = np.concatenate([labeled, features])
        data["classes"] = (rows @ rng.normal(size=(rows.shape[1], CLASSES))).argmax(axis=1)
    if strategy == "badge":
        data["probs"] = rng.dirichlet(np.ones(CLASSES), len(features))
    if decide and strategy == "maxherding":
        data["width"] = np.array(bandwidth(units(labeled)))
    if decide and strategy == "probcover":
        points = units(np.concatenate([labeled, features]))
        data["radius"] = np.array(radius_of(points, by_place.CLUSTERS, stream("select")))
    return data


def measure(
    strategy: str,
    features: np.ndarray,
    labeled: np.ndarray,
    budget: int,
    repeats: int,
    environment: Path | None,
) -> report.Report:
    """Measure losstap's strategy, and scikit-activeml's where it has one.

    Seconds are the processor's, without imports and the making of what is given.

    Args:
        strategy: its name.
        features: (N, D).
        labeled: (M, D).
        budget: number of picks.
        repeats: rounds.
        environment: with scikit-activeml; None leaves it out.

    Raises:
        ApartError: if the environment is not there, or a contender fails.
    """
    pythons = {"losstap": apart.OURS}
    if environment is not None and strategy in REFERENCES:
        pythons[LIBRARY] = apart.python_of(environment)
    data = questions(strategy, features, labeled, budget, decide=len(pythons) > 1)
    runs = {
        name: partial(apart.ask, python, SCRIPTS[name], data, torch.get_num_threads())
        for name, python in pythons.items()
    }
    seconds, results = report.side_by_side(
        runs, repeats, lambda run: _clocked(run()), warm_up=False
    )
    notes = {name: _notes(found, results["losstap"]) for name, found in results.items()}
    settings = {
        "strategy": strategy,
        "n": len(features),
        "d": features.shape[1],
        "labeled": len(labeled),
        "budget": budget,
        "repeats": repeats,
    }
    return report.Report("select", settings, report.rows(seconds, notes), report.machine())


def _clocked(answers: dict[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
    return float(answers["seconds"]), answers


def _notes(found: dict[str, np.ndarray], ours: dict[str, np.ndarray]) -> dict[str, Any]:
    """Memory in decimal megabytes: the peak, and what was taken before the picks; same picks."""
    megabytes = {
        "peak, MB": round(float(found["peak"]) / 1e6),
        "before, MB": round(float(found["before"]) / 1e6),
    }
    return {**megabytes, "same picks": int((found["picked"] == ours["picked"]).sum())}
