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

LAST = 1 << 16  # bytes of a log in which its last line is looked for
TRAIN = Path(__file__).resolve().parents[1] / "al_train.py"


@dataclass(frozen=True, eq=False)
class Job:
    """One run.

    Args:
        leg: the strategy, with the module's mode where that was chosen.
        folder: of the run.
        metric: key of the task's metric.
        cycles: of the whole run.
        first: what its first training follows from: where it is equal, runs share that; None where
            they share nothing.
        command: as a process.
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
        """For people."""
        return f"{self.leg}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What the run said."""
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
        """How it ended."""
        minutes = f"{int(seconds) // 60} min {int(seconds) % 60} s"
        if status:
            return (
                f"FAILED: {self.name}, exit status {status} after {minutes}: {_last_line(self.log)}"
            )
        last = self.rows[-1].get(self.metric) if self.rows else None
        return f"{self.name}: {self.metric} {'-' if last is None else f'{last:.3f}'}, {minutes}"


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), LAST), os.SEEK_END)
        said = file.read().decode("utf-8", errors="replace").strip().splitlines()
    return printable(said[-1]) if said else "no word"


def planned(arguments: argparse.Namespace, say: Callable[[str], None]) -> list[Job]:
    """The runs, those of one seed beside each other; what is odd about the data is said once.

    Raises:
        ConfigError: with the problems of all of them.
    """
    jobs, problems, notes = [], dict[str, None](), dict[str, None]()
    for seed, strategy, mode in itertools.product(
        arguments.seeds, arguments.strategies, arguments.module
    ):
        options = {**dict(arguments.cfg_options), "strategy": strategy, "seed": seed}
        options |= {} if mode == "auto" else {"module.mode": mode}
        found: list[str] = []
        try:
            experiment = load(arguments.config, smoke=arguments.smoke, options=options)
            if seed == arguments.seeds[0]:
                found, odd = preflight.findings(experiment, full=False)
                notes |= dict.fromkeys(odd)
            jobs.append(_job(experiment, arguments, strategy))
            jobs[-1].folder.check(experiment.config)
        except ConfigError as error:
            found = error.problems
        except RunFolderError as error:
            found = [str(error)]
        problems |= dict.fromkeys(found)
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
    """Of two classes with one name, which would be one leg and one folder, what to do."""
    names = {name: name.rpartition(".")[2] for name in arguments.strategies}
    alike = [name for name, last in names.items() if list(names.values()).count(last) > 1]
    return (
        f" ({' and '.join(alike)} are called alike, which is what run folders are called by: "
        "rename one)" * bool(alike)
    )


def _job(experiment: Experiment, arguments: argparse.Namespace, strategy: str) -> Job:
    root, leg = Path(arguments.work_dir), experiment.leg
    folder = root / experiment.name / leg / f"seed{experiment.seed}"
    command = [sys.executable, str(TRAIN), str(arguments.config), "--strategy", strategy]
    command += ["--seed", str(experiment.seed), "--work-dir", str(folder)]
    mode = experiment.module.mode
    command += [] if mode == "auto" else ["--module", mode]
    command += ["--smoke"] if arguments.smoke else []
    command += ["--wandb", arguments.wandb] if arguments.wandb else []
    command += (
        []
        if arguments.no_cache
        else ["--first-models", str(root / experiment.name / "first_models")]
    )
    options = [f"{name}={value!r}" for name, value in arguments.cfg_options]
    command += ["--cfg-options", *options] if options else []
    dropout = experiment.committee if experiment.committee_kind == "dropout" else None
    first: tuple | None = (
        experiment.seed,
        experiment.module_mode,
        experiment.module.objective,
        str(dropout),
    )
    metric, cycles = experiment.task.metric, experiment.budget.cycles
    shared = None if arguments.no_cache else first
    return Job(leg, experiment.seed, RunFolder(folder), metric, cycles, shared, tuple(command),
               lower_is_better(experiment.task))  # fmt: skip
