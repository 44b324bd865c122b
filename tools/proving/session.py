"""Run proofs one after the other, say how far each has come, and end with a table."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from acquisition.ranking import module_quality
from models.process.files import replacing
from models.process.memory import keep_freed_memory
from models.process.stopping import listening
from models.process.text import error_line
from models.training.hooks import unwrapped
from models.training.trainer import evaluate
from tasks.base import Task
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.experiment import preflight
from tools.experiment.config import Experiment, load, made
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError
from tools.proving.bugs import BUGS, Bug
from tools.proving.data import LackingError, written
from tools.proving.proofs import PROOFS, SMALL, Proof, reached
from tools.record.folder import RunFolder
from tools.train.cycle import Cycle, start
from tools.train.session import STOPPERS

MISSED = 1  # exit status
GROUP = "learned"  # name of the samples that the module orders


@dataclass(frozen=True)
class Look:
    """What was reached after some epochs.

    Args:
        epochs: of training.
        metric: the task's, on the samples.
        pairs: share of the pairs of samples that the module orders by their true loss.
        seconds: of training, evaluating and looking, over all sittings.
    """

    epochs: int
    metric: float
    pairs: float
    seconds: float


def main(arguments: argparse.Namespace) -> int:
    """Prove, and show the table.

    Args:
        arguments: the options of `proof.py`.

    Returns:
        The exit status of `proof.py`.
    """
    if not torch.cuda.is_available():
        keep_freed_memory()
    console = Plain()
    bug = BUGS.get(arguments.bug)
    known = SMALL if arguments.small else PROOFS
    chosen = [proof for proof in known if proof.name in arguments.only]
    results = []
    try:
        with listening():
            for proof in chosen:
                if bug is not None and proof.name not in bug.proofs:
                    console.print(f"{proof.name}: {arguments.bug} is no bug of its task; left out")
                    continue
                source = arguments.cifar if proof.source == "cifar10" else None
                source = source or arguments.data / proof.source
                size = "small" if arguments.small else "whole"
                where = arguments.out / size / (arguments.bug or "sound")
                results.append((proof, proved(proof, source, where, console, bug)))
    except (*STOPPERS, LackingError) as error:
        console.print(error_line(error))
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        console.print(f"{str(stop) or 'stopped'}; the same command goes on")
        return STOPPED
    table(results).print(console)
    return 0 if results and all(passed(*result) for result in results) else MISSED


def proved(
    proof: Proof, source: Path, where: Path, console: Console, bug: Bug | None = None
) -> Look:
    """Train until both bars are reached, or the settings' epochs are over; return the last look.

    Args:
        proof: what is to be learned.
        source: the data set.
        where: folder of the data that are copied, and of the run; what is there is gone on with.
        console: gets a line a look.
        bug: a mistake that is put in.

    Raises:
        LackingError: if data are missing.
        ConfigError: if they have faults, or a setting is wrong.
        RunFolderError: if the folder is of other settings.
    """
    samples = written(where / f"{proof.name}-data", lambda to: proof.write(source, to, proof.count))
    experiment = set_up(proof, samples, bug)
    folder = RunFolder(where / proof.name)
    if faults := experiment.task.check():
        raise ConfigError(experiment.name, faults)
    resumed = folder.open(experiment.config, preflight.names(experiment.task))
    cycle = Cycle.next_of(folder, experiment, resumed=resumed)
    with folder.locked():
        for look in looks(cycle, proof.every, folder.path / "looks.json"):
            console.print(line(proof, experiment, look))
            if passed(proof, look):
                break
    return look


def set_up(proof: Proof, samples: Path, bug: Bug | None = None) -> Experiment:
    """The experiment of a proof on the samples in a folder, with a bug or without one."""

    def task(kind: type, settings: dict[str, Any]) -> Task:
        adapter = made(kind, settings)
        if bug is not None and bug.alter is not None:
            bug.alter(adapter)
        return adapter

    options = proof.options(samples) | (bug.settings if bug is not None else {})
    return load(proof.config, options=options, make=task)


def looks(cycle: Cycle, every: int, kept: Path) -> Iterator[Look]:
    """Train some epochs more for each look, to the last that the settings have.

    Each goes on from the checkpoint of the one before, as a run does that was stopped. Looks that
    an earlier sitting took are not taken again.

    Args:
        cycle: the first, in which all samples are labeled.
        every: epochs between looks.
        kept: file that holds the looks, and the seconds that were spent.
    """
    taken: list[Look] = []
    spent = 0.0
    if kept.exists():
        known = json.loads(kept.read_text(encoding="utf-8"))
        taken, spent = [Look(**row) for row in known["looks"]], known["seconds"]
    yield from taken
    last = cycle.experiment.training.epochs
    for epochs in range(every, last + every, every):
        if taken and epochs <= taken[-1].epochs:
            continue
        began, found = time.perf_counter(), None
        try:
            found = look_after(min(epochs, last), cycle)
        finally:  # whoever is stopped has spent seconds, too
            spent += time.perf_counter() - began
            if found is not None:
                taken.append(Look(min(epochs, last), *found, spent))
            rows = [asdict(look) for look in taken]
            with replacing(kept) as beside:
                text = json.dumps({"looks": rows, "seconds": spent})
                beside.write_text(text, encoding="utf-8")
        yield taken[-1]


def look_after(epochs: int, cycle: Cycle) -> tuple[float, float]:
    """Train on all samples until so many epochs are done, by the project's own training.

    Args:
        epochs: of training in all.
        cycle: see `looks`.

    Returns:
        The task's metric on the samples, and the module's ordered pairs.
    """
    experiment = cycle.experiment
    task, training = experiment.task, replace(experiment.training, epochs=epochs)
    with start(replace(cycle, experiment=replace(experiment, training=training))) as runner:
        runner.train()
        metric = evaluate(runner, task.metric)[task.metric]
        groups = {GROUP: np.array(sorted(cycle.pool.labeled))}
        ranking = module_quality(
            unwrapped(runner.model), task.dataset("pool"), task.collate, groups, experiment.scoring
        )
    pairs = ranking[f"ranking/{GROUP}/pairs"]
    return metric, math.nan if pairs is None else pairs


def passed(proof: Proof, look: Look) -> bool:
    """Whether both bars are reached."""
    return reached(look.metric, proof.bar) and reached(look.pairs, proof.pairs)


def line(proof: Proof, experiment: Experiment, look: Look) -> str:
    """A look in words."""
    return (
        f"{proof.name}: epoch {look.epochs} of {experiment.training.epochs}, "
        f"{experiment.task.metric} {look.metric:.3f}, ordered pairs {look.pairs:.3f}, "
        f"{look.seconds:.0f} s"
    )


def table(results: Sequence[tuple[Proof, Look]]) -> Sheet:
    """What, bar, reached, seconds: two rows a proof."""
    sheet = Sheet(
        Column("network"),
        Column("what", 3, text=True),
        Column("bar", 4),
        Column("reached", 5),
        Column("", 5, text=True),
        Column("epochs", 1),
        Column("s", 2),
    )
    for proof, look in results:
        for what, bar, value in (
            (f"metric on {proof.samples}", proof.bar, look.metric),
            ("the module's ordered pairs on them", proof.pairs, look.pairs),
        ):
            said = "at least" if bar == 1 else "above"
            verdict = "ok" if reached(value, bar) else "MISSED"
            sheet.add(
                proof.name, what, f"{said} {bar:g}", f"{value:.3f}", verdict, look.epochs,
                f"{look.seconds:.0f}",
            )  # fmt: skip
    return sheet
