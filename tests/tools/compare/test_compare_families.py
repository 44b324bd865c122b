"""Runs of one config that differ in start or single seeds stand together, and nothing else does."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.comparekit import config, write
from tests.conftest import REPOSITORY
from tools import al_compare
from tools.compare.grouping import group
from tools.record.reading import ComparisonError, read

WARM = {"training__start": "warm"}


def grouped(root: Path):
    return group([read(path.parent) for path in sorted(root.rglob("config.json"))])


def test_warm_runs_are_controls_beside_those_from_scratch(tmp_path: Path):
    for leg, seed in itertools.product(("random", "entropy"), range(2)):
        write(tmp_path / f"net/{leg}/seed{seed}", config(leg, seed))
        write(tmp_path / f"net_warm/{leg}/seed{seed}", config(leg, seed, **WARM))
    write(
        tmp_path / "net_warm/random-joint/seed0", config("random", 0, module__mode="joint", **WARM)
    )
    (one,) = grouped(tmp_path)
    assert one.config == "net"
    assert {leg: [run.seed for run in runs] for leg, runs in one.legs.items()} == {
        "random": [0, 1],
        "entropy": [0, 1],
        "entropy-warm": [0, 1],
        "random-joint-warm": [0],
        "random-warm": [0, 1],
    }
    assert (
        one.remarks[0] == "net, net_warm differ in start and seeds alone, and are one config here."
    )
    assert "train the last cycle's network on" in one.remarks[1]


def test_warm_runs_alone_are_named_as_they_are(tmp_path: Path):
    write(tmp_path / "net/random/seed0", config("random", **WARM))
    (one,) = grouped(tmp_path)
    assert list(one.legs) == ["random"] and one.remarks == ()


def test_runs_that_differ_in_more_than_the_start_are_refused_or_stay_apart(tmp_path: Path):
    write(tmp_path / "net/random/seed0", config("random"))
    write(tmp_path / "net/entropy/seed0", config("entropy", **WARM, training__epochs=9))
    with pytest.raises(ComparisonError, match="training.epochs: 4 and 9"):
        grouped(tmp_path)
    write(tmp_path / "other/warm/random/seed0", config("random", **WARM, training__epochs=9))
    assert [one.config for one in grouped(tmp_path / "other")] == ["warm"]
    write(tmp_path / "other/plain/random/seed0", config("random"))
    assert [one.config for one in grouped(tmp_path / "other")] == ["plain", "warm"]


def test_a_control_run_differs_from_its_strategy_in_the_start_alone(tmp_path: Path):
    write(tmp_path / "net/random/seed0", config("random", subset=30))
    write(tmp_path / "net/random-warm/seed1", config("random", 1, subset=40, **WARM), names=())
    with pytest.raises(ComparisonError, match="subset: 30 and 40"):
        group([replace(read(path.parent), config="net") for path in tmp_path.rglob("config.json")])
    assert [one.config for one in grouped(tmp_path)] == ["net", "random-warm"]


def test_equal_configs_of_two_names_stay_apart(tmp_path: Path):
    for name in ("one", "two"):
        write(tmp_path / f"{name}/random/seed0", config("random"))
    write(tmp_path / "three/random/seed0", config("random", **WARM))
    assert [one.config for one in grouped(tmp_path)] == ["one", "three", "two"]


def test_warm_and_scratch_within_a_config_may_differ_between_legs_alone(tmp_path: Path):
    write(tmp_path / "net/random/seed0", config("random"))
    write(tmp_path / "net/random/seed1", config("random", 1, **WARM))
    (one,) = grouped(tmp_path)
    assert list(one.legs) == ["random", "random-warm"]


def seeded(root: Path, leg: str, seed: int, value: float, **seeds: int) -> None:
    name = "net" + "".join(f",{part}={own}" for part, own in seeds.items())
    folder = root / name / leg / f"seed{seed}"
    write(
        folder, config(leg, seed, **{f"seeds__{part}": s for part, s in seeds.items()}), [value] * 3
    )


def crossed(root: Path) -> Path:
    """Two strategies whose area is set + model / 10; the second is .01 above the first."""
    for (place, leg), seed, model in itertools.product(
        enumerate(("random", "entropy")), range(3), range(2)
    ):
        seeded(root, leg, seed, 0.2 * seed + 0.1 * model + 0.01 * place, model=model, query=0)
    return root


def test_runs_with_other_seeds_of_parts_count_in_the_shares_alone(tmp_path: Path):
    (one,) = grouped(crossed(tmp_path))
    assert one.config == "net,query=0"
    assert {leg: len(runs) for leg, runs in one.legs.items()} == {"random": 3, "entropy": 3}
    assert len(one.varied) == 6
    assert "The same in all runs: model (seed 0), query (seed 0)." in one.remarks[1]
    assert one.remarks[2].startswith("6 more runs have other seeds of set, model or query;")


def test_runs_that_repeat_another_one_count_once(tmp_path: Path):
    """Where the seeds of all parts are set, the run's own decides nothing: no three seeds here."""
    for seed in range(3):
        seeded(tmp_path, "random", seed, 0.3, set=0, model=0, query=0)
        seeded(tmp_path, "entropy", seed, 0.4, set=0, model=0, query=0)
    (one,) = grouped(tmp_path)
    assert {leg: [run.seed for run in runs] for leg, runs in one.legs.items()} == {
        "random": [0],
        "entropy": [0],
    }
    assert one.remarks == (
        "4 of the runs repeat another one: seeds.set, seeds.model and seeds.query are set, so that "
        "the run's seed decides nothing. Each counts once.",
    )


def test_with_simulated_people_the_runs_own_seed_decides_their_mistakes(tmp_path: Path):
    fixed = {"seeds__set": 0, "seeds__model": 0, "seeds__query": 0, "oracle__flipped": 0.1}
    for seed in range(2):
        write(tmp_path / f"net/random/seed{seed}", config("random", seed, **fixed))
    (one,) = grouped(tmp_path)
    assert len(one.legs["random"]) == 2


def test_plain_seeds_come_first_where_they_are_as_many(tmp_path: Path):
    for seed in range(3):
        write(tmp_path / f"net/random/seed{seed}", config("random", seed))
        seeded(tmp_path, "random", seed, 0.3, set=7)
    (one,) = grouped(tmp_path)
    assert one.config == "net" and not any("seeds.set" in run.settings for run in one.runs)


def test_runs_with_the_same_seeds_twice_are_refused(tmp_path: Path):
    write(tmp_path / "net/a", config("random", seeds__set=1))
    write(tmp_path / "net/b", config("random", seeds__set=1))
    with pytest.raises(ComparisonError, match="random with seed 0, twice"):
        grouped(tmp_path)


def test_the_shares_are_in_the_report(tmp_path: Path, capsys):
    root = crossed(tmp_path / "runs")
    out = tmp_path / "out"
    arguments = [str(root), "--out", str(out), "--trust", str(REPOSITORY)]
    assert al_compare.main(arguments) == 0
    said = capsys.readouterr().out
    # by hand: sets' areas 0, .2, .4 (variance .04), models' 0, .1 (.005)
    assert "std of the area of random, 6 runs, crossed: set 0.2 [" in said
    (found,) = json.loads((out / "summary.json").read_text())
    random, entropy, gain = found["variations"]
    assert [share["part"] for share in random["shares"]] == ["set", "model", "together"]
    assert random["shares"][0]["share"] == pytest.approx(0.04 / 0.045)
    assert entropy["fixed"] == ["query"] and gain["name"] == "entropy − random"
    page = (out / "report.html").read_text()
    assert "What the spread comes from" in page and "not varied" in page
    assert len(found["runs"]) == 12
