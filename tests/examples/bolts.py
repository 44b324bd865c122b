"""A task of one's own that people can label: which of two kinds is in a picture, by its colour.

The three optional members are `labeling`, `on_labels` and, to find images, `sources`; with `labels`
and `deployment` people begin with predictions.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from models.output import Output, Tap
from tasks.base import Source
from tasks.data import canonical
from tasks.deployable import Export, Record, Subject
from tasks.labelable import LabelFiles, Labeling

CLASSES = ("bolt", "nut")
NOBODY = -1  # the label of what nobody has labeled


def colour(path: Path) -> torch.Tensor:
    """The mean colour of an image, (3,)."""
    with Image.open(path) as image:
        return torch.from_numpy(np.asarray(image.convert("RGB")).mean((0, 1)) / 255).float()


class Pictures(Dataset):
    """Sample i is the mean colour of image i, and its label."""

    def __init__(self, rows: Sequence[tuple[Path, int]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.rows[index]
        return colour(path), label


class Right(BaseMetric):
    """The share of right answers."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [int(found == label) for found, label in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {"right": float(np.mean(results)) if results else float("nan")}


class Small(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, len(CLASSES))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.first(x).relu()
        return hidden, self.last(hidden)


class Deployed:
    """Implements `tasks.deployable.Deployment`."""

    form = "csv"
    categories: Sequence[Record] = ()
    crops = False

    def __init__(self, task: Bolts, labels: Sequence[str]) -> None:
        self.task, self.labels = task, labels

    def build(self) -> nn.Module:
        return self.task.build()

    def images(self, subjects: Sequence[Subject]) -> Dataset:
        return Pictures([(subject.path, NOBODY) for subject in subjects])

    def collate(self, samples: Sequence) -> dict:
        return self.task.collate(samples)

    def records(self, network: nn.Module, batch: dict) -> list[list[Record]]:
        found = []
        for row in network(batch["x"])[1].softmax(1):
            shares = {f"p_{name}": float(p) for name, p in zip(self.labels, row, strict=True)}
            found.append([{"class": self.labels[int(row.argmax())], **shares}])
        return found

    def picture(self, path: Path, records: Sequence[Record], threshold: float) -> Image.Image:
        return Image.open(path)

    def exported(self, network: nn.Module) -> Export:
        raise ValueError("it is of no kind that can be exported")


class Bolts:
    """Implements `tasks.base.Task`, and what labeling needs."""

    taps = (Tap("first", 8),)
    fields = frozenset({"loss", "probs"})
    metric = "right"

    def __init__(self, images: str = ".", pool: str = "", test: str = "") -> None:
        self.images = Path(images)
        self.files = {"train": pool, "pool": pool, "test": test}

    def rows(self, split: str) -> list[tuple[Path, int]]:
        with open(self.files[split], newline="", encoding="utf-8") as file:
            found = [(self.images / row["file"], row["class"]) for row in csv.DictReader(file)]
        return [(path, CLASSES.index(name) if name else NOBODY) for path, name in found]

    def check(self, full: bool = False) -> list[str]:
        return [f"{path}: expected an image" for path, _ in self.rows("pool") if not path.exists()]

    def dataset(self, split: str) -> Pictures:
        return Pictures(self.rows(split))

    def collate(self, samples: Sequence) -> dict:
        colours, labels = zip(*samples, strict=True)
        return {"x": torch.stack(colours), "y": torch.tensor(labels)}

    def build(self) -> nn.Module:
        return Small()

    def forward(self, network: nn.Module, batch: dict, want: frozenset[str]) -> Output:
        hidden, logits = network(batch["x"])
        loss = probs = None
        if "loss" in want:
            loss = nn.functional.cross_entropy(logits, batch["y"], reduction="none")
        if "probs" in want:
            probs = logits.softmax(1)[:, None]
        return Output((hidden[:, :, None, None],), loss=loss, probs=probs)

    def predict(self, network: nn.Module, batch: dict) -> list:
        found = network(batch["x"])[1].argmax(1)
        return list(zip(found.tolist(), batch["y"].tolist(), strict=True))

    def evaluator(self) -> BaseMetric:
        return Right()

    def name(self, index: int) -> str:
        return self.rows("pool")[index][0].name

    def effort(self, index: int) -> int:
        return int(self.rows("pool")[index][1] != NOBODY)

    def thumbnail(self, index: int) -> Image.Image:
        return Image.open(self.rows("pool")[index][0]).convert("RGB").resize((16, 16))

    # ---- what labeling needs

    def labels(self) -> Sequence[str]:
        return CLASSES

    def deployment(self, labels: Sequence[str]) -> Deployed:
        return Deployed(self, labels)

    def labeling(self) -> Labeling:
        return Labeling("classes", CLASSES)

    @classmethod
    def on_labels(cls, files: LabelFiles) -> dict[str, Any]:
        return {"images": str(files.images), "pool": str(files.pool), "test": str(files.validation)}

    def sources(self, split: str) -> list[Source]:
        return [Source(path, canonical(label=label)) for path, label in self.rows(split)]
