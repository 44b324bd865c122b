"""The curve of a labeling project: read beside runs, drawn over the seconds of people, refused
where it is damaged.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests import comparekit
from tools import al_compare
from tools.compare.curves import points
from tools.record import people
from tools.record.finding import find, read_all
from tools.record.folder import RunFolderError
from tools.record.people import About

SECONDS = (50.0, 130.0, 200.0)


def project(folder: Path, strategy: str, seed: int, values=(0.2, 0.5, 0.7), timed: int = 9) -> Path:
    about = About("bolts", comparekit.config(strategy, seed), "score", False, ["a.png", "b.png"])
    rows = [
        {
            "cycle": cycle,
            "labeled": 10 * (cycle + 1),
            "effort": 20 * (cycle + 1),
            "score": value,
            "seconds/train": 1.0,
            "cost/seconds": SECONDS[cycle],
            "cost/timed": timed,
        }
        for cycle, value in enumerate(values)
    ]
    people.write(folder, about, rows)
    (folder / "rounds/01").mkdir(parents=True)
    for name in ("config.json", "samples.txt", "state.json"):  # a round is a run folder
        (folder / "rounds/01" / name).write_text("{}\n")
    return folder


def test_a_project_is_a_run_whose_cycles_are_its_rounds(tmp_path):
    project(tmp_path / "runs/bolts", "entropy", 3)
    (run,), left_out = read_all([tmp_path / "runs"])
    assert left_out == [], "its rounds are no runs of their own"
    assert (run.config, run.leg, run.seed, run.finished) == ("bolts (people)", "entropy", 3, True)
    assert run.people and run.labeled == (10, 20, 30) and run.values == (0.2, 0.5, 0.7)
    x, y = points(run, "people")
    assert x.tolist() == [*SECONDS] and y.tolist() == [0.2, 0.5, 0.7]
    assert find([tmp_path / "runs"])[0] == [tmp_path / "runs/bolts/rounds/01"]


def test_where_no_tool_counted_seconds_there_is_no_curve_over_them(tmp_path):
    run = people.read(project(tmp_path, "random", 0, timed=0))
    assert len(points(run, "people")[0]) == 0
    assert np.array_equal(points(run, "labeled")[0], [10, 20, 30])


def test_projects_are_compared_over_the_seconds_of_people(tmp_path, capsys):
    for seed in range(2):
        for strategy, values in {"random": (0.2, 0.4, 0.5), "entropy": (0.2, 0.5, 0.7)}.items():
            project(tmp_path / f"runs/{strategy}{seed}", strategy, seed, values)
    assert al_compare.main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "bolts (people): score, final at 30 labels" in said
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert "over seconds of people" in page and "to-people" in page
    assert "could not be read" not in page


def test_runs_without_people_have_no_such_axis(tmp_path):
    for seed in range(2):
        comparekit.write(tmp_path / f"runs/random/seed{seed}", comparekit.config("random", seed))
    assert al_compare.main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    assert "seconds of people" not in (tmp_path / "report/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"metric"', '"matric"'),
        lambda text: text.replace('"score": 0.5', '"score": [0.5]'),
        lambda text: json.dumps([]),
    ],
)
def test_a_damaged_curve_is_named_with_what_writes_it_anew(tmp_path, damage):
    path = project(tmp_path, "random", 0) / people.FILE
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"curve.json is damaged .*; `al_label.py next`"):
        people.read(tmp_path)
