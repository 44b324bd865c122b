"""Run a sweep as a command: its place, signals and errors, and the table in the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from models.process.stopping import finishing, listening
from models.process.text import error_line
from tools.cluster.extra import require_ray
from tools.display.console import Plain
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError
from tools.sweep import deciding
from tools.sweep.jobs import Job, planned
from tools.sweep.local import Local, Place, Process
from tools.sweep.schedule import end, run
from tools.sweep.table import listed, show
from tools.sweep.turns import in_turn

FAILED = 1


def main(arguments: argparse.Namespace) -> int:
    """Run strategies x seeds.

    Args:
        arguments: the options of `al_sweep.py`.

    Returns:
        The exit status of `al_sweep.py`.
    """
    console = Plain()
    running: dict[Job, Process] = {}
    try:
        jobs = planned(arguments, console.print)
        one = deciding.question(arguments, jobs) if arguments.until_decided else None
        if arguments.dry_run:
            listed(jobs, console)
            if one is not None:
                deciding.planned(one, console)
            return 0
        with listening(), _place(arguments, jobs, console.print) as place:
            try:
                # a signal must not come between the start of a run and the note of it
                with finishing():
                    if one is None:
                        failed = run(jobs, place, running, console)
                    else:
                        jobs, failed = deciding.decide(one, jobs, place, running, console)
            finally:
                end(list(running.values()), console)
    except ConfigError as error:
        console.print(error_line(error))
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        console.print(f"{str(stop) or 'stopped'}; the same command goes on")
        return STOPPED
    except OSError as error:
        console.print(error_line(f"{error}; the same command goes on"))
        return USAGE_ERROR
    show(jobs, console)
    for job in failed:
        console.print(f"FAILED: {job.name}; its log is {job.log}")
    return FAILED if failed else 0


@contextmanager
def _place(
    arguments: argparse.Namespace, jobs: Sequence[Job], say: Callable[[str], None]
) -> Iterator[Place]:
    """Yield this machine or the Ray cluster, checked.

    Raises:
        ConfigError: if Ray is missing, or its cluster does not answer, is too small, or does not
            see the files.
    """
    if arguments.in_process:
        with in_turn(arguments.jobs or 1) as one_after_another:
            yield one_after_another
        return
    if arguments.ray is None:
        yield Local(arguments.jobs or 1)
        return
    require_ray()
    from tools.cluster.joining import cluster
    from tools.sweep import on_ray

    with cluster(arguments.ray):
        place = on_ray.OnRay(arguments.jobs, arguments.cpus or 1, arguments.gpus, say)
        place.check(jobs)
        yield place
