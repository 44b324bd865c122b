"""A command that has nothing to do yet answers before anything large is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acquisition import names
from acquisition.signals import SIGNALS
from acquisition.strategies import named_strategies
from tests.conftest import REPOSITORY
from tools import al_train, bench
from tools.benchmarks import names as measured
from tools.benchmarks import start, subjects
from tools.data.published import NAMES, sets
from tools.data.sandbox import draw

COMMANDS = sorted(p.stem for p in (REPOSITORY / "tools").glob("*.py") if p.stem != "__init__")
LARGE = {"torch", "torchvision", "mmengine", "mmdet", "mmcv", "sklearn", "scipy", "wandb"}
LARGE |= {"matplotlib", "numpy", "cv2", "PIL", "pydantic", "ray"}
MISSING = str(REPOSITORY / "configs" / "det_sandbix.py")
NO_FILE = (
    f"error: {MISSING}: 1 problem(s)\n  {MISSING}: no such file; expected a config such as "
    f"configs/det_ssd_voc.py; did you mean {REPOSITORY / 'configs' / 'det_sandbox.py'}?\n"
).replace(f"  {MISSING}: no", "  no")
# the arguments that name a config that is not there, and the exit status
CONFIGS = {
    "al_train": ([MISSING], 2),
    "al_sweep": ([MISSING, "--strategies", "random", "--seeds", "0"], 2),
    "check_task": ([MISSING], 2),
    "wandb_board": ([MISSING], 2),
    "uncertainty": ([MISSING, "--labels", "9"], 1),
    "bench": (["cycle", "--config", MISSING], 1),
}
# a value that is none of those that can be chosen, and what is said of it
CHOICES = {
    "al_train": (["x.py", "--wandb", "onlin"], "'onlin' (choose from"),
    "al_sweep": (["x.py", "--wandb", "onlin"], "'onlin' (choose from"),
    "bench": (["score", "--network", "resnet19"], "'resnet19' (choose from"),
    "matrix": (["--root", ".", "--strategies", "randon"], "'randon' (choose from"),
    "prepare_data": (["cifar11", "--root", "."], "'cifar11' (choose from"),
    "uncertainty": (["x.py", "--labels", "1", "--signals", "entropi"], "'entropi' (choose from"),
}
RUN = """
import contextlib, io, json, runpy, sys

command, runs, out = json.loads(sys.argv[1])
answers = []
for arguments in runs:
    sys.argv = [command, *arguments]
    said = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        try:
            runpy.run_path(command, run_name="__main__")
        except SystemExit as end:
            status = end.code
        sys.stdout.flush(), sys.stderr.flush()
        texts = [stream.buffer.getvalue().decode() for stream in (sys.stdout, sys.stderr)]
    answers.append([status, "".join(texts)])
with open(out, "w") as file:
    json.dump([answers, sorted(sys.modules)], file)
"""


def answers(command: str, runs: list[list[str]], out: Path) -> tuple[list, set[str]]:
    """Exit status and text of each call, and the packages that all of them imported."""
    given = json.dumps([str(REPOSITORY / "tools" / f"{command}.py"), runs, str(out)])
    subprocess.run(
        [sys.executable, "-c", RUN, given], check=True, cwd=out.parent, env={**os.environ}
    )
    said, modules = json.loads(out.read_text())
    return said, {name.partition(".")[0] for name in modules}


def one_answer(command: str, arguments: list, folder: Path) -> tuple[list, set[str]]:
    """Exit status and text of one call, and the packages that it imported."""
    said, packages = answers(command, [list(map(str, arguments))], folder / "answers")
    return said[0], packages


def test_there_are_commands():
    assert len(COMMANDS) > 12 and CONFIGS.keys() | CHOICES.keys() <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_answers_before_anything_large_is_imported(command: str, tmp_path: Path):
    missing, status = CONFIGS.get(command, ([], None))
    wrong, text = CHOICES.get(command, ([], None))
    runs = [
        ["--help"],
        ["--no-such-option"],
        *([missing] if missing else []),
        *([wrong] if wrong else []),
    ]
    said, packages = answers(command, runs, tmp_path / "answers")
    assert said[0][0] == 0 and f"usage: {command}.py" in said[0][1]
    assert said[1][0] == 2 and f"{command}.py: error: " in said[1][1]
    if missing:
        assert said[2] == [status, NO_FILE]
    if wrong:
        assert said[-1][0] == 2 and text in said[-1][1]
    assert "argparse" in packages and "tools" in packages
    assert not packages & LARGE


@pytest.mark.parametrize("command", CONFIGS)
def test_a_name_with_codes_for_the_terminal_is_printed_escaped(command: str, tmp_path: Path):
    missing, status = CONFIGS[command]
    given = ["\x1b[2Jb.py" if word.endswith(".py") else word for word in missing]
    assert given != missing
    (came, text), _ = one_answer(command, given, tmp_path)
    assert came == status and text.startswith("error: \\x1b[2Jb.py: ") and "\x1b" not in text


def test_every_error_is_made_printable_in_one_place():
    sources = {path: path.read_text() for path in (REPOSITORY / "tools").rglob("*.py")}
    assert [path for path, text in sources.items() if 'f"error: {' in text] == []
    assert sum("error_line(" in text for text in sources.values()) > 15


def test_names_that_are_known_before_are_those_of_what_can_be_done():
    assert tuple(named_strategies()) == names.STRATEGIES
    assert tuple(SIGNALS) == names.SIGNALS
    assert tuple(subjects.PAPER) == measured.NETWORKS
    assert tuple(sets.SETS) == NAMES


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run of `random`."""
    run = tmp_path_factory.mktemp("runs") / "toy_config" / "random" / "seed0"
    toy = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
    arguments = [toy, "--strategy", "random", "--smoke", "--wandb", "disabled"]
    assert al_train.main([*arguments, "--work-dir", str(run)]) == 0
    return run


def test_runs_are_compared_and_sent_without_torch(finished: Path, tmp_path: Path):
    (_, text), packages = one_answer("al_compare", [finished, "--out", tmp_path / "out"], tmp_path)
    assert f"report: {tmp_path / 'out' / 'report.html'}" in text and "matplotlib" in packages
    assert not packages & {"torch", "mmengine"}
    run = shutil.copytree(finished, tmp_path / "run")
    (status, text), packages = one_answer("wandb_push", [run, "--mode", "offline"], tmp_path)
    assert status == 0 and "2 of 2 cycles, 2 sent" in text and "wandb" in packages
    assert not packages & {"torch", "mmengine"}


def test_a_run_is_checked_without_torch_where_no_weights_are_loaded(finished: Path, tmp_path: Path):
    """The toy is code that nobody trusted, so its data are not looked at; weights are torch's."""
    run = shutil.copytree(finished, tmp_path / "run")
    (status, text), packages = one_answer("al_verify", [run], tmp_path)
    assert status == 0 and "weights        the newest weights are those" in text.lower()
    assert "torch" in packages
    for checkpoint in run.rglob("checkpoint.pth"):
        checkpoint.unlink()
    (status, text), packages = one_answer("al_verify", [run], tmp_path)
    assert status == 0 and "ok            replay" in text and "there is no /" in text
    assert "numpy" in packages and not packages & {"torch", "mmengine"}


def test_data_are_prepared_without_torch(tmp_path: Path):
    (status, text), packages = one_answer(
        "prepare_data", ["mpii", "--root", tmp_path, "--check"], tmp_path
    )
    assert status == 1 and "annot/train.json: expected a json list of 22,246 persons" in text
    assert "numpy" in packages and not packages & {"torch", "torchvision", "mmengine"}


def test_a_run_of_classification_imports_no_part_that_it_does_not_use(tmp_path: Path):
    draw("cls", tmp_path, pool=60, test=20)
    config = REPOSITORY / "configs" / "cls_sandbox.py"
    arguments = [config, "--smoke", "--wandb", "disabled", "--work-dir", tmp_path / "run"]
    options = [f"task.data_root={tmp_path / 'shapes'}", "training.epochs=1", "subset=None"]
    options += ["module.detach_epoch=1"]
    (status, text), packages = one_answer(
        "al_train", [*arguments, "--cfg-options", *options], tmp_path
    )
    assert status == 0 and "area under the curve" in text and "torchvision" in packages
    assert not packages & {"mmdet", "sklearn", "wandb", "pycocotools", "ray", "IPython"}


def test_the_start_of_runs_and_commands_is_measured(tmp_path: Path, monkeypatch, capsys):
    draw("cls", tmp_path, pool=60, test=20)
    monkeypatch.setattr(start, "RUNS", {"classification": start.RUNS["classification"]})
    monkeypatch.setattr(start, "COMMANDS", [REPOSITORY / "tools" / "planted.py"])
    out = tmp_path / "out.json"
    assert bench.main(["start", "--root", str(tmp_path), "--repeats", "1", "--json", str(out)]) == 0
    runs, commands = json.loads(out.read_text())
    names = ["import torch, torchvision, mmengine.runner", "classification, to the first iteration"]
    assert [row["name"] for row in runs["rows"]] == names
    assert [row["name"] for row in commands["rows"]] == ["python -c pass", "planted.py --help"]
    assert all(row["seconds"][0] > 0 for row in [*runs["rows"], *commands["rows"]])
    with pytest.raises(ValueError, match="expected a process that ends with 79, but got 3: late"):
        start.ended(["-c", "print('late'); raise SystemExit(3)"], start.REACHED)
