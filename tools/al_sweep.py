"""Strategies x seeds:  python tools/al_sweep.py configs/det_ssd_voc.py --strategies random learning_loss --seeds 0 1 2

Each run is `al_train.py` in a process of its own, with its folder and a log beside it. The same command skips what is
finished and goes on with what is not. Runs of a seed and module mode share their first training.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from models.progress import bar
from models.stopping import asked, finishing, listening
from tools import cli
from tools.config import ConfigError
from tools.sweep.jobs import Job, planned
from tools.sweep.table import show

FAILED = 1
POLL = 0.2  # seconds


def parser() -> argparse.ArgumentParser:
    """The options of `al_sweep.py`."""
    parse = argparse.ArgumentParser(
        prog="al_sweep.py", description="Run strategies x seeds of one config. The same command goes on with the rest."
    )
    parse.add_argument("config", help="a file such as configs/det_ssd_voc.py")
    parse.add_argument("--strategies", nargs="+", required=True, help="names")
    parse.add_argument("--seeds", nargs="+", type=int, required=True, help="numbers")
    parse.add_argument("--module", nargs="+", choices=("auto", "joint", "detached", "off"), default=["auto"],
                       help="modes of the module, each a run of its own; auto is what the strategy needs")  # fmt: skip
    parse.add_argument("--jobs", type=int, default=1, help="runs at a time (default: %(default)s)")
    parse.add_argument("--work-dir", type=Path, default=Path("work_dirs"), help="run folders are in "
                       "<work-dir>/<config>/<strategy>/seed<N> (default: %(default)s)")  # fmt: skip
    parse.add_argument("--no-cache", action="store_true", help="train each first model anew")
    parse.add_argument("--smoke", action="store_true", help="the config's smoke variant")
    parse.add_argument("--wandb", choices=cli.MODES, help="as of al_train.py")
    parse.add_argument("--cfg-options", nargs="+", type=cli.option, default=[], metavar="key=value",
                       help="settings over the config's")  # fmt: skip
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: 0, 1 where a run failed, 2 where something must be put right first, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments, console = parser().parse_args(given), Console(soft_wrap=True, markup=False, highlight=False)
    try:
        if arguments.jobs < 1:
            raise ConfigError("--jobs", [f"expected at least 1, but got {arguments.jobs}"])
        jobs = planned(arguments)
    except ConfigError as error:
        console.print(f"error: {error}")
        return cli.USAGE_ERROR
    running: dict[Job, subprocess.Popen] = {}
    try:
        with listening():
            try:
                with finishing():  # a signal must not come between the start of a run and the note of it
                    failed = run(jobs, arguments.jobs, running, console)
            finally:
                end(list(running.values()), console)
    except KeyboardInterrupt as stop:
        console.print(f"{str(stop) or 'stopped'}; the same command goes on")
        return cli.STOPPED
    except OSError as error:
        console.print(f"error: {error}; the same command goes on")
        return cli.USAGE_ERROR
    show(jobs, console)
    for job in failed:
        console.print(f"FAILED: {job.name}; its log is {job.log}")
    return FAILED if failed else 0


def run(jobs: Sequence[Job], at_a_time: int, running: dict[Job, subprocess.Popen], console: Console) -> list[Job]:
    """Run what is not finished, so many at a time.

    Args:
        jobs: all of them.
        at_a_time: processes.
        running: is kept up to date, for who must end them.
        console: gets a line a run.

    Returns:
        Those that failed.
    """
    waiting, failed = [job for job in jobs if not job.folder.done], []
    console.print(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before")
    began: dict[Job, float] = {}
    with bar() as progress:
        task = progress.add_task("", total=sum(job.cycles for job in jobs))
        while (waiting or running) and not asked():
            while len(running) < at_a_time and (job := _next(waiting, running)):
                waiting.remove(job)
                running[job], began[job] = _start(job, at_a_time), time.perf_counter()
            time.sleep(POLL)
            for job, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[job]
                failed += [job] if process.returncode else []
                seconds = time.perf_counter() - began[job]
                console.print(job.line(process.returncode, seconds))
            done = len(jobs) - len(waiting) - len(running)
            what = f"{done} of {len(jobs)} runs, {len(running)} running, cycles"
            progress.update(task, description=what, completed=sum(job.cycle for job in jobs))
    return failed


def end(running: Sequence[subprocess.Popen], console: Console) -> None:
    """End the runs after the iterations that they are in; after a second Ctrl-C at once."""
    if running:
        console.print("ending the runs after the iterations that they are in")
    try:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    except KeyboardInterrupt:
        for process in running:
            process.terminate()
            process.send_signal(signal.SIGINT)
        for process in running:
            process.wait()
        raise


def _next(waiting: Sequence[Job], running: Sequence[Job] | dict[Job, subprocess.Popen]) -> Job | None:
    """The next that need not wait for a first model that another one is training now."""
    training = {job.first for job in running if job.cycle == 0 and job.first is not None}
    return next((job for job in waiting if job.first not in training), None)


def _start(job: Job, at_a_time: int) -> subprocess.Popen:
    """The run as a process of its own session, so that Ctrl-C reaches it through this process alone."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // at_a_time))
    environment = {"OMP_NUM_THREADS": threads, **os.environ} if at_a_time > 1 else dict(os.environ)
    with open(job.log, "ab") as log:
        return subprocess.Popen(job.command, stdout=log, stderr=log, env=environment, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main())
