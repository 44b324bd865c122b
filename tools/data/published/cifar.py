"""Write CIFAR-10's images as one folder per class."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

from PIL import Image
from torchvision.datasets import CIFAR10


def write(root: Path, out: Path, per_class: int) -> int:
    """Write the folders beside `out`, rename them, and return the number of images.

    Raises:
        ValueError: if `out` is there already, or `root` does not hold CIFAR-10 whole.
    """
    if out.exists():
        raise ValueError(f"{out} is there already; take it away, or name another --out")
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    written = 0
    try:
        for split in ("train", "test"):
            data = CIFAR10(str(root), train=split == "train")
            seen: Counter[int] = Counter()
            for pixels, label in zip(data.data, data.targets, strict=True):
                seen[label] += 1
                if seen[label] <= per_class:
                    path = beside / split / data.classes[label] / f"{seen[label]:05d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
                    written += 1
        beside.rename(out)
    except RuntimeError as error:  # torchvision raises it for files that are missing or damaged
        raise ValueError(
            f"{root}: {error}; python tools/prepare_data.py cifar10 --root {root}"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return written
