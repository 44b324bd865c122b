"""One ranking over several configs, against scipy, scikit-posthocs and hand computations."""

from __future__ import annotations

import csv
import itertools
import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats

from tests.comparekit import config, made, write
from tests.conftest import REPOSITORY
from tools import al_compare
from tools.compare.grouping import Comparison
from tools.compare.page.diagrams import critical_differences, profiles, uri
from tools.compare.penalties import Penalties
from tools.compare.ranking import words
from tools.compare.ranking.gains import wins
from tools.compare.ranking.profiles import profile
from tools.compare.ranking.ranks import cliques, friedman, ranked, ranks, signed_rank
from tools.compare.ranking.resampling import firmness, taus
from tools.compare.ranking.scores import Scores, Setting, scores
from tools.display.looks import styles

LEGS = ("random", "a", "b", "c")


def compared(name: str, values, lower: bool = False, metric: str = "accuracy") -> Comparison:
    """A comparison of strategies with the values of each seed."""
    runs = []
    for leg, seeds in values.items():
        for seed, scores_ in enumerate(seeds):
            run = made(leg, seed, scores_, lower)
            rows = tuple({**row, metric: row["score"]} for row in run.rows)
            runs.append(replace(run, config=name, metric=metric, rows=rows))
    return Comparison(name, "tests.toy.Toy", metric, tuple(runs), lower)


def drawn(configs: int, seeds: int = 3, legs=LEGS, shift: float = 0.0, salt: int = 0) -> Scores:
    """Random areas; the first strategy is better by `shift`."""
    rng = np.random.default_rng(salt)
    settings = []
    for i in range(configs):
        areas = rng.random((seeds, len(legs)))
        areas[:, 0] += shift
        settings.append(Setting(f"c{i}", "accuracy", False, tuple(range(seeds)), areas))
    return Scores(tuple(legs), tuple(settings))


def means(of: Scores) -> np.ndarray:
    return np.array([setting.areas.mean(axis=0) for setting in of.settings])


@pytest.mark.parametrize("configs", [3, 8, 16])
def test_ranks_and_tests_are_those_of_scipy_and_scikit_posthocs(configs: int):
    of = drawn(configs, shift=0.3)
    found = ranks(of)
    table = means(of)
    frame = pd.DataFrame(table, columns=LEGS)
    np.testing.assert_allclose(found.mean, frame.rank(axis=1, ascending=False).mean())
    assert (found.statistic, found.p) == pytest.approx(stats.friedmanchisquare(*table.T))
    long = frame.melt(var_name="leg", value_name="score")
    corrected = scikit_posthocs.posthoc_wilcoxon(
        long, val_col="score", group_col="leg", p_adjust="holm", sort=False
    )
    plain = scikit_posthocs.posthoc_wilcoxon(long, val_col="score", group_col="leg", sort=False)
    for duel in found.duels:
        assert duel.p == pytest.approx(plain.loc[duel.first, duel.second])
        assert duel.corrected == pytest.approx(corrected.loc[duel.first, duel.second])
        column = frame[duel.first] - frame[duel.second]
        assert (duel.wins, duel.losses) == ((column > 0).sum(), (column < 0).sum())


def test_ties_share_their_rank_and_zeros_are_dropped():
    np.testing.assert_array_equal(ranked(np.array([[0.5, 0.9, 0.5]])), [[2.5, 1, 2.5]])
    # means that differ by rounding alone are equal
    np.testing.assert_array_equal(ranked(np.array([0.1 + 0.2, 0.3])), [1.5, 1.5])
    first, second = np.array([0.5, 0.6, 0.7, 0.8, 0.3]), np.array([0.5, 0.5, 0.6, 0.6, 0.35])
    # by hand: differences 0, .1, .1, .2, -.05; ranks of the four others 2.5, 2.5, 4, -1. Of 16
    # signs W+ >= 9 or <= 1: {}, {1}, and their complements
    assert signed_rank(first, second) == pytest.approx(4 / 16)
    assert signed_rank(first, first) == 1


def tied(configs: int, salt: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences (configs,) in hundredths with many ties and a 0, and scores beside them."""
    rng = np.random.default_rng(salt)
    return rng.integers(-3, 4, configs), rng.random(configs).round(2)


@pytest.mark.parametrize("configs", [1, 2, 5, 10, 14])
def test_signed_ranks_with_ties_are_those_of_all_signs(configs: int):
    for salt in range(4):
        hundredths, scores_ = tied(configs, salt)
        known = hundredths[hundredths != 0]  # whole numbers, which no rounding parts
        places = stats.rankdata(np.abs(known))
        signs = np.array(list(itertools.product((-1, 1), repeat=len(known))))
        expected = (np.abs(signs @ places) >= abs(np.sign(known) @ places)).mean()
        for scale in (1e-4, 1.0, 3e7):
            found = signed_rank(scale * (scores_ + hundredths / 100), scale * scores_)
            assert found == pytest.approx(expected)


@pytest.mark.parametrize("configs", [20, 60])
def test_signed_ranks_of_many_configs_are_those_of_drawn_signs(configs: int):
    hundredths, scores_ = tied(configs, 4)
    known = hundredths[hundredths != 0]
    places = stats.rankdata(np.abs(known))
    drawn_ = stats.permutation_test(
        (np.sign(known) * places,),
        lambda values, axis: np.abs(values.sum(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        n_resamples=40_000,
        batch=5_000,
        vectorized=True,
        rng=0,
    )
    found = signed_rank(scores_ + hundredths / 100, scores_)
    assert 0.001 < found < 0.5
    assert found == pytest.approx(drawn_.pvalue, abs=4 * math.sqrt(found * (1 - found) / 40_000))


@pytest.mark.parametrize("configs", [6, 30, 50])
def test_signed_ranks_without_ties_are_scipys(configs: int):
    first, second = np.random.default_rng(configs).random((2, configs))
    expected = stats.wilcoxon(first + 0.1, second, method="exact").pvalue
    assert signed_rank(first + 0.1, second) == pytest.approx(expected)


def test_differences_far_below_the_scores_tie_in_spite_of_rounding():
    """By hand: ranks 2, 2, -2 and 4 come to 6; of 16 signs 2 come to 10 or -10, 6 to 6 or -6."""
    first = np.array([100.001, 90.001, 80.0, 70.002])
    second = np.array([100.0, 90.0, 80.001, 70.0])
    assert signed_rank(first, second) == pytest.approx(8 / 16)


def test_configs_of_any_scale_have_ranks_of_their_own():
    """A loss in millions hides no difference of shares, and the other way round."""
    table = np.array([[5e-5, 6e-5, 7e-5], [3e7, 2e7, 1e7], [0, 0, 0], [3e-9, 0, 3e-9]])
    expected = [[3, 2, 1], [1, 2, 3], [2, 2, 2], [1.5, 3, 1.5]]
    np.testing.assert_array_equal(ranked(table), expected)


def test_friedman_with_ties_is_scipys_and_needs_three_strategies():
    table = np.array([[0.1, 0.2, 0.2], [0.3, 0.3, 0.4], [0.5, 0.6, 0.1], [0.2, 0.3, 0.4]])
    assert friedman(table) == pytest.approx(stats.friedmanchisquare(*table.T))
    assert friedman(np.full((4, 3), 0.5)) == (0.0, 1.0)
    assert all(map(math.isnan, friedman(table[:, :2])))


def test_less_is_better_where_the_metric_says_so():
    values = {"random": [[0.4, 0.3]], "a": [[0.4, 0.1]]}
    up, down = compared("up", values), compared("down", values, lower=True)
    found = ranks(scores([up, down]))
    np.testing.assert_array_equal(found.table, [[1, 2], [2, 1]])
    assert [(duel.wins, duel.ties, duel.losses) for duel in found.duels] == [(1, 0, 1)]


def test_what_does_not_count_is_said():
    whole = {leg: [[0.1, 0.2], [0.1, 0.3]] for leg in LEGS}
    lacking = {leg: [[0.1, 0.2]] for leg in ("random", "a")} | {"d": [[0.1, 0.2]]}
    of = scores([compared("one", whole), compared("two", lacking)])
    assert of.legs == ("random", "a") and not of.reason
    assert of.left_out == (
        "b is not ranked: it has no finished run in two",
        "c is not ranked: it has no finished run in two",
        "d is not ranked: it has no finished run in one",
    )
    more = {"random": [[0.1, 0.2], [0.1, 0.3]], "a": [[0.1, 0.2]]}
    of = scores([compared("one", more), compared("two", more)])
    assert [setting.seeds for setting in of.settings] == [(0,), (0,)]
    assert of.left_out[0] == "one: seeds 1 do not count, as some strategies lack them"


def test_configs_whose_strategies_share_no_seed_and_single_configs_have_no_ranking():
    apart = compared("apart", {"random": [[0.1, 0.2]], "a": [[0.1, 0.2]]})
    runs = (apart.runs[0], replace(apart.runs[1], seed=5))
    whole = compared("whole", {"random": [[0.1, 0.2]], "a": [[0.1, 0.2]]})
    of = scores([whole, replace(apart, runs=runs)])
    assert of.left_out == ("apart does not count: its strategies have no seed in common",)
    assert of.reason == "a ranking over configs takes two at least, but there is 1"
    other = compared("other", {"random": [[0.1, 0.2]], "z": [[0.1, 0.2]]})
    assert "share 1 strategies" in scores([whole, other]).reason


def test_few_configs_claim_nothing():
    found = ranks(drawn(3, shift=5))
    assert found.least_p == 0.25 and not found.decidable
    # 2^(1 - C) * 6 < .05 takes C = 8
    assert found.needed == 8 and ranks(drawn(8)).decidable and not ranks(drawn(7)).decidable
    (line,) = words.scope(found)
    assert "no pair can be significant" in line and "8 configs at least" in line
    assert words.scope(ranks(drawn(9))) == []


def test_bars_join_neighbours_that_do_not_differ():
    found = ranks(drawn(12, shift=5))
    assert found.order[0] == "random" and found.p < 0.05
    mean = np.array([1.0, 2.0, 3.0, 4.0])
    duels = [replace(found.duels[0], first=a, second=b, corrected=p) for a, b, p in (
        ("random", "b", 0.01), ("random", "c", 0.01), ("a", "c", 0.01), ("random", "a", 0.2),
        ("a", "b", 0.3), ("b", "c", 0.5))]  # fmt: skip
    assert cliques(LEGS, mean, duels) == (("random", "a"), ("a", "b"), ("b", "c"))
    assert cliques(LEGS, mean, ()) == (LEGS,)
    assert cliques(LEGS, mean, [replace(d, corrected=0.01) for d in duels]) == ()
    # an outlier parts what lies on both sides of it, and nobody else
    (bar,) = found.cliques
    assert set(bar) == {"a", "b", "c"}


def test_where_friedman_finds_nothing_all_are_under_one_bar():
    found = ranks(drawn(8, salt=3))
    assert found.p > 0.05 and found.cliques == (tuple(found.order),)
    assert "no pair is called different" in words.overall(found)


def test_tau_is_scipys_with_ties():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 4, (50, 6)) / 3
    own = taus(rows, rows[0])
    expected = [stats.kendalltau(row, rows[0]).statistic for row in rows]
    np.testing.assert_allclose(own, expected)
    assert math.isnan(taus(np.ones(4), np.arange(4.0)))


def test_a_draw_of_seeds_is_the_whole_bootstrap_of_two_seeds():
    """With two seeds a draw is (0, 0), (0, 1), (1, 0) or (1, 1), each as probable."""
    areas = np.array([[0.5, 0.4], [0.1, 0.4]])  # means .3 and .4: a leads, but not in seed 0
    of = Scores(
        ("random", "a"), tuple(Setting(n, "m", False, (0, 1), areas) for n in ("one", "two"))
    )
    found = firmness(of, draws=20_000).drawn
    # random leads a config with probability 1/4: its mean rank is 1, 1.5 or 2 with 1/16, 6/16, 9/16
    assert found is not None and found.first[0] == pytest.approx(1 / 16 + 3 / 16, abs=0.015)
    assert (found.low[0], found.high[0]) == (1.0, 2.0)
    # tau is -1 and 1 where it is not unknown: (9 - 1) / 10
    assert found.tau == pytest.approx(0.8, abs=0.02)


def test_without_a_seed_or_a_config_ranks_are_those_of_the_rest():
    of = drawn(4, seeds=3, salt=1)
    found = firmness(of, draws=10)
    whole = stats.rankdata(-means(of), axis=1).mean(axis=0)
    for left, setting in zip(found.configs, of.settings, strict=True):
        rest = means(replace(of, settings=tuple(s for s in of.settings if s is not setting)))
        mean = stats.rankdata(-rest, axis=1).mean(axis=0)
        assert left.tau == pytest.approx(stats.kendalltau(mean, whole).statistic)
        assert set(left.first) == {LEGS[i] for i in np.flatnonzero(mean == mean.min())}
    for left, seed in zip(found.seeds, range(3), strict=True):
        rest = np.array([np.delete(s.areas, seed, axis=0).mean(axis=0) for s in of.settings])
        mean = stats.rankdata(-rest, axis=1).mean(axis=0)
        assert left.tau == pytest.approx(stats.kendalltau(mean, whole).statistic)


def test_one_seed_has_no_spread():
    found = firmness(drawn(3, seeds=1))
    assert found.drawn is None and found.seeds == ()
    assert words.firm(found)[0].startswith("Each config has one seed, so it is unknown")
    mixed = replace(drawn(2), settings=(*drawn(1, seeds=1).settings, *drawn(2).settings[1:]))
    drawn_ = firmness(mixed, draws=10).drawn
    assert drawn_ is not None and drawn_.fixed == ("c0",)
    assert "No draw can vary the one seed of c0." in words.firm(firmness(mixed, draws=10))


def test_where_all_are_equal_there_is_no_order():
    equal = [replace(one, areas=np.full((3, 4), 0.5)) for one in drawn(3).settings]
    lines = words.firm(firmness(Scores(LEGS, tuple(equal)), draws=10))
    assert lines == [
        "Over 10 draws of the seeds there is no order to compare: all strategies share one rank."
    ]


def test_profiles_by_hand():
    """Two configs at two sizes that count; the first size is everybody's."""
    one = compared("one", {"random": [[0.1, 0.5, 0.6]], "a": [[0.1, 0.52, 0.58]]})
    two = compared("two", {"random": [[10, 50, 70]], "a": [[10, 50, 60]]})  # percent
    found = profile(scores([one, two]))
    assert found.by == "difference" and found.cases[0] == "one at 15" and len(found.cases) == 4
    np.testing.assert_allclose(found.distances, [[0.02, 0], [0, 0.02], [0, 0], [0, 0.1]])
    np.testing.assert_array_equal(found.share(0), [3 / 4, 2 / 4])
    np.testing.assert_array_equal(found.share(0.02), [1, 3 / 4])


def test_other_metrics_are_compared_by_factors():
    one = compared("one", {"random": [[9, 4.0, 3.0]], "a": [[9, 5.0, 2.0]]}, True, "mae")
    two = compared("two", {"random": [[0.1, 0.5, 0.0]], "a": [[0.1, 0.4, 0.1]]})
    found = profile(scores([one, two]))
    assert found.by == "factor"
    np.testing.assert_allclose(found.distances, [[1, 1.25], [1.5, 1], [1, 1.25]])
    assert found.left_out == ("two at 20: no factor of a score of 0",)


def test_wins_add_up_the_matrices_of_each_config():
    nan = math.nan
    first = Penalties(("random", "a"), np.array([[nan, 0.5], [0.25, nan]]))
    second = Penalties(("random", "b", "a"), np.array([[nan, 1, 0], [0, nan, nan], [1, nan, nan]]))
    found = wins([first, second])
    assert found.legs == ("random", "a", "b")
    np.testing.assert_array_equal(found.matrix, [[nan, 0.5, 1], [1.25, nan, nan], [0, nan, nan]])
    np.testing.assert_array_equal(found.tested, [[0, 2, 1], [2, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(found.beaten, [1.25 / 3, 0.25, 1])


def test_the_diagrams_are_pictures():
    of = drawn(3, legs=("random", *(f"s{i}" for i in range(7))))
    found = ranks(of)
    looks = styles(found.legs)
    figure = critical_differences(found, looks)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert f"{found.order[0]}  {found.mean.min():.2f}" in said
    kind, _, drawing = uri(figure).partition(",")
    assert kind == "data:image/svg+xml" and uri(figure).endswith(drawing)  # each time the same
    assert ElementTree.fromstring(unquote(drawing)).tag == "{http://www.w3.org/2000/svg}svg"
    values = {leg: [[0.1, 0.2, 0.3]] for leg in found.legs}
    near = profile(scores([compared("one", values), compared("two", values)]))
    assert len(profiles(near, looks).axes[0].lines) == 8


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The report of two configs; the second lacks a strategy."""
    root = tmp_path_factory.mktemp("two")
    for name, legs in (("one", ("random", "entropy", "coreset")), ("two", ("random", "entropy"))):
        for (place, leg), seed in itertools.product(enumerate(legs), range(3)):
            scores_ = [0.1, 0.2 + 0.1 * place, 0.3 + 0.1 * place + 0.01 * seed]
            write(root / f"{name}/{leg}/seed{seed}", config(leg, seed), scores_)
    out = root / "out"
    folders = [str(root / "one"), str(root / "two")]
    assert al_compare.main([*folders, "--out", str(out), "--trust", str(REPOSITORY)]) == 0
    return out


def test_the_report_holds_the_ranking(report: Path):
    page = (report / "report.html").read_text()
    assert "One ranking over all configs" in page
    assert "coreset is not ranked: it has no finished run in two" in page
    assert "no pair can be significant" in page and "two: no finished run of coreset" in page
    assert page.count('src="data:image/svg+xml,') == 2


def test_the_ranking_is_in_files(report: Path):
    found = json.loads((report / "ranking.json").read_text())
    assert found["scores"]["legs"] == ["random", "entropy"]
    assert found["ranks"]["mean"] == [2.0, 1.0]
    rows = list(csv.DictReader((report / "ranking.csv").read_text().splitlines()))
    by_name = {(row["config"], row["strategy"]): row for row in rows}
    assert len(rows) == 6
    # by hand: areas (.1 + 2 y1 + y2) / 4 with y1, y2 both higher by .1
    entropy = by_name["one", "entropy"]
    assert float(entropy["gain"]) == pytest.approx(0.075) and entropy["rank"] == "1.0"
    assert by_name["two", "coreset"]["area"] == "" and by_name["one", "coreset"]["rank"] == ""


def test_one_config_has_no_ranking(tmp_path: Path):
    write(tmp_path / "one/random/seed0", config("random"))
    out = tmp_path / "out"
    assert (
        al_compare.main([str(tmp_path / "one"), "--out", str(out), "--trust", str(REPOSITORY)]) == 0
    )
    assert (out / "ranking.json").read_text() == "null\n"
    assert len((out / "ranking.csv").read_text().splitlines()) == 1
    assert "One ranking" not in (out / "report.html").read_text()
