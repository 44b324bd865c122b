"""Tests over seeds against scipy, statsmodels and hand computations.

And on made runs whose truth is known.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.effect_size import _noncentrality_t
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from tests.comparekit import legs_of, made
from tools.compare.penalties import penalties
from tools.compare.statistics import (
    MOST,
    compare_areas,
    holm,
    paired_test,
    power,
    seeds_needed,
)

A = [0.612, 0.634, 0.597, 0.641, 0.655]
B = [0.601, 0.618, 0.602, 0.615, 0.630]


def within(found: int, trials: int, chance: float) -> bool:
    """Whether a count is within the central 99.9% of the binomial distribution."""
    low, high = stats.binom.interval(0.999, trials, chance)
    return low <= found <= high


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_paired_test_is_scipys_and_statsmodels(n, sign):
    a, b = (A[:n], B[:n]) if sign == 1 else (B[:n], A[:n])
    found, reference = paired_test(a, b), stats.ttest_rel(a, b)
    assert found.p == pytest.approx(reference.pvalue)
    assert found.p == pytest.approx(DescrStatsW(np.subtract(a, b)).ttest_mean(0)[1])
    interval = reference.confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (interval.low, interval.high)
    )
    assert found.effect == pytest.approx(reference.statistic / math.sqrt(n))
    noncentral = _noncentrality_t(reference.statistic, n - 1, 0.05)
    ends = noncentral.confint[0] / math.sqrt(n), noncentral.confint[1] / math.sqrt(n)
    assert (found.effect_low, found.effect_high) == pytest.approx(ends, rel=1e-4)
    assert found.effect_low < found.effect < found.effect_high


def test_the_interval_of_the_effect_holds_the_truth_in_95_percent():
    rng = np.random.default_rng(1)
    found = [paired_test(rng.normal(0.8, 1, 6), np.zeros(6)) for _ in range(600)]
    assert within(sum(test.effect_low <= 0.8 <= test.effect_high for test in found), 600, 0.95)


def test_pairs_with_a_missing_value_are_left_out():
    found = paired_test([*A, math.nan, 0.9], [*B, 0.1, math.nan])
    assert found == paired_test(A, B) and found.difference.n == 5


@pytest.mark.parametrize("b", [A, [a + 1e-16 for a in A], [a * (1 + 1e-15) for a in A]])
def test_equal_scores_are_no_difference_and_divide_by_nothing(b):
    found = paired_test(A, b)
    assert (found.difference.mean, found.difference.std, found.p, found.effect) == (0, 0, 1, 0)


@pytest.mark.parametrize("by", [0.1, 0.25, -0.25])
def test_the_same_difference_in_every_seed_is_no_test(by):
    # with rounding, and exactly
    found = paired_test([0.2 + by, 0.3 + by, 0.7 + by], [0.2, 0.3, 0.7])
    assert found.effect == math.copysign(math.inf, by) and math.isnan(found.p)
    assert found.difference.mean == pytest.approx(by)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_pairs_are_no_test(n):
    found = paired_test(A[:n], B[:n])
    assert (
        found.difference.n == n
        and np.isnan([found.p, found.effect, found.effect_low, found.difference.low]).all()
    )
    assert n == 0 or found.difference.mean == pytest.approx(np.mean(A[:n]) - np.mean(B[:n]))


def test_huge_effects_have_no_interval_and_no_error():
    found = paired_test([0.1, 0.2, 0.30000001], [0.0, 0.1, 0.2])
    assert 0 < found.p < 1e-10 and math.isnan(found.effect_low)
    assert paired_test([0.1, 0.2, 0.301], [0.0, 0.1, 0.2]).effect_low > 10


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"one shape \(N,\), but got \(5,\) and \(3,\)"):
        paired_test(A, B[:3])


@pytest.mark.parametrize("effect", [0.0, 0.2, 0.5, -0.8, 1.5, 4.0])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_power_is_statsmodels(effect, n):
    reference = TTestPower().power(effect, n, 0.05, alternative="two-sided")
    assert power(effect, n) == pytest.approx(reference, abs=1e-9)


@pytest.mark.parametrize(
    ("effect", "cohen"), [(0.5, 34), (0.8, 15), (-0.8, 15), (3.0, 4), (0.29, 96)]
)
def test_seeds_needed_are_statsmodels(effect, cohen):
    reference = TTestPower().solve_power(
        abs(effect), power=0.8, alpha=0.05, alternative="two-sided"
    )
    assert seeds_needed(effect) == cohen == math.ceil(reference)


@pytest.mark.parametrize("tests", [1, 3, 15, 210])
@pytest.mark.parametrize("effect", [0.6, -1.2, 2.5])
def test_seeds_needed_are_statsmodels_at_holms_smallest_limit(effect, tests):
    """By one side of the test: statsmodels' other side is below 1e-5 here, and
    not-a-number where it is far below.
    """
    n, statsmodels = seeds_needed(effect, tests), TTestPower()
    at_n, before = (
        statsmodels.power(abs(effect), k, 0.05 / tests / 2, alternative="larger")
        for k in (n, n - 1)
    )
    assert before < 0.8 <= at_n


def test_seeds_needed_has_its_ends():
    assert (
        seeds_needed(0.0) is None and seeds_needed(1e-3) is None and seeds_needed(math.nan) is None
    )
    assert seeds_needed(math.inf) == seeds_needed(1e6) == 3  # which a test takes
    assert power(0.282, MOST) < 0.8 < power(0.283, MOST)
    assert (seeds_needed(0.282), seeds_needed(0.283), seeds_needed(0.283, 2)) == (None, 100, None)


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_seeds_that_were_not_enough_are_never_said_to_be_enough(n):
    """The effect that just misses significance, after each number of tests."""
    for tests in (1, 3, 6, 45, 210):
        effect = stats.t.ppf(1 - 0.05 / tests / 2, n - 1) / math.sqrt(n) * (1 - 1e-9)
        assert power(effect, n, 0.05 / tests) < 0.64
        needed = seeds_needed(effect, tests)
        assert needed is None or needed > n
    rng = np.random.default_rng(n)
    pairs = [
        pair for _ in range(60) for pair in compare_areas(simulated(rng, [0, 0.01, 0.02], seeds=n))
    ]
    untold = [pair for pair in pairs if pair.p >= 0.05]
    assert 30 < len(untold) < len(pairs) and all(
        pair.needed is None or pair.needed > n for pair in untold
    )
    assert all(f"takes {pair.many} seeds" in str(pair) for pair in untold)
    assert all(pair.needed is None for pair in pairs if pair.p < 0.05)


@pytest.mark.slow
def test_that_many_seeds_are_enough_after_holms_correction():
    """Three strategies alike and one that differs: each of its three pairs is found with
    80% at least.
    """
    rng, spread = (
        np.random.default_rng(11),
        0.02 * math.sqrt(2) * math.sqrt(0.25**2 + 0.5**2 + 0.25**2),
    )
    n = seeds_needed(0.03 / spread, tests=6)
    at_hand = [compare_areas(simulated(rng, [0.03, 0, 0, 0], seeds=n)) for _ in range(400)]
    for other in range(3):
        found = sum(pairs[other].p < 0.05 for pairs in at_hand)
        assert found >= stats.binom.ppf(0.0005, 400, 0.8), (n, found)
    alone = seeds_needed(0.03 / spread)
    few = [compare_areas(simulated(rng, [0.03, 0, 0, 0], seeds=alone)) for _ in range(400)]
    assert alone < n and sum(pairs[0].p < 0.05 for pairs in few) < stats.binom.ppf(0.0005, 400, 0.8)


@pytest.mark.parametrize(
    "ps",
    [
        [0.01, 0.04, 0.03],
        [0.04, 0.01, 0.01, 0.5],
        [0.9, 0.8],
        [0.05],
        np.random.default_rng(3).uniform(0, 0.2, 20),
    ],
)
def test_holm_is_statsmodels(ps):
    assert holm(list(ps)) == pytest.approx(multipletests(ps, method="holm")[1])


def test_holm_leaves_out_what_was_no_test():
    found = holm([0.02, math.nan, 0.01])
    assert found[::2] == pytest.approx([0.02, 0.02]) and math.isnan(found[1])
    assert holm([]) == []


def flat_legs(**areas: list[float]):
    return legs_of({leg: [[value] * 3 for value in values] for leg, values in areas.items()})


def test_areas_are_compared_on_the_seeds_that_both_have():
    legs = flat_legs(random=B, coreset=A)
    legs["coreset"] = (
        *legs["coreset"][1:],
        made("coreset", 9, [0.9] * 3),
        made("coreset", 8, [0.1, None, 0.1]),
    )
    (pair,) = compare_areas(legs)
    assert (pair.first, pair.second, pair.seeds) == ("random", "coreset", (1, 2, 3, 4))
    assert pair.test.p == pytest.approx(stats.ttest_rel(B[1:], A[1:]).pvalue)


def test_all_pairs_are_one_family():
    pairs = compare_areas(flat_legs(random=B, coreset=A, badge=[0.7, 0.71, 0.69, 0.72, 0.73]))
    assert [(p.first, p.second) for p in pairs] == [
        ("random", "coreset"),
        ("random", "badge"),
        ("coreset", "badge"),
    ]
    assert [p.p for p in pairs] == pytest.approx(
        multipletests([p.test.p for p in pairs], method="holm")[1]
    )


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ([], [], "a and b: no seed in common; no claim"),
        ([0.6], [0.5], r"a and b: one seed \(\+0.1\) cannot tell a difference from chance; no claim"),
        ([0.6, 0.7], [0.5, 0.61], r"a and b: 2 seeds \(mean \+0.095\) cannot tell a difference from chance; no claim$"),
        ([0.6, 0.7, 0.8], [0.6, 0.7, 0.8], "a and b: the same area in each of 3 seeds"),
        ([0.5, 0.75, 1], [0.25, 0.5, 0.75], r"a and b: \+0.25 in each of 3 seeds; no claim"),
        ([0.6, 0.7, 0.65], [0.5, 0.59, 0.56], r"a has a larger area than b: by 0.1 \[0.07516, 0.1248\], p = 0.0033 "
         "after Holm, 3 paired seeds, so preliminary$"),
        (A, [b - 0.02 for b in B], "a has a larger area than b: .* after Holm, 5 paired seeds$"),
        ([0.5, 0.59, 0.56], [0.6, 0.7, 0.65], r"b has a larger area than a: by 0.1 \[0.07516, 0.1248\]"),
        ([0.5, 0.6, 0.7], [0.49, 0.59, 0.72], r"no significant difference; .* 3 paired seeds, so preliminary. Detecting"),
        ([0.5, 0.6, 0.7], [0.51, 0.57, 0.67], r"no significant difference; a by 0.01667 \[-0.0407, 0.07404\], .* takes about "
         r"18 seeds \(80% power at .05, one test\); this is optimistic"),
        ([0.5, 0.6, 0.7], [0.6, 0.5, 0.69], "no significant difference; .* takes more than 100 seeds"),
    ],
)  # fmt: skip
def test_verdicts(a, b, told):
    (pair,) = compare_areas(flat_legs(a=a, b=b))
    assert re.search(told, str(pair)), str(pair)


def test_what_is_significant_alone_and_not_after_holm_is_said():
    same = {f"x{i}": list(np.random.default_rng(i).normal(0.6, 0.1, 5)) for i in range(6)}
    pairs = compare_areas(flat_legs(a=A, b=[b - 0.004 for b in B], **same))
    assert pairs[0].test.p < 0.05 < pairs[0].p
    assert "significant before the correction alone" in str(
        pairs[0]
    ) and "no significant difference" in str(pairs[0])


def test_penalties_by_badges_own_rule():
    rng = np.random.default_rng(5)
    scores = {
        leg: rng.normal(0.5 + up, 0.02, (5, 4))
        for leg, up in (("random", 0), ("badge", 0.03), ("x", 0.02))
    }
    found = penalties(legs_of({leg: s.tolist() for leg, s in scores.items()}))
    expected = np.full((3, 3), math.nan)
    for i, first in enumerate(scores):
        for j, second in enumerate(scores):
            differences = scores[first] - scores[second]  # (5 seeds, 4 sizes)
            if i != j:
                t = math.sqrt(5) * differences.mean(0) / differences.std(0, ddof=1)
                expected[i, j] = (t > 2.776).mean()  # the limit that the paper gives for 5 seeds
    assert np.array_equal(found.matrix, expected, equal_nan=True) and np.nansum(expected) > 0
    assert found.columns == pytest.approx(np.nanmean(expected, axis=0))


def test_penalties_of_equal_few_and_missing_seeds():
    one = penalties(flat_legs(a=[0.5], b=[0.6]))
    assert np.isnan(one.matrix).all() and np.isnan(one.columns).all()
    # two seeds bear no test
    assert np.isnan(penalties(flat_legs(a=[0.5, 0.6], b=[0.1, 0.2001])).matrix).all()
    same = penalties(flat_legs(a=[0.5, 0.6, 0.7], b=[0.5, 0.6, 0.7]))
    assert (same.matrix[0, 1], same.matrix[1, 0]) == (0, 0)
    legs = legs_of({
        "a": [[0.50, 0.60, None], [0.51, 0.62, 0.9], [0.49, 0.60, 0.9]],
        "b": [[0.40, 0.60, 0.1], [0.42, 0.60, 0.1], [0.38, 0.63, 0.2]],
    })  # fmt: skip
    # the first size; the last has two pairs alone
    assert penalties(legs).matrix[0, 1] == pytest.approx(1 / 3)
    assert penalties({}).matrix.shape == (0, 0)


def simulated(rng: np.random.Generator, ups: list[float], seeds: int = 5, sizes: int = 3) -> dict:
    """Legs whose seeds share what the initial set does (0.05) and have noise of their own
    (0.02 at each size).
    """
    shared = rng.normal(0.6, 0.05, (seeds, 1))
    return legs_of(
        {
            f"s{i}": (shared + up + rng.normal(0, 0.02, (seeds, sizes))).tolist()
            for i, up in enumerate(ups)
        }
    )


@pytest.mark.slow
def test_equal_strategies_are_told_apart_in_5_percent():
    rng = np.random.default_rng(2)
    pairs = [compare_areas(simulated(rng, [0, 0]))[0] for _ in range(1000)]
    assert within(sum(pair.p < 0.05 for pair in pairs), 1000, 0.05)


@pytest.mark.slow
def test_a_planted_difference_is_found_at_the_computed_power():
    rng = np.random.default_rng(7)
    # of the difference of two areas, 3 sizes
    spread = 0.02 * math.sqrt(2) * math.sqrt(0.25**2 + 0.5**2 + 0.25**2)
    expected = power(0.025 / spread, 5)
    found = sum(compare_areas(simulated(rng, [0.025, 0]))[0].p < 0.05 for _ in range(1000))
    assert 0.5 < expected < 0.8 and within(found, 1000, expected)
    n = seeds_needed(0.025 / spread)
    enough = sum(compare_areas(simulated(rng, [0.025, 0], seeds=n))[0].p < 0.05 for _ in range(500))
    assert within(enough, 500, power(0.025 / spread, n)) and power(0.025 / spread, n - 1) < 0.8


@pytest.mark.slow
def test_holm_keeps_the_family_at_5_percent_and_single_tests_do_not():
    rng = np.random.default_rng(4)
    families = [compare_areas(simulated(rng, [0, 0, 0, 0])) for _ in range(500)]
    limit = stats.binom.ppf(0.9995, 500, 0.05)
    assert sum(any(pair.p < 0.05 for pair in family) for family in families) <= limit
    assert sum(any(pair.test.p < 0.05 for pair in family) for family in families) > 2 * limit
