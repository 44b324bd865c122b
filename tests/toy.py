"""A task of milliseconds for tests of everything that must not know which task runs:
regression on made vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from models.output import Output, Tap
from models.process.seeding import seeded
from models.training.joint import JointModel, Mode
from models.training.settings import ModuleSettings
from tasks.base import Source, Task
from tasks.data import canonical
from tasks.per_image import Ratio

NOISE = 0.5


class Vectors(Dataset):
    """Sample i is a vector x of 6 numbers and y = |x|; training views add noise to x."""

    def __init__(self, size: int, seed: int, augment: bool) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(size, 6)).astype(np.float32)
        self.y = np.linalg.norm(self.x, axis=1)
        self.augment, self.metainfo, self.reads = augment, {}, []

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        self.reads.append(index)
        noise = (
            NOISE * np.random.normal(size=6).astype(np.float32) if self.augment else np.float32(0)
        )
        return torch.from_numpy(self.x[index] + noise), torch.tensor(self.y[index]), index


class NegativeError(BaseMetric):
    """Minus the mean squared error: higher is better."""

    def __init__(self) -> None:
        super().__init__(prefix="toy")
        self.prefix = None

    def process(self, data_batch, data_samples) -> None:
        self.results += [(s["found"] - s["truth"]) ** 2 for s in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {"score": -float(np.mean(results))}


class ToyNetwork(nn.Module):
    """Two convolutions on (B, 6, 1, 1) with batch norm and dropout: what makes a resume hard."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(8, 4, 1), nn.ReLU())
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        a = self.first(x[:, :, None, None])
        b = self.second(a)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class Toy:
    """Implements `tasks.base.Task`."""

    taps = (Tap("first", 8), Tap("second", 4))
    fields = frozenset({"loss"})
    metric = "score"

    def __init__(
        self, size: int = 60, test_size: int = 20, faults: list[str] | None = None
    ) -> None:
        self.faults = faults or []
        self._data = {
            "train": Vectors(size, 1, augment=True),
            "pool": Vectors(size, 1, augment=False),
            "test": Vectors(test_size, 2, augment=False),
        }

    def check(self, full: bool = False) -> list[str]:
        return self.faults

    def dataset(self, split):
        return self._data[split]

    def collate(self, samples):
        x, y, index = zip(*samples, strict=True)
        return {"x": torch.stack(x), "y": torch.stack(y), "index": torch.tensor(index)}

    def build(self) -> nn.Module:
        return ToyNetwork()

    def forward(self, network, batch, want) -> Output:
        taps, found = network(batch["x"])
        return Output(taps, loss=(found - batch["y"]) ** 2 if "loss" in want else None)

    def predict(self, network, batch) -> list:
        _, found = network(batch["x"])
        return [
            BaseDataElement(found=f.item(), truth=t.item())
            for f, t in zip(found, batch["y"], strict=True)
        ]

    def evaluator(self) -> BaseMetric:
        return NegativeError()

    def pool_evaluator(self) -> BaseMetric:
        return NegativeError()

    def name(self, index: int) -> str:
        return f"vector {index}"

    def effort(self, index: int) -> int:
        return 1 + index % 3

    def thumbnail(self, index: int) -> Image.Image:
        return Image.new("RGB", (16, 16), (index % 256, 0, 0))


class EachError(NegativeError):
    """The same, kept sample by sample."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        self.each = Ratio(-np.array(results), np.ones(len(results)))
        return super().compute_metrics(results)


class Told(Toy):
    """The toy that tells its sources, as `tasks.base.Sourced`, and keeps tests image by image."""

    def evaluator(self) -> BaseMetric:
        return EachError()

    def sources(self, split) -> list[Source]:
        data = self._data[split]
        return [
            Source(None, canonical(y=float(y)), x.tobytes())
            for x, y in zip(data.x, data.y, strict=True)
        ]


def model_of(task: Task, seed: int = 5, mode: Mode = "joint", **settings: Any) -> JointModel:
    """A task's network with a module of these settings, both untrained."""
    with seeded(seed):
        module = ModuleSettings(**settings)
        return JointModel(
            task.build(), task.forward, task.predict, task.taps, module, mode, task.fields
        )


def trained(task: Toy) -> JointModel:
    """A model with a module, in training mode.

    Its batch norm has seen data, so evaluation mode differs from that.
    """
    with seeded(5):
        module = ModuleSettings(width=8)
        model = JointModel(task.build(), task.forward, task.predict, task.taps, module, "joint")
        model.train()
        for _ in range(3):
            model.network(torch.randn(16, 6) * 2 + 1)
    return model
