"""Sweeps on a Ray of two CPUs and two GPUs on this machine, of which the GPUs are its word
alone.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import raykit
from tests.conftest import REPOSITORY
from tests.tools.sweep.test_al_sweep import TOY, imitate, sweep
from tests.tools.sweep.test_sweep_worker import wait_for
from tests.tools.train.test_al_train import main as train
from tests.tools.train.test_al_train import outcome
from tools import al_sweep

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="Ray is not here: pip install -e '.[ray]'")
from tools.cluster import joining  # noqa: E402
from tools.sweep import on_ray  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster that sweeps join."""
    with raykit.a_cluster(cpus=2, gpus=2) as address:
        yield address


@pytest.fixture
def joined(cluster, monkeypatch):
    """The same, without the process that first tries whether anybody answers."""
    monkeypatch.setattr(joining, "_check_answer", lambda address: None)
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    return cluster


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Quick runs."""
    return imitate(tmp_path, monkeypatch)


def change(tmp_path: Path, old: str, new: str) -> None:
    """Edit the stand-in for the runs."""
    script = tmp_path / "stub.py"
    text = script.read_text()
    assert text.count(old) == 1
    script.write_text(text.replace(old, new))


def when(what, then) -> threading.Thread:
    """Do something when something has happened."""
    thread = threading.Thread(target=lambda: (wait_for(what, seconds=300), then()), daemon=True)
    thread.start()
    return thread


def test_a_grid_is_that_of_the_local_mode_though_a_worker_is_killed(
    tmp_path, cluster, monkeypatch, capfd
):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # where the toy is
    folder = tmp_path / "work/toy_config/learning_loss/seed0"
    killed = []

    def kill() -> None:
        pid = re.search(r"\d+", (folder / ".lock").read_text())[0]
        killed.append(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
        os.kill(killed[0], signal.SIGKILL)

    when((folder / "state.json").exists, kill)  # after the first cycle
    options = ["--wandb", "disabled", "--cfg-options", "budget.cycles=2", "training.epochs=40"]
    begin = [
        TOY,
        "--strategies",
        "learning_loss",
        "placebo",
        "--seeds",
        "0",
        "--work-dir",
        str(tmp_path / "work"),
    ]
    assert al_sweep.main([*begin, "--ray", cluster, *options]) == 0
    said = capfd.readouterr().out
    assert (
        said.count("learning_loss, seed 0 lost its worker; resumed elsewhere") == 1
        and len(killed) == 1
    )
    assert "first trainings: 1 taken over from another run, " in said
    for leg in ("learning_loss", "placebo"):
        assert train(tmp_path / leg, "--strategy", leg, *options[2:]) == 0
        assert outcome(tmp_path / leg) == outcome(tmp_path / "work/toy_config" / leg / "seed0")
        log = (tmp_path / "work/toy_config" / leg / "seed0.log").read_text()
        assert log.rstrip().endswith(
            f"curve: {tmp_path / 'work/toy_config' / leg / 'seed0/curve.png'}"
        )
    assert not ray.is_initialized()


def test_as_many_as_there_is_room_for_each_with_its_gpu(
    tmp_path, joined, stub, capsys, monkeypatch
):
    monkeypatch.setenv("WANDB_NOTES", "mine")
    names = "CUDA_VISIBLE_DEVICES OMP_NUM_THREADS WANDB_NOTES"
    change(
        tmp_path,
        'note("begin")',
        f'import os; note("begin"); print([os.environ[n] for n in {names!r}.split()])',
    )
    change(tmp_path, "else 0.3", "else 1.5")
    assert sweep(tmp_path, "random", "learning_loss_kl", "learning_loss", more=["--ray"]) == 1
    inside, most = 0, 0
    for what, strategy, *_ in stub():
        if strategy != "learning_loss_kl":
            inside += 1 if what == "begin" else -1
            most = max(most, inside)
    assert most == 2 and inside == 0
    logs = {
        path: path.read_text().splitlines()
        for path in (tmp_path / "work/toy_config").glob("*/seed?.log")
    }
    assert {lines[0] for lines in logs.values()} == {
        f"['{gpu}', '1', 'mine']" for gpu in (0, 1)
    } and len(logs) == 6
    said = capsys.readouterr().out
    assert re.search(
        "FAILED: learning_loss_kl, seed 0, exit status 2 after 0 min . s: error: something is "
        "wrong",
        said,
    )
    assert (
        "FAILED: learning_loss_kl, seed 1; its log is "
        f"{tmp_path}/work/toy_config/learning_loss_kl/seed1.log" in said
    )
    assert [s for what, s, *_ in stub() if what == "begin"].count("learning_loss_kl") == 2, (
        "no second trial"
    )


def test_a_signal_is_passed_on_and_the_same_command_goes_on(tmp_path, joined, stub, capsys):
    def begun() -> int:
        return len(list((tmp_path / "work/toy_config/oracle_loss").glob("seed?/state.json")))

    when(lambda: begun() == 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    more = ["--ray", "--jobs", "3", "--no-cache"]  # the third waits for a place
    assert sweep(tmp_path, "oracle_loss", seeds=(0, 1, 2), more=more) == 130
    said = capsys.readouterr().out
    assert "stopped by SIGTERM" in said and "the same command goes on" in said
    assert sorted((what, seed) for what, _, seed, _ in stub()) == [
        ("begin", 0),
        ("begin", 1),
        ("told", 0),
        ("told", 1),
    ]
    change(tmp_path, "and not again else", "and False else")
    assert sweep(tmp_path, "oracle_loss", seeds=(0, 1, 2), more=more) == 0
    assert sorted(seed for what, _, seed, _ in stub() if what == "end") == [0, 1, 2]


def test_a_run_that_kills_its_workers_is_given_up(tmp_path, joined, stub, capfd, monkeypatch):
    monkeypatch.setattr(on_ray, "LOSSES", 1)
    change(
        tmp_path,
        'note("begin")',
        'note("begin"); import os; os.kill(os.getppid(), 9); time.sleep(60)',
    )
    assert sweep(tmp_path, "random", seeds=(0,), more=["--ray"]) == 1
    said = capfd.readouterr().out
    assert said.count("random, seed 0 lost its worker; resumed elsewhere") == 1
    assert (
        "random, seed 0 lost 2 workers in one cycle" in said
        and "FAILED: random, seed 0, exit status -9" in said
    )
    assert [what for what, *_ in stub()] == ["begin", "begin"]


def test_without_a_cluster_there_is_one_for_the_time(tmp_path, stub, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert sweep(tmp_path, "random", seeds=(0,), more=["--ray", "--gpus", "0"]) == 0
    assert [what for what, *_ in stub()] == ["begin", "end"] and not ray.is_initialized()


@pytest.mark.parametrize(
    "options, says",
    [
        (
            ["--gpus", "3"],
            "--gpus: expected at most 2, as no node of this cluster has more, but got 3",
        ),
        (
            ["--cpus", "64"],
            "--cpus: expected at most 2, as no node of this cluster has more, but got 64",
        ),
    ],
)
def test_more_than_any_node_has_is_said_before_any_run(
    tmp_path, joined, stub, capsys, options, says
):
    assert sweep(tmp_path, "random", more=["--ray", *options]) == 2
    assert says in capsys.readouterr().out and not (tmp_path / "work").exists()


def test_a_node_that_does_not_see_the_files_is_named(tmp_path, joined, stub, capsys, monkeypatch):
    monkeypatch.setattr(
        on_ray, "missing", lambda folder, paths: [path for path in paths if ".seen-" in path]
    )
    assert sweep(tmp_path, "random", more=["--ray"]) == 2
    said = capsys.readouterr().out
    assert re.search(
        rf"node \S+ does not see {tmp_path}/work/toy_config/random/.seen-\w+; nodes must share one",
        said,
    )
    assert stub() == [] and not list(tmp_path.rglob(".seen-*"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "ray://127.0.0.1:1"])
def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path, stub, capsys, address):
    begin = time.monotonic()
    assert sweep(tmp_path, "random", more=["--ray", address]) == 2
    assert (
        f"auto (the cluster that was started on this machine) or local, but got '{address}': "
        in capsys.readouterr().out
    )
    assert time.monotonic() - begin < 10 and stub() == []


def test_what_listens_there_but_is_no_ray_is_refused(tmp_path, stub, capsys, monkeypatch):
    monkeypatch.setattr(joining, "ANSWER", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert sweep(tmp_path, "random", more=["--ray", address]) == 2
    assert f"but '{address}' gave no answer in 2 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "cpus, gpus, node, room",
    [
        (1, 0, {"CPU": 3}, 3),
        (2, 0, {"CPU": 3, "GPU": 8}, 1),
        (1, 1, {"CPU": 8, "GPU": 2}, 2),
        (1, 2, {"CPU": 8, "GPU": 3}, 1),
        (1, 0.5, {"CPU": 8, "GPU": 2}, 4),
        (1, 0.6, {"CPU": 8, "GPU": 2}, 2),  # .6 + .6 of one GPU is too much
        (1, 0.1, {"CPU": 80, "GPU": 1}, 10),
        (1, 0.5, {"CPU": 3, "GPU": 2}, 3),
        (1, 1, {"CPU": 8}, 0),
        (1, 0, {}, 0),
    ],
)
def test_room_of_a_node(cpus, gpus, node, room):
    assert joining.room(node, cpus, gpus) == room


def test_no_ray_is_an_error_that_says_how_to_get_it(tmp_path, stub, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert sweep(tmp_path, "random", more=["--ray"]) == 2
    assert "--ray: 1 problem(s)\n  expected Ray, but got import of ray halted" in (
        said := capsys.readouterr().out
    )
    assert "pip install -e '.[ray]'" in said and stub() == []
