"""A task whose images are made from their numbers, so that a pool of any size takes no disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from models.output import Output, Tap
from tools.experiment.config import Experiment, rebuilt

SIDE = 16  # pixels
CLASSES = 10
CHANNELS = 32  # of the tap, and so numbers of an embedding
WORDS = SIDE * SIDE * 3 // 8  # of 64 bits an image


class Made(Dataset):
    """Sample i is (3, SIDE, SIDE) of uint8, a hash of i, and the label i modulo `CLASSES`."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[np.ndarray, int]]:
        """Make a batch of samples at once."""
        first = np.asarray(indices, dtype=np.uint64)[:, None] * np.uint64(WORDS)
        pixels = mixed(first + np.arange(WORDS, dtype=np.uint64)).view(np.uint8)
        images = pixels.reshape(len(indices), 3, SIDE, SIDE)
        return [(image, i % CLASSES) for image, i in zip(images, indices, strict=True)]


def mixed(words: np.ndarray) -> np.ndarray:
    """Hash numbers of 64 bits: splitmix64 (Steele et al., OOPSLA 2014), with its constants."""
    words = (words + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class Small(nn.Module):
    """Two convolutions of stride 2, and a linear layer on the mean over the map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.second = nn.Conv2d(16, CHANNELS, 3, stride=2, padding=1)
        self.head = nn.Linear(CHANNELS, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, SIDE, SIDE) -> the map (B, CHANNELS, SIDE / 4, SIDE / 4) and logits."""
        found = self.second(self.first(images).relu()).relu()
        return found, self.head(found.mean(dim=(2, 3)))


class MadeTask:
    """Implements `tasks.base.Task` as far as scoring needs it: nothing is trained or evaluated.

    Args:
        size: images of the pool.
    """

    taps = (Tap("map", CHANNELS),)
    fields = frozenset({"loss", "probs"})
    metric = "accuracy"

    def __init__(self, size: int) -> None:
        self._pool = Made(size)

    def check(self, full: bool = False) -> list[str]:
        """Nothing can be wrong."""
        return []

    def dataset(self, split: str) -> Made:
        """The same samples in every split."""
        return self._pool

    def collate(self, samples: Sequence[tuple[np.ndarray, int]]) -> dict[str, Any]:
        """Images (B, 3, SIDE, SIDE) from 0 to 1, and labels (B,)."""
        images = torch.from_numpy(np.stack([image for image, _ in samples]))
        return {"x": images.float() / 255, "label": torch.tensor([label for _, label in samples])}

    def build(self) -> nn.Module:
        """See `tasks.base.Task`, as for the others."""
        return Small()

    def forward(self, network: nn.Module, batch: dict[str, Any], want: frozenset[str]) -> Output:
        """Map, and loss or probabilities."""
        found, logits = network(batch["x"])
        loss = F.cross_entropy(logits, batch["label"], reduction="none")
        return Output((found,), loss=loss, probs=logits.softmax(dim=1).unsqueeze(1))

    def predict(self, network: nn.Module, batch: dict[str, Any]) -> NoReturn:
        """No part of scoring."""
        raise NotImplementedError("made images are scored alone")

    def evaluator(self) -> NoReturn:
        """No part of scoring."""
        raise NotImplementedError("made images are scored alone")

    def name(self, index: int) -> str:
        """The number in words."""
        return f"made {index}"

    def effort(self, index: int) -> int:
        """A class."""
        return 1

    def thumbnail(self, index: int) -> NoReturn:
        """No part of scoring."""
        raise NotImplementedError("made images are scored alone")


def experiment(images: int, batch_size: int) -> Experiment:
    """The settings of a pass over made images."""
    optimizer = {"type": "torch.optim.SGD", "lr": 0.1}
    settings = {
        "task": {"type": "tools.benchmarks.made.MadeTask", "size": images},
        "budget": {"initial": 2, "query": 2, "cycles": 2},
        "training": {"epochs": 1, "batch_size": 2, "optimizer": optimizer},
        "scoring": {"batch_size": batch_size, "workers": 0},
        "strategy": "entropy_coreset",
    }
    return rebuilt("made", settings)
