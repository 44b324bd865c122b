"""The picks of each strategy that scikit-activeml has, too, beside its own.

Both get the same features, probabilities, clusters and answers of scikit-learn's digits: 1,797
images of 8 x 8, classified by a logistic regression on 100 labels. Where chance decides, what is
compared are distributions over seeds, or whether each of its picks is one of our best after those
before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import ks_2samp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from acquisition.clustering import kmeans, typiclust
from acquisition.cover_steps import MaxHerding
from acquisition.herding import bandwidth, units
from acquisition.probcover import Balls, radius_of
from acquisition.signals import SIGNALS, Evidence
from acquisition.step import Seen, highest
from acquisition.steps import Badge, DropQuery, Highest, KCenter, RandomSubset, Step
from acquisition.votes import vote
from models.output import Output
from models.process.seeding import stream
from tools.benchmarks.apart import ask, python_of
from tools.display.sheet import Column, Sheet

LABELED = 100
BUDGET = 50
SEEDS = 100
MEMBERS = 5
PASSES = 9
FLIPS = 0.5  # DropQuery's
NEIGHBOURS = 5  # TypiClust's; scikit-activeml's default, ours is 20
SCRIPT = Path(__file__).with_name("second_opinion.py")


@dataclass(frozen=True)
class Agreement:
    """How far the picks of one strategy are scikit-activeml's.

    Args:
        strategy: name.
        same: share of the picks that are the same in the same place; None where chance decides.
        note: what else was compared.
    """

    strategy: str
    same: float | None
    note: str


def questions() -> dict[str, np.ndarray]:
    """All that strategies may see of the digits, and what decides in the place of chance."""
    digits = load_digits()
    order = stream("agreement").permutation(len(digits.data))
    x = digits.data[order].astype(np.float32) / 16
    labeled, features = x[:LABELED], x[LABELED:]
    labels = digits.target[order][:LABELED]
    rng = stream("agreement", "members")
    members = []
    for _ in range(MEMBERS):
        some = rng.integers(LABELED, size=4 * LABELED // 5)
        members.append(_probs(labeled[some], labels[some], features, len(digits.target_names)))
    passes = [features * (rng.random(features.shape) < 0.5) * 2 for _ in range(PASSES)]
    model = LogisticRegression(max_iter=1000).fit(labeled, labels)
    answers = [model.predict(rows) for rows in [features, *passes]]
    everything = np.concatenate([labeled, features])
    data = {
        "features": features,
        "labeled": labeled,
        "labels": labels,
        "probs": _probs(labeled, labels, features, len(digits.target_names)),
        "members": np.stack(members),
        "answers": np.stack(answers),
        "budget": np.array(BUDGET),
        "seeds": np.array(SEEDS),
        "neighbours": np.array(NEIGHBOURS),
        "width": np.array(bandwidth(units(labeled))),
        "radius": np.array(radius_of(units(everything), 10, stream("agreement", "radius"))),
        "clusters": kmeans(_centred(everything), LABELED + BUDGET, stream(0))[1],
    }
    return data | {"centroids": _centroids(data)}


def _probs(x: np.ndarray, y: np.ndarray, features: np.ndarray, classes: int) -> np.ndarray:
    """(N, C) of a logistic regression; a class that it was not taught has probability 0."""
    model = LogisticRegression(max_iter=1000).fit(x, y)
    found = np.zeros((len(features), classes))
    found[:, model.classes_] = model.predict_proba(features)
    return found


def _centred(points: np.ndarray) -> np.ndarray:
    """As `acquisition.clustering` moves and scales them."""
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    return centred / np.abs(centred).max()


def _shares(data: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) how often an answer flips."""
    return (data["answers"][1:] != data["answers"][0]).mean(axis=0)


def _centroids(data: Mapping[str, np.ndarray]) -> np.ndarray:
    """DropQuery's centroids (K, D), the largest cluster first, from the same stream."""
    rng, shares = stream(0), _shares(data)
    count = max(int((shares > FLIPS).sum()), BUDGET)
    points = data["features"][np.sort(highest(shares, count, rng))].astype(np.float64)
    centroids, labels = kmeans(_centred(points), BUDGET, rng)
    moved = points - points.mean(axis=0)
    order = np.argsort(-np.bincount(labels, minlength=BUDGET), kind="stable")
    return (centroids * np.abs(moved).max() + points.mean(axis=0))[order]


def ours(data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our picks (R, K) of each strategy, a row a seed."""
    features, labeled = data["features"], data["labeled"]
    evidence = _evidence(data)
    rows = {
        name: SIGNALS[name].rows(evidence).numpy()
        for name in ("entropy", "margin", "least_confident", "ensemble_bald")
    }
    rows["embedding"], rows["feature"] = features, features
    residual = data["probs"].copy()
    residual[np.arange(len(residual)), residual.argmax(axis=1)] -= 1
    rows |= {"residual": residual, "dropout_flips": _shares(data)}
    seen = Seen(len(features), rows, {"embedding": labeled})

    def picks(step: Step, seeds: int = 1) -> np.ndarray:
        """(seeds, K)."""
        return np.stack([step(seen, BUDGET, stream(seed)) for seed in range(seeds)])

    return {
        "random": picks(RandomSubset(), SEEDS),
        **{name: picks(Highest(name)) for name in list(rows)[:4]},
        "coreset": picks(KCenter()),
        "maxherding": picks(MaxHerding()),
        "badge": picks(Badge(), SEEDS),
        "typiclust": typiclust(features, labeled, BUDGET, stream(0), neighbours=NEIGHBOURS)[None],
        "dropquery": picks(DropQuery(FLIPS)),
    }


def _evidence(data: Mapping[str, np.ndarray]) -> Evidence:
    """What the signals read, as a task of one decision a sample gives it."""

    def output(probs: np.ndarray) -> Output:
        """(N, C) -> an output of one distribution a sample."""
        return Output(taps=(), probs=torch.from_numpy(probs)[:, None])

    votes = vote(output(member) for member in data["members"])
    # no signal here reads the model
    return Evidence(None, output(data["probs"]), votes)  # type: ignore[arg-type]


def theirs(data: Mapping[str, np.ndarray], environment: Path) -> dict[str, np.ndarray]:
    """Scikit-activeml's picks (R, K) of each strategy, and its version.

    Raises:
        ApartError: if its environment is not there, or fails, with its words.
    """
    return ask(python_of(environment), SCRIPT, data)


def compare(
    data: Mapping[str, np.ndarray],
    our: Mapping[str, np.ndarray],
    their: Mapping[str, np.ndarray],
) -> list[Agreement]:
    """Each strategy's agreement."""
    residual = data["probs"] - np.eye(data["probs"].shape[1])[data["probs"].argmax(axis=1)]
    gradients = (residual[:, :, None] * data["features"][:, None]).reshape(len(residual), -1)
    made = []
    for name in ("entropy", "margin", "least_confident", "ensemble_bald", "coreset", "maxherding",
                 "typiclust", "dropquery"):  # fmt: skip
        made.append(_of_picks(name, our[name][0], their[name][0]))
    made.append(_of_cover(data, their["probcover"][0]))
    for name, points in (("random", data["features"]), ("badge", gradients)):
        made.append(_of_chance(name, points, our[name], their[name]))
    return made


def _of_picks(name: str, our: np.ndarray, their: np.ndarray) -> Agreement:
    both = len(set(our.tolist()) & set(their.tolist()))
    return Agreement(name, float((our == their).mean()), f"{both} of {len(our)} in any place")


def _of_cover(data: Mapping[str, np.ndarray], their: np.ndarray) -> Agreement:
    """Whether each pick of ProbCover's is among our best after those before: ties are by chance."""
    points = torch.from_numpy(units(data["features"]))
    search = Balls(points, float(data["radius"]))
    search.cover(torch.from_numpy(units(data["labeled"])))
    search.begin()
    best = 0
    for at, pick in enumerate(their):
        gains: Tensor = search.gains.clone()
        gains[their[:at].tolist()] = -1
        best += bool(gains[pick] >= gains.max() - search.equal)
        search.cover_by(int(pick))
        search.count()
    return Agreement("probcover", best / len(their), "share of its picks that are ours up to ties")


def _of_chance(name: str, points: np.ndarray, our: np.ndarray, their: np.ndarray) -> Agreement:
    """Compare the mean distance of all samples to their nearest pick, over the seeds."""
    lengths = (points**2).sum(axis=1)

    def covers(picks: np.ndarray) -> np.ndarray:
        """(R,) of picks (R, K)."""
        squares = [lengths[:, None] + lengths[row] - 2 * points @ points[row].T for row in picks]
        return np.array([np.sqrt(one.clip(min=0).min(axis=1)).mean() for one in squares])

    a, b = covers(our), covers(their)
    p = float(ks_2samp(a, b).pvalue)
    first = float((our[:, 0] == their[:, 0]).mean())
    return Agreement(
        name,
        None,
        f"cover {a.mean():.4f} and {b.mean():.4f}, p = {p:.2f} (Kolmogorov-Smirnov, {len(a)} "
        f"seeds); first pick the same in {first:.0%}",
    )


def measure(environment: Path, asked: Callable[..., Any] = theirs) -> tuple[str, list[Agreement]]:
    """Scikit-activeml's version, and the agreement of each strategy."""
    data = questions()
    answers = asked(data, environment)
    return str(answers["version"]), compare(data, ours(data), answers)


def table(version: str, found: Sequence[Agreement]) -> Sheet:
    """The table of the agreement."""
    sheet = Sheet(
        Column("strategy"),
        Column("same picks in the same place", 3),
        Column("more", 2, text=True),
        title=f"{BUDGET} picks beside scikit-activeml {version}",
    )
    for one in found:
        sheet.add(one.strategy, "" if one.same is None else f"{one.same:.0%}", one.note)
    return sheet
