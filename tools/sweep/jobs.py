"""The runs of a sweep, checked before the first of them starts."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from models.process.text import printable
from tasks import grouping
from tasks.base import lower_is_better
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.experiment.plan import leg
from tools.experiment.seeds import Part
from tools.experiment.shared import Shared
from tools.record.comparable import AFTER_THE_FIRST, free
from tools.record.folder import RunFolder, RunFolderError
from tools.sweep.grid import Cell, cells

LAST = 1 << 16  # bytes at the end of a log that hold its last line
TRAIN = Path(__file__).resolve().parents[1] / "al_train.py"


@dataclass(frozen=True, eq=False)
class Job:
    """One run.

    Args:
        leg: the strategy, with the module's mode where that was chosen.
        folder: of the run.
        metric: key of the task's metric.
        cycles: of the whole run.
        first: settings that determine its first training: runs with equal ones share it; None if
            they share nothing.
        command: of the run's process, with its arguments.
        lower: whether less of the metric is better.
        cell: of the grid; empty without one.
        dotted: the leg by the dotted name of a strategy of one's own; the leg for others.
    """

    leg: str
    seed: int
    folder: RunFolder
    metric: str
    cycles: int
    first: tuple | None
    command: tuple[str, ...]
    lower: bool = False
    cell: str = ""
    dotted: str = ""

    @property
    def name(self) -> str:
        """The run's name in messages."""
        own = f"{self.leg}, seed {self.seed}"
        return f"{self.cell}: {own}" if self.cell else own

    @property
    def log(self) -> Path:
        """The file with the run's output."""
        return self.folder.path.with_suffix(".log")

    @property
    def cycle(self) -> int:
        """Number of committed cycles; 0 for a damaged file, which is an error of the run itself."""
        return self.folder.committed

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of the committed cycles; none where they cannot be read."""
        try:
            return self.folder.rows(self.cycle)
        except RunFolderError:
            return []

    def line(self, status: int, seconds: float) -> str:
        """Return a line on how the run ended.

        Args:
            status: exit status.
            seconds: from start to end.
        """
        minutes = f"{int(seconds) // 60} min {int(seconds) % 60} s"
        if status:
            return (
                f"FAILED: {self.name}, exit status {status} after {minutes}: {_last_line(self.log)}"
            )
        rows = self.rows
        last = rows[-1].get(self.metric) if rows else None
        value = "-" if last is None else f"{last:.3f}"
        return f"{self.name}: {self.metric} {value}, {minutes}"


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), LAST), os.SEEK_END)
        lines = file.read().decode("utf-8", errors="replace").strip().splitlines()
    return printable(lines[-1]) if lines else "no output"


def planned(arguments: argparse.Namespace, say: Callable[[str], None]) -> list[Job]:
    """Return the checked runs, by cell of the grid and by seed; print notes on the data once.

    Raises:
        ConfigError: with the problems of all of them.
    """
    jobs: list[Job] = []
    problems: dict[str, list[str]] = {}
    notes: dict[str, None] = {}
    grid, shared, built = cells(arguments.grid), Shared(), preflight.Built()
    for cell, seed, strategy, mode in itertools.product(
        grid, arguments.seeds, arguments.strategies, arguments.module
    ):
        options = dict(arguments.cfg_options) | dict(cell.settings)
        options |= {"strategy": strategy, "seed": seed}
        if mode != "auto":
            options["module.mode"] = mode
        faults: list[str] = []
        try:
            experiment = load(
                arguments.config, smoke=arguments.smoke, options=options, make=shared.make
            )
            if seed == arguments.seeds[0]:
                faults, odd = preflight.findings(experiment, full=False, built=built)
                notes |= dict.fromkeys(odd)
                faults = [*faults, *_same_runs(experiment, arguments.seeds)]
            jobs.append(_job(experiment, arguments, strategy, cell))
            jobs[-1].folder.check(experiment.config)
        except ConfigError as error:
            faults = error.problems
        except RunFolderError as error:
            faults = [str(error)]
        for fault in faults:
            problems.setdefault(fault, []).append(cell.name)
    lines = [_of(set(names), len(grid)) + fault for fault, names in problems.items()]
    counts = Counter(job.name for job in jobs)
    lines += [
        f"--strategies, --seeds, --module: {name} is named twice{_alike(arguments)}"
        for name in sorted(counts)
        if counts[name] > 1
    ]
    if lines:
        raise ConfigError(str(arguments.config), lines)
    for note in grouping.told(list(notes)):
        say(f"note: {printable(note)}")
    return jobs


def _same_runs(experiment: Experiment, seeds: Sequence[int]) -> list[str]:
    """Return a line where several seeds would be the same run, as all that they draw is fixed.

    The mistakes of simulated people follow the seed itself.
    """
    parts = [f"seeds.{part}" for part in get_args(Part)]
    own = [getattr(experiment.seeds, part) for part in get_args(Part)]
    if len(seeds) < 2 or None in own or experiment.oracle is not None:
        return []
    fixed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return [
        f"--seeds: expected one, as {fixed} are all fixed and nothing else follows a seed, but got "
        f"{len(seeds)}, which would be the same run {len(seeds)} times; take --seeds {seeds[0]}, "
        "or leave one of the three out"
    ]


def _of(names: set[str], count: int) -> str:
    """Name the cells of a problem, with a colon; nothing where all have it."""
    if len(names) == count:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{min(names)}{more}: "


def _alike(arguments: argparse.Namespace) -> str:
    """Return a hint on classes of one name, which would share a folder; empty if there are none."""
    names = {name: name.rpartition(".")[2] for name in arguments.strategies}
    alike = [name for name, last in names.items() if list(names.values()).count(last) > 1]
    if not alike:
        return ""
    return f" ({' and '.join(alike)} have one class name, which names the run folder: rename one)"


def _job(experiment: Experiment, arguments: argparse.Namespace, strategy: str, cell: Cell) -> Job:
    root = Path(arguments.work_dir) / experiment.name
    folder = root / cell.name / experiment.leg / f"seed{experiment.seed}"
    command = _command(experiment, arguments, strategy, folder)
    if cell.name:
        command += ["--name", f"{experiment.name},{cell.name}"]
    first: tuple | None = None
    if not arguments.no_cache:
        command += ["--first-models", str(root / "first_models")]
        dropout = experiment.committee if experiment.committee_kind == "dropout" else None
        objective = experiment.module.objective
        seeds = experiment.seed_of("set"), experiment.seed_of("model")
        others = [pair for pair in cell.settings if not free(pair[0], AFTER_THE_FIRST)]
        first = (*seeds, experiment.module_mode, objective, str(dropout), repr(others))
    settings = [*arguments.cfg_options, *cell.settings]
    if settings:
        command += ["--cfg-options", *(f"{name}={value!r}" for name, value in settings)]
    return Job(
        experiment.leg,
        experiment.seed,
        RunFolder(folder),
        experiment.task.metric,
        experiment.budget.cycles,
        first,
        tuple(command),
        lower_is_better(experiment.task),
        cell.name,
        _dotted(experiment),
    )


def _dotted(experiment: Experiment) -> str:
    given = experiment.config["strategy"]
    name = given["type"] if isinstance(given, Mapping) else given
    return leg(name, experiment.module.mode)


def _command(
    experiment: Experiment, arguments: argparse.Namespace, strategy: str, folder: Path
) -> list[str]:
    """Return the run's command, without the first models and the settings over the config's."""
    command = [sys.executable, str(TRAIN), str(arguments.config), "--strategy", strategy]
    command += ["--seed", str(experiment.seed), "--work-dir", str(folder)]
    mode = experiment.module.mode
    if mode != "auto":
        command += ["--module", mode]
    if arguments.smoke:
        command += ["--smoke"]
    if arguments.wandb:
        command += ["--wandb", arguments.wandb]
    return command
