"""Curves, areas and savings against scipy's and statsmodels' intervals, sklearn's area, and computations by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import auc
from statsmodels.stats.weightstats import DescrStatsW

from tests.comparekit import made
from tools.compare.curves import GRID, Curve, areas, curve, estimate, finals, labels_needed, points, saving


@pytest.mark.parametrize("values", [[0.1, 0.4], [0.7, 0.71, 0.65, 0.72, 0.7], np.linspace(-3, 9, 30)])
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


def test_one_value_has_no_interval_and_none_has_no_mean():
    one = estimate([0.3, math.nan])
    assert (one.mean, one.n) == (0.3, 1) and np.isnan([one.std, one.low, one.high]).all()
    none = estimate([math.nan])
    assert none.n == 0 and math.isnan(none.mean)
    same = estimate([0.5, 0.5])
    assert (same.low, same.high, same.std) == (0.5, 0.5, 0.0)


def test_a_curve_is_the_estimate_at_each_size():
    runs = [made("random", 0, [0.1, 0.5, 0.6]), made("random", 1, [0.3, None, 0.8]), made("random", 2, [0.2, 0.3])]
    found = curve(runs)
    assert found.x.tolist() == [10, 15, 20] and not found.interpolated
    assert found.estimates == (estimate([0.1, 0.3, 0.2]), estimate([0.5, 0.3]), estimate([0.6, 0.8]))
    assert found.mean.tolist() == pytest.approx([0.2, 0.4, 0.7])
    assert [e.n for e in found.estimates] == [3, 2, 2]


def test_one_seed_is_its_own_curve_along_every_axis():
    run = made("random", 0, [0.1, 0.5, 0.6], effort=[7, 19, 40], seconds__train=[1, 2, 3])
    for axis, x in (("labeled", [10, 15, 20]), ("effort", [7, 19, 40]), ("seconds", [1, 3, 6])):
        found = curve([run], axis)
        assert (found.x.tolist(), found.mean.tolist(), found.interpolated) == (x, [0.1, 0.5, 0.6], False)
        assert all(math.isnan(e.low) and e.n == 1 for e in found.estimates)


def test_seconds_are_those_before_the_value_was_known():
    run = made("x", 0, [0.1, 0.2, 0.3], seconds__train=[10, 20, 30], seconds__evaluate=[1, 1, 2],
               seconds__committee=[100, 100, None], seconds__score=[5, 6, 0], seconds__ranking=[9, 9, 9])  # fmt: skip
    assert points(run, "seconds")[0].tolist() == [11, 10 + 1 + 100 + 5 + 21, 116 + 20 + 1 + 100 + 6 + 32]
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
    assert found.mean[0] == pytest.approx((0.1 + 0.2) / 2)  # by hand: a is at 2/10 of its first step
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
    runs = [made("random", 4, [0.1, 0.5, 0.6]), made("random", 7, [1.0, 1.0, 1.0]), made("random", 8, [0.0, 0.0, 0.0])]
    assert areas(runs) == {4: pytest.approx(auc([10, 15, 20], [0.1, 0.5, 0.6]) / 10), 7: 1.0, 8: 0.0}
    assert finals(runs) == {4: 0.6, 7: 1.0, 8: 0.0}
    assert math.isnan(areas([made("random", 0, [0.1, None, 0.6])])[0]) and math.isnan(areas([made("x", 0, [])])[0])
    assert math.isnan(finals([made("random", 0, [0.1, None])])[0]) and math.isnan(finals([made("x", 0, [])])[0])


def along(*means: float) -> Curve:
    return Curve("labeled", np.arange(10.0, 10 + 10 * len(means), 10), tuple(estimate([m]) for m in means), False)


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
    reference = [made("random", 0, [0.1, 0.3, 0.5]), made("random", 1, [0.1, 0.3, 0.7])]  # 0.6 in the end
    found = saving([made("x", 0, [0.2, 0.8, 0.9])], reference)
    assert (found.needed, found.labels, found.target) == (pytest.approx(10 + 5 * 4 / 6), 20, pytest.approx(0.6))
    assert found.share == pytest.approx(1 - (10 + 10 / 3) / 20)
    assert str(found) == "reaches the final 0.6 at 20 labels with 13: saves 33% of labels"
    never = saving([made("x", 0, [0.2, 0.3, 0.4])], reference)
    assert (never.needed, never.share, str(never)) == (None, None, "does not reach the final 0.6 at 20 labels")
    start = saving([made("x", 0, [0.7, 0.8, 0.9])], reference)
    assert start.at_start and start.needed == 10 and "before anything was chosen" in str(start)
    assert saving(reference, reference).share == 0


def test_no_saving_without_a_reference():
    run = made("x", 0, [0.2, 0.8])
    assert saving([run], []) is None and saving([], [run]) is None
    assert saving([run], [made("random", 0, [0.1, None])]) is None
