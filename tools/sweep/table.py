"""What a sweep came to: a row a strategy, and the time that shared first trainings spared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from rich.console import Console

from tools.display.sheet import Column, Sheet, number, plus_minus
from tools.record.rows import area_under_curve, column, measured
from tools.sweep.jobs import Job


def show(jobs: Sequence[Job], console: Console) -> None:
    """The final metric of each seed.

    Over the seeds, mean and standard deviation of it and of the area.
    """
    seeds, metric = sorted({job.seed for job in jobs}), jobs[0].metric
    summaries = (
        Column(f"final {measured(metric, jobs[0].lower)}", len(seeds) + 2),
        Column("area", len(seeds) + 1),
    )
    sheet = Sheet(Column("strategy"), *(Column(f"seed {seed}") for seed in seeds), *summaries)
    for leg in dict.fromkeys(job.leg for job in jobs):
        of_leg = {job.seed: job for job in jobs if job.leg == leg}
        finals = {seed: _final(job) for seed, job in of_leg.items()}
        areas = [_area(job) for job in of_leg.values()]
        cells = [number(finals.get(seed, math.nan)) for seed in seeds]
        sheet.add(leg, *cells, _spread(list(finals.values())), _spread(areas))
    sheet.print(console)
    spared = [
        row["seconds/spared"] for job in jobs for row in job.rows if row.get("seconds/spared")
    ]
    if spared:
        console.print(
            f"first trainings: {len(spared)} taken over from another run, {sum(spared):,.0f} s "
            "spared"
        )


def _final(job: Job) -> float:
    """NaN if the run is not finished."""
    return column(job.rows, job.metric)[-1] if job.folder.done and job.rows else math.nan


def _area(job: Job) -> float:
    """NaN if the run is not finished."""
    if not (job.folder.done and job.rows):
        return math.nan
    return area_under_curve(column(job.rows, "labeled"), column(job.rows, job.metric))


def _spread(values: Sequence[float]) -> str:
    """Mean, and standard deviation over the seeds if there are some."""
    found = [value for value in values if math.isfinite(value)]
    if not found:
        return number(math.nan)
    return plus_minus(fmean(found), stdev(found) if len(found) > 1 else math.nan)
