"""The paper's three networks with its settings, one of timm and one of mmdet, on generated data.

Benchmarks measure their time; what they learn does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from tools.data.sandbox import draw
from tools.experiment.config import Experiment, load

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# network -> its config, the sandbox that replaces its data, and the task's settings for it
PAPER: dict[str, tuple[str, str, dict[str, Any]]] = {
    "resnet18": (
        "cls_resnet18_cifar10.py",
        "cls",
        {"data_root": "shapes", "format": "folder", "download": False},
    ),
    "ssd300": (
        "det_ssd_voc.py",
        "det",
        {
            "data_root": "VOCdevkit",
            "train": ["VOC2007/trainval"],
            "classes": ["circle", "square", "triangle"],
            "pretrained": None,
        },
    ),
    "hourglass": ("pose_hourglass_mpii.py", "pose", {"data_root": "figures"}),
    "retinanet_r18": (
        "det_retinanet_voc.py",
        "det",
        {
            "data_root": "VOCdevkit",
            "train": ["VOC2007/trainval"],
            "classes": ["circle", "square", "triangle"],
            "network.config": "retinanet/retinanet_r18_fpn_1x_coco.py",
            "network.size": (300, 300),
            "pretrained": None,
        },
    ),
    "convnextv2_nano": (
        "cls_timm_folder.py",
        "cls",
        {"data_root": "shapes", "pretrained": None, "frozen": False},
    ),
}


def experiment(network: str, root: Path) -> Experiment:
    """Return the config of a network on its sandbox below `root`, which is made if it is missing.

    Raises:
        ConfigError: if something else is in the sandbox's place.
    """
    config, task, changed = PAPER[network]
    folder = root / changed["data_root"]
    if not folder.is_dir():
        draw(task, root)
    options = {f"task.{key}": value for key, value in changed.items()}
    options["task.data_root"] = str(folder)
    return load(CONFIGS / config, options=options)


class Held(Dataset):
    """A dataset in memory, whose reading takes no time.

    Its samples are repeated if there are fewer than `count`.
    """

    def __init__(self, dataset: Dataset, count: int) -> None:
        size = len(dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
        self.samples: Sequence[Any] = [dataset[i] for i in range(min(count, size))]
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.samples[index % len(self.samples)]
