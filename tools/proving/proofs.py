"""What is proved: a config, a few of its real samples, settings to learn them by, and the bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.proving import data

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# weights of AdamW are not pulled to 0: what is asked for is that every sample is learned
ADAM = {"_delete_": True, "type": "torch.optim.AdamW", "weight_decay": 0.0}
SGD = {"_delete_": True, "type": "torch.optim.SGD", "momentum": 0.9, "nesterov": True}
RMS = {"_delete_": True, "type": "torch.optim.RMSprop", "alpha": 0.99}
WARM = {"type": "mmengine.optim.LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0}
DROP = {"type": "mmengine.optim.MultiStepLR", "gamma": 0.1}


@dataclass(frozen=True)
class Proof:
    """A network that must learn a few samples by heart, and its module that must order them.

    Args:
        name: of the network.
        config: whose task, network and module are used.
        samples: in words.
        count: of the samples.
        source: the folder of the data set below the root of all data.
        write: copies `count` samples of a data set into a folder.
        settings: over the config's, by dotted key.
        bar: the metric, as the task's evaluator computes it on the samples, must be above it; or
            at least, where it is 1.
        every: epochs between two looks at the bars.
        pairs: the module's ordered pairs on the samples must be above it.
    """

    name: str
    config: Path
    samples: str
    count: int
    source: str
    write: Callable[[Path, Path, int], None]
    settings: dict[str, Any]
    bar: float
    every: int
    pairs: float = 0.9

    def options(self, folder: Path) -> dict[str, Any]:
        """The settings over the config's, with the samples in `folder`."""
        epochs = self.settings["training.epochs"]
        return {
            "task.data_root": str(folder),
            "budget.initial": self.count,
            "budget.cycles": 1,
            "module.mode": "detached",
            "module.detach_epoch": None,
            "strategy": "random",
            "subset": None,
            "training.workers": 0,
            "scoring.workers": 0,
            "training.checkpoint_every": epochs,
            **self.settings,
        }


def reached(value: float, bar: float) -> bool:
    """Whether a value passes a bar; not-a-number passes none."""
    return value >= bar if bar == 1 else value > bar


PROOFS = (
    Proof(
        name="resnet18",
        config=CONFIGS / "cls_resnet18_cifar10.py",
        samples="500 images of CIFAR-10, 50 a class",
        count=500,
        source="cifar10",
        write=data.folders,
        settings={
            "task.format": "folder",
            "task.download": False,
            "task.padding": 0,
            "task.flip": 0.0,
            "training.epochs": 120,
            "training.batch_size": 25,
            "training.optimizer": {**SGD, "lr": 0.05},
            "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [80]}],
        },
        bar=1.0,
        every=5,
    ),
    Proof(
        name="hourglass",
        config=CONFIGS / "pose_hourglass_mpii.py",
        samples="16 persons of MPII",
        count=16,
        source="mpii",
        write=data.mpii,
        settings={
            "task.scale": 0.0,
            "task.rotation": 0.0,
            "task.flip": 0.0,
            "task.colour": 0.0,
            "training.epochs": 240,
            "training.batch_size": 4,
            "training.optimizer": {**RMS, "lr": 1e-3},
            "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [120]}],
        },
        bar=0.95,
        every=10,
    ),
    Proof(
        name="ssd300",
        config=CONFIGS / "det_ssd_voc.py",
        samples="8 images of VOC",
        count=8,
        source="VOCdevkit",
        write=data.voc,
        settings={
            "task.pretrained": None,
            "task.train": [f"VOC2007/{data.LIST}"],
            "task.test": [f"VOC2007/{data.LIST}"],
            "task.augmentation": "none",
            "training.epochs": 200,
            "training.batch_size": 4,
            "training.optimizer": {**ADAM, "lr": 1e-4},
            "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [120]}],
            "training.clip_grad": {"max_norm": 10},
        },
        bar=0.9,
        every=10,
    ),
)


# the same data and the same code with small networks: minutes for all, on one core
SMALL = (
    replace(
        PROOFS[0],
        samples="60 images of CIFAR-10, 6 a class",
        count=60,
        settings={
            **PROOFS[0].settings,
            "task.network": "resnet10_cifar_w8",
            "training.epochs": 300,
            "training.batch_size": 60,
            "training.optimizer": {**ADAM, "lr": 3e-3},
            "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [60]}],
        },
        every=50,
    ),
    replace(
        PROOFS[1],
        samples="8 persons of MPII",
        count=8,
        settings={
            **PROOFS[1].settings,
            "task.stacks": 1,
            "task.features": 64,
            "task.depth": 2,
            "task.input_size": 64,
            "training.epochs": 240,
            "training.optimizer": {**RMS, "lr": 2.5e-3},
            "training.schedule": [{**WARM, "end": 10}, {**DROP, "milestones": [120]}],
        },
        every=40,
    ),
    replace(
        PROOFS[2],
        settings={
            **PROOFS[2].settings,
            "task.network": "small_ssd",
            "scoring.embedding": None,
            "training.epochs": 300,
            "training.batch_size": 8,
            "training.optimizer": {**ADAM, "lr": 5e-3},
            "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [100]}],
        },
        every=50,
    ),
)
