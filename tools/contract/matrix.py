"""Every strategy on every sandbox for two short cycles: the cells of the table."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.query import Query
from tools.data.sandbox import CONFIGS
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.train import loop
from tools.train.cycle import Cycle

FOLDER = Path(__file__).resolve().parents[2] / "configs"


@dataclass(frozen=True)
class Cell:
    """One strategy on one task.

    Args:
        config: the task's.
        strategy: name.
        status: "ok", "refused" or "FAILED".
        detail: the range of the scores, or the reason.
        seconds: of both cycles.
    """

    config: str
    strategy: str
    status: str
    detail: str
    seconds: float = 0.0


def main(arguments: argparse.Namespace) -> int:
    """Run every cell, and show the table.

    Args:
        arguments: the options of `matrix.py`.

    Returns:
        The exit status of `matrix.py`.
    """
    console = Plain()
    cells = []
    with tempfile.TemporaryDirectory(prefix="losstap-matrix-") as runs:
        for config in arguments.configs:
            for strategy in arguments.strategies:
                where = Path(runs) / config / strategy
                cells.append(run_cell(config, strategy, arguments.root / CONFIGS[config], where))
                console.print(f"{config} {strategy}: {cells[-1].status}, {cells[-1].seconds:.1f} s")
    table(cells).print(console)
    counts = {
        status: sum(cell.status == status for cell in cells)
        for status in ("ok", "refused", "FAILED")
    }
    console.print(
        f"{len(cells)} cells: " + ", ".join(f"{count} {status}" for status, count in counts.items())
    )
    return 1 if counts["FAILED"] else 0


class Silent:
    """A tracker and console that print nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def run_cell(config: str, strategy: str, data_root: Path, folder: Path) -> Cell:
    """Run two cycles of the config's smoke variant in this process, as `al_train.py` would."""
    options = {"strategy": strategy, "task.data_root": str(data_root)}
    experiment = load(FOLDER / f"{config}.py", smoke=True, options=options)
    problems = preflight.problems(experiment, full=False)
    if problems:
        return Cell(config, strategy, "refused", "; ".join(problems))
    began = time.perf_counter()
    try:
        query = finished(experiment, folder).query(0)
    except Exception as error:  # one cell must not end the others
        return Cell(
            config,
            strategy,
            "FAILED",
            f"{type(error).__name__}: {error}",
            time.perf_counter() - began,
        )
    return Cell(config, strategy, "ok", _ranges(query), time.perf_counter() - began)


def finished(experiment: Experiment, folder: Path) -> RunFolder:
    """Run an experiment to its end in this process, without a word."""
    run = RunFolder(folder)
    run.open(experiment.config, preflight.names(experiment.task), told=told(experiment))
    # for the tracker and for the console
    loop.run(Cycle.next_of(run, experiment), Silent(), Silent())  # type: ignore[arg-type]
    return run


def _ranges(query: Query | None) -> str:
    if query is None:
        return ""
    ranges = []
    for name, values in query.signals.items():
        if values.ndim > 1:
            name = f"|{name}|"
            values = np.linalg.norm(values.reshape(len(values), -1), axis=1)
        ranges.append(f"{name} {values.min():.3g} ... {values.max():.3g}")
    return ", ".join(ranges)


def table(cells: Sequence[Cell]) -> Sheet:
    """Return the table of the cells."""
    sheet = Sheet(
        Column("task"),
        Column("strategy", 3, text=True),
        Column("", 4, text=True),
        Column("s", 1),
        Column("scores, or why not", 2, text=True),
    )
    for cell in cells:
        sheet.add(cell.config, cell.strategy, cell.status, f"{cell.seconds:.1f}", cell.detail)
    return sheet
