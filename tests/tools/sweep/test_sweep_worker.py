"""What a sweep does on a node of a cluster, without the cluster."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.process.files import locked
from tests.conftest import REPOSITORY
from tools.sweep.worker import Worker, missing

SAYS = (sys.executable, "-c", "import os; print(os.environ['TOLD'], os.getcwd())")
SLEEPS = (sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(300)")


def run(worker: Worker, folder: Path, command=SAYS, patience=0.0) -> int:
    return worker.run(
        command,
        str(folder),
        "log",
        {"TOLD": "this", "PYTHONPATH": str(REPOSITORY)},
        "run/.lock",
        patience,
    )


def wait_for(what, seconds=60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_is_not_there_is_missing(tmp_path):
    (tmp_path / "here").touch()
    absolute = str(tmp_path / "neither")
    assert missing(str(tmp_path), ["here", str(tmp_path / "here"), "there", absolute]) == [
        "there",
        absolute,
    ]


def test_a_run_adds_to_its_log_in_its_folder_and_environment(tmp_path):
    (tmp_path / "log").write_text("before\n")
    assert run(Worker(), tmp_path) == 0
    assert (tmp_path / "log").read_text() == f"before\nthis {tmp_path}\n"
    assert run(Worker(), tmp_path, (sys.executable, "-c", "import sys; sys.exit(7)")) == 7
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(Worker(), tmp_path / "nowhere")


def test_a_run_hears_signals_that_its_worker_blocks(tmp_path):
    worker, status = Worker(), []
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # as Ray's workers do
    try:
        thread = threading.Thread(target=lambda: status.append(run(worker, tmp_path, SLEEPS)))
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    wait_for(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text())
    worker.tell(signal.SIGINT)
    thread.join(timeout=30)
    assert status and "KeyboardInterrupt" in (tmp_path / "log").read_text()


def test_a_run_that_is_told_before_it_begins_does_not_begin(tmp_path):
    worker = Worker()
    worker.tell(signal.SIGTERM)
    assert run(worker, tmp_path) == -signal.SIGTERM and (tmp_path / "log").read_text() == ""


def test_a_run_waits_for_the_process_of_a_lost_worker(tmp_path):
    code = "import time; from pathlib import Path; from models.process.files import locked\n"
    code += (
        f"with locked(Path({str(tmp_path / 'run/.lock')!r})): print(1, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=REPOSITORY)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"1\n"
        begin = time.monotonic()
        assert run(Worker(), tmp_path, patience=0.5) == 0, (
            "it is the run that says that the folder is in use"
        )
        assert time.monotonic() - begin >= 0.5
        threading.Timer(0.5, holder.kill).start()
        begin = time.monotonic()
        assert (
            run(
                Worker(),
                tmp_path,
                (sys.executable, "-c", "import time; print(time.monotonic())"),
                60,
            )
            == 0
        )
    finally:
        holder.kill()
        holder.wait()
    assert float((tmp_path / "log").read_text().split()[-1]) >= begin + 0.4
    with locked(tmp_path / "run/.lock"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at a parent's end is Linux's")
def test_a_run_ends_with_its_worker(tmp_path):
    code = (
        "import sys; from tests.tools.sweep.test_sweep_worker import *; run(Worker(), "
        "Path(sys.argv[1]), SLEEPS)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY)
    wait_for(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().endswith("\n"))
    pid = int((tmp_path / "log").read_text())
    assert not gone(pid)
    worker.kill()
    worker.wait()
    wait_for(lambda: gone(pid), seconds=20)


def test_a_run_whose_worker_is_gone_already_does_not_begin(tmp_path):
    command = [sys.executable, str(REPOSITORY / "tools/sweep/worker.py"), "1", *SAYS]
    said = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(REPOSITORY)}
    )
    assert (
        said.returncode == 1
        and said.stderr == "error: the worker, process 1, has ended\n"
        and not said.stdout
    )
