"""Every strategy on every sandbox for two short cycles:  python tools/matrix.py --root data/sandbox

A table of cells: what ran, in how many seconds, and the range of its scores or of its vectors' norms; and what was
refused, with the reason. Needs what `make_sandbox.py` drew. The exit status is 1 where a cell that was not refused
failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: its folder is first on the path, where its names would hide others
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place).resolve() != HERE)]

import numpy as np
from rich.console import Console

from acquisition.query import Query
from acquisition.strategies import named_strategies
from tools import al_train
from tools.experiment import preflight
from tools.experiment.config import load
from tools.record.plans import told
from tools.record.folder import RunFolder
from tools.display.sheet import Column, Sheet
from tools.display.streams import command

CONFIGS = {"cls_sandbox": "shapes", "det_sandbox": "VOCdevkit", "pose_sandbox": "figures"}  # and the data's folder
HERE = Path(__file__).resolve().parents[1] / "configs"


@dataclass(frozen=True)
class Cell:
    """One strategy on one task.

    Args:
        config: the task's.
        strategy: name.
        status: "ok", "refused" or "FAILED".
        told: the range of the scores, or the reason.
        seconds: of both cycles.
    """

    config: str
    strategy: str
    status: str
    told: str
    seconds: float = 0.0


class Silent:
    """A tracker and console that say nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def run_cell(config: str, strategy: str, data_root: Path, folder: Path) -> Cell:
    """Two cycles of the config's smoke variant, as `al_train.py` would run them, in this process."""
    options = {"strategy": strategy, "task.data_root": str(data_root)}
    experiment = load(HERE / f"{config}.py", smoke=True, options=options)
    problems = preflight.problems(experiment, full=False)
    if problems:
        return Cell(config, strategy, "refused", "; ".join(problems))
    began, run = time.perf_counter(), RunFolder(folder)
    try:
        run.open(experiment.config, preflight.names(experiment.task), told=told(experiment))
        al_train.run(experiment, run, Silent(), Silent())  # type: ignore[arg-type]  # it stands for both
        query = run.query(0)
    except Exception as error:  # one cell must not end the others
        return Cell(config, strategy, "FAILED", f"{type(error).__name__}: {error}", time.perf_counter() - began)
    return Cell(config, strategy, "ok", _ranges(query), time.perf_counter() - began)


def _ranges(query: Query | None) -> str:
    told = []
    for name, values in ({} if query is None else query.signals).items():
        sizes = values if values.ndim == 1 else np.linalg.norm(values, axis=1)
        told.append(f"{name if values.ndim == 1 else f'|{name}|'} {sizes.min():.3g} ... {sizes.max():.3g}")
    return ", ".join(told)


def table(cells: Sequence[Cell]) -> Sheet:
    """The cells as they are shown."""
    sheet = Sheet(Column("task"), Column("strategy", 3, text=True), Column("", 4, text=True), Column("s", 1),
                  Column("scores, or why not", 2, text=True))  # fmt: skip
    for cell in cells:
        sheet.add(cell.config, cell.strategy, cell.status, f"{cell.seconds:.1f}", cell.told)
    return sheet


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with the sandboxes of make_sandbox.py")
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--strategies", nargs="+", choices=list(named_strategies()), default=list(named_strategies()))
    arguments = parser.parse_args(argv)
    console, cells = Console(soft_wrap=True, markup=False, highlight=False), []
    with tempfile.TemporaryDirectory(prefix="losstap-matrix-") as runs:
        for config in arguments.configs:
            for strategy in arguments.strategies:
                where = Path(runs) / config / strategy
                cells.append(run_cell(config, strategy, arguments.root / CONFIGS[config], where))
                console.print(f"{config} {strategy}: {cells[-1].status}, {cells[-1].seconds:.1f} s")
    table(cells).print(console)
    counts = {status: sum(cell.status == status for cell in cells) for status in ("ok", "refused", "FAILED")}
    console.print(f"{len(cells)} cells: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    command(main)
