"""The command line of `al_train.py`: what may go wrong before, around and after the loop."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction
from mmengine.dist import barrier, is_main_process
from mmengine.dist import init_dist as init_launched
from rich.console import Console

from acquisition.query import QueryError
from models.weights import WeightsError
from tools import preflight, summary
from tools.config import ConfigError, Experiment, flat, load
from tools.rundir import RunFolder, RunFolderError, write_whole
from tools.tracking import MODES, PROJECT, Identity, Tracker, resolve_mode

USAGE_ERROR, STOPPED = 2, 130


def parser() -> argparse.ArgumentParser:
    """The options of `al_train.py`."""
    parse = argparse.ArgumentParser(
        prog="al_train.py",
        description="Run active-learning cycles. The same command resumes a run that was stopped or killed.",
    )
    parse.add_argument("config", help="a file such as configs/det_ssd_voc.py")
    parse.add_argument("--strategy", help="name of the strategy; the config's by default")
    parse.add_argument("--seed", type=int, help="of initial set, models and queries; the config's by default")
    parse.add_argument("--work-dir", type=Path, help="run folder; work_dirs/<config>/<strategy>/seed<N> by default")
    parse.add_argument("--smoke", action="store_true", help="the config's smoke variant: a few samples, minutes")
    parse.add_argument("--wandb", choices=MODES, help="default: WANDB_MODE, else online where logged in, else offline")
    parse.add_argument("--amp", action="store_true", help="bfloat16 mixed precision in training")
    parse.add_argument("--launcher", choices=("none", "pytorch", "slurm"), default="none", help="of several processes")
    parse.add_argument("--check", choices=("fast", "full"), default="fast", help="full: decode every image beforehand")
    parse.add_argument("--dry-run", action="store_true", help="check everything, print what would be run, and end")
    parse.add_argument("--cfg-options", nargs="+", action=DictAction, default={}, metavar="key=value",
                       help="settings over the config's, such as training.epochs=10")  # fmt: skip
    return parse


def main(argv: Sequence[str], run: Callable[..., None]) -> int:
    """Parse, check, run, and show the result.

    Args:
        argv: without the program's name.
        run: the loop, `al_train.run`.

    Returns:
        The exit status: 0, 2 where something must be put right first, 130 after Ctrl-C.
    """
    arguments = parser().parse_args(argv)
    _start_processes(arguments.launcher)
    console = Console(quiet=not is_main_process(), soft_wrap=True, markup=False)  # paths may hold [brackets]
    try:
        return _main(arguments, run, console)
    except (ConfigError, RunFolderError, WeightsError, QueryError, FloatingPointError) as error:
        console.print(f"error: {error}", markup=False, highlight=False)
        return USAGE_ERROR
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from the last checkpoint")
        return STOPPED


def _main(arguments: argparse.Namespace, run: Callable[..., None], console: Console) -> int:
    experiment = _experiment(arguments)
    try:
        mode = resolve_mode(arguments.wandb)
    except ValueError as error:
        raise ConfigError("--wandb", [str(error)]) from error
    default = Path("work_dirs") / experiment.name / experiment.strategy / f"seed{experiment.seed}"
    folder = RunFolder(arguments.work_dir or default)
    if not arguments.dry_run and folder.done:
        folder.open(experiment.config)
        console.print(f"{folder.path} is finished; nothing to do", highlight=False)
        if mode == "online" and is_main_process():
            _tracker(experiment, folder, mode, console).finish(_summary(folder, experiment))
        return 0
    bytes_needed = _preflight(experiment, folder, arguments.check == "full")
    if arguments.dry_run:
        console.print(preflight.plan(experiment, folder.path, bytes_needed), markup=False, highlight=False)
        return 0
    if is_main_process():
        folder.open(experiment.config)
    barrier()
    _run(experiment, folder, mode, run, console, arguments.launcher)
    return 0


def _experiment(arguments: argparse.Namespace) -> Experiment:
    options: dict[str, Any] = dict(arguments.cfg_options)
    named = {"strategy": arguments.strategy, "seed": arguments.seed, "training.amp": arguments.amp or None}
    options |= {key: value for key, value in named.items() if value is not None}
    return load(arguments.config, smoke=arguments.smoke, options=options)


def _preflight(experiment: Experiment, folder: RunFolder, full: bool) -> int:
    faults = preflight.problems(experiment, full)
    bytes_needed = 0
    if not faults:
        faults, bytes_needed = preflight.disk(experiment, folder.path)
    if faults:
        written = folder.path / "faults.txt"
        if len(faults) > ConfigError.MOST:
            write_whole(written, "\n".join([*faults, ""]).encode())
        raise ConfigError(experiment.name, faults, written)
    return bytes_needed


def _run(experiment: Experiment, folder: RunFolder, mode: str, run: Callable, console: Console, launcher: str) -> None:
    tracker = _tracker(experiment, folder, mode if is_main_process() else "disabled", console)
    try:
        run(experiment, folder, tracker, console, launcher)
    except BaseException:
        tracker.finish({}, exit_code=1)
        raise
    tracker.finish(_summary(folder, experiment))
    if is_main_process():
        _show(experiment, folder, console)


def _tracker(experiment: Experiment, folder: RunFolder, mode: str, console: Console) -> Tracker:
    pool = folder.resume(preflight.length(experiment.task.dataset("pool")))
    rows = folder.rows(pool.cycle) if pool else []
    return Tracker(folder.path, _identity(experiment), mode, rows, say=lambda t: console.print(t, highlight=False))


def _show(experiment: Experiment, folder: RunFolder, console: Console) -> None:
    rows, task = folder.rows(experiment.budget.cycles), experiment.task
    title = f"{experiment.name}, {experiment.strategy}, seed {experiment.seed}"
    summary.draw(rows, task.metric, title, folder.path / "curve.png")
    folder.finish()
    summary.show(rows, task.metric, console)
    area = _summary(folder, experiment)["area_under_curve"]
    console.print(f"area under the curve {area:.4f}; {folder.path / 'curve.png'}", highlight=False)


def _summary(folder: RunFolder, experiment: Experiment) -> dict[str, float]:
    rows, metric = folder.rows(experiment.budget.cycles), experiment.task.metric
    scores = [math.nan if row[metric] is None else row[metric] for row in rows]
    area = summary.area_under_curve([row["labeled"] for row in rows], scores)
    return {f"final/{metric}": scores[-1], "area_under_curve": area}


def _identity(experiment: Experiment) -> Identity:
    config = {**flat(experiment.config), "config": experiment.name, "module_mode": experiment.module_mode}
    kind = type(experiment.task).__name__.lower()
    return Identity(PROJECT, experiment.name, experiment.strategy, experiment.seed, (kind, experiment.strategy), config)


def _start_processes(launcher: str) -> None:
    """Join the other processes; on CPUs by gloo, where mmengine's own start would ask for a GPU."""
    if launcher == "none":
        return
    if torch.cuda.is_available():
        init_launched(launcher)
    elif launcher == "pytorch":
        torch.distributed.init_process_group("gloo")
    else:
        raise SystemExit("error: --launcher slurm needs GPUs; on CPUs use torchrun and --launcher pytorch")
