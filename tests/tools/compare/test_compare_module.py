"""The module's ranking against chance, also in one seed whose pairs are no independent trials.

And a gain's parts.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from acquisition.ranking import ordered_pairs
from tests.comparekit import legs_of, made
from tools.compare.curves import estimate
from tools.compare.module import attribution, ranking_health


def ranked(*seeds: list[float | None], n: int = 200):
    return [made("learning_loss", s, [0.5] * len(pairs), ranking__control__pairs=pairs,
                 ranking__control__n=[n] * len(pairs)) for s, pairs in enumerate(seeds)]  # fmt: skip


def test_over_seeds_it_is_scipys_test_against_chance():
    first, second = ranking_health(ranked([0.61, 0.52], [0.58, 0.49], [0.66, 0.50]))
    assert (first.labeled, second.labeled, first.samples) == (10, 15, 200)
    for found, values in ((first, [0.61, 0.58, 0.66]), (second, [0.52, 0.49, 0.50])):
        assert found.pairs == estimate(values) and found.p == pytest.approx(
            stats.ttest_1samp(values, 0.5).pvalue
        )
    assert str(first).startswith("ranks better than chance: 0.617 of the pairs in order [0.51")
    assert "(3 seeds, preliminary)" in str(first)
    assert str(second).startswith("does not rank significantly better than chance: 0.503")
    (worse,) = ranking_health(ranked([0.3], [0.31], [0.32]))
    assert str(worse).startswith("ranks WORSE than chance")


def test_spearmans_correlation_comes_along_where_rows_have_it():
    told = {"ranking__control__pairs": [0.6, 0.7], "ranking__control__n": [200, 200]}
    rows = [[0.3, None], [0.5, None], [None, None]]
    runs = [
        made("learning_loss", s, [0.5] * 2, **told, ranking__control__spearman=row)
        for s, row in enumerate(rows)
    ]
    first, second = ranking_health(runs)
    assert first.spearman == estimate([0.3, 0.5], (-1, 1)) and first.pairs.n == 3
    assert ", Spearman's correlation 0.400 (3 seeds, preliminary)" in str(first)
    assert (first.spearman.low, first.spearman.high) == (
        pytest.approx(0.4 - 12.7062 * 0.1, abs=1e-4),
        1,
    )
    assert second.spearman.n == 0 and "Spearman" not in str(second)


def test_a_share_without_its_number_of_samples_is_no_measure():
    assert ranking_health([made("learning_loss", 0, [0.5], ranking__control__pairs=[0.6])]) == []


def test_seeds_and_cycles_without_a_measure_are_left_out():
    found = ranking_health(
        [*ranked([0.6, None], [0.7, None]), made("learning_loss", 2, [0.5, 0.5])]
    )
    assert [(health.labeled, health.pairs.n) for health in found] == [(10, 2)]
    assert ranking_health([made("random", 0, [0.5])]) == ranking_health([]) == []


def test_equal_seeds_divide_by_nothing():
    chance, same = ranking_health(ranked(*[[0.5, 0.75]] * 3))
    assert chance.p == 1 and math.isnan(same.p) and str(same).endswith("no test")


def test_one_seed_by_hand():
    (found,) = ranking_health(ranked([0.6], n=200))  # 100 independent pairs: standard error 0.05
    assert (found.pairs.low, found.pairs.high) == pytest.approx(
        (0.6 - 1.959964 * 0.05, 0.6 + 1.959964 * 0.05)
    )
    assert found.p == pytest.approx(2 * stats.norm.sf(2)) and found.p < 0.05
    assert "one seed, 200 samples" in str(found) and str(found).startswith("ranks better")
    (few,) = ranking_health(ranked([0.9], n=4))
    assert few.pairs.high == 1 and str(few).startswith("does not rank significantly")


def test_two_seeds_by_hand_claim_nothing_about_trainings():
    # each as good as 100 pairs: 0.05 / sqrt(2) of the mean
    (found,) = ranking_health(ranked([0.6], [0.52], n=200))
    half = 1.959964 * 0.05 / math.sqrt(2)
    assert (found.pairs.low, found.pairs.high) == pytest.approx((0.56 - half, 0.56 + half))
    assert (
        found.p == pytest.approx(2 * stats.norm.sf(0.06 / (0.05 / math.sqrt(2)))) and found.p > 0.05
    )
    (sure,) = ranking_health(ranked([0.6], [0.66], n=200))
    assert str(sure).startswith("ranks better than chance: 0.630 of the pairs in order")
    assert "(2 seeds, 200 samples: these 2 modules, not their training)" in str(sure)


def test_a_share_of_pairs_keeps_to_its_bounds():
    (found,) = ranking_health(ranked([0.9], [0.99], [0.8]))
    assert found.pairs.high == 1.0 and found.pairs.low == estimate([0.9, 0.99, 0.8]).low < 0.9


def shares(rho: float, n: int, trials: int, seed: int) -> list[float]:
    rng, found = np.random.default_rng(seed), []
    for _ in range(trials):
        true, noise = rng.normal(size=(2, n))
        found.append(ordered_pairs(rho * true + math.sqrt(1 - rho**2) * noise, true))
    return found


def test_one_seed_claims_no_more_than_its_samples_bear():
    by_chance = [ranking_health(ranked([share], n=40))[0] for share in shares(0, 40, 400, 0)]
    assert sum(health.p < 0.05 for health in by_chance) <= stats.binom.ppf(0.9995, 400, 0.05)
    as_trials = [
        abs(health.pairs.mean - 0.5) / math.sqrt(0.25 / (40 * 39 / 2)) > 1.96
        for health in by_chance
    ]
    assert sum(as_trials) > 0.3 * 400  # what counting pairs as trials would claim
    truth = 0.5 + math.asin(0.6) / math.pi  # of two normal variables with this correlation
    for health in (ranking_health(ranked([share], n=40))[0] for share in shares(0.6, 40, 200, 1)):
        assert health.pairs.low <= truth <= health.pairs.high


AREAS = {
    "random": [0.50, 0.52],
    "random-joint": [0.53, 0.54],
    "placebo": [0.52, 0.55],
    "learning_loss": [0.58, 0.60],
    "oracle_loss-joint": [0.61, 0.64],
    "oracle_loss": [0.7, 0.7],
}


def parts_of(*legs: str, drop: dict[str, int] | None = None):
    found = legs_of({leg: [[area] * 2 for area in AREAS[leg]] for leg in legs})
    found |= {
        leg: tuple(run for run in found[leg] if run.seed != seed)
        for leg, seed in (drop or {}).items()
    }
    return attribution(found)


def test_a_gain_is_split_into_parts_that_add_up():
    joint, luck, ranking, whole, oracle = parts_of(*AREAS)
    assert [part.name for part in (joint, luck, ranking)] == [
        "joint training",
        "luck of selection",
        "ranking",
    ]
    assert (joint.gain.mean, luck.gain.mean, ranking.gain.mean) == pytest.approx(
        (0.025, 0.0, 0.055)
    )
    assert (joint.gain.mean, joint.gain.n, joint.seeds) == (pytest.approx(0.025), 2, (0, 1))
    assert math.isnan(joint.gain.low)  # two seeds: no interval, as that would be a claim
    assert (
        whole.gain.mean
        == pytest.approx(joint.gain.mean + luck.gain.mean + ranking.gain.mean)
        == pytest.approx(0.08)
    )
    assert (oracle.first, oracle.second) == ("oracle_loss-joint", "learning_loss")
    assert oracle.gain.mean == pytest.approx(0.035)


def test_parts_are_counted_on_the_seeds_that_all_have():
    *parts, whole, oracle = parts_of(*AREAS, drop={"placebo": 0})
    assert all(part.seeds == (1,) for part in (*parts, whole)) and oracle.seeds == (0, 1)
    assert (
        sum(part.gain.mean for part in parts)
        == pytest.approx(whole.gain.mean)
        == pytest.approx(0.08)
    )
    assert math.isnan(whole.gain.low)  # one seed: no interval


def test_missing_legs_leave_out_their_parts():
    joint, luck, ranking, whole, oracle = parts_of(
        "random", "placebo", "learning_loss", "oracle_loss"
    )
    assert (joint.gain, luck.gain) == (None, None)
    assert (ranking.gain.n, whole.gain.n, oracle.first) == (2, 2, "oracle_loss")
    assert [part.gain for part in attribution({})] == [None] * 5
