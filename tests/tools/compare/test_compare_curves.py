"""Curves, areas and savings against scipy's and statsmodels' intervals, sklearn's area,
and computations by hand.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import auc
from statsmodels.stats.weightstats import DescrStatsW

from tests.comparekit import made
from tools.compare.curves import GRID, Curve, areas, curve, estimate, finals, metric_ends, points
from tools.compare.saving import labels_needed, median_interval, saving
from tools.compare.statistics import compare_areas, paired_test


@pytest.mark.parametrize(
    "values", [[0.1, 0.4], [0.7, 0.71, 0.65, 0.72, 0.7], np.linspace(-3, 9, 30)]
)
def test_the_interval_is_scipys_and_statsmodels(values):
    found = estimate(values)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert (found.low, found.high) == pytest.approx(DescrStatsW(values).tconfint_mean(0.05))
    assert (found.std, found.n) == (pytest.approx(np.std(values, ddof=1)), len(values))


def test_the_interval_holds_the_truth_in_95_percent():
    rng = np.random.default_rng(0)
    found = [estimate(rng.normal(0.7, 0.02, 5)) for _ in range(1000)]
    inside = sum(e.low <= 0.7 <= e.high for e in found)
    low, high = stats.binom.interval(0.999, 1000, 0.95)
    assert low <= inside <= high


def test_an_interval_is_cut_at_the_ends_of_what_can_be_and_holds_the_truth_as_often():
    found = estimate([0.97, 0.99, 0.9], (0, 1))
    assert found.high == 1 and found.low == estimate([0.97, 0.99, 0.9]).low
    assert estimate([0, 1, 5], (0, math.inf)).low == 0 < estimate([0, 1, 5], (0, math.inf)).high
    rng = np.random.default_rng(3)
    drawn = [rng.binomial(40, 0.96, 5) / 40 for _ in range(1000)]
    cut, whole = ([estimate(values, *ends) for values in drawn] for ends in (((0, 1),), ()))
    assert sum(e.high == 1 < w.high for e, w in zip(cut, whole, strict=True)) > 100
    held = [sum(e.low <= 0.96 <= e.high for e in found) for found in (cut, whole)]
    assert held[0] == held[1] > 850


def accuracies(leg: str, *seeds: list[float]) -> list:
    runs = [made(leg, s, values) for s, values in enumerate(seeds)]
    rows = [tuple({**row, "accuracy": row["score"]} for row in run.rows) for run in runs]
    return [replace(run, metric="accuracy", rows=own) for run, own in zip(runs, rows, strict=True)]


def test_the_intervals_of_a_share_keep_to_its_bounds():
    legs = {"random": accuracies("random", [0.9, 0.99], [0.5, 0.8], [0.99, 1.0]),
            "x": accuracies("x", [0.0, 0.1], [0.01, 0.4], [0.0, 0.01])}  # fmt: skip
    ends = metric_ends(run for runs in legs.values() for run in runs)
    assert ends == (0, 1)
    (pair,) = compare_areas(legs)
    wide = paired_test([0.945, 0.65, 0.995], [0.05, 0.205, 0.005]).difference
    found = pair.test.difference
    assert wide.high > 1 == found.high
    assert (found.mean, found.low) == pytest.approx((wide.mean, wide.low))
    for runs in legs.values():
        assert all(0 <= e.low <= e.high <= 1 for e in curve(runs, ends=ends).estimates)
    assert curve(legs["x"]).estimates[1].low < 0


def test_one_value_has_no_interval_and_none_has_no_mean():
    one = estimate([0.3, math.nan])
    assert (one.mean, one.n) == (0.3, 1) and np.isnan([one.std, one.low, one.high]).all()
    none = estimate([math.nan])
    assert none.n == 0 and math.isnan(none.mean)
    same = estimate([0.5, 0.5])
    assert (same.low, same.high, same.std) == (0.5, 0.5, 0.0)


def test_a_curve_is_the_estimate_at_each_size():
    runs = [
        made("random", 0, [0.1, 0.5, 0.6]),
        made("random", 1, [0.3, None, 0.8]),
        made("random", 2, [0.2, 0.3]),
    ]
    found = curve(runs)
    assert found.x.tolist() == [10, 15, 20] and not found.interpolated
    assert found.estimates == (
        estimate([0.1, 0.3, 0.2]),
        estimate([0.5, 0.3]),
        estimate([0.6, 0.8]),
    )
    assert found.mean.tolist() == pytest.approx([0.2, 0.4, 0.7])
    assert [e.n for e in found.estimates] == [3, 2, 2]


def test_one_seed_is_its_own_curve_along_every_axis():
    run = made("random", 0, [0.1, 0.5, 0.6], effort=[7, 19, 40], seconds__train=[1, 2, 3])
    for axis, x in (("labeled", [10, 15, 20]), ("effort", [7, 19, 40]), ("seconds", [1, 3, 6])):
        found = curve([run], axis)
        assert (found.x.tolist(), found.mean.tolist(), found.interpolated) == (
            x,
            [0.1, 0.5, 0.6],
            False,
        )
        assert all(math.isnan(e.low) and e.n == 1 for e in found.estimates)


def test_seconds_are_those_before_the_value_was_known():
    run = made(
        "x",
        0,
        [0.1, 0.2, 0.3],
        seconds__train=[10, 20, 30],
        seconds__evaluate=[1, 1, 2],
        seconds__committee=[100, 100, None],
        seconds__score=[5, 6, 0],
        seconds__ranking=[9, 9, 9],
    )
    assert points(run, "seconds")[0].tolist() == [
        11,
        10 + 1 + 100 + 5 + 21,
        116 + 20 + 1 + 100 + 6 + 32,
    ]
    shared = made("x", 0, [0.1, 0.2], seconds__train=[0.5, 20], seconds__spared=[9.5, None])
    assert points(shared, "seconds")[0].tolist() == [10, 30]  # as the run that trained it
    gap = made("x", 0, [0.1, 0.2, 0.3], seconds__train=[10, None, 30])
    assert points(gap, "seconds")[0].tolist() == [10]  # later sums are unknown, too
    assert points(made("x", 0, [0.1]), "seconds")[0].tolist() == []


def test_differing_efforts_are_interpolated_over_what_all_seeds_cover():
    a = made("random", 0, [0.0, 0.5, 0.6], effort=[10, 20, 40])
    b = made("random", 1, [0.2, 0.4, 0.9], effort=[12, 22, 32])
    found = curve([a, b], "effort")
    assert found.interpolated and len(found.x) == GRID and (found.x[0], found.x[-1]) == (12, 32)
    # by hand: a is at 2/10 of its first step
    assert found.mean[0] == pytest.approx((0.1 + 0.2) / 2)
    assert found.mean[-1] == pytest.approx((0.5 + 0.1 * 12 / 20 + 0.9) / 2)
    inner = np.interp(found.x, [10, 20, 40], [0.0, 0.5, 0.6])
    other = np.interp(found.x, [12, 22, 32], [0.2, 0.4, 0.9])
    assert found.estimates[20] == estimate([inner[20], other[20]])


def test_seeds_without_a_common_range_make_an_empty_curve():
    a = made("random", 0, [0.0, 0.5], effort=[10, 20])
    b = made("random", 1, [0.2, 0.4], effort=[30, 40])
    assert curve([a, b], "effort").estimates == ()
    assert curve([made("random", 0, [None, None])]).estimates == curve([]).estimates == ()


def test_areas_are_sklearns_in_the_unit_interval():
    runs = [
        made("random", 4, [0.1, 0.5, 0.6]),
        made("random", 7, [1.0, 1.0, 1.0]),
        made("random", 8, [0.0, 0.0, 0.0]),
    ]
    assert areas(runs) == {
        4: pytest.approx(auc([10, 15, 20], [0.1, 0.5, 0.6]) / 10),
        7: 1.0,
        8: 0.0,
    }
    assert finals(runs) == {4: 0.6, 7: 1.0, 8: 0.0}
    assert math.isnan(areas([made("random", 0, [0.1, None, 0.6])])[0]) and math.isnan(
        areas([made("x", 0, [])])[0]
    )
    assert math.isnan(finals([made("random", 0, [0.1, None])])[0]) and math.isnan(
        finals([made("x", 0, [])])[0]
    )


def along(*means: float) -> Curve:
    return Curve(
        "labeled",
        np.arange(10.0, 10 + 10 * len(means), 10),
        tuple(estimate([m]) for m in means),
        False,
    )


@pytest.mark.parametrize(
    ("means", "target", "needed"),
    [
        ((0.2, 0.4, 0.8), 0.6, 25.0),
        ((0.2, 0.4, 0.8), 0.4, 20.0),
        ((0.2, 0.4, 0.8), 0.9, None),
        ((0.2, 0.4, 0.8), 0.1, 10.0),
        ((0.2, 0.6, 0.3, 0.9), 0.5, 17.5),  # the first crossing counts
        ((0.2, math.nan, 0.6), 0.3, 15.0),
        ((0.5, 0.5), 0.5, 10.0),
        ((math.nan,), 0.5, None),
    ],
)
def test_labels_needed_by_hand(means, target, needed):
    found = labels_needed(along(*means), target)
    assert found is None if needed is None else found == pytest.approx(needed)


def test_a_saving_is_of_the_references_final_labels():
    # 0.6 in the end
    reference = [made("random", 0, [0.1, 0.3, 0.5]), made("random", 1, [0.1, 0.3, 0.7])]
    found = saving([made("x", 0, [0.2, 0.8, 0.9])], reference)
    assert (found.needed, found.labels, found.target) == (
        pytest.approx(10 + 5 * 4 / 6),
        20,
        pytest.approx(0.6),
    )
    assert found.share == pytest.approx(1 - (10 + 10 / 3) / 20)
    assert (
        str(found)
        == "reaches the final 0.6 at 20 labels with 13: saves 33% of labels (no claim: 1 paired seed)"
    )
    never = saving([made("x", 0, [0.2, 0.3, 0.4])], reference)
    told = "does not reach the final 0.6 at 20 labels (no claim: 1 paired seed)"
    assert (never.needed, never.share, str(never)) == (None, None, told)
    start = saving([made("x", 0, [0.7, 0.8, 0.9])], reference)
    assert start.at_start and start.needed == 10 and "before anything was chosen" in str(start)
    assert saving(reference, reference).share == 0


def test_seeds_that_never_get_there_count_in_the_medians_interval():
    ends = [0.5, 0.6, 0.7, 0.4, 0.5, 0.6]
    reference = [made("random", s, [0.1, 0.3, end]) for s, end in enumerate(ends)]
    tops = [0.9, 0.9, 0.6, 0.5, 0.6, 0.8]  # seed 2 stays below its 0.7
    runs = [made("x", s, [0.1, 0.3, top]) for s, top in enumerate(tops)]
    found = saving(runs, reference)
    by_hand = [15 + 5 * (end - 0.3) / (top - 0.3) for end, top in zip(ends, tops, strict=True)]
    assert found.by_seed == {
        s: None if s == 2 else pytest.approx(need) for s, need in enumerate(by_hand)
    }
    # six: the whole range
    assert (found.low, found.high) == (pytest.approx(min(by_hand[:2] + by_hand[3:])), math.inf)
    assert (
        "seed by seed with 17 to 18, and never in 1 of 6 seeds; 95% interval of the median 17 to "
        "never" in str(found)
    )
    few = saving(runs[1:], reference)
    assert (
        list(few.by_seed) == [1, 2, 3, 4, 5] and math.isnan(few.low) and "interval" not in str(few)
    )
    assert "claim" not in str(few) and "preliminary" not in str(few)
    assert str(saving(runs[:3], reference)).endswith(
        "in 1 of 3 seeds (preliminary: 3 paired seeds)"
    )
    none = saving([made("x", 9, [0.1, 0.3, 0.9])], reference)
    assert str(none).endswith("of labels (no claim: 0 paired seeds)")  # no seed in common


def test_a_seed_without_a_score_has_no_saving_of_its_own():
    reference = [made("random", s, [0.1, 0.5]) for s in range(3)] + [made("random", 3, [0.1, None])]
    runs = [
        made("x", 0, [0.1, 0.9]),
        made("x", 1, [None, 0.9]),
        made("x", 2, [0.1, 0.2]),
        made("x", 3, [0.1, 0.9]),
    ]
    assert saving(runs, reference).by_seed == {0: pytest.approx(12.5), 2: None}


def test_a_curve_that_falls_again_is_said_to_end_below():
    reference = [made("random", 0, [0.1, 0.3, 0.6])]
    falls = saving([made("x", 0, [0.2, 0.8, 0.5])], reference)
    assert falls.ends_worse and "saves 33% of labels, but ends below it (" in str(falls)
    assert not saving([made("x", 0, [0.2, 0.8, 0.6])], reference).ends_worse


@pytest.mark.parametrize("n", [2, 5, 6, 7, 9, 20, 33])
def test_the_medians_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(size=n).tolist()
    found = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert median_interval(values) == pytest.approx(tuple(found), nan_ok=True)
    assert math.isnan(median_interval(values)[0]) == (n < 6)
    assert all(map(math.isnan, median_interval([])))


def test_no_saving_without_a_reference():
    run = made("x", 0, [0.2, 0.8])
    assert saving([run], []) is None and saving([], [run]) is None
    assert saving([run], [made("random", 0, [0.1, None])]) is None
