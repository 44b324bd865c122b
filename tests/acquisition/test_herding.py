"""MaxHerding and UHerding against the plain form with all kernel values, and scikit-activeml."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acquisition import herding, pairs
from acquisition.cover_steps import MaxHerding, UHerding
from acquisition.herding import bandwidth, herd, units
from acquisition.step import QueryError, Seen
from models.process.seeding import stream


def kernel(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / width**2)


def plain(features, labeled, budget: int, weights=None, width: float | None = None) -> list[int]:
    """The definition, with gains closer than a billionth of the largest as equal."""
    points = units(features)
    centres = units(labeled) if len(labeled) else points[:0]
    width = width or bandwidth(centres)
    own, covered = kernel(points, points, width), np.zeros(len(points))
    if len(centres):
        covered = kernel(points, centres, width).max(axis=1)
    weights = np.ones(len(points)) if weights is None else weights
    picked: list[int] = []
    equal = 0.0
    while len(picked) < budget:
        gains = (np.maximum(own - covered, 0) * weights).sum(axis=1)
        gains[picked] = -np.inf
        equal = equal or 1e-9 * gains.max()
        picked.append(int(np.flatnonzero(gains >= gains.max() - equal)[0]))
        covered = np.maximum(covered, own[picked[-1]])
    return picked


@pytest.mark.parametrize("labeled", [0, 1, 2, 30])
@pytest.mark.parametrize("width", [None, 0.1, 0.6, 3.0])
@pytest.mark.parametrize("weighed", [False, True])
def test_picks_are_those_of_the_plain_form(labeled, width, weighed, monkeypatch):
    monkeypatch.setattr(herding, "TILE", 64)  # several tiles, the last one not full
    for seed, most in ((0, pairs.MOST), (1, pairs.MOST), (2, 0)):
        monkeypatch.setattr(pairs, "MOST", most)  # with pairs held, and without
        rng = stream(seed)
        # seven kinds of rows, so that much is lost at once
        features = (
            rng.normal(size=(7, 5))[rng.integers(7, size=230)] + rng.normal(size=(230, 5)) / 3
        )
        centres, weights = rng.normal(size=(labeled, 5)), rng.random(230) if weighed else None
        found = herd(features, centres, 50, weights=weights, width=width)
        assert found.tolist() == plain(features, centres, 50, weights, width)
        assert found.dtype == np.int64


def test_the_first_picks_by_hand():
    """On a line of angles: the middle of the larger group, then the other group."""
    angles = np.deg2rad([0, 5, 10, 90, 95])
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert herd(places, places[:0], 2, width=0.3).tolist() == [1, 3]
    assert herd(places, places[1:2], 1, width=0.3).tolist() == [3]
    assert herd(places, places[:0], 1, width=0.3, weights=np.array([0, 0, 0, 1, 2])).tolist() == [4]


@pytest.mark.parametrize("most", [pairs.MOST, 0])
def test_what_is_equal_goes_by_position_and_every_sample_comes_once(most, monkeypatch):
    monkeypatch.setattr(pairs, "MOST", most)
    same = np.ones((6, 3))
    assert herd(same, same[:2], 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert herd(np.zeros((3, 2)), np.zeros((0, 2)), 3).tolist() == [0, 1, 2]
    features = stream(1).normal(size=(40, 3))
    assert sorted(herd(features, features[:5], 40).tolist()) == list(range(40))
    assert herd(features[:1], features[:0], 1).tolist() == [0]
    assert herd(features, features[:0], 3, weights=np.zeros(40)).tolist() == [0, 1, 2]


def test_the_bandwidth_is_the_smallest_distance_of_different_labeled_rows(monkeypatch):
    points = units(stream(2).normal(size=(50, 4)))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = distances[~np.eye(50, dtype=bool)].min()
    for tile in (1024, 16):
        monkeypatch.setattr(herding, "TILE", tile)
        assert bandwidth(np.concatenate([points, points[:3]])) == pytest.approx(expected, rel=1e-9)
    assert bandwidth(points[:1]) == bandwidth(points[:0]) == bandwidth(points[[4, 4]]) == 1.0


def test_what_is_wrong_is_said():
    good = np.ones((4, 2))
    for call, message in (
        (lambda: herd(good, good, 5), "a budget from 1 to 4 .*, but got 5"),
        (lambda: herd(good, np.ones((2, 3)), 1), r"one width D, .* \(4, 2\) .* \(2, 3\)"),
        (lambda: herd(good, good, 1, width=0.0), "a width above 0, but got 0.0"),
        (lambda: herd(good, good, 1, weights=-np.ones(4)), "weights .* from -1 on"),
        (lambda: herd(good * np.nan, good, 1), "finite features, but 4 of 4"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_pairs_are_those_that_raise_a_cover_whatever_their_number(monkeypatch):
    """Against all kernel values; given up where there are more than were guessed."""
    points, centres = units(stream(5).normal(size=(150, 6))), units(stream(6).normal(size=(9, 6)))
    search = herding.Search(torch.from_numpy(points), torch.ones(150, dtype=torch.float64), 0.5)
    search.cover(torch.from_numpy(centres))
    search.least = 0.0
    places = pairs.Places(search.points, search.lengths, search.short, search.covered,
                          search.reach(), search.value, 32)  # fmt: skip
    own, covered = kernel(points, points, 0.5), kernel(points, centres, 0.5).max(axis=1)
    for dear in (pairs.DEAR, 0):  # by tile, and pair by pair
        monkeypatch.setattr(pairs, "DEAR", dear)
        candidates, values, starts = places.pairs()
        sample = np.repeat(np.arange(150), starts.diff().numpy())
        assert {*zip(candidates.tolist(), sample.tolist(), strict=True)} == {
            (c, n) for c, n in np.argwhere(own > covered).tolist()
        }
        assert np.abs(values.numpy() - own[candidates.numpy(), sample]).max() < 1e-12
    for guess in (0, len(values) // 4, 10**9):
        monkeypatch.setattr(pairs.Places, "_guess", lambda self, guess=guess: guess)
        assert places.pairs() is None


def test_steps_weigh_by_the_margin_and_order_ties_by_the_stream():
    rng = stream(3)
    places, labeled = rng.normal(size=(60, 4)), rng.normal(size=(9, 4))
    margin = rng.random(60)
    seen = Seen(60, {"embedding": places, "calibrated_margin": margin}, {"embedding": labeled})
    assert MaxHerding()(seen, 8, stream(0)).tolist() == plain(places, labeled, 8)
    assert UHerding()(seen, 8, stream(0)).tolist() == plain(places, labeled, 8, margin)
    same = Seen(9, {"embedding": np.ones((9, 2))}, {"embedding": np.zeros(0)})
    firsts = {MaxHerding()(same, 1, stream(seed)).tolist()[0] for seed in range(60)}
    assert len(firsts) > 5
    places[3] = np.nan
    with pytest.raises(QueryError, match="finite scores 'embedding', but 1 of 60 are not"):
        UHerding()(seen, 1, stream(0))


def test_picks_are_scikit_activemls():
    pool = pytest.importorskip("skactiveml.pool")
    rng = stream(4)
    places = rng.normal(size=(150, 6))
    for labeled in (0, 12):
        y = np.full(150, np.nan)
        y[:labeled] = 0
        strategy = pool.MaxHerding(metric_dict={"gamma": 1 / 0.7**2}, random_state=0)
        expected = strategy.query(places, y, batch_size=25)
        found = herd(places[labeled:], places[:labeled], 25, width=0.7)
        assert (found + labeled).tolist() == expected.tolist()
