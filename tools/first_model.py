"""First trainings that several runs share: the checkpoint of a finished one, under the hash of what it follows from.

Strategies of a seed begin with the same labels, so with the same module mode their first trainings are the same, to the
byte on a CPU. A training that finds the checkpoint of a finished one in its folder loads it and does nothing more.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from acquisition.pool import Pool
from models.checkpoint import CHECKPOINT
from models.files import replacing
from tools.config import Experiment

ROOT = Path(__file__).resolve().parents[1]
CODE = ("models", "tasks")  # whose files decide how a first model comes out
LIBRARIES = ("torch", "torchvision", "mmengine", "mmdet", "numpy", "opencv-python")


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
        """Put the checkpoint of a finished training, if there is one, where another one would be resumed from."""
        kept, target = self.folder / f"{key}.pth", into / CHECKPOINT
        if kept.exists() and not target.exists():
            with replacing(target) as beside:
                shutil.copyfile(kept, beside)
            self.spared += float(json.loads(kept.with_suffix(".json").read_text())["seconds"])

    def keep(self, key: str, trained: Path, seconds: float) -> None:
        """Keep the checkpoint of a training that has come to its end in `trained`."""
        if (self.folder / f"{key}.pth").exists():
            return
        with replacing(self.folder / f"{key}.json") as beside:  # first: a checkpoint that is there has its seconds
            beside.write_text(json.dumps({"seconds": round(seconds, 3)}))
        with replacing(self.folder / f"{key}.pth") as beside:
            shutil.copyfile(trained / CHECKPOINT, beside)


def key(experiment: Experiment, pool: Pool, names: bytes, member: int = 0) -> str:
    """The hash of all that a training of the first cycle follows from.

    Args:
        experiment: its task, training, module and seed, and dropout where the strategy asks for passes with it.
        pool: of the first cycle: the labeled ids.
        names: what the samples are called.
        member: of an ensemble.
    """
    module: Any = experiment.module_mode
    if module != "off":
        module = [module, {**asdict(experiment.module), "mode": None}]
    dropout = asdict(experiment.committee) if experiment.committee_kind == "dropout" else None
    what = {
        "task": experiment.config["task"], "training": experiment.config["training"], "module": module,
        "dropout": dropout, "seed": experiment.seed, "member": member, "labeled": pool.labeled, "size": pool.size,
        "names": hashlib.sha256(names).hexdigest(), "code": code(experiment), "machine": machine(),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:32]


def code(experiment: Experiment) -> str:
    """Of the files that decide how a first model comes out, and of the file of the task, wherever it is."""
    files = sorted(path for room in CODE for path in (ROOT / room).rglob("*.py"))
    adapter = inspect.getsourcefile(type(experiment.task))
    found = hashlib.sha256()
    for path in [*files, Path(adapter)] if adapter else files:
        found.update(path.read_bytes())
    return found.hexdigest()


def machine() -> list[str]:
    """Versions and devices, with which rounding may differ."""
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    threads, processes = str(torch.get_num_threads()), os.environ.get("WORLD_SIZE", "1")
    return [*(f"{name} {version(name)}" for name in LIBRARIES), platform.processor(), threads, processes, *devices]
