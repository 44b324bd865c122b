"""What a run will cost: room on the disk, and its trainings and passes in numbers."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from acquisition.query import needs
from models.training.loading import length
from tools.experiment.config import Experiment
from tools.experiment.preflight import Built

# the running cycle's, the next one beside it while it is written, and that of the cycle before
CHECKPOINTS = 3


def disk(experiment: Experiment, folder: Path, built: Built) -> tuple[list[str], int]:
    """Check that the checkpoints will fit beside the run folder; return their size in bytes, too.

    `built` is what `findings` filled where it reported no problem.
    """
    count = built.parameters or 0
    if experiment.committee_kind == "ensemble":
        count *= experiment.committee.members
    # float32; weights and at most two moments of the optimiser
    needed = CHECKPOINTS * count * 4 * 3
    if experiment.training.keep_weights == "all":
        needed += experiment.budget.cycles * (built.parameters or 0) * 4
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free >= needed:
        return [], needed
    return [
        f"--work-dir: expected {needed / 1e6:,.0f} MB of free disk in {place}, but got "
        f"{free / 1e6:,.0f}"
    ], needed


def plan(experiment: Experiment, folder: Path, bytes_needed: int) -> str:
    """Describe what would be run, in words and numbers."""
    training, budget = experiment.training, experiment.budget
    iterations = [training.epochs * math.ceil(n / training.batch_size) for n in budget.sizes]
    pool, test = (length(experiment.task.dataset(split)) for split in ("train", "test"))
    held = budget.held(pool)
    looked = [0] * (budget.cycles - 1)
    asked = bool(needs(experiment.steps))
    if asked or experiment.scoring.save:  # what is saved alone is saved of all candidates
        most = experiment.subset if asked and experiment.subset else pool
        looked = [min(pool - held - n, most) for n in budget.sizes[:-1]]
    members = passes = 1
    if experiment.committee_kind == "ensemble":
        members = passes = experiment.committee.members
    elif experiment.committee_kind == "dropout":
        passes = experiment.committee.passes
    elif experiment.committee_kind == "previous":
        passes = 2
    trained = sum(iterations) + (members - 1) * sum(iterations[:-1])
    trainings = budget.cycles + (members - 1) * (budget.cycles - 1)
    steps = f"{training.epochs} epochs, {trained:,} iterations of {training.batch_size}"
    times = f", {passes} times each" * (passes > 1)
    queries = "query" if len(looked) == 1 else "queries"
    lines = {
        "run": f"{experiment.name}, strategy {experiment.leg}, seed {experiment.seed}",
        "module": experiment.module_mode,
        "folder": folder,
        "data": f"pool {pool:,}, test {test:,}" + f", {held:,} of the pool validate" * (held > 0),
        "labels": ", ".join(f"{n:,}" for n in budget.sizes),
        "training": f"{trainings} trainings of {steps}",
        "scoring": f"{sum(looked):,} samples for {len(looked)} {queries}{times}",
        "disk": f"at most {bytes_needed / 1e6:,.0f} MB of checkpoints at a time",
    }
    return "\n".join(f"{name:9}{value}" for name, value in lines.items())
