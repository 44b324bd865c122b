"""The runs of a sweep, checked before the first of them starts."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.process.text import printable
from tasks import grouping
from tasks.base import lower_is_better
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.record.folder import RunFolder, RunFolderError

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
    """

    leg: str
    seed: int
    folder: RunFolder
    metric: str
    cycles: int
    first: tuple | None
    command: tuple[str, ...]
    lower: bool = False

    @property
    def name(self) -> str:
        """The run's name in messages."""
        return f"{self.leg}, seed {self.seed}"

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
    """Return the checked runs, by seed; print notes on the data once.

    Raises:
        ConfigError: with the problems of all of them.
    """
    jobs: list[Job] = []
    problems: dict[str, None] = {}
    notes: dict[str, None] = {}
    for seed, strategy, mode in itertools.product(
        arguments.seeds, arguments.strategies, arguments.module
    ):
        options = {**dict(arguments.cfg_options), "strategy": strategy, "seed": seed}
        if mode != "auto":
            options["module.mode"] = mode
        faults: list[str] = []
        try:
            experiment = load(arguments.config, smoke=arguments.smoke, options=options)
            if seed == arguments.seeds[0]:
                faults, odd = preflight.findings(experiment, full=False)
                notes |= dict.fromkeys(odd)
            jobs.append(_job(experiment, arguments, strategy))
            jobs[-1].folder.check(experiment.config)
        except ConfigError as error:
            faults = error.problems
        except RunFolderError as error:
            faults = [str(error)]
        problems |= dict.fromkeys(faults)
    twice = sorted({job.name for job in jobs if sum(job.name == other.name for other in jobs) > 1})
    problems |= {
        f"--strategies, --seeds, --module: {name} is named twice{_alike(arguments)}": None
        for name in twice
    }
    if problems:
        raise ConfigError(str(arguments.config), list(problems))
    for note in grouping.told(list(notes)):
        say(f"note: {printable(note)}")
    return jobs


def _alike(arguments: argparse.Namespace) -> str:
    """Return a hint on classes of one name, which would share a folder; empty if there are none."""
    names = {name: name.rpartition(".")[2] for name in arguments.strategies}
    alike = [name for name, last in names.items() if list(names.values()).count(last) > 1]
    if not alike:
        return ""
    return f" ({' and '.join(alike)} have one class name, which names the run folder: rename one)"


def _job(experiment: Experiment, arguments: argparse.Namespace, strategy: str) -> Job:
    home = Path(arguments.work_dir) / experiment.name
    folder = home / experiment.leg / f"seed{experiment.seed}"
    command = _command(experiment, arguments, strategy, folder)
    first: tuple | None = None
    if not arguments.no_cache:
        command += ["--first-models", str(home / "first_models")]
        dropout = experiment.committee if experiment.committee_kind == "dropout" else None
        objective = experiment.module.objective
        seeds = experiment.seed_of("set"), experiment.seed_of("model")
        first = (*seeds, experiment.module_mode, objective, str(dropout))
    options = [f"{name}={value!r}" for name, value in arguments.cfg_options]
    if options:
        command += ["--cfg-options", *options]
    return Job(
        experiment.leg,
        experiment.seed,
        RunFolder(folder),
        experiment.task.metric,
        experiment.budget.cycles,
        first,
        tuple(command),
        lower_is_better(experiment.task),
    )


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
