"""A benchmark of start times: of `--help`, and of a run up to its first iteration.

Every contender is a process of its own, measured from its start to its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tools.benchmarks import report
from tools.data.sandbox import draw

TOOLS = Path(__file__).resolve().parents[1]
CONFIGS = TOOLS.parent / "configs"
# run -> its config, its sandbox's task and folder, and the imports that it needs
RUNS = {
    "classification": (
        "cls_sandbox",
        "cls",
        "shapes",
        "import torch, torchvision, mmengine.runner",
    ),
    "detection": (
        "det_sandbox",
        "det",
        "VOCdevkit",
        "from models.networks import mmcv_ops; mmcv_ops.install(); import mmdet.models",
    ),
}
COMMANDS = sorted(path for path in TOOLS.glob("*.py") if path.stem != "__init__")
# ended at once, as runs are: after an import of torch, Python's own end takes half a second or more
CUT = "import os; os._exit(0)"
REACHED = 79  # exit status of a run that is ended at its first iteration
# data-loading workers would notice the end after five seconds, and keep the output open until then
RUN = f"""
import multiprocessing, os, runpy, sys
from models.training.joint import JointModel

def begin(*_, **__):
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit({REACHED})

JointModel.train_step = begin
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def measure(root: Path, repeats: int) -> Iterator[report.Report]:
    """Measure the start of each run and its imports, and `--help` of each command.

    Args:
        root: folder of the sandboxes, which are made if they are missing.
        repeats: rounds.

    Raises:
        ValueError: if a process ends with another exit status, with its output.
    """
    for run, (config, task, folder, needed) in RUNS.items():
        if not (root / folder).is_dir():
            draw(task, root)
        with tempfile.TemporaryDirectory() as runs:
            contenders = {
                needed.rpartition("; ")[2]: partial(ended, ["-c", f"{needed}; {CUT}"], 0),
                f"{run}, to the first iteration": partial(_begun, config, root / folder, runs),
            }
            yield _report(f"start of {run}", contenders, repeats)
    contenders = {"python -c pass": partial(ended, ["-c", "pass"], 0)}
    contenders |= {f"{path.name} --help": partial(ended, [path, "--help"], 0) for path in COMMANDS}
    yield _report("start of commands", contenders, repeats)


def _report(
    subject: str, contenders: Mapping[str, Callable[[], None]], repeats: int
) -> report.Report:
    seconds, _ = report.side_by_side(contenders, repeats)
    return report.Report(subject, {"repeats": repeats}, report.rows(seconds, {}), report.machine())


def _begun(config: str, data: Path, runs: str) -> None:
    """Start a run in a new folder, up to its first iteration."""
    folder = tempfile.mkdtemp(dir=runs)
    options = ["--smoke", "--strategy", "random", "--wandb", "disabled", "--work-dir", folder]
    train = [str(TOOLS / "al_train.py"), str(CONFIGS / f"{config}.py"), *options]
    ended(["-c", RUN, *train, "--cfg-options", f"task.data_root={data}"], REACHED)


def ended(arguments: Sequence[str | Path], status: int) -> None:
    """Run Python to its end.

    Raises:
        ValueError: if it ends with another exit status.
    """
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TOOLS.parent), *_paths()])},
    )
    if process.returncode != status:
        output = (process.stdout + process.stderr).strip()[-500:]
        raise ValueError(
            f"expected a process that ends with {status}, but got {process.returncode}: {output}"
        )


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
