"""Looks at a comparison: limits as published, a level that is kept, power, and hopeless ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tools.compare import sequential
from tools.compare.sequential import (
    FARTHEST,
    MOST,
    levels,
    limits,
    looked,
    schedule,
    simulated,
    spent,
)
from tools.compare.statistics import paired_test, power

TWENTY = schedule(3, 20)


def test_limits_are_the_published_ones():
    """Lan-DeMets limits of O'Brien-Fleming's type for five even looks, two-sided .05 (Reboussin
    et al. 2000, and gsDesign's sfLDOF).
    """
    assert limits((1, 2, 3, 4, 5), 5) == pytest.approx(
        (4.8769, 3.3569, 2.6803, 2.2898, 2.0310), abs=2e-4
    )
    assert limits((7,), 7) == pytest.approx((stats.norm.isf(0.025),), abs=1e-6), "one look"


def test_the_level_is_spent_as_by_the_joint_distribution():
    """Of three uneven looks scipy integrates the normal distribution of their z, independently."""
    looks, most = (4, 5, 9), 12
    ends = np.array(limits(looks, most))
    n = np.array(looks, dtype=float)
    together = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    inside = stats.multivariate_normal.cdf(
        ends, cov=together, lower_limit=-ends, abseps=1e-7, releps=1e-7
    )
    assert 1 - inside == pytest.approx(spent(9 / 12), abs=2e-6)
    assert spent(1) == pytest.approx(0.05, abs=1e-12) and spent(0.5) < 0.006


@pytest.mark.parametrize("most", [5, 20])
def test_the_level_is_kept_over_all_looks(most):
    """In 1,000 comparisons without a difference at most what a level of .05 gives by chance, and
    not much less, with the futility ignored: it is not binding.
    """
    found = simulated(0, schedule(3, most), most, seed=1, futility=False)
    low, high = stats.binom.ppf([0.001, 0.999], 1000, 0.05) / 1000
    assert low <= found.decided <= high
    many = simulated(0, schedule(3, most), most, count=20_000, seed=2, futility=False)
    assert many.decided <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 20_000)


def test_a_test_at_each_look_that_does_not_spend_would_not_keep_it():
    rng = np.random.default_rng(1)
    draws = rng.standard_normal((1000, 20))
    least = np.min([stats.ttest_1samp(draws[:, :n], 0, axis=1).pvalue for n in TWENTY], axis=0)
    assert (least < 0.05).mean() > 0.2


@pytest.mark.parametrize("effect", [0.5, 0.8, 1.0])
def test_power_is_nearly_that_of_all_seeds_with_fewer_of_them(effect):
    found = simulated(effect, TWENTY, 20, seed=3)
    fixed = power(effect, 20)
    noise = 3 * math.sqrt(fixed * (1 - fixed) / 1000)
    assert fixed - 0.06 - noise < found.decided < fixed + noise
    assert found.pairs < 17 and found.wrong < 0.01


def test_hopeless_comparisons_end_early():
    found = simulated(0, TWENTY, 20, seed=4)
    assert found.hopeless > 0.85 and found.pairs < 15
    assert found.hopeless + found.decided < 1.0 + 1e-12
    assert simulated(1.0, TWENTY, 20, seed=4).hopeless < 0.03


def test_a_look_is_the_paired_t_test_against_the_limit_of_that_look():
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.9, 1, 20), rng.normal(0, 1, 20)
    found = looked(first - second, TWENTY, 20)
    for look, n in zip(found, TWENTY, strict=False):
        test = paired_test(first[:n], second[:n])
        assert (look.pairs, look.p) == (n, pytest.approx(test.p, rel=1e-9))
        assert look.mean == pytest.approx(test.difference.mean)
        assert (look.verdict == "decided") == (test.p <= look.limit)
    assert [look.limit for look in found] == list(levels(TWENTY, 20))[: len(found)]
    assert found[-1].verdict and not any(look.verdict for look in found[:-1])
    assert looked((first - second)[: found[-1].pairs - 1], TWENTY, 20) == found[:-1], "no hindsight"


def test_the_chance_is_that_of_the_seeds_to_come():
    """Predictive power by simulation: effects that the data leave open, then the rest of the z."""
    share, z, last = 0.4, 1.7, 2.1
    rng = np.random.default_rng(6)
    drift = rng.normal(z / math.sqrt(share), 1 / math.sqrt(share), 400_000)
    end = z * math.sqrt(share) + drift * (1 - share)
    end += rng.normal(0, math.sqrt(1 - share), len(drift))
    found = sequential._chance(np.array(z), np.array(share), last)
    assert float(found) == pytest.approx(np.mean(np.abs(end) > last), abs=0.003)


def test_equal_areas_are_hopeless_and_alike_differences_no_claim():
    assert [look.verdict for look in looked([0.0] * 20, TWENTY, 20)][-1] == "hopeless"
    alike = looked([0.1] * 5, schedule(3, 5), 5)
    assert all(math.isnan(look.p) for look in alike) and alike[-1].verdict == "undecided"


@pytest.mark.parametrize("looks", [(3, MOST), schedule(3, MOST, 40)])
def test_looks_whose_level_is_too_small_for_a_number_do_not_decide(looks):
    """Three of 200 pairs may spend 4 (1 - Phi(2.24 / sqrt(3 / 200))), some 1e-74."""
    first, *rest = limits(looks, MOST)
    assert first == pytest.approx(FARTHEST) and rest == sorted(rest, reverse=True)
    if len(looks) == 2:
        assert rest[0] == pytest.approx(stats.norm.isf(0.025), abs=1e-6), "nothing was spent"


def test_looks_begin_with_three_pairs_and_end_with_all():
    assert schedule(1, 4) == (3, 4) and schedule(5, 5) == (5,) and schedule(4, 10, 4) == (4, 8, 10)
