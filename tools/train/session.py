"""The command line of `al_train.py`: what may go wrong before, around and after the loop."""

from __future__ import annotations

import argparse
import ast
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.dist import init_dist as init_launched
from rich.console import Console

from acquisition.canary import CanaryError
from acquisition.steps import QueryError
from models.training.checkpoint import CheckpointError
from models.training.compiling import CompileError
from models.process.memory import keep_freed_memory
from models.process.seeding import deterministic
from models.process.shared_memory import enough, SharedMemoryError
from models.process.stopping import listening, workers_may_die
from models.networks.weights import WeightsError
from tasks import grouping
from tasks.base import DataError, lower_is_better
from tasks.faults import printable
from tools.mirror import identity
from tools.experiment import preflight
from tools.train import showing
from tools.experiment.config import ConfigError, Experiment, load
from tools.train.first_model import FirstModels
from tools.record import data
from tools.record.fingerprint import fingerprint
from tools.record.plans import told
from tools.record.folder import RunFolder, RunFolderError
from tools.mirror.tracking import MODES, resolve_mode, Tracker

USAGE_ERROR, STOPPED = 2, 130
STOPPERS = (
    ConfigError, DataError, RunFolderError, WeightsError, CheckpointError, CompileError, QueryError, CanaryError,
    FloatingPointError, SharedMemoryError,
)  # fmt: skip
GRACE = 5  # seconds that a launcher needs to end the other processes after one has failed


def parser() -> argparse.ArgumentParser:
    """The options of `al_train.py`."""
    parse = argparse.ArgumentParser(
        prog="al_train.py",
        description="Run active-learning cycles. The same command resumes a run that was stopped or killed.",
    )
    parse.add_argument("config", help="a file such as configs/det_ssd_voc.py")
    parse.add_argument("--strategy", help="name of the strategy; the config's by default")
    parse.add_argument("--module", choices=("joint", "detached", "off"), help="mode of the loss-prediction module; by "
                       "default what the strategy needs")  # fmt: skip
    parse.add_argument("--seed", type=int, help="of initial set, models and queries; the config's by default")
    parse.add_argument("--work-dir", type=Path, help="run folder; work_dirs/<config>/<strategy>/seed<N> by default")
    parse.add_argument(
        "--first-models", type=Path, help="folder of first trainings that runs share, as al_sweep.py's do"
    )
    parse.add_argument("--smoke", action="store_true", help="the config's smoke variant: a few samples, minutes")
    parse.add_argument("--wandb", choices=MODES, help="default: WANDB_MODE, else online where logged in, else offline")
    parse.add_argument("--amp", action="store_true", help="bfloat16 mixed precision in training and scoring")
    parse.add_argument("--compile", action="store_true", help="torch.compile the network in training")
    parse.add_argument("--deterministic", action="store_true", help="the same bytes each time on a GPU, too: slower "
                       "there, and an error where torch has no such form of an operation")  # fmt: skip
    parse.add_argument("--launcher", choices=("none", "pytorch", "slurm"), default="none", help="of several processes")
    parse.add_argument("--check", choices=("fast", "full"), default="fast", help="full: decode every image beforehand")
    parse.add_argument("--every-fault", action="store_true", help="print every fault of the data, not the first ones "
                       "of each kind")  # fmt: skip
    parse.add_argument("--dry-run", action="store_true", help="check everything, print what would be run, and end")
    parse.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
                       help="settings over the config's, such as training.epochs=10")  # fmt: skip
    return parse


def main(argv: Sequence[str], run: Callable[..., None]) -> int:
    """Parse, check, run, and show the result.

    Args:
        argv: without the program's name.
        run: the loop, `al_train.run`.

    Returns:
        The exit status: 0, 2 where something must be put right first, 130 after Ctrl-C or SIGTERM.
    """
    arguments = parser().parse_args(argv)
    if not torch.cuda.is_available():
        keep_freed_memory()
    _start_processes(arguments.launcher)
    console = Console(quiet=not is_main_process(), soft_wrap=True, markup=False)  # paths may hold [brackets]
    try:
        with listening(), enough(), workers_may_die():
            return _main(arguments, run, console)
    except STOPPERS as error:
        text = str(error)
        if isinstance(error, ConfigError) and arguments.every_fault:
            text = error.whole
        _say_error(console, text)
        return USAGE_ERROR
    except OSError as error:  # a disk that is full or gone: checkpoints are mmengine's, which lets it through
        _say_error(console, f"{error}; what was committed is whole, and the same command goes on")
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        console.print(f"{str(stop) or 'stopped'}; the same command goes on", highlight=False)
        return STOPPED


def _say_error(console: Console, text: str) -> None:
    """The first process says what concerns all; another one only what is still unsaid when it should have ended."""
    if not is_main_process():
        time.sleep(GRACE)
        console.quiet = False
    console.print(f"error: {printable(text, keep=chr(10))}", highlight=False)


def option(text: str) -> tuple[str, Any]:
    """`key=value` with a Python literal, a list in brackets, or a word or path as value."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"expected key=value, but got {text!r}")
    try:
        return key, _value(value)
    except RecursionError as error:
        raise argparse.ArgumentTypeError(f"{key}: expected a value, but got too many brackets in brackets") from error


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: of brackets in brackets
        listed = text.startswith("[") and text.endswith("]")
        return [_value(item.strip()) for item in text[1:-1].split(",")] if listed else text


def _main(arguments: argparse.Namespace, run: Callable[..., None], console: Console) -> int:
    experiment = _experiment(arguments)
    try:
        mode = resolve_mode(arguments.wandb)
    except ValueError as error:
        raise ConfigError("--wandb", [str(error)]) from error
    default = Path("work_dirs") / experiment.name / experiment.leg / f"seed{experiment.seed}"
    shared = FirstModels(arguments.first_models) if arguments.first_models else None
    folder = RunFolder(arguments.work_dir or default, shared)
    if not arguments.dry_run and folder.done:
        return _show_finished(experiment, folder, mode, console)
    folder.check(experiment.config)
    bytes_needed = _preflight(experiment, folder, arguments.check == "full", console)
    if arguments.dry_run:
        data.check(folder.path, fingerprint(experiment.task), preflight.names(experiment.task))
        console.print(preflight.plan(experiment, folder.path, bytes_needed), markup=False, highlight=False)
        return 0
    if experiment.training.deterministic and torch.cuda.is_available():
        console.print("deterministic: slower, as cuDNN and torch leave out what is fastest", highlight=False)
    with (
        deterministic(experiment.training.deterministic),
        folder.locked() if is_main_process() else nullcontext(),
    ):
        if is_main_process():
            names, now = preflight.names(experiment.task), fingerprint(experiment.task)
            folder.open(experiment.config, names, experiment.name, told(experiment), now)
        barrier()
        _run(experiment, folder, mode, run, console, arguments.launcher)
    return 0


def _show_finished(experiment: Experiment, folder: RunFolder, mode: str, console: Console) -> int:
    folder.check(experiment.config)
    console.print(f"{folder.path} is finished; nothing to do", highlight=False)
    if is_main_process():
        rows = folder.rows(experiment.budget.cycles)
        if mode == "online":  # W&B may lack rows: of a run that was offline, or lost its connection
            _tracker(experiment, folder, mode, rows, console).finish(identity.totals(experiment.task.metric, rows))
        _show(experiment, rows, console)
    return 0


def _experiment(arguments: argparse.Namespace) -> Experiment:
    options: dict[str, Any] = dict(arguments.cfg_options)
    named = {"strategy": arguments.strategy, "seed": arguments.seed, "training.amp": arguments.amp or None}
    named |= dict.fromkeys(("scoring.amp", "scoring.channels_last"), arguments.amp or None)
    named |= {"module.mode": arguments.module, "training.deterministic": arguments.deterministic or None}
    named |= {"training.compile": arguments.compile or None}
    named |= {"processes": get_world_size() if get_world_size() > 1 else None}  # the batch size is each one's
    options |= {key: value for key, value in named.items() if value is not None}
    try:
        return load(arguments.config, smoke=arguments.smoke, options=options)
    except ConfigError as error:
        if error.task is None or error.budget is None:
            raise
        found = preflight.data_problems(error.task, error.budget, arguments.check == "full")
        raise ConfigError(error.where, [*error.problems, *found]) from None


def _preflight(experiment: Experiment, folder: RunFolder, full: bool, console: Console) -> int:
    """Refuse what is wrong, and say what is odd; the bytes of disk that checkpoints will take."""
    faults, notes = preflight.findings(experiment, full)
    bytes_needed = 0
    if not faults:
        faults, bytes_needed = preflight.disk(experiment, folder.path)
    if faults:
        raise ConfigError(experiment.name, faults)
    for note in grouping.told(notes):
        console.print(f"note: {printable(note)}", highlight=False)
    return bytes_needed


def _run(experiment: Experiment, folder: RunFolder, mode: str, run: Callable, console: Console, launcher: str) -> None:
    pool = folder.resume(preflight.length(experiment.task.dataset("pool")))
    rows = folder.rows(pool.cycle) if pool else []
    tracker = _tracker(experiment, folder, mode if is_main_process() else "disabled", rows, console)
    try:
        run(experiment, folder, tracker, console, launcher)
    except BaseException:
        tracker.finish({}, exit_code=1)
        raise
    tracker.finish(identity.totals(experiment.task.metric, folder.rows(experiment.budget.cycles)))
    if is_main_process():
        rows = folder.rows(experiment.budget.cycles)
        title = f"{experiment.name}, {experiment.leg}, seed {experiment.seed}"
        lower = lower_is_better(experiment.task)
        showing.draw(rows, experiment.task.metric, title, folder.path / "curve.png", lower, experiment.leg)
        folder.finish()
        _show(experiment, rows, console)
        console.print(f"curve: {folder.path / 'curve.png'}", highlight=False)


def _tracker(experiment: Experiment, folder: RunFolder, mode: str, rows: list[dict], console: Console) -> Tracker:
    return identity.tracker(experiment, folder, mode, rows, lambda text: console.print(text, highlight=False))


def _show(experiment: Experiment, rows: list[dict[str, Any]], console: Console) -> None:
    lower = lower_is_better(experiment.task)
    showing.show(rows, experiment.task.metric, console, lower)
    area = identity.totals(experiment.task.metric, rows)[identity.AREA]
    console.print(showing.measured(f"area under the curve {area:.4f}", lower), highlight=False)


def _start_processes(launcher: str) -> None:
    """Join the other processes; on CPUs by gloo, where mmengine's own start would ask for a GPU."""
    if launcher == "none":
        return
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # else mmengine does, and warns
    if launcher == "pytorch" and "RANK" not in os.environ:
        raise SystemExit("error: --launcher pytorch is for `torchrun --nproc_per_node=2 tools/al_train.py ...`")
    if torch.cuda.is_available():
        init_launched(launcher)
    elif launcher == "pytorch":
        torch.distributed.init_process_group("gloo")
    else:
        raise SystemExit("error: --launcher slurm needs GPUs; on CPUs use torchrun and --launcher pytorch")
