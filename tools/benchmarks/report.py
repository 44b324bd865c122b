"""The results of a benchmark: times of contenders side by side, as a table and as json."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from rich.console import Console

from tools.display.sheet import Column, Sheet

LIBRARIES = (
    "torch",
    "torchvision",
    "mmengine",
    "mmdet",
    "numpy",
    "scikit-learn",
    "scikit-activeml",
    "baal",
)


@dataclass(frozen=True)
class Row:
    """One contender's times.

    Args:
        name: of the contender.
        seconds: of each round.
        ratio: median over the rounds of its time divided by the first contender's.
        ratios: the smallest and the largest of these ratios.
        notes: further results, such as agreement.
    """

    name: str
    seconds: list[float]
    ratio: float
    ratios: tuple[float, float]
    notes: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A benchmark's settings, rows and machine, which are the content of the json."""

    subject: str
    settings: dict[str, Any]
    rows: list[Row]
    machine: dict[str, Any]


def stopwatch(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds and the result of a call."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def side_by_side(
    runs: Mapping[str, Callable[[], Any]],
    repeats: int,
    measure: Callable = stopwatch,
    warm_up: bool = True,
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Measure the contenders in turn, after one unmeasured run of each.

    Each round begins with another contender, as what one leaves in memory and caches costs the next
    one some percent.

    Args:
        runs: by name.
        repeats: rounds.
        measure: runs a contender and returns its seconds and its result.
        warm_up: whether there is the unmeasured run.

    Returns:
        Seconds of each round and the last result, by name.
    """
    results = {name: measure(run)[1] for name, run in runs.items() if warm_up}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(repeats):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            gc.collect()
            took, results[name] = measure(runs[name])
            seconds[name].append(took)
    return seconds, results


def rows(seconds: Mapping[str, list[float]], notes: Mapping[str, dict[str, Any]]) -> list[Row]:
    """Make rows with ratios over the first contender, round by round."""
    first = next(iter(seconds.values()))
    made = []
    for name, times in seconds.items():
        ratios = [time / other for time, other in zip(times, first, strict=True)]
        ends = (min(ratios), max(ratios))
        made.append(Row(name, times, statistics.median(ratios), ends, notes.get(name, {})))
    return made


def over(seconds: Mapping[str, list[float]], name: str, other: str) -> float:
    """Return the median over the rounds of one contender's time divided by another's."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[other], strict=True))


def machine() -> dict[str, Any]:
    """Describe the machine: processor, GPU, threads and versions."""
    versions: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    gpu = None
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def show(report: Report, console: Console) -> None:
    """Print a report as a table."""
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    first = report.rows[0].name
    sheet = Sheet(
        Column(""),
        Column("seconds, median", 5),
        Column("least to most", 2),
        Column("ratio", 4),
        Column("least to most", 1),
        Column("notes", 3, text=True),
        title=f"{report.subject}: {settings}",
        caption=f"ratios: times over those of {first!r}, by round",
    )
    for row in report.rows:
        notes = ", ".join(f"{name} {value}" for name, value in row.notes.items())
        spread = f"{min(row.seconds):.3f} to {max(row.seconds):.3f}"
        sheet.add(row.name, f"{statistics.median(row.seconds):.3f}", spread, f"{row.ratio:.3f}",
                  f"{row.ratios[0]:.3f} to {row.ratios[1]:.3f}", notes)  # fmt: skip
    sheet.print(console)
