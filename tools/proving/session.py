"""Run proofs one after the other, say how far each has come, and end with a table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from models.process.memory import keep_freed_memory
from models.process.stopping import listening
from models.process.text import error_line
from tasks.base import Task
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.experiment import preflight
from tools.experiment.config import Experiment, load, made
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError
from tools.proving.bugs import BUGS, Bug
from tools.proving.data import LackingError, written
from tools.proving.looks import Look, hold_still, looks
from tools.proving.proofs import PROOFS, SMALL, Proof, Stage, reached
from tools.record.folder import RunFolder
from tools.train.cycle import Cycle
from tools.train.session import STOPPERS

MISSED = 1  # exit status


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
    return 0 if results and all(passed(proof, last[-1]) for proof, last in results) else MISSED


def proved(
    proof: Proof, source: Path, where: Path, console: Console, bug: Bug | None = None
) -> list[Look]:
    """Let the network learn until its metric passes, then the module until its pairs do.

    The module learns beside the network. Where its pairs do not pass with the metric, the network
    is held still, and the module goes on alone. Each of the two ends with its settings' epochs.

    Args:
        proof: what is to be learned.
        source: the data set.
        where: folder of the data that are copied, and of the runs; what is there is gone on with.
        console: gets a line a look.
        bug: a mistake that is put in.

    Returns:
        The last look of the first stage and, where there is one, of the second.

    Raises:
        LackingError: if data are missing.
        ConfigError: if they have faults, or a setting is wrong.
        RunFolderError: if a folder is of other settings.
        CheckpointError: if the first stage's weights are gone.
    """
    samples = written(where / f"{proof.name}-data", lambda to: proof.write(source, to, proof.count))
    first, second = RunFolder(where / proof.name), RunFolder(where / f"{proof.name}-module")
    last: list[Look] = []
    for look in _looks(proof, samples, first, bug):
        console.print(line(proof, proof.network, look))
        last = [look]
        if reached(look.metric, proof.bar):
            break
    if passed(proof, last[-1]) or not reached(last[-1].metric, proof.bar):
        return last
    for look in _looks(proof, samples, second, bug, before=first.training_folder(0)):
        console.print(line(proof, proof.module, look))
        last[1:] = [look]
        if passed(proof, look):
            break
    return last


def _looks(
    proof: Proof, samples: Path, folder: RunFolder, bug: Bug | None, before: Path | None = None
) -> Iterator[Look]:
    """Look after look at one stage: the second, where there are weights from `before`."""
    still = before is not None
    experiment = set_up(proof, samples, bug, still)
    if faults := experiment.task.check():
        raise ConfigError(experiment.name, faults)
    resumed = folder.open(experiment.config, preflight.names(experiment.task))
    cycle = Cycle.next_of(folder, experiment, resumed=resumed)
    with folder.locked():
        yield from looks(cycle, (proof.module if still else proof.network).every, before)


def set_up(proof: Proof, samples: Path, bug: Bug | None = None, still: bool = False) -> Experiment:
    """The experiment of a proof on the samples in a folder.

    Args:
        proof: what is to be learned.
        samples: the folder.
        bug: a mistake that is put in.
        still: whether the network is held still, and the module alone learns.
    """

    def task(kind: type, settings: dict[str, Any]) -> Task:
        """The adapter, held still and with the bug where these are asked for."""
        adapter = made(kind, settings)
        if still:
            hold_still(adapter)
        if bug is not None and bug.alter is not None:
            bug.alter(adapter)
        return adapter

    options = proof.options(samples, still) | (bug.settings if bug is not None else {})
    return load(proof.config, options=options, make=task)


def passed(proof: Proof, look: Look) -> bool:
    """Whether both bars are reached."""
    return reached(look.metric, proof.bar) and reached(look.pairs, proof.pairs)


def line(proof: Proof, stage: Stage, look: Look) -> str:
    """A look in words."""
    return (
        f"{proof.name}{', held still' * (stage is proof.module)}: epoch {look.epochs} of "
        f"{stage.settings['training.epochs']}, metric {look.metric:.3f}, "
        f"ordered pairs {look.pairs:.3f}, {look.seconds:.0f} s"
    )


def table(results: Sequence[tuple[Proof, list[Look]]]) -> Sheet:
    """What, bar, reached, epochs and seconds: two rows a proof.

    Epochs and seconds of the second row are those of both stages.
    """
    sheet = Sheet(
        Column("network"),
        Column("what", 3, text=True),
        Column("bar", 4),
        Column("reached", 5),
        Column("", 5, text=True),
        Column("epochs", 1),
        Column("s in all", 2),
    )
    for proof, stages in results:
        for what, bar, value, so_far in (
            (f"metric on {proof.samples}", proof.bar, stages[-1].metric, stages[:1]),
            ("the module's ordered pairs on them", proof.pairs, stages[-1].pairs, stages),
        ):
            said = "at least" if bar == 1 else "above"
            verdict = "ok" if reached(value, bar) else "MISSED"
            epochs = " + ".join(str(look.epochs) for look in so_far)
            seconds = sum(look.seconds for look in so_far)
            sheet.add(
                proof.name, what, f"{said} {bar:g}", f"{value:.3f}", verdict, epochs,
                f"{seconds:.0f}",
            )  # fmt: skip
    return sheet
