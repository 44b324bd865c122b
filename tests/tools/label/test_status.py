"""What `al_label.py status` says of numbers, and what it does without."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.labelkit import make_images
from tests.tools.label.projectkit import Bench, started
from tools import al_label
from tools.label import status
from tools.label.batches import Batch, Choice
from tools.label.curve import Point, costs
from tools.label.labels import Answer, Shape
from tools.label.project import read
from tools.label.spread import Halves
from tools.label.versions import Cost, Labeled, Version


def point(number: int, value: float | None, labeled: int, spread: float, pairs=None) -> Point:
    """A round whose halves lie on both sides of its value."""
    values = () if value is None else tuple(value + spread * sign for sign in (-1, 1) * 20)
    row = {"labeled": labeled, "effort": labeled, "m": value}
    if pairs is not None:
        row |= {"ranking/validation/pairs": pairs[0], "ranking/validation/n": pairs[1]}
    return Point(number, row, Halves(40, values), Version())


def project(labels=None, batches=(), lower: bool = False, steps=()) -> SimpleNamespace:
    task = SimpleNamespace(metric="m", lower_is_better=lower)
    return SimpleNamespace(
        experiment=SimpleNamespace(steps=steps),
        task=task,
        labels=Version(0, {}, labels or {}),
        batches=batches,
        labeling=SimpleNamespace(kind="boxes"),
    )


def gain(old: Point, new: Point, **settings) -> str:
    (line,) = status._gain(project(**settings), [old, new])
    return line


def test_the_curve_has_the_metric_of_the_task_that_reads_what_people_label(tmp_path):
    """MPII's form is judged by PCKh, and people's joints, which have no heads, by OKS."""
    make_images(tmp_path / "photos", [f"{i}.png" for i in range(6)])
    config, run = REPOSITORY / "configs/pose_sandbox.py", tmp_path / "run"
    assert (
        al_label.main(
            ["init", str(config), "--images", str(tmp_path / "photos"), "--run", str(run)]
        )
        == 0
    )
    found = read(run)
    assert (found.experiment.task.metric, found.task.metric) == ("PCKh", "AP")
    assert json.loads((run / "curve.json").read_text(encoding="utf-8"))["metric"] == "AP"


def test_the_last_batch_is_worth_it_or_not_by_its_standard_error():
    old = point(1, 0.50, 10, 0.0)
    assert gain(old, point(2, 0.60, 15, 0.02)).startswith(
        "worth going on? 5 more labels changed m by +0.100 (± 0.020): yes, labels still help"
    )
    assert ": no change that can be told from chance" in gain(old, point(2, 0.53, 15, 0.02))
    assert ": it fell; look at these labels" in gain(old, point(2, 0.40, 15, 0.02))
    assert ": yes, labels still help" in gain(old, point(2, 0.40, 15, 0.02), lower=True)
    assert "m is not a number; label more of the validation" in gain(old, point(2, None, 15, 0))
    alone = Point(2, old.row, Halves(1), Version())
    assert "the slice is too small to tell" in gain(old, alone)
    assert "One round alone cannot tell" in status._gain(project(), [old])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pairs", "size", "sure"),
    [(1.0, 2, False), (1.0, 3, False), (1.0, 6, True), (0.6, 20, False), (0.6, 100, True)],
)
def test_the_module_is_compared_with_chance(pairs: float, size: int, sure: bool):
    (line,) = status._module(project(), point(1, 0.5, 10, 0.0, (pairs, size)))  # type: ignore[arg-type]
    assert f"{100 * pairs:.0f}% of pairs" in line
    assert ("more than by chance" in line) == sure
    # the threshold is two standard deviations of the share in random orders
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(4000):
        order = rng.permutation(size)
        rows, columns = np.triu_indices(size, 1)
        shares.append((order[rows] < order[columns]).mean())
    assert (pairs >= 0.5 + 2 * np.std(shares)) == sure


def test_no_module_is_not_spoken_of():
    assert status._module(project(), point(1, 0.5, 10, 0.0)) == []  # type: ignore[arg-type]
    assert status._module(project(), point(1, 0.5, 10, 0.0, (math.nan, 1))) == []  # type: ignore[arg-type]


def answered(cost: Cost, shapes: int, state="labeled") -> Labeled:
    return Labeled(Answer("k", state, (Shape("a"),) * shapes), 1, cost)


def asked(*groups: tuple[str, bool, int]) -> Batch:
    choices = [
        Choice(f"{by}{blind}{k}", f"{k}", by, "", {}, (), blind)  # type: ignore[arg-type]
        for by, blind, count in groups
        for k in range(count)
    ]
    return Batch(1, 0, True, "m", tuple(choices))


def test_work_on_chosen_and_random_images_is_compared():
    batch = asked(("strategy", False, 6), ("random", False, 5))
    labels = {
        one.sha256: answered(Cost(kept=9, moved=1, added=2 if one.by == "strategy" else 0), 2)
        for one in batch.choices
    }
    found = status._chosen_and_random(project(labels, [batch]))  # type: ignore[arg-type]
    assert found == [
        "people changed 3.00 things an image that the strategy chose (6 images), and 1.00 an image "
        "drawn at random (5)"
    ]
    labels[batch.choices[-1].sha256] = answered(Cost(), 0, "skipped")
    assert status._chosen_and_random(project(labels, [batch])) == []  # type: ignore[arg-type]


def test_what_people_draw_with_and_without_predictions_is_compared():
    batch = asked(("strategy", False, 6), ("random", True, 5), ("validation", True, 9))
    labels = {one.sha256: answered(Cost(), 1 if one.blind else 2) for one in batch.choices}
    found = status._blind(project(labels, [batch]))  # type: ignore[arg-type]
    assert found == [
        "people drew 2.00 an image where they saw predictions (6 images), and 1.00 where they saw "
        "none (5)"
    ]


def test_costs_are_sums():
    labels = {
        "a": Labeled(Answer("a", "labeled", (), 12.5), 0, Cost(kept=1, added=2)),
        "b": Labeled(Answer("b", "empty", (), None), 0, Cost(deleted=3)),
        "c": Labeled(Answer("c", "skipped", (), 2.0), 0),
    }
    found = costs(Version(0, {}, labels))
    assert found["cost/seconds"] == 14.5 and found["cost/timed"] == 2
    assert (found["cost/kept"], found["cost/added"], found["cost/deleted"]) == (1, 2, 3)
    said = status.spent(project(labels))  # type: ignore[arg-type]
    assert said.startswith("14 s of people for 2 images; 2 added, 0 moved, 0 renamed, 3 deleted")


@pytest.mark.slow
def test_rounds_that_are_gone_or_damaged_are_named(tmp_path: Path):
    made: Bench = started(tmp_path, "classes", "label.first=random", "training.epochs=1")
    said = made.good("status", made.run)
    assert "no round was trained yet: `next` trains when labels beside the slice" in said
    made.next(7)
    made.back("csv")
    made.next(2)
    folder = made.run / "rounds/01"
    halves = folder / "halves.json"
    kept = halves.read_text()
    for content in ("", "{}", '{"samples": 2, "values": ["x"]}'):
        halves.write_text(content)
        status_, said = made.call("status", made.run)
        assert status_ == 2 and "halves.json is damaged" in said and "remove it" in said
    halves.unlink()
    assert "One round alone" in made.good("status", made.run)
    halves.write_text(kept)
    rows = folder / "metrics.jsonl"
    kept = rows.read_text()
    rows.write_text(kept[:20])
    status_, said = made.call("status", made.run)
    assert status_ == 2 and "metrics.jsonl" in said and "Traceback" not in said
    rows.write_text(kept)
    assert json.loads((made.run / "curve.json").read_text())["rows"]
    shutil.rmtree(folder)
    status_, said = made.call("status", made.run)
    assert status_ == 2 and "rounds/01" in said and "Traceback" not in said
