"""Shares of the variance: against statsmodels, simulations with known shares, and by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from tests.comparekit import made
from tools.compare.shares import TOGETHER, _crossed, _parts, triple, variation, variations


def simulated(stds, shape, rng, apart: float = 0.0):
    """Values by seeds: effects of set, model and query, and of each combination."""
    effects = [std * rng.standard_normal(n) for std, n in zip(stds, shape, strict=True)]
    cells = itertools.product(*map(range, shape))
    return {
        cell: sum(e[i] for e, i in zip(effects, cell, strict=True)) + apart * rng.standard_normal()
        for cell in cells
    }


def test_mean_squares_are_those_of_statsmodels():
    values = simulated((2, 1, 0.5), (4, 3, 5), np.random.default_rng(0), 0.3)
    frame = pd.DataFrame([(*cell, value) for cell, value in values.items()], columns=[*"abcy"])
    table = anova_lm(ols("y ~ (C(a) + C(b) + C(c)) ** 2", frame).fit())
    levels = [[(i,) for i in range(n)] for n in (4, 3, 5)]
    squares = _crossed(values, [(0,), (1,), (2,)], levels)
    assert squares is not None and len(squares) == 7
    for square in squares:
        name = ":".join(f"C({'abc'[i]})" for i in sorted(square.term))
        row = table.loc["Residual" if len(square.term) == 3 else name]
        assert (square.mean, square.freedom) == pytest.approx((row["mean_sq"], row["df"]))


def test_two_parts_by_hand():
    """Rows (sets) differ by 2 and columns (models) by 1, and nothing else."""
    values = {(s, m, 0): 2.0 * s + m for s in range(2) for m in range(2)}
    found = variation("a", values)
    assert found is not None and (found.design, found.runs, found.fixed) == (
        "crossed",
        4,
        ("query",),
    )
    # mean squares 4, 1 and 0, each mean of two values: variances 2 and 1 / 2
    assert [s.part for s in found.shares] == ["set", "model", TOGETHER]
    np.testing.assert_allclose([s.variance for s in found.shares], [2, 0.5, 0])
    np.testing.assert_allclose([s.share for s in found.shares], [0.8, 0.2, 0])


def test_known_shares_are_found():
    values = simulated((2, 1, 0.5), (25, 25, 25), np.random.default_rng(1), 0.5)
    found = variation("a", values)
    assert found is not None
    known = np.array([4, 1, 0.25, 0.25]) / 5.5
    for share, expected in zip(found.shares, known, strict=True):
        assert share.low < expected < share.high, share
    assert found.shares[3].variance == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize("stds", [(1.0, 1.0), (1.0, 0.3)])
def test_intervals_hold_the_known_share_about_as_often_as_they_say(stds):
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(150):
        values = simulated((*stds, 0), (6, 6, 1), rng, 0.5)
        found = variation("a", values)
        known = stds[0] ** 2 / (stds[0] ** 2 + stds[1] ** 2 + 0.25)
        held += found.shares[0].low <= known <= found.shares[0].high
    # 95% of 150 less two and a half standard errors
    assert held / 150 > 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / 150)


def test_one_part_at_a_time():
    """By hand: sets 1, 3, models 1, 2, 3, queries 1, 1; the first run is of all three groups."""
    values = {(0, 0, 0): 1.0, (1, 0, 0): 3.0, (0, 1, 0): 2.0, (0, 2, 0): 3.0, (0, 0, 1): 1.0}
    found = variation("a", values)
    assert found is not None and (found.design, found.fixed) == ("one at a time", ())
    assert [(s.part, s.freedom) for s in found.shares] == [("set", 1), ("model", 2), ("query", 1)]
    np.testing.assert_allclose([s.variance for s in found.shares], [2, 1, 0])
    np.testing.assert_allclose([s.share for s in found.shares], [2 / 3, 1 / 3, 0])
    # the interval of a variance with 2 degrees of freedom: 2 / chi-square
    ends = np.sqrt(2 / stats.chi2.ppf([0.975, 0.025], 2))
    assert (found.shares[1].std_low, found.shares[1].std_high) == pytest.approx(ends, rel=0.1)


def test_a_missing_run_leaves_one_part_at_a_time():
    values = simulated((1, 1, 0), (3, 3, 1), np.random.default_rng(0))
    del values[2, 2, 0]
    found = variation("a", values)
    assert found is not None and (found.design, found.runs) == ("one at a time", 8)


def test_parts_that_differ_but_never_alone_are_named():
    values = {(0, 0, 0): 1.0, (1, 0, 0): 2.0, (2, 0, 0): 4.0, (5, 1, 1): 3.0, (6, 1, 2): 2.0}
    found = variation("random", values)
    assert found is not None and found.never_alone == ("model", "query")
    # by hand: 1, 2 and 4 around 7 / 3
    assert found.shares[0].std == pytest.approx(math.sqrt(14 / 3 / 2))
    assert str(found).endswith("; no two runs differ in model or in query alone")


def test_parts_that_change_together_have_one_share():
    assert _parts([(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)]) == [(0, 2), (1,)]
    values = {(s, m, s): 3.0 * s + m for s in range(3) for m in range(2)}
    found = variation("a", values)
    assert found is not None
    assert [s.part for s in found.shares] == ["set and query", "model", TOGETHER]


def test_what_cannot_be_told_apart():
    assert variation("a", {(s, s, s): float(s) for s in range(5)}) is None
    assert variation("a", {(0, 0, 0): 1.0}) is None and variation("a", {}) is None
    # any two differ in two parts
    assert variation("a", {(0, 0, 0): 1.0, (1, 1, 0): 2.0, (2, 0, 1): 2.0, (1, 2, 2): 0.0}) is None
    found = variation("a", {(0, m, 0): float(m) for m in range(3)})
    assert found is not None and (found.design, found.fixed) == ("one part", ("set", "query"))
    assert math.isnan(found.shares[0].low) and found.shares[0].std == 1


def test_equal_values_have_no_share():
    found = variation("a", {(s, m, 0): 0.5 for s in range(2) for m in range(2)})
    assert found is not None and all(math.isnan(s.share) for s in found.shares)


def test_all_at_once_is_over_runs_that_share_nothing():
    values = {(s, s, s): float(s) for s in range(4)} | {(0, m, 0): 0.0 for m in range(1, 4)}
    found = variation("a", values)
    assert found is not None and found.all_at_once == pytest.approx(np.std(range(4), ddof=1))


def seeded(leg: str, seed: int, value: float, **seeds: int):
    run = made(leg, seed, [value, value])
    return replace(run, settings={f"seeds.{part}": own for part, own in seeds.items()})


def test_runs_have_the_seeds_of_their_parts_and_differences_are_paired_by_all_three():
    assert triple(seeded("random", 3, 0.1, model=7, query=0)) == (3, 7, 0)
    legs = {
        leg: [seeded(leg, s, s + m * shift, model=m) for s in range(3) for m in range(2)]
        for leg, shift in (("random", 1.0), ("a", 1.0), ("b", 2.0))
    }
    found = {one.name: one for one in variations(legs)}
    assert list(found) == ["random", "a", "b", "a − random", "b − random"]
    assert found["a"].shares[0].part == "set and query" and found["a"].shares[0].variance == 1
    assert found["a − random"].shares[0].variance == 0  # the same set in both
    assert found["b − random"].shares[1].share == 1
