"""Agreement with scikit-activeml: its picks stood in for by known ones, and its own where it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from acquisition.herding import units
from tools import agreement as command
from tools.benchmarks import agreement
from tools.benchmarks.agreement import BUDGET, compare, ours, questions
from tools.benchmarks.apart import ApartError


@pytest.fixture(scope="module")
def asked() -> dict[str, np.ndarray]:
    return questions()


@pytest.fixture
def our(asked, monkeypatch) -> dict[str, np.ndarray]:
    monkeypatch.setattr(agreement, "SEEDS", 3)
    return ours(asked)


def cover(data, budget: int) -> list[int]:
    """ProbCover's picks by the definition, the highest position of equal ones."""
    points, known = units(data["features"]), units(data["labeled"])
    inside = cdist(points, points) <= data["radius"]
    left = ~(cdist(points, known) <= data["radius"]).any(axis=1)
    picked: list[int] = []
    for _ in range(budget):
        counts = (inside & left).sum(axis=1)
        counts[picked] = -1
        picked.append(int(np.flatnonzero(counts == counts.max())[-1]))
        left &= ~inside[picked[-1]]
    return picked


def test_what_is_the_same_and_what_is_not_is_counted(asked, our):
    their = {name: picks.copy() for name, picks in our.items()}
    their["probcover"] = np.array([cover(asked, BUDGET)])
    their["entropy"][0, :2] = our["entropy"][0, 1::-1]  # two in each other's places
    free = np.setdiff1d(np.arange(len(asked["features"])), our["coreset"][0])
    their["coreset"][0, -1] = free[0]
    found = {one.strategy: one for one in compare(asked, our, their)}
    assert len(found) == 11 and found["entropy"].same == 48 / 50
    assert found["entropy"].note == "50 of 50 in any place"
    assert (found["coreset"].same, found["coreset"].note) == (49 / 50, "49 of 50 in any place")
    assert found["probcover"].same == 1, "ties are by chance"
    assert found["random"].same is None and "p = 1.00" in found["random"].note
    assert "first pick the same in 100%" in found["badge"].note
    assert all(one.same == 1 for name, one in found.items()
               if name in ("margin", "least_confident", "ensemble_bald", "maxherding",
                           "typiclust", "dropquery"))  # fmt: skip
    their["probcover"] = their["probcover"][:, ::-1]  # the smallest balls first
    found = {one.strategy: one for one in compare(asked, our, their)}
    assert found["probcover"].same < 0.5


def test_an_environment_that_is_not_there_or_fails_is_named(tmp_path: Path, asked, capsys):
    missing = tmp_path / "nowhere"
    assert command.main(["--environment", str(missing)]) == 1
    said = capsys.readouterr().err
    assert f"there is no {missing / 'bin' / 'python'}" in said and "`make agreement`" in said
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(
        ApartError, match=r"second_opinion.py failed under .*: no such module .exit status 3"
    ):
        agreement.theirs(asked, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("AL_ACTIVEML" not in os.environ, reason="AL_ACTIVEML: an environment with it")
def test_scikit_activemls_own_picks(asked, our):
    their = agreement.theirs(asked | {"seeds": np.array(3)}, Path(os.environ["AL_ACTIVEML"]))
    found = {one.strategy: one.same for one in compare(asked, our, their)}
    exact = ("entropy", "margin", "least_confident", "ensemble_bald", "maxherding", "dropquery",
             "probcover")  # fmt: skip
    assert [found[name] for name in exact] == [1] * len(exact)
