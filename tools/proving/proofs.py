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
# mmengine would let it end with the epochs of the first look
DROP = {"type": "mmengine.optim.MultiStepLR", "gamma": 0.1, "end": 1_000_000}


@dataclass(frozen=True)
class Stage:
    """A training: its settings by dotted key, and the epochs between two looks at the bars."""

    settings: dict[str, Any]
    every: int


@dataclass(frozen=True)
class Proof:
    """A network that must learn a few samples by heart, and its module that must order them.

    The network learns first, the module beside it; then, where that is not enough, the module
    alone.

    Args:
        name: of the network.
        config: whose task, network and module are used.
        samples: in words.
        count: of the samples.
        source: the folder of the data set below the root of all data.
        write: copies `count` samples of a data set into a folder.
        bar: the metric, as the task's evaluator computes it on the samples, must be above it; or
            at least, where it is 1.
        network: the first stage, whose settings are over the config's.
        module: the second, in which the network is held still; over the first's.
        pairs: the module's ordered pairs on the samples must be above it.
    """

    name: str
    config: Path
    samples: str
    count: int
    source: str
    write: Callable[[Path, Path, int], None]
    bar: float
    network: Stage
    module: Stage
    pairs: float = 0.9

    def options(self, folder: Path, still: bool = False) -> dict[str, Any]:
        """The settings of a stage over the config's, with the samples in `folder`."""
        settings = {**self.network.settings, **(self.module.settings if still else {})}
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
            "training.checkpoint_every": settings["training.epochs"],
            **settings,
        }


def reached(value: float, bar: float) -> bool:
    """Whether a value passes a bar; not-a-number passes none."""
    return value >= bar if bar == 1 else value > bar


def alone(batch_size: int, epochs: int, every: int) -> Stage:
    """The stage of the module alone: whatever the network's optimiser was, its own is Adam.

    Its rate drops at the middle, so that the last pairs come into order.
    """
    settings = {
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.optimizer": {**ADAM, "lr": 4e-3},
        "training.schedule": [{**DROP, "milestones": [epochs // 2]}],
        "module.weight": 1.0,
    }
    return Stage(settings, every)


PROOFS = (
    Proof(
        name="resnet18",
        config=CONFIGS / "cls_resnet18_cifar10.py",
        samples="500 images of CIFAR-10, 50 a class",
        count=500,
        source="cifar10",
        write=data.folders,
        bar=1.0,
        network=Stage(
            {
                "task.format": "folder",
                "task.download": False,
                "task.padding": 0,
                "task.flip": 0.0,
                "training.epochs": 40,
                "training.batch_size": 25,
                "training.optimizer": {**SGD, "lr": 0.05},
                "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [16]}],
            },
            every=4,
        ),
        module=alone(batch_size=50, epochs=800, every=100),
    ),
    Proof(
        name="hourglass",
        config=CONFIGS / "pose_hourglass_mpii.py",
        samples="16 persons of MPII",
        count=16,
        source="mpii",
        write=data.mpii,
        bar=0.95,
        network=Stage(
            {
                "task.scale": 0.0,
                "task.rotation": 0.0,
                "task.flip": 0.0,
                "task.colour": 0.0,
                "task.input_size": 128,
                "training.epochs": 400,
                "training.batch_size": 8,
                "training.optimizer": {**RMS, "lr": 1e-3},
                "training.schedule": [{**WARM, "end": 20}, {**DROP, "milestones": [200]}],
            },
            every=20,
        ),
        module=alone(batch_size=16, epochs=1000, every=100),
    ),
    Proof(
        name="ssd300",
        config=CONFIGS / "det_ssd_voc.py",
        samples="16 images of VOC",
        count=16,
        source="VOCdevkit",
        write=data.voc,
        bar=0.9,
        network=Stage(
            {
                "task.pretrained": None,
                "task.train": [f"VOC2007/{data.LIST}"],
                "task.test": [f"VOC2007/{data.LIST}"],
                "task.augmentation": "none",
                "training.epochs": 200,
                "training.batch_size": 2,
                "training.optimizer": {**ADAM, "lr": 1e-4},
                "training.schedule": [{**WARM, "end": 20}],
                "training.clip_grad": {"max_norm": 10},
            },
            every=10,
        ),
        module=alone(batch_size=16, epochs=1000, every=100),
    ),
)


def small(proof: Proof, samples: str, count: int, every: int, **settings: Any) -> Proof:
    """A proof with fewer samples, and other settings of its first stage over its own."""
    network = Stage({**proof.network.settings, **settings}, every)
    module = alone(batch_size=count, epochs=400, every=50)
    return replace(proof, samples=samples, count=count, network=network, module=module)


# the same code on some of the same data, with small networks: minutes for all, on one core
SMALL = (
    small(
        PROOFS[0],
        "60 images of CIFAR-10, 6 a class",
        count=60,
        every=25,
        **{
            "task.network": "resnet10_cifar_w8",
            "training.epochs": 100,
            "training.batch_size": 30,
            "training.optimizer": {**ADAM, "lr": 3e-3},
            "training.schedule": [{**WARM, "end": 20}],
        },
    ),
    small(
        PROOFS[1],
        "8 persons of MPII",
        count=8,
        every=40,
        **{
            "task.stacks": 1,
            "task.features": 64,
            "task.depth": 2,
            "task.input_size": 64,
            "training.epochs": 240,
            "training.batch_size": 4,
            "training.optimizer": {**RMS, "lr": 2.5e-3},
            "training.schedule": [{**WARM, "end": 10}],
        },
    ),
    small(
        PROOFS[2],
        "8 images of VOC",
        count=8,
        every=25,
        **{
            "task.network": "small_ssd",
            "scoring.embedding": None,
            "training.epochs": 100,
            "training.batch_size": 8,
            "training.optimizer": {**ADAM, "lr": 5e-3},
            "training.schedule": [{**WARM, "end": 20}],
        },
    ),
)
