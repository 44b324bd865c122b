"""ProbCover and DCoM against the definition with all distances, and scikit-activeml."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from acquisition import herding, pairs, probcover
from acquisition.clustering import kmeans
from acquisition.cover_steps import DCoM, ProbCover, likeliest
from acquisition.herding import units
from acquisition.probcover import dcom, radius_of
from acquisition.step import QueryError, Seen
from models.process.seeding import stream


def groups(seed: int, count: int = 160) -> np.ndarray:
    rng = stream("groups", seed)
    return rng.normal(size=(6, 5))[rng.integers(6, size=count)] + rng.normal(size=(count, 5)) / 3


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def plain(features, labeled, budget: int, radius: float) -> list[int]:
    points = units(features)
    inside = distances(points, points) <= radius
    covered = np.zeros(len(points), bool)
    if len(labeled):
        covered = (distances(points, units(labeled)) <= radius).any(axis=1)
    picked: list[int] = []
    for _ in range(budget):
        counts = (inside & ~covered).sum(axis=1)
        counts[picked] = -1
        picked.append(int(counts.argmax()))
        covered |= inside[picked[-1]]
    return picked


@pytest.mark.parametrize("labeled", [0, 1, 25])
@pytest.mark.parametrize("radius", [0.05, 0.3, 0.8, 2.0])
def test_picks_are_those_of_the_plain_form(labeled, radius, monkeypatch):
    for part in (herding, probcover):
        monkeypatch.setattr(part, "TILE", 64)
    for seed, most in ((0, pairs.MOST), (1, pairs.MOST), (2, 0)):
        monkeypatch.setattr(pairs, "MOST", most)  # with pairs held, and without
        features, centres = groups(seed), groups(seed + 9, labeled)
        found = probcover.probcover(features, centres, 60, stream(0), radius=radius)
        assert found.tolist() == plain(features, centres, 60, radius)


def test_the_radius_is_the_largest_at_which_the_balls_are_pure(monkeypatch):
    monkeypatch.setattr(probcover, "TILE", 64)
    points = units(groups(1, 200))
    found = radius_of(points, 4, stream(5))
    _, labels = kmeans(points, 4, stream(5))
    away = distances(points, points)
    other = labels[:, None] != labels[None]

    def purity(radius: float) -> float:
        return 1 - (other & (away <= radius)).any(axis=1).mean()

    assert purity(found - 1e-5) >= 0.95 > purity(found + 1e-5)
    assert radius_of(points[:1], 4, stream(5)) == pytest.approx(2)


@pytest.mark.parametrize("width", [8, 512])
@pytest.mark.parametrize("spread", [0.3, 1e-2, 1e-3, 1e-5])
def test_the_radius_of_features_that_are_all_alike_is_exact(width, spread, monkeypatch):
    """By all differences in float64; single precision cannot tell the last of these apart."""
    monkeypatch.setattr(probcover, "TILE", 64)
    rng = stream("alike", width)
    points = units(np.abs(rng.normal(size=width)) + spread * rng.normal(size=(300, width)))
    labels = rng.integers(10, size=300)
    monkeypatch.setattr(probcover, "kmeans", lambda *_: (None, labels))
    away = cdist(points, points)
    away[labels[:, None] == labels] = np.inf
    expected = np.sort(away.min(axis=1))[15]
    assert radius_of(points, 10, rng) == pytest.approx(expected, rel=1e-9)


def test_the_radius_of_tight_groups_is_exact_where_single_precision_ties(monkeypatch):
    rng = stream("tight")
    centres = units(rng.normal(size=(3, 6)))
    points = units(centres[np.arange(300) % 3] + 1e-5 * rng.normal(size=(300, 6)))
    points[7] = points[0]  # a copy in another cluster
    labels = (np.arange(300) >= 150).astype(np.int32)
    labels[7] = 1
    monkeypatch.setattr(probcover, "kmeans", lambda *_: (None, labels))
    away = cdist(points, points)
    away[labels[:, None] == labels] = np.inf
    expected = np.sort(away.min(axis=1))[15]
    assert 1e-6 < expected < 1e-4
    assert radius_of(points, 2, rng) == pytest.approx(expected, rel=1e-9)


def test_all_are_picked_once_and_ties_go_by_the_stream():
    features = groups(2, 30)
    assert sorted(probcover.probcover(features, features[:3], 30, stream(0)).tolist()) == list(
        range(30)
    )
    assert probcover.probcover(features[:1], features[:0], 1, stream(0)).tolist() == [0]
    same = Seen(9, {"embedding": np.ones((9, 2))}, {"embedding": np.zeros(0)})
    assert len({ProbCover()(same, 1, stream(seed)).tolist()[0] for seed in range(60)}) > 5
    bad = Seen(2, {"embedding": np.array([[1.0], [np.inf]])}, {"embedding": np.zeros(0)})
    with pytest.raises(QueryError, match="finite scores 'embedding', but 1 of 2 are not"):
        ProbCover()(bad, 1, stream(0))


def test_picks_are_scikit_activemls():
    pool = pytest.importorskip("skactiveml.pool")
    features = units(groups(3))
    for labeled in (0, 12):
        y = np.full(len(features), np.nan)
        y[:labeled] = 0
        # as long as something is uncovered: what ties then goes by chance in both
        expected = pool.ProbCover(n_classes=4, deltas=[0.3], random_state=0).query(
            features, y, batch_size=12, return_utilities=True
        )
        found = probcover.probcover(
            features[labeled:], features[:labeled], 12, stream(0), radius=0.3
        )
        for pick, utilities in zip(found + labeled, expected[1], strict=True):
            if utilities[pick] != np.nanmax(utilities):
                pytest.fail(f"{pick}: {utilities[pick]} of {np.nanmax(utilities)}")
            if (utilities == np.nanmax(utilities)).sum() > 1:
                break  # a tie: from here on the two covers differ


# ---------------------------------------------------------------- DCoM


def dcom_plain(features, labeled, budget, margins, classes, radius) -> list[int]:
    """The paper's code, for all samples at once, with radii of all labeled samples."""
    points = np.concatenate([units(labeled), units(features)])
    away, labels = distances(points, points), np.concatenate([classes[1], classes[0]])
    first = len(labeled)
    enough = 0.2 * (away[:first] <= radius).any(axis=0).mean() + 0.4
    radii = []
    for i in range(first):
        low, high = 0.0, 1.5 * radius
        while high - low > 0.05:
            middle = (low + high) / 2
            inside = away[i] <= middle
            if (labels[inside] == labels[i]).mean() >= enough - 1e-9:
                low = middle
            else:
                high = middle
        radii.append((low + high) / 2)
    covered = (away[:first] <= np.array(radii)[:, None]).any(axis=0)
    weight = (1 + math.exp(-3)) / (1 + math.exp(-30 * (covered.mean() - 0.9)))
    covered, away = covered[first:], away[first:, first:]
    margins = (margins - margins.min()) / np.ptp(margins)
    picked: list[int] = []
    for _ in range(budget):
        density = ((away <= np.mean(radii)) & ~covered).sum(axis=1)
        scores = weight * margins + (1 - weight) * density / max(density.max(), 1)
        scores[picked] = -1
        picked.append(int(scores.argmax()))
        covered = covered | (away[picked[-1]] <= np.mean(radii))
    return picked


@pytest.mark.parametrize("radius", [0.2, 0.7, 1.2])
def test_dcom_is_the_papers_code(radius, monkeypatch):
    monkeypatch.setattr(probcover, "TILE", 64)
    monkeypatch.setattr(herding, "TILE", 64)
    for seed in range(3):
        features, labeled, rng = groups(seed), groups(seed + 9, 30), stream(seed)
        margins = rng.random(len(features))
        classes = rng.integers(3, size=len(features)), rng.integers(3, size=30)
        found = dcom(
            features, labeled, 40, stream(0), margins=margins, classes=classes, radius=radius
        )
        assert found.tolist() == dcom_plain(features, labeled, 40, margins, classes, radius)


def test_dcom_begins_with_density_and_ends_with_margins():
    features = groups(4, 80)
    margins, classes = np.zeros(80), np.zeros(80, int)
    margins[7] = 1
    nothing = (classes, classes[:0])
    how = dict(margins=margins, radius=0.3)
    first = dcom(features, features[:0], 1, stream(0), classes=nothing, **how)
    assert first.tolist() == plain(features, features[:0], 1, 0.3)
    # all of one class, with a ball that holds everything
    how["radius"] = 2.0
    last = dcom(features, features[:5], 1, stream(0), classes=(classes, classes[:5]), **how)
    assert last.tolist() == [7]
    every = dcom(features, features[:5], 80, stream(0), classes=(classes, classes[:5]), **how)
    assert sorted(every.tolist()) == list(range(80))


def test_a_samples_class_is_the_one_predicted_most_often():
    assert likeliest(np.array([[0, 2, 2], [0, 0, 0], [1, 0, 5]])).tolist() == [1, -1, 2]
    rows = {"embedding": np.ones((1, 2)), "margin": np.ones(1), "predicted_counts": np.ones((1, 2))}
    none = {"embedding": np.zeros(0), "predicted_counts": np.zeros(0)}
    assert DCoM()(Seen(1, rows, none), 1, stream(0)).tolist() == [0]
    rows["margin"] = np.array([np.nan])
    with pytest.raises(QueryError, match="finite scores 'margin'"):
        DCoM()(Seen(1, rows, none), 1, stream(0))
