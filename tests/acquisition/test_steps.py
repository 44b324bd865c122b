"""Steps that are no plain ranking: what they hand to the algorithms, and what chance does
to them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from acquisition import clustering, diversity
from acquisition.kcenter import k_center
from acquisition.query import ask
from acquisition.step import QueryError, finite
from acquisition.steps import (
    Badge,
    Densest,
    DropQuery,
    GumbelRanks,
    Highest,
    KCenter,
    NearestToCentroids,
    Seen,
    Shuffled,
    Typical,
)
from acquisition.strategies import named_strategies
from models.process.seeding import stream

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 5)).astype(np.float32)
LABELED = RNG.normal(size=(7, 5)).astype(np.float32)


def seen(**rows: np.ndarray) -> Seen:
    return Seen(len(next(iter(rows.values()))), rows, {"embedding": LABELED})


def test_k_center_covers_what_is_not_labeled():
    expected = k_center(torch.from_numpy(POINTS), torch.from_numpy(LABELED), 6).positions.tolist()
    assert KCenter()(seen(embedding=POINTS), 6, stream(0)).tolist() == expected
    distances = np.linalg.norm(POINTS[:, None] - LABELED[None], axis=2).min(axis=1)
    assert expected[0] == distances.argmax()


def test_k_center_reads_the_labeled_samples_and_picks_none_of_them():
    """Ids, not positions: the labeled sample's twin among the candidates is the last to be
    picked.
    """
    features = np.array([[0.0, 0], [10, 0], [0, 10], [10.0, 0.1], [5, 5]], dtype=np.float32)
    asked = []

    def score(ids, names):
        asked.append((ids.tolist(), names))
        return dict.fromkeys(names, features[ids])

    found = ask([KCenter()], np.array([4, 3, 2, 0]), np.array([1]), 3, stream(0), score)
    assert asked == [([4, 3, 2, 0], ("embedding",)), ([1], ("embedding",))]
    assert found.picked.tolist() == [2, 0, 4] and 3 not in found.picked


def test_a_chain_covers_what_was_kept_alone():
    entropy = np.arange(40.0)
    steps = named_strategies(None, keep=3)["entropy_coreset"].steps
    rows = {"entropy": entropy, "embedding": POINTS}
    found = ask(steps, np.arange(40), np.arange(40, 47), 4, stream(0),
                lambda ids, names: {n: (rows[n] if ids[0] < 40 else LABELED) for n in names})  # fmt: skip
    assert set(found.picked.tolist()) <= set(range(28, 40)) and len(found.picked) == 4
    kept = np.argsort(-entropy, kind="stable")[:12]
    by_hand = k_center(torch.from_numpy(POINTS[kept]), torch.from_numpy(LABELED), 4).positions
    assert found.picked.tolist() == kept[by_hand].tolist()


@pytest.mark.parametrize(
    ("step", "rows", "by_hand"),
    [
        (Densest(), ("embedding",), lambda r: np.argsort(-diversity.density(POINTS))[:6]),
        (
            NearestToCentroids(),
            ("embedding",),
            lambda r: clustering.nearest_to_centroids(POINTS, 6, r),
        ),
        (Typical(), ("embedding",), lambda r: clustering.typiclust(POINTS, LABELED, 6, r)),
        (Badge(), ("residual", "feature"), lambda r: diversity.badge(POINTS, POINTS, 6, r)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_steps_by_place_are_the_algorithms(step, rows, by_hand):
    assert step.needs == rows
    found = step(seen(**dict.fromkeys(rows, POINTS)), 6, stream(1))
    assert found.tolist() == by_hand(stream(1)).tolist()


def test_a_placebo_picks_evenly_whatever_the_scores():
    counts, generator = np.zeros(10, int), stream("placebo")
    for _ in range(2000):
        counts[Shuffled("s")(seen(s=np.arange(10.0) ** 3), 2, generator)] += 1
    assert counts.sum() == 4000 and stats.chisquare(counts).pvalue > 0.001
    assert Shuffled("s").needs == ("s",)


def test_gumbel_ranks_prefer_the_high_and_are_plain_where_beta_is_large():
    scores = np.array([5.0, 1.0, 3.0, 4.0, 2.0])
    assert GumbelRanks("s", beta=1e9)(seen(s=scores), 3, stream(0)).tolist() == [0, 3, 2]
    counts, generator = np.zeros(5, int), stream("power")
    for _ in range(2000):
        counts[GumbelRanks("s")(seen(s=scores), 1, generator)] += 1
    shares = 1 / np.array([1, 5, 3, 2, 4])
    assert stats.chisquare(counts, 2000 * shares / shares.sum()).pvalue > 0.001


@pytest.mark.parametrize("step", [Shuffled("s"), GumbelRanks("s"), Highest("s")])
def test_scores_that_are_not_finite_are_refused(step):
    with pytest.raises(QueryError, match="finite scores 's', but 1 of 3 are not"):
        step(seen(s=np.array([0, np.nan, 1.0])), 1, stream(0))


def test_vectors_that_are_not_finite_are_counted_by_sample():
    bad = POINTS.copy()
    bad[3, :2] = np.inf
    with pytest.raises(QueryError, match="finite scores 'embedding', but 1 of 40 are not"):
        KCenter()(seen(embedding=bad), 1, stream(0))


@pytest.mark.parametrize("block", [1, 6, 10**9])
def test_what_is_not_finite_is_counted_block_by_block(block, monkeypatch):
    monkeypatch.setattr("acquisition.step.BLOCK", block)
    bags = np.zeros((7, 2, 3), np.float32)
    assert finite({"bag": bags}, "bag") is bags
    assert finite({"bag": bags[:, :0]}, "bag").shape == (7, 0, 3)
    bags[[0, 6], 1, 2], bags[3] = np.nan, -np.inf
    with pytest.raises(QueryError, match="finite scores 'bag', but 3 of 7 are not"):
        finite({"bag": bags}, "bag")


def test_k_center_covers_a_pool_of_which_nothing_is_labeled():
    places = np.array([[1.0], [5.0], [9.0]], dtype=np.float32)
    seen = Seen(3, {"embedding": places}, {"embedding": np.zeros(0, np.float32)})
    assert KCenter()(seen, 2, np.random.default_rng(0)).tolist() == [0, 2]


def test_dropquery_clusters_what_flips():
    flips = np.zeros(40)
    flips[[3, 8, 9, 20, 33, 34, 35]] = [0.6, 1.0, 0.7, 0.51, 0.9, 0.8, 0.6]
    flips[[1, 2]] = 0.5  # not more than half
    some = np.flatnonzero(flips > 0.5)
    found = DropQuery()(seen(embedding=POINTS, dropout_flips=flips), 3, stream(2)).tolist()
    generator = stream(2)
    generator.permutation(40)  # the ties' order
    expected = some[clustering.nearest_to_centroids(POINTS[some], 3, generator)]
    assert found == expected.tolist() and set(found) <= set(some.tolist())
    # where too few flip, those that flip most, ties by chance
    given = seen(embedding=POINTS, dropout_flips=flips)
    assert set(DropQuery()(given, 9, stream(0)).tolist()) == {*some.tolist(), 1, 2}
    assert len(DropQuery()(given, 40, stream(0))) == 40
    one = Seen(1, {"embedding": POINTS[:1], "dropout_flips": np.zeros(1)}, {})
    assert DropQuery()(one, 1, stream(0)).tolist() == [0]
    with pytest.raises(QueryError, match="finite scores 'dropout_flips', but 1 of 40 are not"):
        flips[0] = np.nan
        DropQuery()(given, 1, stream(0))
