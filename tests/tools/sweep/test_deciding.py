"""Seeds are added until a comparison is decided: looks as planned, each said and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tools import al_sweep
from tools.compare.sequential import Look, looked, schedule
from tools.record.folder import RunFolder
from tools.sweep import schedule as scheduling
from tools.sweep import session
from tools.sweep.deciding import Question, told
from tools.sweep.jobs import Job

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
Score = Callable[[str, int], float | None]


class Ended:
    """A run that was over at once."""

    def __init__(self, status: int) -> None:
        self.status = status

    def poll(self) -> int:
        return self.status


class Made:
    """A place where runs leave made scores, in no time."""

    at_a_time = 2

    def __init__(self, score: Score, broken: int | None) -> None:
        self.score, self.broken = score, broken
        self.started: list[tuple[str, int]] = []

    def start(self, job: Job) -> Ended:
        self.started.append((job.leg, job.seed))
        path = job.folder.path
        path.mkdir(parents=True)
        if job.seed == self.broken:
            job.log.write_text("error: broken\n")
            return Ended(2)
        rows = [dict(cycle=i, labeled=10 + i, score=self.score(job.leg, job.seed)) for i in (0, 1)]
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (path / "state.json").write_text(json.dumps(dict(cycle=2)))
        (path / "config.py").write_text("")
        (path / "done").write_text("")
        return Ended(0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    def place(score: Score, broken: int | None = None) -> Made:
        where = Made(score, broken)

        @contextmanager
        def of(*_: object):
            yield where

        monkeypatch.setattr(session, "_place", of)
        return where

    monkeypatch.setattr(RunFolder, "check", lambda self, config: None)
    monkeypatch.setattr(scheduling, "POLL", 0)
    return place


def noise(seed: int, size: float = 0.01) -> float:
    return float(np.random.default_rng(seed).normal(0, size))


def sweep(tmp_path: Path, *more: str, asked=("placebo", "random")) -> int:
    where = ["--work-dir", str(tmp_path), "--wandb", "disabled"]
    options = ["--cfg-options", "budget.cycles=2"]
    return al_sweep.main([TOY, "--until-decided", *asked, *where, *more, *options])


def test_seeds_are_added_until_the_two_are_told_apart(tmp_path, made, capsys):
    def score(leg: str, seed: int) -> float:
        return 0.5 + (0.03 + noise(seed) if leg == "placebo" else 0)

    where = made(score)
    assert sweep(tmp_path, "--max-seeds", "10") == 0
    said = capsys.readouterr().out
    file = tmp_path / "toy_config" / "decided-placebo-random.json"
    kept = json.loads(file.read_text())
    differences = [score("placebo", n) - 0.5 for n in range(10)]
    expected = looked(differences, schedule(3, 10), 10)
    count = expected[-1].pairs
    assert 3 < count < 10 and [look["pairs"] for look in kept["looks"]] == list(range(3, count + 1))
    assert [look["p"] for look in kept["looks"]] == pytest.approx([look.p for look in expected])
    assert sorted(where.started) == [(s, n) for s in ("placebo", "random") for n in range(count)]
    lines = said.splitlines()
    assert (
        f"decided after {count} of at most 10 seeds: placebo has a larger area than random" in said
    )
    assert (
        sum(line.startswith("after ") and "placebo is ahead of random" in line for line in lines)
        == count - 3
    )
    assert "the chance that 10 seeds decide is" in said and f"seed {count - 1}" in said
    assert f"seed {count}" not in said, "the table has the seeds that ran"

    assert sweep(tmp_path, "--max-seeds", "10") == 0, "the same command has nothing to do"
    assert len(where.started) == 2 * count
    assert json.loads(file.read_text()) == kept
    assert sweep(tmp_path, "--max-seeds", "14") == 2
    said = capsys.readouterr().out
    assert "looks that are chosen after others do not keep the level" in said
    assert f"looks: {list(range(3, 11))} there, {list(range(3, 15))} now" in said
    file.write_text("{}")
    assert sweep(tmp_path, "--max-seeds", "10") == 2
    assert "is damaged ('plan'); restore it, or remove it" in capsys.readouterr().out


def test_it_goes_on_where_it_was_stopped(tmp_path, made, capsys):
    def score(leg: str, seed: int) -> float:
        return 0.5 + (0.01 + noise(seed) if leg == "placebo" else 0)

    made(score, broken=4)
    assert sweep(tmp_path, "--max-seeds", "8") == 1
    assert "FAILED: placebo, seed 4" in capsys.readouterr().out
    for leg in ("placebo", "random"):
        (tmp_path / "toy_config" / leg / "seed4").rmdir()
    where = made(score)
    assert sweep(tmp_path, "--max-seeds", "8") == 0
    assert min(n for _, n in where.started) == 4, "seeds 0 to 3 were there"
    one = json.loads((tmp_path / "toy_config" / "decided-placebo-random.json").read_text())
    other = looked([score("placebo", n) - 0.5 for n in range(8)], schedule(3, 8), 8)
    assert [look["verdict"] for look in one["looks"]] == [look.verdict for look in other]


def test_what_is_hopeless_ends_and_further_strategies_run_along(tmp_path, made, capsys):
    where = made(lambda leg, seed: 0.5 + noise(seed + 99 * (leg == "placebo")))
    more = ["--strategies", "placebo", "learning_loss", "random", "--look-every", "3"]
    assert sweep(tmp_path, *more, "--seeds", "5", "1", "2", "--max-seeds", "20") == 0
    said = capsys.readouterr().out
    kept = json.loads((tmp_path / "toy_config" / "decided-placebo-random.json").read_text())
    assert kept["plan"]["seeds"] == [5, 1, 2, *range(6, 23)]
    assert kept["plan"]["looks"] == [3, 6, 9, 12, 15, 18, 20]
    assert kept["looks"][-1]["verdict"] == "hopeless" and "hopeless after " in said
    count = kept["looks"][-1]["pairs"]
    assert len(where.started) == 3 * count and count < 20


def test_in_either_order_it_is_one_question(tmp_path, made, capsys):
    made(lambda leg, seed: 0.25)
    assert sweep(tmp_path, "--max-seeds", "10") == 0
    assert sweep(tmp_path, "--max-seeds", "11", asked=("random", "placebo")) == 2
    assert "looks that are chosen after others" in capsys.readouterr().out


OWN = "acquisition.steps.RandomSubset"


@pytest.mark.parametrize(
    "asked, more",
    [
        ((OWN, "random"), []),
        ((OWN, "random"), ["--strategies", "random", OWN]),
        (("random", "RandomSubset"), ["--strategies", OWN, "random"]),
        ((f"{OWN}-off", "random-off"), ["--strategies", OWN, "random", "--module", "off"]),
    ],
)
def test_a_strategy_of_ones_own_is_asked_for_by_its_dotted_name_or_the_last_part(
    tmp_path, made, asked, more
):
    made(lambda leg, seed: 0.25)
    assert sweep(tmp_path, *more, "--max-seeds", "4", asked=asked) == 0
    (file,) = (tmp_path / "toy_config").glob("decided-*.json")
    off = "-off" if "--module" in more else ""
    assert file.name == f"decided-RandomSubset{off}-random{off}.json"


def test_another_class_of_the_same_name_is_not_taken_and_one_strategy_is_not_two(tmp_path, capsys):
    more = ["--strategies", OWN, "random"]
    for asked in (("other.RandomSubset", "random"), (OWN, "RandomSubset")):
        assert sweep(tmp_path, *more, asked=asked) == 2
        assert f"expected two of {OWN}, random, but got {' and '.join(asked)}" in (
            capsys.readouterr().out
        )


def test_equal_scores_are_hopeless(tmp_path, made, capsys):
    made(lambda leg, seed: 0.25)
    assert sweep(tmp_path, "--max-seeds", "10") == 0
    assert "placebo and random have the same area (p = 1" in capsys.readouterr().out


def test_where_less_is_better_the_smaller_area_is_ahead():
    one = Question("a", "b", (0, 1, 2), (3,), Path("file"), "error", lower=True)
    look = Look(3, -0.02, 0.01, 0.05, 0.9, "decided")
    assert told(one, look).startswith("decided after 3 of at most 3 seeds: a has a smaller area")
    other = Look(3, 0.02, 0.2, 0.05, 0.4, "undecided")
    assert "b is ahead of a by 0.02 in area" in told(one, other)
    assert "no p, as all differences" in told(one, Look(3, 0.02, float("nan"), 0.05, 0.4, ""))


def test_a_run_without_a_score_in_some_cycle_is_named(tmp_path, made, capsys):
    made(lambda leg, seed: None if (leg, seed) == ("random", 1) else 0.5)
    assert sweep(tmp_path) == 2
    said = capsys.readouterr().out
    assert "random, seed 1: expected score in every cycle, but one has none" in said


def test_a_dry_run_says_what_the_looks_are_worth(tmp_path, capsys):
    assert sweep(tmp_path, "--max-seeds", "5", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "10 runs, 0 of them finished before" in said and "looks: 3 seeds (p " in said
    rows = [line.strip("│").split("│") for line in said.splitlines() if "%" in line]
    assert [row[0].strip() for row in rows] == ["0", "0.5", "0.8", "1", "1.5"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "more, message",
    [
        (
            ["--strategies", "random", "learning_loss"],
            "expected two of random, learning_loss, but got",
        ),
        (["--grid", "budget.query=4,6"], "--until-decided: expected without --grid"),
        (
            ["--seeds", "1", "2", "3", "4", "--max-seeds", "3"],
            "--max-seeds: expected at least as many",
        ),
        (["--max-seeds", "201"], "and at most 200, but got 201"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, capsys, more, message):
    assert sweep(tmp_path, *more) == 2
    assert message in capsys.readouterr().out


def test_without_a_comparison_strategies_and_seeds_are_needed_and_its_options_are_not(
    tmp_path, capsys
):
    options = ["--max-seeds", "4", "--look-every", "2"]
    assert al_sweep.main([TOY, "--work-dir", str(tmp_path), *options]) == 2
    said = capsys.readouterr().out
    assert "--strategies: missing\n  --seeds: missing" in said
    for name in ("--max-seeds", "--look-every"):
        assert f"{name}: expected with --until-decided, but there is none" in said


def test_a_strategy_is_not_compared_with_itself(tmp_path, capsys):
    options = ["--until-decided", "random", "random"]
    assert al_sweep.main([TOY, "--work-dir", str(tmp_path), *options]) == 2
    assert "expected two strategies, but got random twice" in capsys.readouterr().out
