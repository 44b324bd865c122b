"""The command `check_task.py`: what it says and its exit status, on adapters anywhere on
the path.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from tests import segkit
from tests.conftest import REPOSITORY
from tests.toy import Toy
from tools import check_task
from tools.contract import CHECKS, scaffold
from tools.experiment.config import load

TOY = str(REPOSITORY / "tests/examples/toy_config.py")
CONFIG = """
from torch.optim import SGD
from {module} import {kind}
task = dict(type={kind})
budget = dict(initial=10, query=5, cycles=3)
training = dict(epochs=4, batch_size=4, optimizer=dict(type=SGD, lr=0.05), workers=0)
scoring = dict(batch_size=8, workers=0)
strategy = "learning_loss"
"""


def write_config(folder: Path, module: str, kind: str) -> str:
    path = folder / "mine.py"
    path.write_text(CONFIG.format(module=module, kind=kind))
    return str(path)


def faulty(folder: Path, kind: str) -> str:
    return write_config(folder, "tests.faulty", kind)


def test_a_task_that_keeps_the_contract(capsys):
    assert check_task.main([TOY]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first == "toy_config: tests.toy.Toy"
    assert len(lines) == len(CHECKS) == 25
    assert [line.split()[0] for line in lines].count("ok") == 24
    promises = [(check.__doc__ or "").partition("\n")[0].rstrip(".") for check in CHECKS]
    assert all(
        promise in line and " s  " in line for promise, line in zip(promises, lines, strict=True)
    )
    assert [line for line in lines if line.startswith("skipped")][0].endswith(
        ": because `fields` has no 'probs'"
    )
    assert last == "25 checks: 24 ok, 0 failed, 1 skipped"


def test_a_failed_check_is_told_and_the_others_run(tmp_path: Path, capsys):
    assert check_task.main([faulty(tmp_path, "LabelInTap")]) == 1
    lines = capsys.readouterr().out.splitlines()
    (failed,) = (line for line in lines if line.startswith("FAILED"))
    assert (
        "change no tap and no probability: expected a key of the batch that changes the loss alone"
        in failed
    )
    assert lines[-1] == "25 checks: 23 ok, 1 failed, 1 skipped"


def test_faults_of_the_data_stop_the_rest(capsys):
    assert check_task.main([TOY, "--cfg-options", "task.faults=[a.jpg is missing]"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (
        "no faults, but got 1, the first: a.jpg is missing; mend the data or the settings"
        in lines[1]
    )
    assert lines[2:] == [
        "25 checks: 0 ok, 1 failed, 0 skipped, 24 left out, as there is nothing to read"
    ]


@pytest.mark.parametrize("arguments", [[], ["--traceback"]])
def test_an_error_of_the_adapters_is_a_line_and_a_traceback_where_it_is_asked_for(
    tmp_path, capsys, arguments
):
    assert check_task.main([faulty(tmp_path, "Raising"), *arguments]) == 1
    said = capsys.readouterr().out
    where = f"({REPOSITORY / 'tests/faulty.py'}, line "
    assert (
        f"forward raised KeyError: 'boxes' {where}" in said and ': return batch["boxes"])' in said
    )
    assert said.count("Traceback (most recent call last)") == (10 if arguments else 0)


def test_the_check_is_as_full_as_asked_for(tmp_path: Path, capsys):
    root = segkit.make_seg(tmp_path / "VOC2012")
    config, options = (
        str(REPOSITORY / "tests/examples/seg_voc.py"),
        ["--cfg-options", f"task.data_root={root}"],
    )
    assert check_task.main([config, "--smoke", "--check", "full", *options, "task.classes=2"]) == 1
    assert "expected 255 or numbers below 2, but got {" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Mine:\n    def __init__(self):\n        raise KeyError('root')",
         "  task: Mine cannot be made of these settings (KeyError: 'root'; {adapter}, line 3)"),
        ("class Mine:\n    def __init__(self):\n        raise ValueError('root: expected a folder')",
         "error: {config}: 1 problem(s)\n  task: root: expected a folder"),
        ("class Mine:\n    pass", "  task.type: Mine lacks ['build', 'check', 'collate',"),
        ("class Other:\n    pass", "but got 'own_task.Mine' (own_task.Mine: unknown;"),
        ("import no_such_library\nclass Mine:\n    pass", "'own_task.Mine' (No module named 'no_such_library')"),
    ],
)  # fmt: skip
def test_an_adapter_that_cannot_be_made_is_refused(tmp_path, capsys, monkeypatch, source, said):
    """Here the adapter lies beside its config."""
    (tmp_path / "own_task.py").write_text(source)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "own_task", raising=False)
    config = write_config(tmp_path, "own_task", "Mine")
    assert check_task.main([config]) == 2
    assert said.format(config=config, adapter=tmp_path / "own_task.py") in capsys.readouterr().out
    sys.modules.pop("own_task", None)


def command(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess:
    """One of the tools as a process of its own in a folder."""
    given = [sys.executable, REPOSITORY / "tools" / arguments[0], *arguments[1:]]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        given, cwd=folder, text=True, capture_output=True, timeout=300, env=environment
    )


@pytest.mark.slow
def test_a_new_task_passes_the_checks_and_runs_its_cycles_as_it_is(tmp_path: Path):
    done = command("check_task.py", "--new", "flowers.py", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        0,
        "",
    ) and "wrote flowers.py, a task that works as it is" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flowers.py", "flowers_config.py"]
    text = (tmp_path / "flowers.py").read_text()
    assert (
        text.count("TODO") > 10
        and "mytask" not in text + (tmp_path / "flowers_config.py").read_text()
    )
    named = [
        line.split()[2:] for line in done.stdout.splitlines() if line.startswith("  python tools/")
    ]
    assert named == [["flowers_config.py"],
                     ["flowers_config.py", "--strategy", "learning_loss", "--wandb", "disabled"]]  # fmt: skip
    done = command("check_task.py", *named[0], folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.startswith("flowers_config: flowers.MyTask\n")
    assert done.stdout.endswith(f"{len(CHECKS)} checks: {len(CHECKS)} ok, 0 failed, 0 skipped\n")
    done = command("al_train.py", *named[1], folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    run = tmp_path / "work_dirs/flowers_config/learning_loss/seed0"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # chance is 1 / 3
    assert [row["labeled"] for row in rows] == [20, 40, 60] and rows[-1]["accuracy"] > 0.45
    assert "prefix" not in done.stdout


def test_a_new_tasks_smoke_variant_can_be_loaded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    adapter, config = scaffold.write(tmp_path / "own_flowers.py")
    assert load(config, smoke=True).budget.cycles == 2 and adapter.name == "own_flowers.py"
    sys.modules.pop("own_flowers", None)


@pytest.mark.parametrize("there", ["petals.py", "petals_config.py"])
def test_a_new_task_is_written_over_nothing(there, tmp_path: Path, capsys):
    (tmp_path / there).write_text("precious")
    assert check_task.main(["--new", str(tmp_path / "petals.py")]) == 2
    said = capsys.readouterr().out
    assert said.startswith(
        f"error: --new: {tmp_path / there} is there already, and nothing was written; give "
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "precious")]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "my task.py",
            "expected a file that Python can import, such as mytask.py; give another name",
        ),
        ("class.py", "expected a file that Python can import"),
        ("mytask", "expected a file that Python can import"),
        (
            "numpy.py",
            "a module 'numpy' is installed already, which would be found in its place or be hidden",
        ),
        ("tasks.py", "a module 'tasks' is installed already"),
        ("nowhere/leaves.py", "No such file or directory"),
    ],
)
def test_a_new_task_needs_a_name_of_its_own_and_a_place(name, told, tmp_path: Path, capsys):
    assert check_task.main(["--new", str(tmp_path / name)]) == 2
    assert told in capsys.readouterr().out and list(tmp_path.iterdir()) == []


def test_where_the_config_cannot_be_written_the_task_is_not_left_alone(tmp_path: Path):
    name = "a" * 250  # with ".py" a name that file systems take, with "_config.py" none
    with pytest.raises(
        scaffold.ScaffoldError, match="File name too long.*give a place that can be written to"
    ):
        scaffold.write(tmp_path / f"{name}.py")
    assert list(tmp_path.iterdir()) == []


def test_a_file_to_check_or_to_write_must_be_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        check_task.main([])
    assert "one of the arguments config --new is required" in capsys.readouterr().err


class Bare(BaseMetric):
    """A metric without a prefix, as most are written; it warns of something else."""

    def __init__(self) -> None:
        super().__init__()
        print_log("few samples", logger="current", level=logging.WARNING)

    def process(self, data_batch, data_samples) -> None:
        self.results += [(s["found"] - s["truth"]) ** 2 for s in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {"score": -float(np.mean(results))}


class WithBareMetric(Toy):
    def evaluator(self) -> BaseMetric:
        return Bare()


@pytest.mark.slow
def test_a_metric_without_a_prefix_is_no_warning(tmp_path: Path):
    """Its keys are meant as they are; other words of a metric come through."""
    config = write_config(tmp_path, __name__, "WithBareMetric")
    for name, more in (
        ("check_task.py", []),
        ("al_train.py", ["--strategy", "random", "--wandb", "disabled"]),
    ):
        done = command(name, config, *more, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (
            "prefix" not in done.stdout + done.stderr and "few samples" in done.stdout + done.stderr
        )
    rows = (tmp_path / "work_dirs/mine/random/seed0/metrics.jsonl").read_text().splitlines()
    assert len(rows) == 3 and all("score" in json.loads(row) for row in rows)


def test_errors_of_a_config_look_as_everywhere(tmp_path: Path, capsys):
    assert check_task.main([TOY, "--cfg-options", "task.sise=3"]) == 2
    assert "  task.sise: unknown; did you mean 'size'?" in capsys.readouterr().out
    assert check_task.main([str(tmp_path / "none.py")]) == 2
    assert "no such file" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_checks_an_adapter_of_another_folder_from_anywhere(tmp_path: Path):
    """As a process of its own.

    The example lies beside its config, in no folder that Python looks in.
    """
    root = segkit.make_seg(tmp_path / "VOC2012")
    arguments = ["--smoke", "--cfg-options", f"task.data_root={root}", "task.classes=4"]
    done = subprocess.run(
        [
            sys.executable,
            REPOSITORY / "tools/check_task.py",
            REPOSITORY / "tests/examples/seg_voc.py",
            *arguments,
        ],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.startswith("seg_voc-smoke: segmentation.Segmentation\n")
    assert done.stdout.endswith("25 checks: 25 ok, 0 failed, 0 skipped\n")
