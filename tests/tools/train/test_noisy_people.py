"""Runs whose labels come from simulated people: what is learned is noisy, what is judged is not,
and a run stays a function of its config.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.noise import Noisy
from tests import commands, devkit, imagekit, keypointkit
from tools import al_compare, al_verify
from tools.contract import session as contract_session
from tools.experiment.config import load
from tools.experiment.options import ConfigError
from tools.record import plans
from tools.train import first_model, loop

CONFIG = """
from torch.optim import SGD
{imports}
from tasks.noise import Noisy

task = {task}
budget = dict(initial=4, query=2, cycles=3)
training = dict(epochs=1, batch_size=2, optimizer=dict(type=SGD, lr=0.01), workers=0)
module = dict(width=8)
scoring = dict(batch_size=4, workers=0, control=4)
strategy = "learning_loss"
oracle = dict(type=Noisy, {rates})
test_in_pool = True
"""
TASKS = {
    "classes": ("tasks.classification", 'Classification, network="resnet10_cifar_w8"'),
    "boxes": (
        "tasks.detection",
        'Detection, format="coco", train=["images:train.json"], test=["images:test.json"], '
        f'classes={devkit.CLASSES}, network="small_ssd", pretrained=None, augmentation="flip"',
    ),
    "poses": (
        "tasks.pose",
        f'Pose, format="coco", **{keypointkit.LISTS}, **{keypointkit.SMALL}',
    ),
}
RATES = {
    "classes": "flipped=.5",
    "boxes": "missed=.3, doubled=.2, jitter=.05, flipped=.2",
    "poses": "jitter=.05, swapped=.2, dropped=.2",
}


def written(root: Path, kind: str = "classes", rates: str | None = None) -> Path:
    """A config beside made data."""
    data = root / "data"
    if not data.exists():
        data.mkdir()
        make: dict[str, Any] = {
            "classes": imagekit.make_folder,
            "boxes": devkit.make_coco,
            "poses": lambda folder: keypointkit.make_coco(folder / "own"),
        }
        make[kind](data)
    if kind == "poses":
        data = data / "own"
    module, settings = TASKS[kind]
    given = f'dict(type={settings}, data_root="{data}")'
    imports = f"from {module} import {settings.split(',')[0]}"
    text = CONFIG.format(imports=imports, task=given, rates=rates or RATES[kind])
    if kind == "boxes":
        # six images
        text = text.replace("initial=4, query=2", "initial=2, query=1")
    path = root / f"{kind}.py"
    path.write_text(text, encoding="utf-8")
    return path


def run(config: Path, folder: Path, *more: str, through: Any = loop.run) -> int:
    arguments = [str(config), "--wandb", "disabled", "--work-dir", str(folder), *more]
    return commands.train(arguments, through)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.startswith("seconds/")} for row in rows(folder)]


def labeled(folder: Path) -> list[int]:
    return json.loads((folder / "state.json").read_text())["labeled"]


def queries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "queries").iterdir())}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of classes, half of them wrong; its config lies beside it."""
    root = tmp_path_factory.mktemp("noisy")
    assert run(written(root), root / "run") == 0
    return root / "run"


# ------------------------------------------------------------------ whole runs


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.slow
def test_each_task_learns_from_noisy_people(kind: str, tmp_path: Path):
    config = written(tmp_path, kind)
    assert run(config, tmp_path / "run") == 0
    task, found = load(config).task, rows(tmp_path / "run")
    ids = labeled(tmp_path / "run")
    assert len(found) == 3
    for row in found:
        taken = ids[: row["labeled"]]
        assert row["oracle/noisy"] == sum(task.altered(i) for i in taken) / len(taken)
        assert row["effort"] == sum(task.effort(i) for i in taken)
    assert any(row["oracle/noisy"] > 0 for row in found)


def test_a_run_that_was_stopped_and_goes_on_is_the_same(finished: Path, tmp_path: Path):
    config = finished.parent / "classes.py"
    folder = tmp_path / "run"

    def one_cycle(cycle: Any, *rest: Any) -> None:
        made, query, pool, receipt = loop.run_cycle(cycle)
        cycle.folder.commit(made, query, pool, receipt)
        raise KeyboardInterrupt

    for cycles in (1, 2):
        assert run(config, folder, through=one_cycle) == 130
        assert len(rows(folder)) == cycles
    assert run(config, folder) == 0
    assert timeless(folder) == timeless(finished)
    assert queries(folder) == queries(finished)


def test_without_noise_the_row_says_nothing_and_the_first_labels_are_others(
    finished: Path, tmp_path: Path
):
    config = written(tmp_path)
    config.write_text(config.read_text().replace("oracle =", "_oracle ="), encoding="utf-8")
    assert run(config, tmp_path / "run") == 0
    clean, noisy = rows(tmp_path / "run"), rows(finished)
    assert all("oracle/noisy" not in row for row in clean)
    assert [row["effort"] for row in clean] == [row["effort"] for row in noisy]
    assert labeled(tmp_path / "run")[:4] == labeled(finished)[:4]
    kept = [json.loads((f / "config.json").read_text()) for f in (tmp_path / "run", finished)]
    assert ["oracle" in one for one in kept] == [False, True]


def test_a_run_is_verified(finished: Path, capsys):
    assert al_verify.main([str(finished)]) == 0
    said = capsys.readouterr().out
    assert "FAILED" not in said and "data" in said


def test_other_rates_in_its_folder_are_refused(finished: Path, capsys):
    config = finished.parent / "classes.py"
    assert run(config, finished, "--cfg-options", "oracle.flipped=0.1", through=None) == 2
    assert "oracle.flipped: 0.5 there, 0.1 now" in capsys.readouterr().out


def test_first_trainings_are_shared_under_the_same_noise_alone(tmp_path: Path):
    keys = []
    for rates in ("flipped=.5", "flipped=.5", "flipped=0.0", "flipped=.5, jitter=.1"):
        experiment = load(written(tmp_path, rates=rates))
        assert experiment.task.check() == []
        pool = first_model.Pool.initial(12, 4, 0)
        keys.append(first_model.key(experiment, pool, ["a"]))
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_the_task_of_a_run_folder_has_its_noise(finished: Path):
    task, experiment = plans.task(finished), load(finished.parent / "classes.py")
    found = [task.altered(i) for i in range(12)]
    assert found == [experiment.task.altered(i) for i in range(12)] and any(found)
    assert plans.plan(finished).oracle == experiment.oracle == Noisy(flipped=0.5)


# ------------------------------------------------------------------ comparisons


def test_a_comparison_says_how_much_noise_each_strategy_met(finished: Path, tmp_path: Path, capsys):
    config = finished.parent / "classes.py"
    other = tmp_path / "random"
    assert run(config, other, "--strategy", "random") == 0
    capsys.readouterr()
    out = tmp_path / "report"
    assert al_compare.main([str(finished), str(other), "--out", str(out)]) == 0
    shares = {
        leg: rows(f)[-1]["oracle/noisy"]
        for leg, f in (("learning_loss", finished), ("random", other))
    }
    line = (
        "Labeled samples with a mistake of the simulated people, in the end: "
        f"random {shares['random']:.1%}, learning_loss {shares['learning_loss']:.1%}."
    )
    assert line in " ".join(capsys.readouterr().out.split())
    assert line in (out / "report.html").read_text()
    with open(out / "summary.csv", encoding="utf-8", newline="") as file:
        table = {row["strategy"]: row["noisy"] for row in csv.DictReader(file)}
    assert {leg: float(value) for leg, value in table.items()} == pytest.approx(shares)
    (summary,) = json.loads((out / "summary.json").read_text())
    means = {leg["name"]: leg["noisy"]["mean"] for leg in summary["legs"]}
    assert means == pytest.approx(shares)


def test_runs_under_other_noise_are_not_compared(finished: Path, tmp_path: Path, capsys):
    config, given = finished.parent / "classes.py", ["--cfg-options", "oracle.flipped=.25"]
    assert run(config, tmp_path / "run", "--strategy", "random", *given) == 0
    capsys.readouterr()
    out = str(tmp_path / "report")
    assert al_compare.main([str(finished), str(tmp_path / "run"), "--out", out]) == 2
    assert "oracle.flipped: 0.25 and 0.5" in " ".join(capsys.readouterr().out.split())


# ------------------------------------------------------------------ the section


@pytest.mark.parametrize(
    "options, said",
    [
        ({"oracle.missed": 1.5}, "oracle.missed: input should be less than or equal to 1"),
        ({"oracle.mised": 0.1}, "oracle.mised: unknown; did you mean 'missed'?"),
        ({"oracle.type": "torch.optim.SGD"}, "oracle.type: expected `tasks.noise.Noisy`, but got SGD"),
        ({"oracle": 0.1}, "oracle.type: expected `tasks.noise.Noisy`, but got 0.1"),
        (
            {"task": {"type": "tests.toy.Toy", "_delete_": True}},
            "oracle: expected None for Toy, which lacks `noisy` and `altered`; see tasks/noise.py",
        ),
    ],
)  # fmt: skip
def test_a_section_that_is_wrong_is_named(options: dict[str, Any], said: str, tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path), options=options)
    assert said in str(error.value)


def test_a_section_may_be_none(tmp_path: Path):
    experiment = load(written(tmp_path), options={"oracle": None})
    assert experiment.oracle is None
    assert not any(experiment.task.altered(i) for i in range(12))


def test_seeds_have_their_own_noise(tmp_path: Path):
    tasks = [load(written(tmp_path), options={"seed": seed}).task for seed in (0, 1)]
    found = [[task.altered(i) for i in range(12)] for task in tasks]
    assert found[0] != found[1]


def test_the_contract_is_checked_on_labels_as_they_are(tmp_path: Path, monkeypatch):
    seen = []
    monkeypatch.setattr(contract_session, "_report", lambda found, *rest: seen.append(found) or 0)
    from tools import check_task

    assert check_task.main([str(written(tmp_path))]) == 0
    assert seen[0].oracle is None and not any(seen[0].task.altered(i) for i in range(12))
