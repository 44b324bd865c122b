"""A task of one's own, to begin with: it works as it is, on images that it draws.

Change it where a TODO is, one after the other, and have it checked in between:

    python tools/check_task.py mytask_config.py

What each member promises is in `tasks/base.py` of losstap; its `tests/examples` has a whole task on
real data.
"""

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from models.output import Output, Tap

CLASSES = ("disc", "square", "cross")
SIDE = 32  # pixels


class Samples(Dataset):
    """Sample i is an image (3, SIDE, SIDE) of values in [0, 1], its class, and i.

    TODO: read your own data here, lazily: `__getitem__` runs in worker processes, once a sample and
    epoch.
    """

    metainfo: dict = {}  # mmengine asks for it; your metric may read it as `dataset_meta`

    def __init__(self, count: int, seed: int, augment: bool):
        self.count, self.seed, self.augment = count, seed, augment

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        pixels, label = self.drawn(index)
        image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        # TODO: your augmentation; draw from torch's, NumPy's or Python's global generator alone
        if self.augment:
            image = image * (0.8 + 0.4 * torch.rand(3, 1, 1))
            if torch.rand(()) < 0.5:
                image = image.flip(2)
        return image, label, index

    def drawn(self, index: int) -> tuple[np.ndarray, int]:
        """Pixels (SIDE, SIDE, 3), uint8, and the class of a shape on a noisy ground."""
        rng = np.random.default_rng((self.seed, index))
        label = int(rng.integers(len(CLASSES)))
        across, down = np.abs(np.indices((SIDE, SIDE)) - rng.integers(9, SIDE - 9, (2, 1, 1)))
        disc = across**2 + down**2 < 49
        square = (across < 6) & (down < 6)
        cross = ((across < 2) & (down < 8)) | ((down < 2) & (across < 8))
        pixels = rng.normal(rng.integers(40, 120, 3), 12, (SIDE, SIDE, 3))
        pixels[(disc, square, cross)[label]] = rng.integers(130, 250, 3)
        return pixels.clip(0, 255).astype(np.uint8), label


class Accuracy(BaseMetric):
    """TODO: your metric.

    It gets what `predict` returns, in batches of any size, and is computed at the end.
    """

    def process(self, data_batch: dict, data_samples: list) -> None:
        """Keep what `compute_metrics` needs of each sample."""
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return plain numbers; the curve plots the one under the task's `metric`."""
        return {"accuracy": float(np.mean([label == truth for label, truth in results]))}


class Network(nn.Module):
    """TODO: your network.

    It hands out its feature maps, for the loss-prediction module, besides its answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU())
        self.head = nn.Linear(64, len(CLASSES))

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return two maps and the logits (B, classes) of images (B, 3, H, W).

        The maps are (B, 32, H/4, W/4) and (B, 64, H/8, W/8).
        """
        second = self.second(self.first(images))
        third = self.third(second)
        return (second, third), self.head(third.amax((2, 3)))


class MyTask:
    """TODO: rename it, here and in the config.

    Its constructor's parameters are the settings that a config may give.
    """

    # TODO: names and channels of the maps, in `forward`'s order
    taps = (Tap("second", 32), Tap("third", 64))
    # what `forward` can return besides; "gradient", too, for BADGE
    fields = frozenset({"loss", "probs"})
    metric = "accuracy"  # TODO: a key of your metric's results
    lower_is_better = False  # TODO: True for an error or a loss

    def __init__(self, pool: int = 200, test: int = 100) -> None:
        # TODO: keep where your data are; read nothing yet, as configs are checked before data
        self.views = {
            "train": Samples(pool, 1, augment=True),
            "pool": Samples(pool, 1, augment=False),
            "test": Samples(test, 2, augment=False),
        }

    def check(self, full: bool = False) -> list[str]:
        """TODO: every fault of your data as text, with the file and what to do.

        Never an exception.
        """
        return []

    def dataset(self, split: str) -> Dataset:
        """Return a view: "pool" holds train's samples in train's order.

        "pool" and "test" have no augmentation.
        """
        return self.views[split]

    def collate(self, samples: list) -> dict:
        """TODO: your batch, labels under keys of their own: no strategy may see them."""
        images, labels, ids = zip(*samples, strict=True)
        return {
            "images": torch.stack(images),
            "labels": torch.tensor(labels),
            "ids": torch.tensor(ids),
        }

    def build(self) -> nn.Module:
        """Return a fresh network; losstap seeds torch before."""
        return Network()

    def forward(self, network: nn.Module, batch: dict, want: frozenset[str]) -> Output:
        """Return the taps, and what is in `want`.

        That is the loss (B,), one a sample, and probs (B, K, C), K decisions a sample.
        """
        taps, logits = network(batch["images"])
        logits = logits.float()  # losses in float32, also under mixed precision
        # TODO: your loss, each sample's own: no mean over the batch
        loss = probs = None
        if "loss" in want:
            loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        if "probs" in want:
            probs = logits.softmax(1)[:, None]
        return Output(taps, loss, probs)

    def predict(self, network: nn.Module, batch: dict) -> list:
        """TODO: one prediction a sample, as your metric takes it."""
        labels = network(batch["images"])[1].argmax(1)
        return list(zip(labels.tolist(), batch["labels"].tolist(), strict=True))

    def evaluator(self) -> BaseMetric:
        """Return a fresh metric."""
        return Accuracy()

    def name(self, index: int) -> str:
        """TODO: the name of a sample of the pool, such as its path below the data's folder."""
        return f"drawn {index}"

    def effort(self, index: int) -> int:
        """TODO: annotations that labeling it costs: boxes, joints, 1 for a class."""
        return 1

    def thumbnail(self, index: int) -> Image.Image:
        """TODO: its picture with the annotation drawn, at most 256 pixels a side."""
        return Image.fromarray(self.views["pool"].drawn(index)[0]).resize((128, 128))

    def traits(self, index: int) -> dict[str, list]:
        """Return properties of the annotation, which reports compare between queries and pool.

        You may leave this method out.
        """
        return {"class": [CLASSES[self.views["pool"].drawn(index)[1]]]}
