"""Run folders as values: found, read and checked, without touching their data."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acquisition.pool import Pool
from models.process.text import printable, shown
from tools.experiment.plan import leg
from tools.experiment.settings import flat
from tools.record import facts, plans
from tools.record.data import whole
from tools.record.first_cycle import First, first_cycle
from tools.record.folder import RunFolder, RunFolderError
from tools.record.rows import column


class ComparisonError(Exception):
    """Runs that must not be compared; the message names the folders and what differs."""


@dataclass(frozen=True)
class Run:
    """One run folder, finished or not.

    Args:
        folder: where it is.
        config: name of the config. Without a name.txt it is the name of the folder two above
            where `al_train.py` laid the run, otherwise of the one above.
        task: dotted name of the adapter.
        metric: key of the metric that the curve plots.
        strategy: name, or name of the class of a strategy of the user's own.
        module: mode of the loss-prediction module as it was set, "auto" where it was not.
        seed: of initial set, models and queries.
        settings: the config with dotted keys.
        samples: hash of the names of the pool's samples, in order.
        rows: of the cycles that are committed.
        finished: whether these are all.
        lower: whether less of the metric is better.
        data: hashes of its images, labels and test set, see `tools.record.data.whole`; empty if
            they are not recorded.
        first: the first cycle; None if none is committed.
        people: whether it is a labeling project, whose cycles are rounds with people.
        control: what sets it apart from others of its strategy, such as "warm"; empty for most.
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
    people: bool = False
    control: str = ""

    @property
    def leg(self) -> str:
        """The name of the strategy with this module, as `tools.experiment.plan.Plan.leg`.

        That of a control run ends with what sets it apart.
        """
        name = leg(self.strategy, self.module)
        return f"{name}-{self.control}" if self.control else name

    @property
    def labeled(self) -> tuple[int, ...]:
        """Labeled samples in each committed cycle."""
        return tuple(row["labeled"] for row in self.rows)

    @property
    def values(self) -> tuple[float, ...]:
        """The metric in each committed cycle; not-a-number where it is null."""
        return self.column(self.metric)

    def column(self, key: str) -> tuple[float, ...]:
        """Any key of the rows, in each committed cycle; not-a-number where null or missing."""
        return tuple(column(self.rows, key))


def read(path: Path, trust: plans.Trust = ()) -> Run:
    """Read a run folder; nothing in it is run, and its data are not touched.

    Args:
        path: of the folder.
        trust: folders with code that may be run: an earlier version did not keep the metric's
            name, which then comes from the task.

    Raises:
        RunFolderError: if something in it is damaged or missing.
    """
    folder = RunFolder(path)
    path = Path(os.path.abspath(path))  # by this name, even if a link leads there
    folder.require_whole()
    finished = folder.done  # before the rows: a run may end while it is read
    try:
        config = facts.settings(path)
        about = plans.about(path, trust)
        strategy, mode = strategy_and_mode(config)
        seed = int(config.get("seed", 0))
        cycles = int(config["budget"]["cycles"])
        task = config["task"]["type"]
        for name in (task, strategy, mode, about.metric):
            if not is_name(name):
                raise ValueError(f"expected a name, but got {shown(name)}")
    except RunFolderError as error:
        if str(path) in str(error):
            raise
        raise RunFolderError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{path / facts.CONFIG} is not what a run has ({type(error).__name__}: {error})"
        raise RunFolderError(f"{what}; restore it, or leave the run out") from error
    names, pool, rows = _committed(folder, path)
    if finished and len(rows) != cycles:
        raise RunFolderError(
            f"{path} is marked as done: expected {cycles} cycles, but got {len(rows)}; restore it"
        )
    if odd := _odd(rows, about.metric, len(pool.labeled), len(rows) == cycles):
        raise RunFolderError(f"{path / 'metrics.jsonl'}: {odd}; restore it, or leave the run out")
    mark = hashlib.sha256("\n".join(names).encode()).hexdigest()
    name = folder.name or _name(path, leg(strategy, mode), seed)
    first = first_cycle(folder, rows[0], flat(config)) if rows else None
    return Run(
        path,
        printable(name),
        task,
        about.metric,
        strategy,
        mode,
        seed,
        flat(config),
        mark,
        tuple(rows),
        finished,
        about.lower_is_better,
        whole(path),
        first,
    )


def strategy_and_mode(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the strategy's name, or that of its class, and the mode of the module as it was set.

    Raises:
        KeyError, TypeError, AttributeError: if these are not the settings of a run.
    """
    strategy = config["strategy"]
    if not isinstance(strategy, str):
        strategy = strategy["type"].rpartition(".")[2]
    return strategy, config.get("module", {}).get("mode", "auto")


def _committed(folder: RunFolder, path: Path) -> tuple[list[str], Pool, list[dict[str, Any]]]:
    """Read the names of the pool's samples, and pool and rows of the committed cycles."""
    try:
        names = folder.sample_names()
        pool = folder.resume(len(names)) or Pool(len(names), ())
        return names, pool, folder.rows(pool.cycle)
    except (OSError, UnicodeDecodeError) as error:
        what = f"{path} cannot be read ({type(error).__name__}: {error})"
        raise RunFolderError(f"{what}; restore the file, or leave the run out") from error


def _odd(rows: Sequence[Mapping[str, Any]], metric: str, labeled: int, whole: bool) -> str:
    """Return what `RunFolder.commit` cannot have written in rows; empty if nothing.

    Args:
        rows: of the committed cycles.
        metric: that the curve plots.
        labeled: number of labeled samples in state.json.
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
    if sizes and (sizes[-1] > labeled or (whole and sizes[-1] != labeled)):
        return f"its last row has {sizes[-1]} labeled samples, but state.json has {labeled}"
    return ""


def is_name(value: object) -> bool:
    """Whether a value can be the name of a strategy, mode, class or metric: printable text."""
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _name(path: Path, leg: str, seed: int) -> str:
    if path.name == f"seed{seed}" and path.parent.name == leg:
        return path.parents[1].name
    return path.parent.name
