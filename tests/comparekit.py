"""Runs with made scores: as values, and as folders as `al_train.py` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acquisition.pool import Pool
from tests.conftest import REPOSITORY
from tools.record.facts import Facts
from tools.record.folder import RunFolder
from tools.record.reading import Run

TOLD = Facts("score", code={"tests.toy.Toy": str(REPOSITORY)})
BUDGET = {"initial": 10, "query": 5}


def made(
    leg: str,
    seed: int,
    values: Sequence[float | None],
    lower: bool = False,
    **columns: Sequence[Any],
) -> Run:
    """A finished run at 10, 15, ... labels.

    `columns` are further keys of its rows, with `__` for `/`.
    """
    rows = [{"cycle": c, "labeled": 10 + 5 * c, "score": value} for c, value in enumerate(values)]
    for key, column in columns.items():
        for row, value in zip(rows, column, strict=True):
            row[key.replace("__", "/")] = value
    folder = Path(f"work_dirs/toy/{leg}/seed{seed}")
    return Run(
        folder, "toy", "tests.toy.Toy", "score", leg, "auto", seed, {}, "", tuple(rows), True, lower
    )


def legs_of(scores: Mapping[str, Sequence[Sequence[float | None]]]) -> dict[str, tuple[Run, ...]]:
    """Finished runs of each leg, seeds 0, 1, ..., from a list of values a seed."""
    return {
        leg: tuple(made(leg, s, values) for s, values in enumerate(seeds))
        for leg, seeds in scores.items()
    }


def config(
    strategy: Any = "random", seed: int = 0, cycles: int = 3, **settings: Any
) -> dict[str, Any]:
    """A config of the toy task; `settings` have `__` for dots."""
    found: dict[str, Any] = {
        "task": {"type": "tests.toy.Toy"},
        "budget": {**BUDGET, "cycles": cycles},
        "training": {"epochs": 4},
        "module": {"width": 8},
        "scoring": {"batch_size": 8},
        "strategy": strategy,
        "seed": seed,
    }
    for key, value in settings.items():
        *sections, last = key.split("__")
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return found


def write(
    path: Path,
    settings: Mapping[str, Any],
    values: Sequence[float | None] = (0.1, 0.2, 0.3),
    names: Sequence[str] = (),
    told: Facts = TOLD,
) -> Path:
    """A run folder with a row for each value, finished where these are all cycles.

    `told` of its task.
    """
    folder = RunFolder(path)
    names = names or [f"vector {i}" for i in range(60)]
    folder.open(settings, names, told=told)
    pool = Pool(len(names), tuple(range(10)))
    for cycle, value in enumerate(values):
        row = {
            "cycle": cycle,
            "labeled": len(pool.labeled),
            "effort": 3 * len(pool.labeled),
            told.metric: value,
        }
        last = cycle + 1 == settings["budget"]["cycles"]
        pool = pool.label([] if last else list(range(len(pool.labeled), len(pool.labeled) + 5)))
        folder.commit(row, None, pool)
        folder.finish() if last else None
    return path
