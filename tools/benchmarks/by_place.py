"""The contenders of `tools/bench.py select`: strategies by place, and those of scikit-activeml.

Scikit-activeml holds all distances or kernel values: 20 GB at 50,000 samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from acquisition.clustering import typiclust
from acquisition.diversity import badge
from acquisition.herding import bandwidth, herd, units
from acquisition.probcover import probcover, radius_of
from models.process.seeding import stream

# features (N, D), labeled (M, D), budget -> positions
Picker = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
CLUSTERS = 10  # of ProbCover
CLASSES = 10  # of BADGE's probabilities, which are drawn


def contenders(strategy: str, others: bool = True) -> dict[str, Picker]:
    """Return the contenders by name, with scikit-activeml's if it is there and has the strategy.

    Args:
        strategy: one of `OURS`.
        others: whether scikit-activeml is to be measured.
    """
    pickers: dict[str, Picker] = {"losstap": OURS[strategy]}
    if not others or strategy not in THEIRS:
        return pickers
    try:
        import skactiveml
    except ImportError:
        print(
            "scikit-activeml is not installed and not measured: python -m pip install -e '.[bench]'"
        )
        return pickers
    return pickers | {f"scikit-activeml {skactiveml.__version__}": THEIRS[strategy]}


def arrays(features: Tensor, labeled: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The rows as NumPy's."""
    return features.numpy(), labeled.numpy()


def _uherding(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    weights = stream("select").random(len(features))
    return herd(features, labeled, budget, weights=weights)


def _probcover(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    return probcover(features, labeled, budget, stream("select"), clusters=CLUSTERS)


def _typiclust(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    return typiclust(features, labeled, budget, stream("select"))


def _badge(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    rng = stream("select")
    residuals = rng.dirichlet(np.ones(CLASSES), len(features))
    residuals[np.arange(len(residuals)), residuals.argmax(axis=1)] -= 1
    return badge(residuals, features, budget, rng)


def _asked(strategy: object, features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    """Ask a query of scikit-activeml, which gets one array and labels of which some are missing."""
    rows = np.concatenate([labeled, features])
    known = np.concatenate([np.zeros(len(labeled)), np.full(len(features), np.nan)])
    return strategy.query(rows, known, batch_size=budget) - len(labeled)  # type: ignore[attr-defined]


def _their_maxherding(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    from skactiveml.pool import MaxHerding

    gamma = 1 / bandwidth(units(labeled)) ** 2
    return _asked(
        MaxHerding(metric_dict={"gamma": gamma}, random_state=0), features, labeled, budget
    )


def _their_probcover(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    from skactiveml.pool import ProbCover

    ours, known = units(features), units(labeled)
    radius = radius_of(np.concatenate([known, ours]), CLUSTERS, stream("select"))
    strategy = ProbCover(n_classes=CLUSTERS, deltas=[radius], random_state=0)
    return _asked(strategy, ours, known, budget)


def _their_typiclust(features: np.ndarray, labeled: np.ndarray, budget: int) -> np.ndarray:
    from skactiveml.pool import TypiClust

    return _asked(TypiClust(random_state=0), features, labeled, budget)


OURS: dict[str, Picker] = {
    "maxherding": herd,
    "uherding": _uherding,
    "probcover": _probcover,
    "typiclust": _typiclust,
    "badge": _badge,
}
THEIRS: dict[str, Picker] = {
    "maxherding": _their_maxherding,
    "probcover": _their_probcover,
    "typiclust": _their_typiclust,
}
