"""Run folders as values: found, read and checked, without touching their data."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.process.text import printable, shown
from tools.experiment.settings import flat
from tools.record import facts, plans
from tools.record.data import whole
from tools.record.first_cycle import First, first_cycle
from tools.record.folder import RunFolder, RunFolderError
from tools.record.rows import column


class ComparisonError(Exception):
    """Runs that must not be put together; the message names the folders and what differs."""


@dataclass(frozen=True)
class Run:
    """One run folder, finished or not.

    Args:
        folder: where it is.
        config: name of the config; of a folder without its name.txt, as the folder above is called
            where `al_train.py` laid it, else as the one it lies in.
        task: dotted name of the adapter.
        metric: key of the metric that the curve plots.
        strategy: name; of a strategy of one's own, its class.
        module: mode of the loss-prediction module as it was set, "auto" where it was not.
        seed: of initial set, models and queries.
        settings: the config with dotted keys.
        samples: hash of the names of the pool's samples, in order.
        rows: of the cycles that are committed.
        finished: whether these are all.
        lower: whether less of the metric is better.
        data: what its images, labels and test set were, see `tools.record.data.whole`; empty where
            not recorded.
        first: of its first cycle; None if none is committed.
    """

    folder: Path
    config: str
    task: str
    metric: str
    strategy: str
    module: str
    seed: int
    settings: Mapping[str, Any] = field(repr=False)
    samples: str = field(repr=False)
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)
    finished: bool
    lower: bool = False
    data: Mapping[str, str] = field(default_factory=dict, repr=False)
    first: First | None = field(default=None, repr=False)

    @property
    def leg(self) -> str:
        """What people call the strategy with this module, as
        `tools.experiment.config.Experiment.leg`.
        """
        return self.strategy if self.module == "auto" else f"{self.strategy}-{self.module}"

    @property
    def labeled(self) -> tuple[int, ...]:
        """Labeled samples in each committed cycle."""
        return tuple(row["labeled"] for row in self.rows)

    @property
    def values(self) -> tuple[float, ...]:
        """The metric in each committed cycle; not-a-number where it is null."""
        return self.column(self.metric)

    def column(self, key: str) -> tuple[float, ...]:
        """Any key of the rows, in each committed cycle.

        Not-a-number where it is null or missing.
        """
        return tuple(column(self.rows, key))


def read(path: Path, trust: plans.Trust = ()) -> Run:
    """Read a run folder; nothing in it is run, and its data are not touched.

    Args:
        path: of the folder.
        trust: folders with code that may be run: a version before kept no metric's name, which the
            task tells.

    Raises:
        RunFolderError: if something in it is damaged or missing.
    """
    # as it is called here, where a link leads to it
    folder, path = RunFolder(path), Path(os.path.abspath(path))
    folder.require_whole()
    finished = folder.done  # before the rows: a run may end while it is read
    try:
        config, about = facts.settings(path), plans.about(path, trust)
        strategy, seed, cycles = (
            config["strategy"],
            int(config.get("seed", 0)),
            int(config["budget"]["cycles"]),
        )
        called = strategy if isinstance(strategy, str) else strategy["type"].rpartition(".")[2]
        task, mode = config["task"]["type"], config.get("module", {}).get("mode", "auto")
        for name in (task, called, mode, about.metric):
            if not is_name(name):
                raise ValueError(f"expected a name, but got {shown(name)}")
    except RunFolderError as error:
        raise RunFolderError(
            f"{path}: {error}" if str(path) not in str(error) else str(error)
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{path / facts.CONFIG} is not what a run has ({type(error).__name__}: {error})"
        raise RunFolderError(f"{what}; restore it, or leave the run out") from error
    try:
        names = folder.sample_names()
        pool = folder.resume(len(names))
        rows = folder.rows(pool.cycle if pool else 0)
    except (OSError, UnicodeDecodeError) as error:
        what = f"{path} cannot be read ({type(error).__name__}: {error})"
        raise RunFolderError(f"{what}; restore the file, or leave the run out") from error
    if finished and len(rows) != cycles:
        raise RunFolderError(
            f"{path} is marked as done: expected {cycles} cycles, but got {len(rows)}; restore it"
        )
    if odd := _odd(rows, about.metric, len(pool.labeled) if pool else 0, len(rows) == cycles):
        raise RunFolderError(f"{path / 'metrics.jsonl'}: {odd}; restore it, or leave the run out")
    mark = hashlib.sha256("\n".join(names).encode()).hexdigest()
    name = printable(
        folder.name or _name(path, called if mode == "auto" else f"{called}-{mode}", seed)
    )
    return Run(
        path,
        name,
        task,
        about.metric,
        called,
        mode,
        seed,
        flat(config),
        mark,
        tuple(rows),
        finished,
        about.lower_is_better,
        whole(path),
        first_cycle(folder, rows[0], flat(config)) if rows else None,
    )


def _odd(rows: Sequence[Mapping[str, Any]], metric: str, labeled: int, whole: bool) -> str:
    """What cannot be in rows that `RunFolder.commit` wrote, beside `labeled` samples in state.json;
    empty if nothing.

    Args:
        whole: whether all cycles are committed, the last of which queries nothing.
    """
    for row in rows:
        lacking = sorted({metric, "labeled"} - row.keys())
        if lacking:
            return (
                f"expected 'labeled' and {metric!r} in every row, but cycle {row['cycle']} "
                f"lacks {lacking[0]!r}"
            )
        for key, value in row.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and not math.isinf(value)):
                return (
                    f"expected a finite number or null, but cycle {row['cycle']} has {key} = "
                    f"{shown(value)}"
                )
    sizes = [row["labeled"] for row in rows]
    rising = all(isinstance(n, int) for n in sizes) and all(
        a < b for a, b in zip(sizes, sizes[1:], strict=False)
    )
    if not rising:
        return f"expected more labeled samples in each cycle, but got {sizes}"
    if sizes and not (sizes[-1] == labeled if whole else sizes[-1] <= labeled):
        return f"its last row has {sizes[-1]} labeled samples, but state.json has {labeled}"
    return ""


def is_name(value: object) -> bool:
    """Whether a value can be what a strategy, a mode, a class or a metric is called: text
    that can be printed.
    """
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _name(path: Path, leg: str, seed: int) -> str:
    laid = path.name == f"seed{seed}" and path.parent.name == leg
    return path.parents[1].name if laid else path.parent.name
