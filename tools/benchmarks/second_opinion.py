"""Ask scikit-activeml for its picks; run as a file by the Python of an environment that has it.

    python tools/benchmarks/second_opinion.py QUESTIONS.npz ANSWERS.npz

It imports NumPy, scikit-learn and scikit-activeml alone. `tools/benchmarks/agreement.py` writes the
questions and reads the answers: `<strategy>` with positions (R, K), a row a seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

import numpy as np
import skactiveml
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import (
    Badge,
    CoreSet,
    DropQuery,
    GreedyBALD,
    MaxHerding,
    ProbCover,
    RandomSampling,
    TypiClust,
    UncertaintySampling,
)
from sklearn.metrics.pairwise import euclidean_distances

Data = Mapping[str, np.ndarray]


class Fitted(SkactivemlClassifier):
    """A classifier whose probabilities and answers are known.

    Args:
        probs: (N, C) of the candidates.
        answers: lists of answers (N,) in the order in which they are asked for.
    """

    def __init__(self, probs: np.ndarray | None = None, answers: np.ndarray | None = None) -> None:
        super().__init__()
        self.probs = probs
        self.answers = answers
        self.classes_ = np.arange(0 if probs is None else probs.shape[1])

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any = None) -> Fitted:
        """Nothing is to be learned."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """The probabilities."""
        return np.asarray(self.probs)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The next answers."""
        turn = getattr(self, "turn", 0)
        self.turn = turn + 1
        return np.asarray(self.answers)[turn]


class Clusters:
    """A clustering that is known.

    Args:
        n_clusters: of them.
        labels: (N,) the cluster of each sample.
        centroids: (K, D).
    """

    def __init__(self, n_clusters: int = 1, labels: Any = None, centroids: Any = None) -> None:
        self.labels, self.centroids = labels, centroids

    def fit_predict(self, X: np.ndarray) -> np.ndarray:
        """The cluster of each sample."""
        return np.asarray(self.labels)

    def fit_transform(self, X: np.ndarray, y: None = None) -> np.ndarray:
        """The distances of some samples to the centroids."""
        return euclidean_distances(X, self.centroids)


def ask(data: Data) -> dict[str, np.ndarray]:
    """The picks of each strategy, counted from the first candidate."""
    features, labeled, probs = data["features"], data["labeled"], data["probs"]
    start, budget, count = len(labeled), int(data["budget"]), int(data["seeds"])
    x = np.concatenate([labeled, features])
    y = np.concatenate([data["labels"].astype(float), np.full(len(features), np.nan)])

    def seeds(query: Callable[[int], Any], times: int = count) -> np.ndarray:
        """Picks (times, K), a row a seed."""
        return np.array([query(seed) for seed in range(times)]) - start

    def once(strategy: Any, **settings: Any) -> np.ndarray:
        """Picks (1, K)."""
        return seeds(lambda _: strategy.query(x, y, batch_size=budget, **settings), 1)

    known = {"clf": Fitted(probs), "fit_clf": False}
    found = {"version": np.array(skactiveml.__version__)}
    found["random"] = seeds(lambda k: RandomSampling(random_state=k).query(x, y, batch_size=budget))
    for name, method in (
        ("entropy", "entropy"),
        ("margin", "margin_sampling"),
        ("least_confident", "least_confident"),
    ):
        found[name] = once(UncertaintySampling(method=method, random_state=0), **known)
    members = [Fitted(member) for member in data["members"]]
    found["ensemble_bald"] = once(GreedyBALD(random_state=0), ensemble=members, fit_ensemble=False)
    found["coreset"] = once(CoreSet(random_state=0))
    width = float(data["width"])
    found["maxherding"] = once(MaxHerding(metric_dict={"gamma": 1 / width**2}, random_state=0))
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    cover = ProbCover(n_classes=2, deltas=[float(data["radius"])], random_state=0)
    found["probcover"] = cover.query(units, y, batch_size=budget)[None] - start
    found["badge"] = seeds(lambda k: Badge(random_state=k).query(x, y, batch_size=budget, **known))
    given = {"labels": data["clusters"]}
    found["typiclust"] = once(
        TypiClust(
            k=int(data["neighbours"]),
            cluster_algo=Clusters,
            cluster_algo_dict=given,
            random_state=0,
        )
    )
    given = {"centroids": data["centroids"]}
    flipping = DropQuery(
        cluster_algo=Clusters,
        cluster_algo_dict=given,
        n_dropout_samples=len(data["answers"]) - 1,
        random_state=0,
    )
    found["dropquery"] = once(flipping, clf=Fitted(answers=data["answers"]), fit_clf=False)
    return found


if __name__ == "__main__":
    with np.load(sys.argv[1]) as questions:
        np.savez(sys.argv[2], **ask(dict(questions)))  # type: ignore[arg-type]
