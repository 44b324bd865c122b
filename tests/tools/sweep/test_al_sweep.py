"""Sweeps: every run once, what is finished skipped, failures named, a signal passed on,
first trainings shared.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.screenkit import seen, terminal, written
from tests.tools.train.test_al_train import main as train
from tests.tools.train.test_al_train import outcome
from tools import al_sweep
from tools.record.folder import RunFolder
from tools.sweep import jobs as jobs_module
from tools.sweep import local, schedule, session

pytestmark = pytest.mark.slow

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")

STUB = '''
    """Imitates `al_train.py`: notes begin and end, and what its name asks for."""
    import json, signal, sys, time
    from pathlib import Path

    value = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    folder, strategy, seed = Path(value["--work-dir"]), value["--strategy"], int(value["--seed"])
    notes = folder.parents[1] / "notes"
    def note(what):
        with open(notes, "a") as file:
            file.write(json.dumps([what, strategy, seed, sys.argv[1:]]) + "\\n")
    def told(*_):
        note("told")
        sys.exit(130)
    signal.signal(signal.SIGTERM, told)
    note("begin")
    if strategy == "learning_loss_kl":
        print("error: something is wrong")
        sys.exit(2)
    again = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    row = dict(cycle=0, labeled=10, score=0.5 + seed / 10)
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\\n" + json.dumps(row | dict(cycle=1, labeled=15)) + "\\n")
    (folder / "state.json").write_text(json.dumps(dict(cycle=1)))
    time.sleep(60 if strategy == "oracle_loss" and not again else 0.3)
    (folder / "state.json").write_text(json.dumps(dict(cycle=2)))
    (folder / "config.py").write_text("")
    (folder / "done").write_text("")
    note("end")
'''


def imitate(tmp_path: Path, monkeypatch) -> Callable[[], list]:
    """A quick stand-in for the runs; returns what they noted."""
    script = tmp_path / "stub.py"
    script.write_text(textwrap.dedent(STUB))
    monkeypatch.setattr(jobs_module, "TRAIN", script)
    monkeypatch.setattr(RunFolder, "check", lambda self, config: None)
    notes = tmp_path / "work" / "toy_config" / "notes"
    return lambda: (
        [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    )


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Quick runs."""
    return imitate(tmp_path, monkeypatch)


def sweep(tmp_path: Path, *strategies: str, seeds=(0, 1), more=()) -> int:
    where = [
        "--work-dir",
        str(tmp_path / "work"),
        "--wandb",
        "disabled",
        "--cfg-options",
        "budget.cycles=2",
    ]
    return al_sweep.main(
        [TOY, "--strategies", *strategies, "--seeds", *map(str, seeds), *more, *where]
    )


def test_every_run_once_and_nothing_twice(tmp_path, stub, capsys):
    assert sweep(tmp_path, "random", "learning_loss") == 0
    runs = [("random", 0), ("learning_loss", 0), ("random", 1), ("learning_loss", 1)]
    assert [(s, n) for what, s, n, _ in stub() if what == "end"] == runs
    said = capsys.readouterr().out
    assert (
        "4 runs, 0 of them finished before" in said and "random, seed 1: score 0.600, 0 min" in said
    )
    assert sweep(tmp_path, "random", "learning_loss", "placebo") == 0
    assert [(s, n) for what, s, n, _ in stub() if what == "end"] == [
        *runs,
        ("placebo", 0),
        ("placebo", 1),
    ]
    assert "6 runs, 4 of them finished before" in capsys.readouterr().out


def test_the_table_has_means_and_deviations(tmp_path, stub, capsys):
    assert sweep(tmp_path, "random", seeds=(0, 2)) == 0
    line = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("│ random")
    )
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    # sd of .5 and .7; flat curves
    assert cells == ["random", "0.500", "0.700", "0.600 ± 0.141", "0.600 ± 0.141"]


def test_a_run_that_fails_is_named_with_its_log_and_the_others_go_on(tmp_path, stub, capsys):
    assert sweep(tmp_path, "learning_loss_kl", "random", seeds=(0,)) == 1
    said = capsys.readouterr().out
    log = tmp_path / "work/toy_config/learning_loss_kl/seed0.log"
    assert (
        "FAILED: learning_loss_kl, seed 0, exit status 2 after 0 min 0 s: error: something is wrong"
        in said
    )
    assert (
        said.rstrip().endswith(f"FAILED: learning_loss_kl, seed 0; its log is {log}")
        and log.exists()
    )
    assert [(what, s) for what, s, *_ in stub()] == [
        ("begin", "learning_loss_kl"),
        ("begin", "random"),
        ("end", "random"),
    ]


def test_as_many_at_a_time_as_asked_for_and_first_models_are_waited_for(tmp_path, stub):
    assert sweep(tmp_path, "random", "learning_loss", seeds=(0, 1, 2), more=["--jobs", "2"]) == 0
    inside, most = 0, 0
    for what, *_ in stub():
        inside += 1 if what == "begin" else -1
        most = max(most, inside)
    assert most == 2


def test_runs_of_one_first_model_do_not_train_it_at_once(tmp_path):
    class Waiting:
        def __init__(self, first, cycle=0):
            self.first, self.cycle = first, cycle

    one, same, other = Waiting("a"), Waiting("a"), Waiting("b")
    assert schedule._next([same, other], {one: None}) is other
    assert schedule._next([same], {one: None}) is None
    one.cycle = 1
    assert schedule._next([same], {one: None}) is same
    assert schedule._next([Waiting(None)], {Waiting(None): None}) is not None, (
        "without sharing nobody waits"
    )


@pytest.mark.parametrize(
    "module, legs", [(["auto", "joint"], ["random", "random-joint"]), (["off"], ["random-off"])]
)
def test_modes_of_the_module_are_runs_of_their_own(tmp_path, stub, module, legs):
    assert sweep(tmp_path, "random", seeds=(0,), more=["--module", *module]) == 0
    assert sorted(p.name for p in (tmp_path / "work/toy_config").iterdir() if p.is_dir()) == legs
    assert [("--module" in argv) for what, _, _, argv in stub() if what == "begin"] == [
        m != "auto" for m in module
    ]


def test_no_cache_shares_nothing(tmp_path, stub):
    assert sweep(tmp_path, "random", seeds=(0,)) == 0
    assert sweep(tmp_path, "random", seeds=(1,), more=["--no-cache"]) == 0
    assert ["--first-models" in argv for what, _, _, argv in stub() if what == "begin"] == [
        True,
        False,
    ]


def test_all_problems_at_once_before_any_run(tmp_path, stub, capsys):
    assert sweep(tmp_path, "random", "entrpy", "entropy", "random", seeds=(0, 1)) == 2
    said = capsys.readouterr().out
    assert "did you mean" in said and "entrpy" in said
    assert "entropy" in said and "probs" in said, "the toy has none"
    assert "random, seed 0 is named twice" in said and "random, seed 1 is named twice" in said
    assert stub() == []


def test_a_folder_of_another_config_is_refused_before_any_run(tmp_path, capsys):
    folder = tmp_path / "work/toy_config/random/seed0"
    assert (
        train(
            folder, "--strategy", "random", "--cfg-options", "budget.cycles=2", "training.epochs=1"
        )
        == 2
    )
    assert (
        train(folder, "--strategy", "random", "--cfg-options", "budget.cycles=2", "training.lr=1")
        == 2
    )
    assert train(folder, "--strategy", "random") == 0
    capsys.readouterr()
    assert sweep(tmp_path, "random", seeds=(0,)) == 2
    assert "budget.cycles: 3 there, 2 now" in capsys.readouterr().out


def test_no_jobs_are_refused(tmp_path, capsys):
    assert sweep(tmp_path, "random", more=["--jobs", "0"]) == 2
    assert (
        "al_sweep.py: 1 problem(s)\n  --jobs: expected at least 1, but got 0"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("gpus", ["-1", "1.5", "nan", "inf"])
def test_what_is_no_number_of_gpus_is_refused(tmp_path, capsys, gpus):
    assert sweep(tmp_path, "random", more=["--gpus", gpus, "--cpus", "0"]) == 2
    said = capsys.readouterr().out
    assert f"--gpus: expected a whole number, or a part of one, but got {float(gpus)}\n" in said
    assert "--cpus: expected at least 1, but got 0\n" in said
    assert "--cpus: expected with --ray, but there is none\n  --gpus: expected with --ray" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path, stub, capsys):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "toy_config").write_text("")
    assert sweep(tmp_path, "random") == 2
    assert (
        f"Not a directory: '{tmp_path / 'work/toy_config/random'}'; the same"
        in capsys.readouterr().out
    )


def test_runs_end_with_a_sweep_that_fails(tmp_path, stub, monkeypatch, capsys):
    start = local.Local.start

    def second(self, job):
        if job.leg == "random":
            while not (tmp_path / "work/toy_config/oracle_loss/seed0/state.json").exists():
                time.sleep(0.05)
            raise OSError("no more processes")
        return start(self, job)

    monkeypatch.setattr(local.Local, "start", second)
    assert sweep(tmp_path, "oracle_loss", "random", seeds=(0,), more=["--jobs", "2"]) == 2
    assert [(what, s) for what, s, *_ in stub()] == [
        ("begin", "oracle_loss"),
        ("told", "oracle_loss"),
    ]
    assert "error: no more processes" in capsys.readouterr().out


@pytest.mark.parametrize("told", [[signal.SIGINT], 3 * [signal.SIGTERM], [signal.SIGHUP]])
def test_a_signal_is_passed_on_and_the_same_command_goes_on(tmp_path, stub, told):
    code = f"""
import sys
from tools import al_sweep
from tools.record.folder import RunFolder
from tools.sweep import jobs

jobs.TRAIN, RunFolder.check = {str(tmp_path / "stub.py")!r}, lambda *_: None
sys.exit(al_sweep.main())
"""
    command = [
        sys.executable,
        "-c",
        code,
        TOY,
        "--strategies",
        "oracle_loss",
        "random",
        "--seeds",
        "0",
        "--work-dir",
        str(tmp_path / "work"),
        "--cfg-options",
        "budget.cycles=2",
    ]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "work/toy_config/oracle_loss/seed0/state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    for number in told:
        process.send_signal(number)
        time.sleep(0.01)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "the same command goes on" in said
    assert [(what, s) for what, s, *_ in stub()] == [
        ("begin", "oracle_loss"),
        ("told", "oracle_loss"),
    ]


def test_real_runs_share_their_first_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # where the toy is
    assert sweep(tmp_path, "learning_loss", "placebo", seeds=(0,)) == 0
    assert "first trainings: 1 taken over from another run, " in capsys.readouterr().out
    root = tmp_path / "work/toy_config"
    assert len(list((root / "first_models").glob("*.pth"))) == 1
    for leg in ("learning_loss", "placebo"):
        assert train(tmp_path / leg, "--strategy", leg, "--cfg-options", "budget.cycles=2") == 0
        assert outcome(tmp_path / leg) == outcome(root / leg / "seed0")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_on_a_terminal_each_run_has_a_line_of_its_own_beside_the_bar(
    tmp_path, stub, monkeypatch, width
):
    console = terminal(width)
    monkeypatch.setattr(session, "Plain", lambda **_: console)
    assert sweep(tmp_path, "random", "learning_loss", seeds=(0,)) == 0
    text = written(console)
    stands = "\n".join(seen(text, width))
    ended = r"{}, seed 0: score 0\.500, \d+ min \d+ s\n"
    lines = (
        r"2 runs, 0 of them finished before\n"
        + ended.format("random")
        + ended.format("learning_loss")
    )
    if width < 50:  # the last of them goes on in a further line of the terminal
        lines, stands = "".join(lines.replace(r"\n", "").split()), "".join(stands.split())
    assert re.match(lines, stands) and "running" not in stands
    counted = re.findall(r"(\d) of 2 runs, (\d) running, cycles .*?(\d)/4", " ".join(text.split()))
    assert counted or width < 80
    for done, runs, cycles in counted:
        assert (cycles == "4") == ((done, runs) == ("2", "0")), (
            "nothing is left to do only where no run is"
        )
