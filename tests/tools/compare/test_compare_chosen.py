"""What was chosen: overlaps, annotations, histograms and pictures, against computations by
hand and simulations.
"""

from __future__ import annotations

import base64
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from acquisition.pool import Pool
from acquisition.query import Query
from tests.comparekit import TOLD, config
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools.compare.chosen import chosen, jaccard, jaccard_by_chance, overlap, queries
from tools.compare.gallery import ends_and_middle, gallery
from tools.compare.grouping import group
from tools.compare.traits import number_shares, traits, word_shares
from tools.record.folder import RunFolder
from tools.record.reading import Run, read

NAMES = [f"vector {i}" for i in range(60)]
TRUST = [REPOSITORY]
INITIAL = tuple(range(50, 60))


def asked(
    path: Path,
    leg: str,
    seed: int,
    picks: list[list[int]],
    done: bool = True,
    validation: tuple[int, ...] = (),
) -> Run:
    """A run that started with samples 50 to 59, read back, with queries that hold a signal
    id / 10.
    """
    settings = config(leg, seed, cycles=len(picks) + 1, budget__query=len(picks[0]) if picks else 5)
    folder = RunFolder(path / f"{leg}/seed{seed}")
    folder.open(settings, NAMES, told=TOLD)
    pool, task = Pool(60, INITIAL, validation=validation), Toy()
    for cycle, picked in enumerate([*picks, []] if done else picks):
        effort = sum(task.effort(i) for i in pool.labeled)
        row = {"cycle": cycle, "labeled": len(pool.labeled), "effort": effort, "score": 0.1 * cycle}
        query = (
            Query(pool.unlabeled, {"predicted_loss": pool.unlabeled / 10}, np.array(picked))
            if picked
            else None
        )
        pool = pool.label(picked)
        folder.commit(row, query, pool)
    folder.finish() if done else None
    return read(folder.path)


@pytest.fixture
def legs(tmp_path: Path) -> dict[str, tuple[Run, ...]]:
    return {
        "random": (
            asked(tmp_path, "random", 0, [[0, 1], [2, 3]]),
            asked(tmp_path, "random", 1, [[4, 5], [6, 7]]),
        ),
        "entropy": (
            asked(tmp_path, "entropy", 0, [[1, 2], [3, 9]]),
            asked(tmp_path, "entropy", 1, [[5, 4], [8, 9]]),
        ),
        "margin": (asked(tmp_path, "margin", 2, [[0, 1], [2, 3]]),),
    }


def test_queries_are_what_was_labeled_in_the_order_of_choice(legs, tmp_path: Path):
    assert queries(legs["entropy"][1]) == [[5, 4], [8, 9]]
    assert queries(asked(tmp_path, "badge", 0, [[3, 1]], done=False)) == [[3, 1]]
    assert queries(asked(tmp_path, "coreset", 0, [])) == []


def test_overlap_by_hand(legs):
    found = overlap(legs)
    assert (found.legs, found.queried) == (("random", "entropy", "margin"), (2, 4))
    # seed 0: {0, 1} and {1, 2}, then {0, 1, 2, 3} and {1, 2, 3, 9}; seed 1: the same two, then
    # {4..7} and {4, 5, 8, 9}
    assert found.matrices[0, 0, 1] == pytest.approx((1 / 3 + 1) / 2)
    assert found.matrices[1, 0, 1] == found.matrices[1, 1, 0] == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert found.matrices[:, 1, 1].tolist() == [1, 1]
    assert np.isnan(found.matrices[:, 0, 2]).all()  # no seed in common, though they chose the same
    # 10 of 60 are the initial ones
    assert found.chance == (jaccard_by_chance(50, 2), jaccard_by_chance(50, 4))


def test_chance_leaves_a_validation_split_out(tmp_path: Path):
    """8 of 60 validate and 10 are the initial ones: two draws of 3 are from 42."""
    split = tuple(range(8))
    found = overlap(
        {
            leg: (asked(tmp_path, leg, 0, [[20, 21, 22]], validation=split),)
            for leg in ("random", "entropy")
        }
    )
    assert found.chance == (jaccard_by_chance(42, 3),)


def test_no_overlap_of_one_strategy_or_without_queries(legs, tmp_path: Path):
    assert overlap({"random": legs["random"]}) is None
    assert (
        overlap({leg: (asked(tmp_path / "none", leg, 0, []),) for leg in ("random", "entropy")})
        is None
    )
    assert overlap({}) is None


def test_jaccard_is_sklearns():
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = rng.random((2, 30)) < 0.4
        sets = [set(np.flatnonzero(x).tolist()) for x in (a, b)]
        assert jaccard(*sets) == pytest.approx(jaccard_score(a, b))


def test_jaccard_by_chance_by_hand_and_by_simulation():
    assert jaccard_by_chance(5, 1) == pytest.approx(1 / 5)  # the same one, or none
    # 2 of 3 always share one
    assert jaccard_by_chance(3, 2) == pytest.approx(1 / 3 * 1 + 2 / 3 * 1 / 3)
    assert jaccard_by_chance(7, 7) == 1
    rng = np.random.default_rng(1)
    draws = [
        [set(rng.choice(40, 12, replace=False).tolist()) for _ in range(2)] for _ in range(4000)
    ]
    assert jaccard_by_chance(40, 12) == pytest.approx(
        np.mean([jaccard(a, b) for a, b in draws]), abs=0.005
    )


class Telling(Toy):
    """Sample i is of class a or b, and every third one holds two numbers."""

    def traits(self, index: int):
        return {
            "class": ["a" if index % 2 else "b"] * (1 + index % 3),
            "size": [index, index + 1] * (index % 3 == 0),
        }


def test_words_count_once_a_sample():
    assert word_shares([["a", "a"], ["b", "a"], [], ["c"]], ["a", "b", "c", "d"]) == [
        0.5,
        0.25,
        0.25,
        0,
    ]


def test_numbers_fall_in_bins_closed_below_and_the_last_above():
    assert number_shares([0, 1, 1, 2], np.array([0, 1, 2])) == [0.25, 0.75]
    assert number_shares([], np.array([0, 1, 2])) == [0, 0]
    assert number_shares([3, 3, 4, 4], np.array([3])) == [0.5]
    assert number_shares([], np.array([3])) == [0]


def test_traits_of_queries_against_the_pool_by_hand():
    words, numbers = traits(Telling(), 20, {"random": [[1, 3, 5, 2], [0, 2, 4, 6]], "none": [[]]})
    assert (words.name, words.numeric, words.bins, words.pool) == (
        "class",
        False,
        ("a", "b"),
        (0.5, 0.5),
    )
    # 3/4 and 0; 1/4 and 1
    assert [e.mean for e in words.queried["random"]] == pytest.approx([3 / 8, 5 / 8])
    assert [e.n for e in words.queried["random"]] == [2, 2]
    assert list(words.queried) == ["random"]  # no query, no histogram
    values = [v for i in range(0, 20, 3) for v in (i, i + 1)]  # 0, 1, 3, 4, ..., 18, 19
    edges = np.quantile(values, np.linspace(0, 1, 11))
    assert numbers.numeric and len(numbers.bins) == 10
    assert numbers.pool == tuple(np.histogram(values, edges)[0] / 14)
    assert sum(numbers.pool) == pytest.approx(1)
    by_hand = np.histogram([3, 4], edges)[0] / 2, np.histogram([0, 1, 6, 7], edges)[0] / 4
    assert [e.mean for e in numbers.queried["random"]] == pytest.approx(
        np.mean(by_hand, axis=0).tolist()
    )


def test_equal_numbers_have_one_bin_and_no_numbers_none():
    class Equal(Toy):
        def traits(self, index: int):
            return {"same": [7.0], "none": []}

    same, none = traits(Equal(), 5, {"random": [[0, 1]]})
    assert (same.bins, same.pool, same.queried["random"][0].mean) == (("7",), (1.0,), 1.0)
    assert (none.bins, none.pool) == ((), ())


def test_a_task_without_traits_has_no_histograms():
    assert traits(Toy(), 5, {"random": [[0, 1]]}) == ()


@pytest.mark.parametrize(
    ("count", "places"), [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (10, [0, 4, 9])]
)
def test_first_middle_and_last(count, places):
    assert ends_and_middle(count) == places


def test_pictures_are_of_the_common_seed_with_their_own_scores(tmp_path: Path):
    pick = [[7, 3, 9, 1], [20, 21, 22, 23]]
    runs = {
        "random": (
            asked(tmp_path, "random", 1, pick),
            asked(tmp_path, "random", 2, [[0, 2, 4, 6], [8, 10, 12, 14]]),
        ),
        "entropy": (asked(tmp_path, "entropy", 2, [[30, 31, 32, 33], [40, 41, 42, 43]]),),
    }
    found, faults = gallery(Toy(), runs)
    assert faults == ()
    assert {(p.leg, p.seed) for p in found} == {("random", 2), ("entropy", 2)}
    first = [p for p in found if p.leg == "entropy"][:3]
    assert [(p.labeled, p.choice, p.of, p.name) for p in first] == [
        (10, 1, 4, "vector 30"), (10, 2, 4, "vector 31"), (10, 4, 4, "vector 33"),
    ]  # fmt: skip
    assert [p.scores["predicted_loss"] for p in first] == pytest.approx([3.0, 3.1, 3.3])
    assert [p.effort for p in first] == [1, 2, 1]
    image = Image.open(io.BytesIO(base64.b64decode(first[0].uri.partition(",")[2])))
    # the toy's red is the id, through JPEG
    assert image.getpixel((8, 8))[0] == pytest.approx(30, abs=3)
    assert len(found) == 2 * 2 * 3


def test_queries_without_pictures_are_named_and_cost_nothing_else(legs):
    folders = [RunFolder(legs[leg][0].folder) for leg in ("random", "entropy", "margin")]
    whole = folders[0].query_file(0).read_bytes()
    folders[0].query_file(0).write_bytes(whole[: len(whole) // 2])
    folders[0].query_file(1).write_bytes(b"garbage")
    folders[1].query_file(1).unlink()
    (comparison,) = group([run for runs in legs.values() for run in runs])
    found = chosen(comparison, trust=TRUST)
    assert len(found.pictures) == 2 * (1 + 2) and found.missing == ""
    assert (
        found.overlap is not None
        and found.pool_effort == 2
        and list(found.effort) == ["random", "entropy", "margin"]
    )
    first, second, third = found.faults
    assert first.startswith(
        f"random, seed 0, the query after 10 labels: {folders[0].query_file(0)} is damaged ("
    )
    assert second.startswith(
        f"random, seed 0, the query after 12 labels: {folders[0].query_file(1)} is damaged "
        "(BadZipFile: no npz"
    )
    assert (
        third
        == f"entropy, seed 0, the query after 12 labels: {folders[1].query_file(1)} is missing; restore it"
    )


def test_an_image_that_cannot_be_read_costs_its_query_alone(legs, monkeypatch: pytest.MonkeyPatch):
    whole = Toy.thumbnail
    monkeypatch.setattr(Toy, "thumbnail", lambda self, i: whole(self, i if i != 9 else f"no\n{i}"))
    # asks for 9 in its second query
    pictures, faults = gallery(Toy(), {"entropy": legs["entropy"][:1]})
    assert [p.name for p in pictures] == ["vector 1", "vector 2"]
    (fault,) = faults
    assert fault.startswith("entropy, seed 0, the query after 12 labels: ") and "Error: " in fault


def test_everything_together_and_the_pools_effort(legs):
    (comparison,) = group([run for runs in legs.values() for run in runs])
    found = chosen(comparison, trust=TRUST)
    assert found.missing == "" and found.traits == () and len(found.pictures) == 3 * 2 * 2
    assert found.pool_effort == 2  # 1, 2, 3, 1, 2, 3, ...
    # 1+2+3+1 and 2+3+1+2 annotations
    assert found.effort["random"].mean == pytest.approx((7 / 4 + 8 / 4) / 2)
    assert found.overlap.legs == ("random", "entropy", "margin")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"task.size": 61},
            r"RunFolderError: .*expected the 60 samples of .*samples\.txt, but got others",
        ),
        ({"task.sized": 60}, "ConfigError: .*sized.*did you mean 'size'"),
    ],
)
def test_data_that_are_gone_cost_the_pictures_alone(legs, options, match):
    found = chosen(group([run for runs in legs.values() for run in runs])[0], options, TRUST)
    assert re.search(match, found.missing, re.DOTALL), found.missing
    assert (found.traits, found.pictures, found.pool_effort) == ((), (), None)
    assert found.overlap is not None and found.effort["random"].n == 2


def test_without_a_finished_run_nothing_was_chosen(tmp_path: Path):
    (comparison,) = group([asked(tmp_path, "random", 0, [[0, 1]], done=False)])
    found = chosen(comparison, trust=TRUST)
    assert (found.overlap, found.effort, found.missing) == (None, {}, "No run is finished.")


def test_runs_without_queries_have_no_effort(tmp_path: Path):
    found = chosen(group([asked(tmp_path, "random", 0, [])])[0], trust=TRUST)
    assert found.effort["random"].n == 0 and math.isnan(found.effort["random"].mean)
