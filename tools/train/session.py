"""What happens around the loop: checks before it, errors and signals, the summary."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.dist import init_dist as init_launched
from rich.console import Console

from acquisition.canary import CanaryError
from acquisition.step import QueryError
from models.networks.weights import WeightsError
from models.process.memory import keep_freed_memory, set_aside, take_back
from models.process.seeding import deterministic
from models.process.shared_memory import SharedMemoryError, enough
from models.process.stopping import listening, workers_may_die
from models.process.text import error_line, printable
from models.training.checkpoint import CheckpointError
from models.training.compiling import CompileError
from tasks import grouping
from tasks.base import DataError, lower_is_better
from tools.display.console import Plain
from tools.experiment import cost, preflight
from tools.experiment.config import Experiment, Make, load, made
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError
from tools.mirror import identity
from tools.mirror.modes import resolve_mode
from tools.mirror.tracking import Tracker
from tools.record import data
from tools.record.fingerprint import fingerprint
from tools.record.folder import RunFolder, RunFolderError
from tools.record.plans import told
from tools.record.rows import AREA, measured, totals
from tools.train import loop, showing
from tools.train.cycle import Cycle
from tools.train.first_model import FirstModels

STOPPERS = (
    ConfigError,
    DataError,
    RunFolderError,
    WeightsError,
    CheckpointError,
    CompileError,
    QueryError,
    CanaryError,
    FloatingPointError,
    SharedMemoryError,
)
GRACE = 5  # seconds that a launcher needs to end the other processes after one has failed


def main(arguments: argparse.Namespace, make: Make = made) -> int:
    """Check, run, and show the result.

    Args:
        arguments: the options of `al_train.py`.
        make: of the task, see `tools.experiment.config.load`.

    Returns:
        The exit status: 0, 2 if something must be put right first, 130 after Ctrl-C or SIGTERM.
    """
    if not torch.cuda.is_available():
        keep_freed_memory()
    _start_processes(arguments.launcher)

    console = Plain(quiet=not is_main_process())
    try:
        with listening(), enough(), workers_may_die():
            return _main(arguments, console, make)
    except STOPPERS as error:
        text = str(error)
        if isinstance(error, ConfigError) and arguments.every_fault:
            text = error.whole
        _say_error(console, text)
        return USAGE_ERROR
    # a disk that is full or gone: checkpoints are mmengine's, which lets it through
    except OSError as error:
        _say_error(console, f"{error}; what was committed is whole, and the same command goes on")
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        console.print(f"{str(stop) or 'stopped'}; the same command goes on")
        return STOPPED
    finally:
        take_back()


def _say_error(console: Console, text: str) -> None:
    """The first process says what concerns all.

    Another one only what is still unsaid when it should have ended.
    """
    if not is_main_process():
        time.sleep(GRACE)
        console.quiet = False
    console.print(error_line(text))


def _main(arguments: argparse.Namespace, console: Console, make: Make) -> int:
    experiment = _experiment(arguments, make)
    set_aside()
    try:
        mode = resolve_mode(arguments.wandb)
    except ValueError as error:
        raise ConfigError("--wandb", [str(error)]) from error
    default = Path("work_dirs") / experiment.name / experiment.leg / f"seed{experiment.seed}"
    folder = RunFolder(arguments.work_dir or default)
    if not arguments.dry_run and folder.done:
        return _show_finished(experiment, folder, mode, console)
    folder.check(experiment.config)
    bytes_needed = _preflight(experiment, folder, arguments.check == "full", console)
    if arguments.dry_run:
        data.check(folder.path, fingerprint(experiment.task), preflight.names(experiment.task))
        console.print(cost.plan(experiment, folder.path, bytes_needed))
        return 0
    if experiment.training.deterministic and torch.cuda.is_available():
        console.print(
            "deterministic: slower, as cuDNN and torch leave out what is fastest",
        )
    with (
        deterministic(experiment.training.deterministic),
        folder.locked() if is_main_process() else nullcontext(),
    ):
        resumed = None
        if is_main_process():
            names, now = preflight.names(experiment.task), fingerprint(experiment.task)
            resumed = folder.open(experiment.config, names, experiment.name, told(experiment), now)
        barrier()
        shared = FirstModels(arguments.first_models) if arguments.first_models else None
        cycle = Cycle.next_of(folder, experiment, arguments.launcher, shared, resumed)
        _run(cycle, mode, console)
    return 0


def _show_finished(experiment: Experiment, folder: RunFolder, mode: str, console: Console) -> int:
    folder.check(experiment.config)
    console.print(f"{folder.path} is finished; nothing to do")
    if is_main_process():
        rows = folder.rows(experiment.budget.cycles)
        if mode == "online":  # W&B may lack rows: of a run that was offline, or lost its connection
            _tracker(experiment, folder, mode, rows, console).finish(
                totals(experiment.task.metric, rows)
            )
        _show(experiment, rows, console)
    return 0


def _experiment(arguments: argparse.Namespace, make: Make = made) -> Experiment:
    options: dict[str, Any] = dict(arguments.cfg_options)
    amp = arguments.amp or None
    named = {
        "strategy": arguments.strategy,
        "seed": arguments.seed,
        "module.mode": arguments.module,
        "training.amp": amp,
        "scoring.amp": amp,
        "scoring.channels_last": amp,
        "training.deterministic": arguments.deterministic or None,
        "training.compile": arguments.compile or None,
    }
    if get_world_size() > 1:  # the batch size is that of one process
        named["processes"] = get_world_size()
    options |= {key: value for key, value in named.items() if value is not None}
    further = partial(preflight.data_problems, full=arguments.check == "full")
    return load(
        arguments.config,
        smoke=arguments.smoke,
        options=options,
        further=further,
        make=make,
        name=arguments.name,
    )


def _preflight(experiment: Experiment, folder: RunFolder, full: bool, console: Console) -> int:
    """Refuse what is wrong, and say what is odd; the bytes of disk that checkpoints will take."""
    built = preflight.Built()
    faults, notes = preflight.findings(experiment, full, built)
    bytes_needed = 0
    if not faults:
        faults, bytes_needed = cost.disk(experiment, folder.path, built)
    if faults:
        raise ConfigError(experiment.name, faults)
    for note in grouping.told(notes):
        console.print(f"note: {printable(note)}")
    return bytes_needed


def _run(cycle: Cycle, mode: str, console: Console) -> None:
    experiment, folder = cycle.experiment, cycle.folder
    rows = folder.rows(cycle.pool.cycle)
    tracker = _tracker(experiment, folder, mode if is_main_process() else "disabled", rows, console)
    try:
        loop.run(cycle, tracker, console)
    except BaseException:
        tracker.finish({}, exit_code=1)
        raise
    tracker.finish(totals(experiment.task.metric, folder.rows(experiment.budget.cycles)))
    if is_main_process():
        rows = folder.rows(experiment.budget.cycles)
        title = f"{experiment.name}, {experiment.leg}, seed {experiment.seed}"
        lower = lower_is_better(experiment.task)
        showing.draw(
            rows, experiment.task.metric, title, folder.path / "curve.png", lower, experiment.leg
        )
        folder.finish()
        _show(experiment, rows, console)
        console.print(f"curve: {folder.path / 'curve.png'}")


def _tracker(
    experiment: Experiment, folder: RunFolder, mode: str, rows: list[dict], console: Console
) -> Tracker:
    return identity.tracker(experiment, folder, mode, rows, console.print)


def _show(experiment: Experiment, rows: list[dict[str, Any]], console: Console) -> None:
    lower = lower_is_better(experiment.task)
    showing.show(rows, experiment.task.metric, console, lower)
    area = totals(experiment.task.metric, rows)[AREA]
    console.print(measured(f"area under the curve {area:.4f}", lower))


def _start_processes(launcher: str) -> None:
    """Join the other processes; on CPUs by gloo, where mmengine's own start would ask for a GPU."""
    if launcher == "none":
        return
    # else mmengine does, and warns
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    if launcher == "pytorch" and "RANK" not in os.environ:
        raise SystemExit(
            "error: --launcher pytorch is for `torchrun --nproc_per_node=2 tools/al_train.py ...`"
        )
    if torch.cuda.is_available():
        init_launched(launcher)
    elif launcher == "pytorch":
        torch.distributed.init_process_group("gloo")
    else:
        raise SystemExit(
            "error: --launcher slurm needs GPUs; on CPUs use torchrun and --launcher pytorch"
        )
