"""Queries: steps narrow candidates, ids never become positions, ties are the stream's,
nonsense is refused.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from acquisition.query import Query, When, needs
from acquisition.query import ask as ask_with
from acquisition.step import QueryError
from acquisition.steps import Highest, RandomSubset, Seen, Step
from acquisition.strategies import named_strategies
from models.process.seeding import stream

# positions 0 to 9 name other samples, or none
IDS = np.array([907, 13, 550, 21, 4, 333, 78, 612, 45, 101])


def value(ids: np.ndarray) -> np.ndarray:
    """A score that depends on the id alone and follows neither ids nor positions."""
    return ((np.asarray(ids) * 37) % 101).astype(np.float32)


class Score:
    """Notes what it was asked for."""

    def __init__(self, rows=None) -> None:
        self.calls: list[tuple[list[int], tuple[str, ...]]] = []
        self.rows = rows or (lambda ids, names: {name: value(ids) for name in names})

    def __call__(self, ids, names):
        self.calls.append((ids.tolist(), names))
        return self.rows(ids, names)


def never(ids, names):
    raise AssertionError(f"scored {len(ids)} samples for {names}")


def ask(strategy, unlabeled, budget, generator, score) -> Query:
    """Without labeled samples."""
    return ask_with(strategy, unlabeled, np.zeros(0, int), budget, generator, score)


def seen(rows=None, count=None) -> Seen:
    rows = rows or {}
    return Seen(len(next(iter(rows.values()))) if count is None else count, rows, {})


def rng(*parts) -> np.random.Generator:
    return stream("test", *parts)


# ---------------------------------------------------------------- RandomSubset


def test_random_subset_draws_without_replacement():
    for seed in range(50):
        positions = RandomSubset(6)(seen(count=8), 3, rng(seed))
        assert len(set(positions.tolist())) == 6
        assert set(positions.tolist()) <= set(range(8))


def test_random_subset_of_no_size_is_the_budget_and_of_too_large_a_size_everything():
    assert len(RandomSubset()(seen(count=8), 3, rng(0))) == 3
    assert sorted(RandomSubset(8)(seen(count=8), 3, rng(0)).tolist()) == list(range(8))
    assert sorted(RandomSubset(99)(seen(count=8), 3, rng(0)).tolist()) == list(range(8))
    assert RandomSubset(5)(seen(count=0), 3, rng(0)).tolist() == []


def test_random_subset_is_uniform_over_all_subsets():
    subsets = list(combinations(range(5), 2))
    counts = dict.fromkeys(subsets, 0)
    generator = rng("uniform")
    for _ in range(3000):
        counts[tuple(sorted(RandomSubset(2)(seen(count=5), 2, generator).tolist()))] += 1
    assert set(counts) == set(subsets)
    # the stream is seeded: this holds or not, always
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_the_order_of_a_random_subset_is_random_too():
    generator = rng("order")
    first = [RandomSubset(3)(seen(count=4), 3, generator)[0] for _ in range(2000)]
    assert stats.chisquare(np.bincount(first, minlength=4)).pvalue > 0.001


# ---------------------------------------------------------------- Highest


def test_highest_picks_the_highest_first_and_never_the_lowest():
    scores = np.array([0.1, 5.0, -3.0, 2.0, 4.0])
    assert Highest("s")(seen({"s": scores}), 3, rng(0)).tolist() == [1, 4, 3]
    assert Highest("s")(seen({"s": scores}), 1, rng(0)).tolist() == [1]
    assert Highest("s")(seen({"s": scores}), 5, rng(0)).tolist() == [1, 4, 3, 0, 2]


def test_highest_reads_its_own_signal():
    rows = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([3.0, 2.0, 1.0])}
    assert Highest("a")(seen(rows), 1, rng(0)).tolist() == [2]
    assert Highest("b")(seen(rows), 1, rng(0)).tolist() == [0]
    assert Highest("b").needs == ("b",)
    assert RandomSubset(3).needs == ()


def test_highest_keeps_a_multiple_of_the_budget():
    scores = np.arange(10.0)
    assert Highest("s", keep=3)(seen({"s": scores}), 2, rng(0)).tolist() == [9, 8, 7, 6, 5, 4]
    assert len(Highest("s", keep=9)(seen({"s": scores}), 2, rng(0))) == 10


def test_highest_agrees_with_a_sort():
    scores = np.random.default_rng(0).normal(size=200).astype(np.float32)
    expected = sorted(range(200), key=lambda i: -scores[i])[:20]
    assert Highest("s")(seen({"s": scores}), 20, rng(0)).tolist() == expected


def test_ties_are_broken_evenly_by_the_stream():
    # the first is in, one of the four is, the last never
    scores = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    generator = rng("ties")
    counts = np.zeros(6, dtype=int)
    for _ in range(2000):
        counts[Highest("s")(seen({"s": scores}), 2, generator)] += 1
    assert counts[0] == 2000
    assert counts[5] == 0
    assert counts[1:5].sum() == 2000
    assert stats.chisquare(counts[1:5]).pvalue > 0.001


def test_ties_come_out_the_same_for_the_same_stream():
    rows = {"s": np.ones(20)}
    picks = [Highest("s")(seen(rows), 3, rng(seed)).tolist() for seed in (0, 0, 1)]
    assert picks[0] == picks[1] != picks[2]


@pytest.mark.parametrize(
    "scores, bad",
    [([1, np.nan, 2], 1), ([np.inf, np.nan, -np.inf], 3), ([0, 0, -np.inf], 1), ([np.nan] * 3, 3)],
)
def test_scores_that_are_not_finite_are_refused_with_their_number(scores, bad):
    with pytest.raises(QueryError, match=rf"finite scores 'loss', but {bad} of 3 are not"):
        Highest("loss")(seen({"loss": np.array(scores, dtype=np.float32)}), 1, rng(0))


# ---------------------------------------------------------------- strategies


def test_needs_are_the_union_without_repetition():
    steps = [RandomSubset(9), Highest("b", keep=4), Highest("a", keep=2), Highest("b")]
    assert needs(steps) == ("b", "a")
    assert needs([RandomSubset()]) == ()
    assert needs([]) == ()


def test_named_strategies_with_and_without_a_subset():
    whole, part = named_strategies(None), named_strategies(7)
    # of a random part it is no other draw
    assert whole["random"].steps == part["random"].steps == (RandomSubset(),)
    assert whole["learning_loss"].steps == (Highest("predicted_loss"),)
    assert part["learning_loss"].steps == (RandomSubset(7), Highest("predicted_loss"))
    for name in whole.keys() - {"random"}:
        assert part[name].steps == (RandomSubset(7), *whole[name].steps)


def test_random_scores_nothing_and_picks_distinct_ids():
    query = ask(named_strategies(None)["random"].steps, IDS, 4, rng(0), never)
    assert len(set(query.picked.tolist())) == 4
    assert set(query.picked.tolist()) <= set(IDS.tolist())
    assert query.signals == {}
    assert query.candidates.tolist() == query.picked.tolist()


def test_random_is_uniform_over_ids():
    counts = dict.fromkeys(IDS.tolist(), 0)
    generator = rng("random")
    for _ in range(1000):
        for i in ask(
            named_strategies(None)["random"].steps, IDS, 3, generator, never
        ).picked.tolist():
            counts[i] += 1
    # draws without replacement spread less than independent ones: the test's p-value is on the safe
    # side
    assert len(counts) == len(IDS)
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_learning_loss_picks_the_ids_of_the_highest_scores():
    score = Score()
    query = ask(named_strategies(None)["learning_loss"].steps, IDS, 3, rng(0), score)
    assert query.picked.tolist() == sorted(IDS.tolist(), key=lambda i: -value(i))[:3]
    assert score.calls == [(IDS.tolist(), ("predicted_loss",))]
    np.testing.assert_array_equal(query.candidates, IDS)


def test_a_chain_scores_its_subset_alone_and_picks_ids_not_positions():
    for seed in range(20):
        score = Score()
        query = ask(named_strategies(5)["learning_loss"].steps, IDS, 2, rng(seed), score)
        ((asked, names),) = score.calls
        assert names == ("predicted_loss",)
        assert asked == query.candidates.tolist()
        assert len(set(asked)) == 5 and set(asked) <= set(IDS.tolist())
        assert query.picked.tolist() == sorted(asked, key=lambda i: -value(i))[:2]
        np.testing.assert_array_equal(query.signals["predicted_loss"], value(query.candidates))


def test_other_streams_score_other_subsets():
    subsets = {
        tuple(ask(named_strategies(5)["learning_loss"].steps, IDS, 2, rng(s), Score()).candidates)
        for s in range(5)
    }
    assert len(subsets) == 5


def test_steps_after_the_first_score_narrow_with_the_rows_of_what_is_left():
    score = Score(
        lambda ids, names: {
            "a": value(ids),
            "b": -np.asarray(ids, dtype=float),
            "v": np.eye(len(ids)),
        }
    )
    steps = [Highest("a", keep=3), RandomSubset(5), Highest("b")]
    query = ask(steps, IDS, 2, rng(0), score)
    best = sorted(IDS.tolist(), key=lambda i: -value(i))[:6]
    assert set(query.picked.tolist()) <= set(best)
    assert query.picked[0] < query.picked[1]  # the highest -id first
    # at most one of six was dropped at random
    assert set(query.picked.tolist()) & set(sorted(best)[:2])
    # and all signals are kept, in the candidates' order
    assert query.candidates.tolist() == IDS.tolist()
    np.testing.assert_array_equal(query.signals["b"], -IDS)
    assert query.signals["v"].shape == (10, 10)
    assert score.calls == [(IDS.tolist(), ("a", "b"))]


def test_the_whole_rest_can_be_asked_for():
    query = ask(named_strategies(None)["learning_loss"].steps, IDS, len(IDS), rng(0), Score())
    assert sorted(query.picked.tolist()) == sorted(IDS.tolist())


def test_a_single_sample_is_a_pool_too():
    assert ask(
        named_strategies(5)["learning_loss"].steps, np.array([42]), 1, rng(0), Score()
    ).picked.tolist() == [42]


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("name", ["random", "learning_loss"])
def test_a_budget_beyond_the_unlabeled_is_refused(name, count):
    message = rf"query of at most {count} samples \(all unlabeled ones\), but got 4"
    with pytest.raises(QueryError, match=message):
        ask(named_strategies(None)[name].steps, IDS[:count], 4, rng(0), never)


class Fixed(Step):
    """A step that returns what it is told."""

    def __init__(self, *positions: int) -> None:
        self.positions = positions

    def __call__(self, seen, budget, rng):
        return np.array(self.positions, dtype=int)


@pytest.mark.parametrize(
    "positions, distinct",
    [((0, 1), 2), ((0, 1, 1), 2), ((), 0), ((0, 1, 2, 3), 4), ((0, 1, 2, 2), 3)],
)
def test_a_strategy_that_does_not_end_with_the_budget_is_refused(positions, distinct):
    with pytest.raises(
        QueryError, match=f"Expected 3 distinct samples, but the strategy picked {distinct}"
    ):
        ask([Fixed(*positions)], IDS, 3, rng(0), never)


def test_a_subset_smaller_than_the_budget_is_refused():
    with pytest.raises(QueryError, match="Expected 3 distinct samples, but the strategy picked 2"):
        ask([RandomSubset(2), Highest("s")], IDS, 3, rng(0), Score())


def test_scores_that_are_not_finite_stop_a_query():
    broken = Score(lambda ids, names: {"predicted_loss": np.full(len(ids), np.nan)})
    with pytest.raises(QueryError, match="finite scores 'predicted_loss', but 5 of 5 are not"):
        ask(named_strategies(5)["learning_loss"].steps, IDS, 2, rng(0), broken)


def test_a_query_is_a_value():
    query = ask(named_strategies(None)["learning_loss"].steps, IDS, 2, rng(0), Score())
    assert isinstance(query, Query)
    # what was given is as it was
    assert IDS.tolist() == [907, 13, 550, 21, 4, 333, 78, 612, 45, 101]


def test_a_step_knows_the_cycle_and_how_many_query():
    heard = []

    class Listening(Step):
        def __call__(self, seen, budget, rng):
            heard.append((seen.cycle, seen.cycles))
            return np.arange(budget)

    ask_with([Listening()], np.arange(4), np.arange(4, 6), 2, stream(0), lambda *_: {}, When(2, 5))
    ask_with([Listening()], np.arange(4), np.arange(4, 6), 2, stream(0), lambda *_: {})
    assert heard == [(2, 5), (0, 1)]
