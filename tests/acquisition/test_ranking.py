"""Ranking quality against scipy and against a count of pairs by hand, ties and hopeless
cases included.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from acquisition.ranking import ordered_pairs, quality, spearman

CASES = {
    "no ties": lambda rng: (rng.normal(size=30), rng.normal(size=30)),
    "ties in the predictions": lambda rng: (
        rng.integers(0, 4, 30).astype(float),
        rng.normal(size=30),
    ),
    "ties in the truth": lambda rng: (rng.normal(size=30), rng.integers(0, 4, 30).astype(float)),
    "ties on both sides": lambda rng: (rng.integers(0, 4, 30), rng.integers(0, 5, 30)),
    "float32": lambda rng: (
        rng.normal(size=30).astype(np.float32),
        rng.normal(size=30).astype(np.float32),
    ),
    "two samples": lambda rng: (rng.normal(size=2), rng.normal(size=2)),
}


def counted(predicted, true) -> float | None:
    """Pair by pair, as the definition says."""
    values = []
    for (p, t), (q, u) in itertools.combinations(zip(predicted, true, strict=True), 2):
        if t != u:
            values.append(0.5 if p == q else float((p > q) == (t > u)))
    return sum(values) / len(values) if values else None


@pytest.mark.parametrize("case", CASES)
def test_ordered_pairs_is_somers_d_and_the_count(case):
    predicted, true = CASES[case](np.random.default_rng(4))
    found = ordered_pairs(predicted, true)
    assert found == pytest.approx((stats.somersd(true, predicted).statistic + 1) / 2, abs=1e-12)
    assert found == pytest.approx(counted(predicted, true), abs=1e-12)


def test_ordered_pairs_conditions_on_the_truth():
    predicted, true = CASES["ties on both sides"](np.random.default_rng(4))
    assert ordered_pairs(predicted, true) != pytest.approx(ordered_pairs(true, predicted), abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.sampled_from([-np.inf, -1.0, 0.0, 0.5, np.inf])),
        max_size=12,
    )
)
def test_ordered_pairs_counts_right_on_any_ties_and_infinities(rows):
    true, predicted = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ordered_pairs(predicted, true) == counted(predicted, true)
        assert ordered_pairs(true, predicted) == counted(true, predicted)


def test_ordered_pairs_by_hand():
    true = np.array([1.0, 2.0, 3.0])
    assert ordered_pairs(np.array([1.0, 2.0, 3.0]), true) == 1.0
    assert ordered_pairs(np.array([3.0, 2.0, 1.0]), true) == 0.0
    assert ordered_pairs(np.array([1.0, 3.0, 2.0]), true) == pytest.approx(2 / 3)
    assert ordered_pairs(np.array([5.0, 5.0, 5.0]), true) == 0.5  # a constant prediction is chance
    assert ordered_pairs(np.array([1.0, 1.0, 2.0]), true) == pytest.approx(2.5 / 3)
    # two pairs count, one of them is right; the tie of the truth does not count
    assert ordered_pairs(np.array([1.0, 9.0, 2.0]), np.array([1.0, 1.0, 3.0])) == 0.5


def test_ordered_pairs_does_not_depend_on_the_scale():
    rng = np.random.default_rng(0)
    predicted, true = rng.normal(size=20), rng.normal(size=20)
    assert ordered_pairs(np.exp(predicted), 1e-30 * true) == ordered_pairs(predicted, true)


@pytest.mark.parametrize("case", CASES)
def test_spearman_is_scipys(case):
    predicted, true = CASES[case](np.random.default_rng(4))
    assert spearman(predicted, true) == pytest.approx(
        stats.spearmanr(predicted, true).statistic, abs=1e-12
    )


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples_have_no_quality(n):
    assert quality(np.zeros(n), np.zeros(n)) == {"n": n, "pairs": None, "spearman": None}


def test_constant_sides():
    ramp, flat = np.arange(5.0), np.full(5, 0.1)
    assert (ordered_pairs(flat, ramp), spearman(flat, ramp)) == (0.5, None)
    assert (ordered_pairs(ramp, flat), spearman(ramp, flat)) == (None, None)
    assert (ordered_pairs(flat, flat), spearman(flat, flat)) == (None, None)


@pytest.mark.parametrize("side", [0, 1])
def test_not_a_number_is_not_counted_as_a_wrong_order(side):
    sides = [np.arange(4.0), np.arange(4.0)]
    sides[side][2] = np.nan
    assert np.isnan(ordered_pairs(*sides))
    assert np.isnan(spearman(*sides))


def test_infinite_losses_rank_last():
    true, predicted = np.array([1.0, 2.0, np.inf, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ordered_pairs(predicted, true) == pytest.approx(5 / 6)
        assert spearman(predicted, true) == pytest.approx(
            stats.spearmanr(predicted, [1, 2, 4, 3]).statistic
        )
        assert spearman(np.full(3, np.inf), true[:3]) is None


def test_quality_holds_both_and_the_number():
    predicted, true = CASES["ties on both sides"](np.random.default_rng(1))
    assert quality(predicted, true) == {
        "n": 30, "pairs": ordered_pairs(predicted, true), "spearman": spearman(predicted, true)
    }  # fmt: skip


@pytest.mark.parametrize(
    "one, other, shown",
    [
        ((3,), (4,), r"\(3,\) and \(4,\)"),
        ((3, 1), (3,), r"\(3, 1\) and \(3,\)"),
        ((2, 2), (2, 2), r"\(2, 2\) and"),
    ],
)
def test_other_shapes_are_refused(one, other, shown):
    for measure in (ordered_pairs, spearman, quality):
        with pytest.raises(
            ValueError, match=rf"Expected two arrays of one shape \(N,\), but got {shown}"
        ):
            measure(np.zeros(one), np.zeros(other))
