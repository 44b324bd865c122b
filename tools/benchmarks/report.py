"""What a benchmark found: times of contenders side by side, as a table and as json."""

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
        name: the contender.
        seconds: of each round.
        ratio: the median over the rounds of its time over the first contender's.
        ratios: the smallest and the largest of these.
        notes: what else was seen, such as agreement.
    """

    name: str
    seconds: list[float]
    ratio: float
    ratios: tuple[float, float]
    notes: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A benchmark's settings, rows and machine; what the json holds."""

    subject: str
    settings: dict[str, Any]
    rows: list[Row]
    machine: dict[str, Any]


def stopwatch(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def side_by_side(
    runs: Mapping[str, Callable[[], Any]], repeats: int, measure: Callable = stopwatch
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each round and the last result, by name; each runs once unmeasured, then they take
    turns.

    Each round begins with another one: what a contender leaves in memory and caches costs the next
    one some percent. `measure` runs one and returns its seconds and its result; a stopwatch by
    default.
    """
    results = {name: measure(run)[1] for name, run in runs.items()}
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
    """Rows with ratios over the first contender, round by round."""
    first = next(iter(seconds.values()))
    found = []
    for name, times in seconds.items():
        ratios = [time / other for time, other in zip(times, first, strict=True)]
        found.append(
            Row(
                name,
                times,
                statistics.median(ratios),
                (min(ratios), max(ratios)),
                notes.get(name, {}),
            )
        )
    return found


def over(seconds: Mapping[str, list[float]], name: str, other: str) -> float:
    """The median over the rounds of one contender's time over another's."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[other], strict=True))


def machine() -> dict[str, Any]:
    """The processor's kind or the GPU's name, threads, and versions."""
    versions: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def show(report: Report, console: Console) -> None:
    """The table in the terminal."""
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
