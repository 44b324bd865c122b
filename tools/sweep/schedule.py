"""Schedule the runs of a sweep: so many at a time, each after the first model that it shares."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from rich.console import Console

from models.process.progress import bar
from models.process.stopping import asked
from tools.sweep.jobs import Job
from tools.sweep.local import Place, Process

POLL = 0.2  # seconds


def run(
    jobs: Sequence[Job], place: Place, running: dict[Job, Process], console: Console
) -> list[Job]:
    """Run what is not finished, so many at a time.

    Args:
        jobs: all of them.
        place: where.
        running: is kept up to date, for the caller that must end them.
        console: gets a line per run.

    Returns:
        Those that failed.
    """
    waiting = [job for job in jobs if not job.folder.done]
    failed = []
    console.print(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before")
    began: dict[Job, float] = {}
    with bar(console=console) as progress:
        task = progress.add_task("", total=sum(job.cycles for job in jobs))
        while (waiting or running) and not asked():
            while len(running) < place.at_a_time and (job := _next(waiting, running)):
                waiting.remove(job)
                running[job] = place.start(job)
                began[job] = time.perf_counter()
            time.sleep(POLL)
            for job, started in list(running.items()):
                if (status := started.poll()) is None:
                    continue
                del running[job]
                if status:
                    failed.append(job)
                console.print(job.line(status, time.perf_counter() - began[job]))
            done = len(jobs) - len(waiting) - len(running)
            what = f"{done} of {len(jobs)} runs, {len(running)} running, cycles"
            # one that runs is not done
            cycles = sum(min(job.cycle, job.cycles - (job in running)) for job in jobs)
            progress.update(task, description=what, completed=cycles)
    return failed


def end(running: Sequence[Process], console: Console) -> None:
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


def _next(waiting: Sequence[Job], running: Sequence[Job] | dict[Job, Process]) -> Job | None:
    """Return the next run that need not wait for a first model that another one is training."""
    training = {job.first for job in running if job.cycle == 0 and job.first is not None}
    return next((job for job in waiting if job.first not in training), None)
