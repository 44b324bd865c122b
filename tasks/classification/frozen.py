"""A frozen backbone: its features are computed once, and a linear layer is trained on them.

Beside what goes into the classifier, the mean of each tap over its places is kept, which is all
that the loss-prediction module looks at. So the layer and the module see what they would see behind
the whole network in evaluation mode.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from mmengine.device import get_device
from torch import Tensor, nn

from models.output import Tap
from models.process.progress import track
from models.process.seeding import derive_seed, seeded
from models.training.loading import Augmented, loader
from tasks.base import Batch, Split
from tasks.classification.feature_view import FeatureView, Row, Table, batch_of
from tasks.classification.features import digest_of, kept_rows, size_of, there
from tasks.classification.held import SHARE
from tasks.classification.networks import TimmNetwork
from tasks.classification.pictures import Pictures

BATCH = 64  # images of a forward pass
WORKERS = 4  # that read images from files for it
FORM = 1  # of the files; another one makes them anew
SEED = 0  # of a backbone without weights, and of the views
STATISTICS = 1 << 16  # rows whose sums are taken at once


class Head(nn.Module):
    """The linear layer that is trained; `features` is there for dropout before it.

    Args:
        width: numbers of a sample.
        classes: length of the logits.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.fc = nn.Linear(width, classes)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, width) -> logits (B, classes)."""
        return self.fc(self.features(rows))


class Frozen:
    """The features of both splits by one backbone.

    Args:
        network: of timm, with one fully connected layer at its end.
        pictures: the images.
        views: cached augmented views of each training image; 0 trains on images as seen at test
            time.
        folder: where the features are kept.

    Raises:
        ValueError: if the network does not end in one fully connected layer.
    """

    def __init__(self, network: TimmNetwork, pictures: Pictures, views: int, folder: Path) -> None:
        if network.width is None:
            raise ValueError(
                "frozen: expected a network that ends in one fully connected layer, but "
                f"{network.name!r} of timm does not; train the whole network (frozen=False)"
            )
        self.network, self.pictures, self.views, self.folder = network, pictures, views, folder
        self.width = network.width
        self.taps = tuple(Tap(tap.name, tap.channels, tokens=True) for tap in network.taps)
        self._ends = np.cumsum([self.width, *(tap.channels for tap in self.taps)]).tolist()
        self._digests: dict[str, str] = {}
        self._tables: dict[tuple[str, int | None], np.ndarray] = {}
        self._moved: dict[tuple[str, int | None, torch.device], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what is large and found again: another process reads the files itself."""
        made = ("_backbone", "_weights", "statistics")
        state = {key: value for key, value in self.__dict__.items() if key not in made}
        return state | {"_tables": {}, "_moved": {}}

    def dataset(self, split: Split) -> FeatureView:
        """A view of the features; see `tasks.base.Task`."""
        if split == "train":
            return FeatureView(self, "pool", self.pictures.taught, self.views)
        return FeatureView(self, split, self._labels(split))

    def _labels(self, split: Split) -> tuple[int, ...]:
        return self.pictures.listed(split).labels

    def collate(self, samples: Sequence[tuple[Tensor, int]] | Sequence[Row]) -> Batch:
        """Return `features` (B, D) and `labels` (B,), or what `batch_of` makes of places."""
        rows = [sample for sample in samples if isinstance(sample, Row)]
        if rows:
            return batch_of(rows)
        features, labels = zip(*samples, strict=True)
        return {"features": torch.stack(features), "labels": torch.tensor(labels)}

    def build(self, classes: int) -> Head:
        """A fresh linear layer."""
        return Head(self.width, classes)

    def whole(self, head: Any) -> nn.Module:
        """The backbone with a trained layer at its end: a network of timm, on images.

        Its classifier takes features as they are: the standardisation is folded into it.
        """
        mean, std = self.statistics
        network: Any = self.network.build(head.fc.out_features).eval()
        layer, backbone = network.get_classifier(), self._backbone.state_dict()
        theirs = {id(value) for value in layer.state_dict(keep_vars=True).values()}
        own = {k for k, v in network.state_dict(keep_vars=True).items() if id(v) in theirs}
        network.load_state_dict({k: backbone[k] for k in backbone.keys() - own}, strict=False)
        with torch.no_grad():
            weight = head.fc.weight.cpu() / std
            layer.weight.copy_(weight)
            layer.bias.copy_(head.fc.bias.cpu() - weight @ mean)
        return network

    def read(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What goes into the linear layer (B, width), and the taps, each a token (B, 1, channels).

        The layer's input is standardised by mean and standard deviation of the pool.
        """
        rows = batch["features"] if "features" in batch else self.rows(batch)
        parts = [rows[:, a:b] for a, b in zip([0, *self._ends], self._ends, strict=False)]
        mean, std = (value.to(rows.device) for value in self.statistics)
        return (parts[0] - mean).div_(std), tuple(part.unsqueeze(1) for part in parts[1:])

    def rows(self, batch: Batch) -> Tensor:
        """(B, D) float32 on the batch's device: the features, then the means of the taps."""
        ids, views = batch["ids"], batch.get("views")
        if views is None:
            return self._looked_up(batch["table"], None, ids)
        found = torch.empty(len(ids), self._ends[-1], device=ids.device)
        for view in views.unique().tolist():
            which = views == view
            found[which] = self._looked_up(batch["table"], view, ids[which])
        return found

    def _looked_up(self, table: Table, view: int | None, ids: Tensor) -> Tensor:
        there = self._on(table, view, ids.device)
        return there.index_select(0, ids.to(there.device)).to(ids.device)

    def _on(self, table: Table, view: int | None, device: torch.device) -> Tensor:
        """A table on a device where there is room for it; else in memory."""
        place = (table, view, device)
        if place not in self._moved:
            rows = torch.from_numpy(self._table(table, view))
            room = device.type == "cuda" and rows.nbytes <= SHARE * torch.cuda.mem_get_info()[0]
            with torch.inference_mode(False):
                self._moved[place] = rows.to(device) if room else rows
        return self._moved[place]

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (width,) of the pool's features; of what is constant, 1."""
        rows = self._table("pool", None)[:, : self.width]
        chunks = [rows[k : k + STATISTICS] for k in range(0, len(rows), STATISTICS)]
        mean = sum(chunk.sum(0, dtype=np.float64) for chunk in chunks) / len(rows)
        squares = sum(((chunk - mean) ** 2).sum(0) for chunk in chunks) / len(rows)
        std = np.where(squares > 0, np.sqrt(squares), 1.0)
        with torch.inference_mode(False):
            return torch.tensor(mean).float(), torch.tensor(std).float()

    # ------------------------------------------------------------ the files

    def lack(self) -> list[str]:
        """What is missing for the files that are not there yet: room on the disk."""
        places: list[tuple[Table, int | None]] = [("pool", None), ("test", None)]
        places += [("pool", view) for view in range(self.views)]
        needed = sum(
            size_of(self._shape(table))
            for table, view in places
            if not there(self.folder, self._key(table, view))
        )
        home = next(p for p in (self.folder, *self.folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(home).free
        if needed <= free:
            return []
        return [
            f"task.cache: expected {needed / 1e6:,.0f} MB of free disk in {home} for the features, "
            f"but got {free / 1e6:,.0f}; name another folder, or take fewer task.views"
        ]

    def _table(self, table: Table, view: int | None) -> np.ndarray:
        if (table, view) not in self._tables:
            key = self._key(table, view)
            self._tables[table, view] = kept_rows(
                self.folder, key, self._shape(table), lambda rows: self._fill(rows, table, view)
            )
        return self._tables[table, view]

    def _shape(self, table: Table) -> tuple[int, int]:
        return len(self._labels(table)), self._ends[-1]

    def _key(self, table: Table, view: int | None) -> str:
        """The hash of weights, transform and data, and of what else numbers depend on."""
        pictures = self.pictures
        augmented = None
        if view is not None:
            augmented = [pictures.augmentation, pictures.padding, pictures.flip, view]
        versions = [torch.__version__, torchvision.__version__, timm.__version__]
        return digest_of(
            FORM,
            self.network.name,
            [tap.name for tap in self.taps],
            self._weights,
            list(pictures.preparation),
            pictures.augmentation == "crop",
            augmented,
            self._digest(table),
            [*versions, get_device(), BATCH],
        )

    def _digest(self, table: Table) -> str:
        """The hash of a split's images, as this process found them first."""
        if table not in self._digests:
            self._digests[table] = self.pictures.digest(table)
        return self._digests[table]

    @cached_property
    def _backbone(self) -> nn.Module:
        """The whole network on the host, in evaluation mode; without weights, from one seed."""
        with seeded(SEED):
            return self.network.build(2).eval().requires_grad_(False)

    @cached_property
    def _weights(self) -> str:
        """The hash of the backbone's weights; of its classifier, which is not used, too."""
        found = hashlib.sha256()
        for name, value in self._backbone.state_dict().items():
            found.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            found.update(value.contiguous().numpy().tobytes())
        return found.hexdigest()

    def _fill(self, rows: np.ndarray, table: Table, view: int | None) -> None:
        """Compute a table, batch by batch, on the device that there is."""
        device = get_device()
        network = self._backbone.to(device)
        count, done = len(rows), 0
        title = f"features of {table}" + ("" if view is None else f", view {view + 1}")
        with torch.inference_mode():
            for batch in track(self._batches(table, view, count), title):
                moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
                found = self._computed(network, moved).cpu().numpy()
                rows[done : done + len(found)] = found
                done += len(found)
        self._backbone.to("cpu")

    def _batches(self, table: Table, view: int | None, count: int) -> Any:
        pictures = self.pictures
        workers = 0 if pictures.in_memory(table) else WORKERS
        if view is None:
            return loader(pictures.dataset(table), range(count), BATCH, workers, pictures.collate)
        drawn = Augmented(pictures.dataset("train"), derive_seed(SEED, "views"))
        return loader(drawn, [(view, i) for i in range(count)], BATCH, workers, pictures.collate)

    def _computed(self, network: nn.Module, batch: Batch) -> Tensor:
        """(B, D): what goes into the classifier, then the mean of each tap over its places."""
        images = self.pictures.normalised(self.pictures.images(batch))
        with self.network.last_input(network) as last:
            taps, _ = network(images)
        return torch.cat([last[0], *(tap.mean(dim=(2, 3)) for tap in taps)], dim=1)
