"""Run folders sent to W&B afterwards: the same run as the loop's own mirror, each row
once, and what is refused.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import toy
from tests.comparekit import write
from tests.conftest import REPOSITORY
from tests.wandb_reader import fragments, read_run
from tests.wandb_stub import Stub
from tools import al_train, wandb_push
from tools.experiment.config import load
from tools.mirror.fragments import ID_FILE
from tools.record.folder import RunFolder
from tools.record.reading import read

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("home")

TOY = str(REPOSITORY / "tests" / "examples" / "toy_config.py")
VALUES = (0.1, 0.2, 0.4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that its own loop mirrored offline, away from the usual layout; tests copy it."""
    folder = tmp_path_factory.mktemp("trained") / "somewhere"
    given = [
        TOY,
        "--wandb",
        "offline",
        "--work-dir",
        str(folder),
        "--module",
        "joint",
        "--strategy",
        "random",
        "--seed",
    ]
    assert al_train.main([*given, "4"]) == 0
    wandb.teardown()
    return folder


def config(seed: int = 0) -> dict[str, Any]:
    return load(TOY, options={"strategy": "random", "seed": seed}).config


def told(history: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Rows as the loop wrote them, without what W&B adds; and the captions of their pictures."""
    rows = [
        {k: v for k, v in row.items() if not k.startswith(("_", "queried."))} for row in history
    ]
    return rows, [row.get("queried.captions", []) for row in history]


def push(*arguments: object) -> int:
    status = wandb_push.main([*(str(a) for a in arguments), "--trust", str(REPOSITORY)])
    wandb.teardown()  # waits for what wandb still writes
    return status


@pytest.mark.slow
def test_the_pushed_run_is_the_one_that_the_loop_mirrored(trained: Path, tmp_path: Path, capsys):
    shutil.copytree(trained, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "wandb")
    assert push(tmp_path / "copy", "--mode", "offline") == 0
    own, pushed = (read_run(fragments(path)[0]) for path in (trained, tmp_path / "copy"))
    for field in ("run_id", "project", "run_group", "job_type", "display_name"):
        assert getattr(pushed.run, field) == getattr(own.run, field), field
    assert list(pushed.run.tags) == list(own.run.tags) == ["toy", "random"]
    assert (pushed.config, pushed.metrics) == (own.config, own.metrics)
    assert (own.run.run_group, own.run.job_type) == ("toy_config", "random-joint")
    assert (own.config["strategy"], own.config["seed"]) == ("random-joint", 4)
    numbers, captions = zip(*[told(out.history) for out in (own, pushed)], strict=True)
    assert len(numbers[0]) == 3 and numbers[0] == numbers[1]
    assert [len(texts) for texts in captions[0]] == [5, 5, 0] and captions[0] == captions[1]
    totals = ("final/score", "area_under_curve")
    assert [pushed.summary[key] for key in totals] == [own.summary[key] for key in totals]
    assert (own.exit_code, pushed.exit_code) == (0, 0)
    (there,) = fragments(tmp_path / "copy")
    assert (
        capsys.readouterr().out
        == f"{tmp_path}/copy: 3 of 3 cycles, 3 sent\nto upload it: wandb sync {there}\n"
    )


def test_offline_a_run_that_has_a_fragment_gets_no_second_one(
    trained: Path, tmp_path: Path, capsys
):
    shutil.copytree(trained, tmp_path / "run")
    (there,) = fragments(tmp_path / "run")
    assert push(tmp_path / "run", "--mode", "offline") == 0
    said = capsys.readouterr().out
    assert (
        f"3 of 3 cycles, 0 sent: {there} is of the same W&B run; `wandb sync` it, or move it away"
        in said
    )
    (file,) = there.glob("run-*.wandb")
    file.with_name(f"{file.name}.synced").touch()
    assert push(tmp_path / "run", "--mode", "offline") == 0
    assert (
        "is of the same W&B run; --mode online sends what the server lacks"
        in capsys.readouterr().out
    )
    assert fragments(tmp_path / "run") == [there]
    file.write_bytes(file.read_bytes()[:7])  # as a kill leaves it that comes at once
    assert push(tmp_path / "run", "--mode", "offline") == 0
    assert ", 3 sent\n" in capsys.readouterr().out


def test_offline_one_command_uploads_all(trained: Path, tmp_path: Path, capsys):
    names = ["a run", "b", "c"]
    for seed, name in enumerate(names):
        write(tmp_path / "work" / name, config(seed=seed), VALUES)
    shutil.copytree(trained, tmp_path / "work/d")  # has a fragment already
    assert push(tmp_path / "work", "--mode", "offline") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "wandb sync" not in "".join(lines[:3])
    made = [str(fragments(tmp_path / "work" / name)[0]) for name in [*names, "d"]]
    assert last.startswith("to upload all of it: wandb sync ") and shlex.split(last)[7:] == made
    for place in made[:3]:
        (file,) = Path(place).glob("run-*.wandb")
        file.with_name(f"{file.name}.synced").touch()
    assert push(tmp_path / "work", "--mode", "offline") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"to upload it: wandb sync {made[3]}"


def test_online_twice_sends_each_row_once(tmp_path: Path, stub: Stub, capsys):
    runs = [
        write(tmp_path / f"work/toy/random/seed{seed}", config(seed=seed), VALUES)
        for seed in (0, 1)
    ]
    assert push(tmp_path / "work") == 0
    first = capsys.readouterr().out.splitlines()
    assert push(tmp_path / "work", runs[0], "--mode", "online") == 0
    second = capsys.readouterr().out.splitlines()
    ids = sorted(stub.runs)
    assert len(ids) == len(first) == len(second) == 2
    for path, name, one, two in zip(runs, ids, first, second, strict=True):
        rows = [(row["labeled"], row["effort"], row["score"]) for row in stub.history[name]]
        assert rows == [(10, 30, 0.1), (15, 45, 0.2), (20, 60, 0.4)]
        assert one.startswith(
            f"{path}: 3 of 3 cycles, 3 sent; W&B: online, {stub.url}/me/losstap/runs/{name}"
        ), one
        assert two == one.replace("3 sent", "0 sent")
        # two trapezoids
        assert stub.summary[name]["area_under_curve"] == pytest.approx((0.15 * 5 + 0.3 * 5) / 10)
        assert (stub.summary[name]["final/score"], stub.summary[name]["cycle"]) == (0.4, 2)
        assert (stub.runs[name]["groupName"], stub.runs[name]["jobType"]) == ("toy", "random")
    assert [n.startswith(f"toy-random-s{seed}-") for seed, n in enumerate(ids)] == [True, True]


def test_an_unfinished_run_ends_as_stopped_and_its_later_rows_follow(
    tmp_path: Path, stub: Stub, capsys
):
    path = write(tmp_path / "toy/random/seed0", config(), VALUES[:2])
    assert push(path) == 0
    (name,) = stub.runs
    assert stub.exit_code == 1 and "area_under_curve" not in stub.summary[name]
    assert "2 of 3 cycles, 2 sent" in capsys.readouterr().out
    which = (path / ID_FILE).read_bytes()
    shutil.rmtree(path)
    write(path, config(), VALUES)
    (path / ID_FILE).write_bytes(which)
    assert push(path) == 0
    assert [row["cycle"] for row in stub.history[name]] == [0, 1, 2]
    assert "3 of 3 cycles, 1 sent" in capsys.readouterr().out
    assert stub.exit_code == 0 and stub.summary[name]["final/score"] == 0.4


def test_sent_online_an_offline_fragment_is_not_uploaded_any_more(
    trained: Path, tmp_path: Path, stub: Stub, capsys
):
    shutil.copytree(trained, tmp_path / "run")
    (there,) = fragments(tmp_path / "run")
    assert push(tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert said.rstrip().endswith(
        "; 1 offline before, and marked as sent: `wandb sync` leaves them out"
    )
    command = [Path(sys.executable).with_name("wandb"), "sync", there]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Skipped 1 synced run(s)" in done.stderr
    (rows,) = stub.history.values()
    assert [row["cycle"] for row in rows] == [0, 1, 2]


def test_a_run_made_anew_in_its_folder_is_another_run(tmp_path: Path, stub: Stub):
    path = write(tmp_path / "toy/random/seed0", config(), VALUES)
    assert push(path) == 0
    shutil.rmtree(path)
    assert push(write(path, config(), VALUES[::-1])) == 0
    assert [[row["score"] for row in rows] for rows in stub.history.values()] == [
        [0.1, 0.2, 0.4],
        [0.4, 0.2, 0.1],
    ]


@pytest.mark.slow
def test_offline_rows_that_came_since_are_added_and_one_command_uploads_all(
    tmp_path: Path, stub: Stub, capsys
):
    path = write(tmp_path / "toy/random/seed0", config(), VALUES[:2])
    assert push(path, "--mode", "offline") == 0
    time.sleep(1.1)  # W&B names folders by the second
    for name in (ID_FILE, "wandb"):
        (path / name).rename(tmp_path / name)
    shutil.rmtree(path)
    write(path, config(), VALUES)
    for name in (ID_FILE, "wandb"):
        (tmp_path / name).rename(path / name)
    capsys.readouterr()
    assert push(path, "--mode", "offline") == 0
    line, last = capsys.readouterr().out.splitlines()
    assert line == f"{path}: 3 of 3 cycles, 1 sent"
    first, second = fragments(path)
    assert last == f"to upload all of it: wandb sync {first} {second}"
    subprocess.run(
        [Path(sys.executable).with_name("wandb"), "sync", first, second], timeout=120, check=True
    )
    (rows,) = stub.history.values()
    assert [(row["cycle"], row["score"]) for row in rows] == [(0, 0.1), (1, 0.2), (2, 0.4)]


def test_a_server_that_refuses_is_a_failure_and_leaves_no_offline_files(
    tmp_path: Path, stub: Stub, capsys
):
    stub.accept = False
    path = write(tmp_path / "toy/random/seed0", config(), VALUES)
    assert push(path, "--mode", "online") == 1
    said = capsys.readouterr().out
    assert (
        f"{path}: FAILED: 3 of 3 cycles, 0 sent; W&B: cannot start" in said
        and "going offline" not in said
    )
    assert fragments(path) == [] and not list(path.glob("wandb/offline-*"))


def test_a_run_in_progress_and_a_damaged_one_are_named_and_the_others_are_sent(
    tmp_path: Path, capsys
):
    busy, damaged, sound, empty = (
        write(tmp_path / f"toy/random/seed{s}", config(seed=s), VALUES) for s in range(4)
    )
    (damaged / "metrics.jsonl").write_text("{}\nnonsense\n")
    shutil.rmtree(empty)
    write(empty, config(seed=3), ())
    program = f"""import sys; sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from models.process.files import locked
with locked(Path({str(busy)!r}) / ".lock"):
    print("in", flush=True); sys.stdin.read()"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "in\n"
        assert push(tmp_path / "toy", "--mode", "offline") == 1
        other.communicate("")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[4] == f"to upload it: wandb sync {fragments(sound)[0]}"
    assert lines[0].startswith(f"{busy}: FAILED: {busy} is in use by process {other.pid} on ")
    assert lines[1].startswith(f"{damaged}: FAILED: {damaged}/metrics.jsonl, line 2 is damaged")
    assert lines[2].startswith(f"{sound}: 3 of 3 cycles, 3 sent")
    assert lines[3] == f"{empty}: 0 of 3 cycles: nothing to send"
    assert [len(fragments(path)) for path in (busy, damaged, sound, empty)] == [0, 0, 1, 0]


def test_an_adapter_that_is_not_here_is_named(tmp_path: Path, capsys):
    path = write(tmp_path / "toy/random/seed0", config(), VALUES)
    text = (path / "config.json").read_text()
    (path / "config.json").write_text(text.replace("tests.toy.Toy", "gone.away.Task"))
    assert push(path, "--mode", "offline") == 0  # all but the pictures is in the folder itself
    said = capsys.readouterr().out
    assert f"{path}: 3 of 3 cycles, 3 sent; " in said
    assert (
        "pictures left out: RunFolderError: its gone.away.Task is code that is not losstap's own"
        in said
    )
    assert "look at it, then add --trust FOLDER, the one that gone is in\n" in said


@pytest.mark.parametrize("fault", ["other names", "no data"])
def test_pictures_are_left_out_once_where_the_data_are_not_the_runs(
    trained: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, fault: str
):
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "wandb")

    def gone(*_: object) -> None:
        raise FileNotFoundError("vectors.csv is gone")

    member, found = (
        ("name", lambda self, index: f"{index}") if fault == "other names" else ("thumbnail", gone)
    )
    monkeypatch.setattr(toy.Toy, member, found)
    assert push(tmp_path / "run", "--mode", "offline") == 0
    said = capsys.readouterr().out
    reason = (
        "the data here are not the run's"
        if fault == "other names"
        else "FileNotFoundError: vectors.csv is"
    )
    assert said.count("pictures left out") == 1 and reason in said and "3 sent" in said
    (fragment,) = fragments(tmp_path / "run")
    rows = read_run(fragment).history
    assert len(rows) == 3 and not any(key.startswith("queried") for row in rows for key in row)


def stopped(monkeypatch: pytest.MonkeyPatch, path: Path, mode: str) -> int:
    """Push a run, and press Ctrl-C while the pictures of its second cycle are made."""
    whole, asked = toy.Toy.thumbnail, []

    def thumbnail(self: toy.Toy, index: int) -> object:
        asked.append(index)
        if len(asked) > 5:
            signal.raise_signal(signal.SIGINT)
        return whole(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(toy.Toy, "thumbnail", thumbnail)
        return push(path, "--mode", mode)


def test_after_ctrl_c_offline_nothing_is_left_that_stands_for_the_run(
    trained: Path, tmp_path: Path, capsys, monkeypatch
):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    shutil.rmtree(path / "wandb")
    assert stopped(monkeypatch, path, "offline") == 130
    assert capsys.readouterr().out == "stopped; the same command sends what is left\n"
    assert not list(path.glob("wandb/*run-*"))
    assert push(path, "--mode", "offline") == 0
    assert "3 of 3 cycles, 3 sent\n" in capsys.readouterr().out
    assert len(read_run(fragments(path)[0]).history) == 3


@pytest.mark.slow
def test_after_ctrl_c_online_the_same_command_sends_the_rest(
    trained: Path, tmp_path: Path, stub: Stub, capsys, monkeypatch
):
    path = Path(shutil.copytree(trained, tmp_path / "run"))
    shutil.rmtree(path / "wandb")
    assert stopped(monkeypatch, path, "online") == 130
    assert push(path) == 0
    (name,) = stub.runs
    assert [row["cycle"] for row in stub.history[name]] == [0, 1, 2] and stub.exit_code == 0
    assert "3 of 3 cycles, 2 sent; " in capsys.readouterr().out


def test_no_run_and_no_mode_are_usage_errors(tmp_path: Path, capsys):
    assert push(tmp_path / "nowhere") == 2
    assert (
        f"error: {tmp_path}/nowhere is no folder; expected one such as work_dirs/<config>"
        in capsys.readouterr().out
    )
    (tmp_path / "bare").mkdir()
    assert push(tmp_path / "bare") == 2
    assert "bare holds no run folder" in capsys.readouterr().out
    path = write(tmp_path / "toy/random/seed0", config(), VALUES)
    os.environ["WANDB_MODE"] = "disabled"
    assert push(path) == 2
    assert "WANDB_MODE is disabled; add --mode online or --mode offline" in capsys.readouterr().out
    os.environ["WANDB_MODE"] = "onlin"
    assert push(path) == 2
    assert "but got 'onlin'" in capsys.readouterr().out
    assert not (path / "wandb").exists()


def test_the_configs_name_is_kept_and_a_folder_of_before_tells_it_by_its_place(tmp_path: Path):
    path = write(tmp_path / "toy/random/seed0", config(), VALUES)
    assert RunFolder(path).name is None
    assert read(path).config == "toy"
    RunFolder(path).open(config(), [f"vector {i}" for i in range(60)], "elsewhere")
    assert (RunFolder(path).name, read(path).config) == ("elsewhere", "elsewhere")
    assert json.loads((path / "state.json").read_text())["cycle"] == 3
