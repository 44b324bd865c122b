"""First trainings that several runs share.

The checkpoint of a finished one is kept under the hash of everything that it depends on.

Strategies of a seed begin with the same labels, so with the same module mode their first trainings
are the same, to the byte on a CPU. A training that finds the checkpoint of a finished one in its
folder loads it and does nothing more.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import nn

from acquisition.pool import Pool
from models.process.files import locked, replacing
from models.process.seeding import seeded
from models.training.checkpoint import CHECKPOINT
from tasks.base import Task
from tools.experiment.config import Experiment
from tools.record.files import SMALL, RunFolderError, parsed, text
from tools.record.receipt import digest, weights_digest

ROOT = Path(__file__).resolve().parents[2]
# seeds, networks and loaders are made in any of them
CODE = ("models", "tasks", "acquisition", "tools")
DAMAGED = (ValueError, TypeError, KeyError, OverflowError, FileNotFoundError, RunFolderError)
LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "mmdet",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "Pillow",
)


class FirstModels:
    """A folder of checkpoints, shared by runs.

    Args:
        folder: made where it is missing.

    Attributes:
        spared: seconds of training that this process was spared.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.spared = folder, 0.0

    def take(self, key: str, into: Path) -> None:
        """Copy a finished training's checkpoint, if there is one, to the folder `into`.

        A training that is started there loads it and does nothing more.
        """
        kept, target = self.folder / f"{key}.pth", into / CHECKPOINT
        if target.exists() or not kept.is_file():
            return
        try:
            about = parsed(text(kept.with_suffix(".json"), SMALL))
            seconds = float(about["seconds"])
            with replacing(target) as beside:
                shutil.copyfile(kept, beside)
                if _sha256(beside) != about["sha256"]:
                    raise ValueError(f"{kept} is damaged")
        except DAMAGED:  # or cleared by somebody: trained anew
            kept.unlink(missing_ok=True)
        else:
            self.spared += seconds

    def keep(self, key: str, trained: Path, seconds: float) -> None:
        """Keep the checkpoint of a training that has come to its end in `trained`.

        Of two processes, one does it.
        """
        with suppress(BlockingIOError), locked(self.folder / f".{key}.lock"):
            if (self.folder / f"{key}.pth").exists():
                return
            about = {"seconds": round(seconds, 3), "sha256": _sha256(trained / CHECKPOINT)}
            # first: a checkpoint that is there has it
            with replacing(self.folder / f"{key}.json") as beside:
                beside.write_text(json.dumps(about), encoding="utf-8")
            with replacing(self.folder / f"{key}.pth") as beside:
                shutil.copyfile(trained / CHECKPOINT, beside)


def key(
    experiment: Experiment, pool: Pool, names: Sequence[str], member: int = 0, tested: str = ""
) -> str:
    """The hash of all that a training of the first cycle follows from.

    Args:
        experiment: its task, oracle, training, module and seed, and dropout where the strategy asks
            for passes with it.
        pool: of the first cycle: the labeled ids.
        names: what the samples are called.
        member: of an ensemble.
        tested: hash of the test set, which an adapter may look at in training, too; empty if it
            is not known.
    """
    module: Any = experiment.module_mode
    if module != "off":
        module = [module, {**asdict(experiment.module), "mode": None}]
    with seeded(0):
        network = experiment.task.build()
    dropout = asdict(experiment.committee) if experiment.committee_kind == "dropout" else None
    what = {
        "task": experiment.config["task"],
        "oracle": experiment.config.get("oracle"),
        "training": experiment.config["training"],
        "module": module,
        "dropout": dropout,
        "seed": experiment.seed_of("model"),
        "member": member,
        "labeled": pool.labeled,
        "size": pool.size,
        "names": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "code": code(experiment.task, network),
        "machine": machine(),
        "test": tested,
        "content": content(experiment.task, network, pool),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:32]


def code(task: Task, network: nn.Module) -> str:
    """The hash of the code that a training may depend on.

    It takes in all files of the packages by name, the files of the classes of task and network
    wherever they lie, and the files beside them. Some of them have no effect on a training: when
    one of these changes, one training is done again in vain.
    """
    files = {path for room in CODE for path in (ROOT / room).rglob("*.py")}
    for kind in {*type(task).__mro__, *(type(part) for part in network.modules())}:
        # of a class that is not written in Python, or in no file
        with suppress(TypeError, OSError):
            if place := inspect.getsourcefile(kind):
                files.add(Path(place))
    adapter = inspect.getsourcefile(type(task))
    if adapter:
        files |= set(Path(adapter).parent.glob("*.py"))
    found = hashlib.sha256()
    for name, path in sorted((_named(path), path) for path in files):
        written = path.read_bytes()
        found.update(f"{name} {len(written)}\n".encode() + written)
    return found.hexdigest()


def _named(path: Path) -> str:
    """What a file is called wherever the repository, or an adapter's folder, lies."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def content(task: Task, network: nn.Module, pool: Pool) -> str:
    """The hash of the first weights and of the labeled samples as they are trained on.

    Settings and names only point to these.
    """
    hashed = hashlib.sha256(weights_digest(network.state_dict()).encode())
    data = task.dataset("train")
    for i in pool.labeled:
        with seeded(i):
            _add(hashed, data[i])
    return hashed.hexdigest()


def _add(found: Any, value: Any) -> None:
    """Add a value, whatever it is made of.

    What has no text of its own has another each time, and is not shared.
    """
    found.update(f"{type(value).__name__}\n".encode())
    if isinstance(value, torch.Tensor):
        found.update(weights_digest({"": value}).encode())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        found.update(digest(value).encode())
    elif isinstance(value, Image):
        found.update(f"{value.mode} {value.size}\n".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        _add(found, list(value.items()))
    elif isinstance(value, list | tuple | np.ndarray):
        for item in (len(value), *value):
            _add(found, item)
    elif isinstance(value, set | frozenset):
        _add(found, sorted(value, key=repr))
    elif hasattr(value, "__dict__") and not callable(value):
        _add(found, vars(value))
    else:
        found.update(repr(value).encode() + b"\n")


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def machine() -> list[str]:
    """Versions, processor and devices, with which rounding may differ."""
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    threads, processes = str(torch.get_num_threads()), os.environ.get("WORLD_SIZE", "1")
    return [
        *(f"{name} {_version(name)}" for name in LIBRARIES),
        _processor(),
        threads,
        processes,
        *devices,
    ]


def _version(name: str) -> str:
    """Empty if another distribution provides the library."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Its model and what torch uses of it; Python's own word is empty on most Linux systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
    )
    return (
        f"{model or platform.processor() or platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
