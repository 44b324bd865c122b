"""A task of one's own in one file: semantic segmentation on VOC's layout, LR-ASPP on
MobileNetV3, mean IoU.
"""

from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from PIL import Image, ImageOps
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms import v2

from models.output import Output, Tap
from tasks import faults, images

VOID = 255  # pixels that nobody labeled: neither trained on nor judged
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Pairs(Dataset):
    """Sample i is an image (3, size, size), uint8, and its mask (1, size, size) of class
    numbers and VOID.
    """

    def __init__(self, root: Path, path: Path, transform: v2.Transform):
        self.root, self.names, self.transform = root, path.read_text().split(), transform

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.opened(index)
        # flipped and cropped together
        return self.transform(tv_tensors.Image(image), tv_tensors.Mask(mask))

    def opened(self, index: int) -> tuple[Image.Image, Image.Image]:
        image = Image.open(self.root / f"JPEGImages/{self.names[index]}.jpg").convert("RGB")
        # its numbers are classes
        return image, Image.open(self.root / f"SegmentationClass/{self.names[index]}.png")


class MeanIoU(BaseMetric):
    """Mean over classes of intersection / union of all test pixels, without void and
    classes that never occur.
    """

    default_prefix = "segmentation"  # of the keys of its results

    def process(self, data_batch, data_samples) -> None:
        # (classes, classes) each; rows are the truth, columns the prediction
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict[str, float]:
        counts = np.sum(results, axis=0)
        right, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
        return {
            "mIoU": float(np.mean(right[union > 0] / union[union > 0]))
            if union.any()
            else float("nan")
        }


class Segmentation:
    """The config gives the constructor's parameters, which are checked against their types."""

    # channels of the maps that `forward` returns, in its order
    taps = (Tap("low", 40), Tap("high", 960))
    fields, metric = frozenset({"loss", "probs"}), "segmentation/mIoU"

    def __init__(
        self,
        data_root: str,
        train: str = "train",
        test: str = "val",
        classes: int = 21,
        size: int = 256,
    ):
        self.root, self.classes = Path(data_root), classes
        self.lists = [self.root / f"ImageSets/Segmentation/{name}.txt" for name in (train, test)]
        drawn = v2.Compose([v2.RandomResizedCrop(size, scale=(0.5, 1)), v2.RandomHorizontalFlip()])
        # no chance in what is scored or tested; "pool" is train's samples in its order
        seen = v2.Resize((size, size))
        self.views = {
            "train": (self.lists[0], drawn),
            "pool": (self.lists[0], seen),
            "test": (self.lists[1], seen),
        }

    def check(self, full: bool = False) -> list[str]:  # every fault of the data, never an exception
        found = [
            faults.path_fault(p, "list", "see data_root, train, test", faults.LIST_BYTES)
            for p in self.lists
        ]
        if not any(found):
            names = [
                name for path in self.lists for name in path.read_text(errors="replace").split()
            ]
            found = [fault for name in names for fault in self.pair_faults(name, full)]
            found += (
                []
                if 0 < len(names) == len(set(names))
                else [f"{self.lists}: expected ids, each once in all"]
            )
        return [fault for fault in found if fault]

    def pair_faults(self, name: str, full: bool):
        image, mask = (
            self.root / f"JPEGImages/{name}.jpg",
            self.root / f"SegmentationClass/{name}.png",
        )
        size, labeled = (
            (yield from images.image_size(image, full)),
            (yield from images.image_size(mask, full)),
        )
        if size and labeled and size != labeled:
            yield faults.Fault(
                "size", str(mask), f"the image's size {size}", str(labeled), "label the image anew"
            )
        if (
            full
            and labeled
            and (odd := {*np.unique(Image.open(mask)).tolist()} - {*range(self.classes), VOID})
        ):
            yield faults.Fault(
                "ids",
                str(mask),
                f"{VOID} or numbers below {self.classes}",
                str(odd),
                "mend the mask",
            )

    def dataset(self, split: str) -> Pairs:
        return Pairs(self.root, *self.views[split])

    def collate(self, samples) -> dict:  # labels under keys of their own
        images, masks = zip(*samples, strict=True)
        return {"images": torch.stack(images), "masks": torch.cat(masks).long()}

    def build(self):
        return lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=self.classes
        )

    def forward(self, network, batch, want) -> Output:
        maps = network.backbone(v2.functional.normalize(batch["images"] / 255, MEAN, STD))
        # losses in float32, also under autocast
        logits, masks = network.classifier(maps).float(), batch["masks"]
        # (B, K, C): K cells, a decision each
        probs = logits.softmax(1).flatten(2).mT if "probs" in want else None
        loss = None
        if "loss" in want:  # one number an image: the mean over its own labeled pixels
            full = F.interpolate(logits, masks.shape[1:], mode="bilinear")
            each = F.cross_entropy(full, masks, ignore_index=VOID, reduction="none").sum((1, 2))
            loss = each / (masks != VOID).sum((1, 2)).clamp(min=1)
        return Output((maps["low"], maps["high"]), loss, probs)

    # one an image; here what `MeanIoU` needs of it
    def predict(self, network, batch) -> list[np.ndarray]:
        logits = network(v2.functional.normalize(batch["images"] / 255, MEAN, STD))["out"]
        cells = [
            (t * self.classes + p)[t != VOID]
            for t, p in zip(batch["masks"], logits.argmax(1), strict=True)
        ]
        return [
            torch.bincount(c, minlength=self.classes**2).view(self.classes, -1).cpu().numpy()
            for c in cells
        ]

    def evaluator(self) -> BaseMetric:
        return MeanIoU()

    def name(self, index: int) -> str:
        return f"JPEGImages/{self.dataset('pool').names[index]}.jpg"

    # what labeling costs: the classes in the mask beside the background
    def effort(self, index: int) -> int:
        return len(set(np.unique(self.dataset("pool").opened(index)[1])) - {0, VOID})

    def thumbnail(self, index: int) -> Image.Image:
        image, mask = self.dataset("pool").opened(index)
        return ImageOps.contain(Image.blend(image, mask.convert("RGB"), 0.5), (256, 256))
