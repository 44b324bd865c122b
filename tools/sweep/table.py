"""The results of a sweep: a row per strategy, and the time that shared first trainings saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from rich.console import Console

from tools.display.sheet import Column, Sheet, number, plus_minus
from tools.record.rows import area_under_curve, column, measured
from tools.sweep.jobs import Job


def show(jobs: Sequence[Job], console: Console) -> None:
    """Print a table of the final metric of each seed, for each cell of the grid.

    It has the mean and standard deviation over seeds of that and of the area under the curve.
    """
    for cell in dict.fromkeys(job.cell for job in jobs):
        if cell:
            console.print(cell)
        _show([job for job in jobs if job.cell == cell], console)
    spared = [
        row["seconds/spared"] for job in jobs for row in job.rows if row.get("seconds/spared")
    ]
    if spared:
        console.print(
            f"first trainings: {len(spared)} taken over from another run, {sum(spared):,.0f} s "
            "spared"
        )


def listed(jobs: Sequence[Job], console: Console) -> None:
    """Print a line for each run: its folder, and how far it is."""
    for job in jobs:
        state = "finished" if job.folder.done else f"{job.cycle} of {job.cycles} cycles"
        console.print(f"{job.folder.path}: {state}")
    done = sum(job.folder.done for job in jobs)
    console.print(f"{len(jobs)} runs, {done} of them finished before")


def _show(jobs: Sequence[Job], console: Console) -> None:
    seeds = sorted({job.seed for job in jobs})
    metric = jobs[0].metric
    summaries = (
        Column(f"final {measured(metric, jobs[0].lower)}", len(seeds) + 2),
        Column("area", len(seeds) + 1),
    )
    sheet = Sheet(Column("strategy"), *(Column(f"seed {seed}") for seed in seeds), *summaries)
    for leg in dict.fromkeys(job.leg for job in jobs):
        of_leg = {job.seed: job for job in jobs if job.leg == leg}
        finals = {seed: _final(job) for seed, job in of_leg.items()}
        areas = [area(job) for job in of_leg.values()]
        cells = [number(finals.get(seed, math.nan)) for seed in seeds]
        sheet.add(leg, *cells, _spread(list(finals.values())), _spread(areas))
    sheet.print(console)


def _final(job: Job) -> float:
    """Return the last value of the metric; NaN if the run is not finished."""
    if not (job.folder.done and job.rows):
        return math.nan
    return column(job.rows, job.metric)[-1]


def area(job: Job) -> float:
    """Return the area under the curve; NaN if the run is not finished."""
    if not (job.folder.done and job.rows):
        return math.nan
    return area_under_curve(column(job.rows, "labeled"), column(job.rows, job.metric))


def _spread(values: Sequence[float]) -> str:
    """Return the mean over seeds, with the standard deviation if there are several."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return number(math.nan)
    deviation = stdev(finite) if len(finite) > 1 else math.nan
    return plus_minus(fmean(finite), deviation)
