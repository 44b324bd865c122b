"""The pool: labeled and unlabeled are disjoint and complete, whatever is asked for, and
wrong questions are refused.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.pool import Budget, Pool


def test_initial_set_is_distinct_ids_of_the_pool():
    pool = Pool.initial(50, 20, seed=0)
    assert len(set(pool.labeled)) == 20
    assert set(pool.labeled) <= set(range(50))
    assert (pool.size, pool.cycle) == (50, 0)
    # NumPy's integers could not be written as JSON
    assert all(type(i) is int for i in pool.labeled)


def test_initial_set_depends_on_the_seed_alone():
    first = Pool.initial(50, 20, seed=3)
    np.random.seed(1)
    assert Pool.initial(50, 20, seed=3) == first
    assert set(Pool.initial(50, 20, seed=4).labeled) != set(first.labeled)


def test_initial_set_is_not_the_head_of_the_list():
    counts = np.zeros(12)
    for seed in range(600):
        counts[list(Pool.initial(12, 3, seed).labeled)] += 1
    # each id is in 600 * 3/12 = 150 sets on average, standard deviation sqrt(600 * 1/4 * 3/4) =
    # 10.6; five of them
    assert abs(counts - 150).max() < 53


def test_initial_set_may_be_the_whole_pool_or_nothing():
    assert sorted(Pool.initial(7, 7, 0).labeled) == list(range(7))
    assert Pool.initial(7, 7, 0).unlabeled.tolist() == []
    assert Pool.initial(7, 0, 0).unlabeled.tolist() == list(range(7))
    assert Pool.initial(1, 1, 0).labeled == (0,)


def test_more_initial_samples_than_there_are_are_refused():
    with pytest.raises(
        ValueError, match=r"Expected at most 7 initial samples \(the whole pool\), but got 8"
    ):
        Pool.initial(7, 8, 0)


@pytest.mark.parametrize(
    "ids, shown", [((0, 7), r"\[7\]"), ((-1, 3), r"\[-1\]"), ((9, 8, 0), r"\[9, 8\]")]
)
def test_ids_outside_are_refused(ids, shown):
    with pytest.raises(ValueError, match=rf"Expected ids from 0 to 6, but got {shown}"):
        Pool(7, ids)
    with pytest.raises(ValueError, match=rf"Expected ids from 0 to 6, but got {shown}"):
        Pool(7, (5,)).label(ids)


def test_the_first_five_ids_outside_are_named():
    with pytest.raises(ValueError, match=r"but got \[10, 11, 12, 13, 14\]$"):
        Pool(7, tuple(range(10, 20)))


def test_ids_that_come_twice_are_refused():
    with pytest.raises(ValueError, match=r"labeled once, but these came twice: \[2, 4\]"):
        Pool(7, (4, 2, 1, 2, 4))
    with pytest.raises(ValueError, match=r"labeled once, but these came twice: \[3\]"):
        Pool(7, (1,)).label([3, 3])


def test_labeling_again_is_refused():
    with pytest.raises(
        ValueError, match=r"query of unlabeled samples, but these are labeled: \[1, 5\]"
    ):
        Pool(7, (5, 1, 2)).label([5, 0, 1])
    with pytest.raises(ValueError, match=r"but these are labeled: \[5\]"):
        Pool(7, (5, 1, 2)).label(np.array([5, 0]))


def test_labeling_makes_the_next_cycle_and_leaves_the_old_pool_alone():
    before = Pool(6, (4, 1), cycle=2)
    after = before.label(np.array([5, 0]))
    assert after == Pool(6, (4, 1, 5, 0), cycle=3)  # in the order of labeling
    assert all(type(i) is int for i in after.labeled)
    assert before == Pool(6, (4, 1), cycle=2)
    with pytest.raises(dataclasses.FrozenInstanceError, match="labeled"):
        before.labeled = ()


def test_labeling_nothing_ends_the_last_cycle():
    assert Pool(6, (4, 1), cycle=2).label(()) == Pool(6, (4, 1), cycle=3)


def test_unlabeled_are_ascending_int64():
    unlabeled = Pool(6, (4, 1)).unlabeled
    assert unlabeled.tolist() == [0, 2, 3, 5]
    assert unlabeled.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_labeled_and_unlabeled_are_disjoint_and_complete_after_any_queries(data, size, seed):
    pool = Pool.initial(size, data.draw(st.integers(0, size)), seed)
    history = list(pool.labeled)
    for cycle in range(data.draw(st.integers(0, 5))):
        assert pool.cycle == cycle
        rest = pool.unlabeled.tolist()
        query = data.draw(st.lists(st.sampled_from(rest), unique=True)) if rest else []
        pool = pool.label(query)
        history += query
        assert list(pool.labeled) == history
        assert not set(pool.labeled) & set(pool.unlabeled.tolist())
        assert sorted([*pool.labeled, *pool.unlabeled.tolist()]) == list(range(size))


def test_budget_sizes():
    assert Budget(10, 5, 3).sizes == (10, 15, 20)
    assert Budget(2, 1, 1).sizes == (2,)
    paper = Budget(initial=1000, query=1000, cycles=10).sizes
    assert paper == (1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000)
