"""The arrays and the contenders of `tools/bench.py kcenter`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from acquisition.kcenter import k_center
from models.networks.resnet import build

# features (N, D), labeled (M, D), budget -> positions
Picker = Callable[[Tensor, Tensor, int], Tensor]
MADE = ("random", "clustered", "cifar")
CLUSTERS = 100
NETWORK = "resnet18"  # torchvision's, whose last stage has 512 channels
TRAINED_ON = 5000
EPOCHS = 8


def plain(features: Tensor, labeled: Tensor, budget: int) -> Tensor:
    """Pick with the plain greedy algorithm in float32.

    It takes matrix products over all samples, one for each new centre.
    """
    squares = features.square().sum(1)
    nearest = torch.full_like(squares, float("inf"))
    for part in labeled.split(256):
        nearest = torch.minimum(nearest, (part.square().sum(1) - 2 * features @ part.T).amin(1))
    nearest += squares
    picked = []
    for _ in range(budget):
        best = int(nearest.argmax())
        picked.append(best)
        nearest = torch.minimum(nearest, squares + squares[best] - 2 * (features @ features[best]))
        nearest[best] = -float("inf")
    return torch.tensor(picked)


def scikit_activeml(features: Tensor, labeled: Tensor, budget: int) -> Tensor:
    """Pick with scikit-activeml's `k_greedy_center`.

    It takes one array of all samples, and their labels, of which some are missing.
    """
    from skactiveml.pool import k_greedy_center

    rows = np.concatenate([labeled.numpy(), features.numpy()])
    labels = np.concatenate([np.zeros(len(labeled)), np.full(len(features), np.nan)])
    picked, _ = k_greedy_center(rows, labels, batch_size=budget, random_state=0)
    return torch.from_numpy(picked) - len(labeled)


def contenders() -> dict[str, Picker]:
    """Return the contenders by name, with scikit-activeml if it is installed."""
    pickers: dict[str, Picker] = {
        "losstap": lambda *args: k_center(*args).positions,
        "plain float32": plain,
    }
    try:
        import skactiveml
    except ImportError:
        print(
            "scikit-activeml is not installed and not measured: python -m pip install -e '.[bench]'"
        )
    else:
        pickers[f"scikit-activeml {skactiveml.__version__}"] = scikit_activeml
    return pickers


def arrays(
    features: str, n: int, dims: int, labeled: int, data_root: Path | None
) -> tuple[Tensor, Tensor]:
    """Return candidates (n, dims) and labeled rows (labeled, dims), float32.

    Args:
        features: `random` (normal), `clustered` (100 normal clusters, their centres three times as
            spread), `cifar` (of a network, on the image folder at `data_root`), or a path to rows
            in an .npy file.
        n: number of candidates; if a file has more rows than needed, they are drawn from it with a
            fixed seed.
        dims: of generated rows.
        labeled: number of rows that are centres already.
        data_root: holds `train/<class>/*` and `test/<class>/*`.

    Raises:
        ValueError: for another name, or if a file or a folder holds too few rows.
    """
    if features not in MADE and not features.endswith(".npy"):
        raise ValueError(f"--features: expected {', '.join(MADE)} or PATH.npy, but got {features}")
    rng = torch.Generator().manual_seed(0)
    total = n + labeled
    if features == "random":
        rows = torch.randn(total, dims, generator=rng)
    elif features == "clustered":
        centres = 3 * torch.randn(CLUSTERS, dims, generator=rng)
        rows = centres[torch.randint(CLUSTERS, (total,), generator=rng)] + torch.randn(
            total, dims, generator=rng
        )
    else:
        if features == "cifar":
            known = cifar(data_root)
        else:
            known = torch.from_numpy(np.load(features))
        if len(known) < total:
            raise ValueError(
                f"--n, --labeled: expected at most {len(known)} rows ({features}) in all, but got "
                f"{total}"
            )
        rows = known[torch.randperm(len(known), generator=rng)[:total]]
    return rows[labeled:].clone(), rows[:labeled].clone()


def cifar(data_root: Path | None) -> Tensor:
    """Return pooled last-stage features (images, 512) of a network that is trained first.

    The training takes minutes and uses some of the images. These are those of both splits, train's
    first.
    """
    if data_root is None or not all((data_root / split).is_dir() for split in ("train", "test")):
        raise ValueError(
            "--data-root: expected a folder with train/<class>/* and test/<class>/*, but got "
            f"{data_root}"
        )
    steps = [
        transforms.ToTensor(),
        transforms.Normalize((0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
    ]
    images = ImageFolder(str(data_root / "train"), transforms.Compose(steps))
    torch.manual_seed(0)
    network = build(NETWORK, len(images.classes))
    load = partial(DataLoader, batch_size=128)
    part = Subset(images, torch.randperm(len(images))[:TRAINED_ON].tolist())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for epoch in range(EPOCHS):
        right = 0
        for pixels, classes in load(part, shuffle=True):
            _, logits = network(pixels)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, classes).backward()
            optimizer.step()
            right += int((logits.argmax(1) == classes).sum())
        print(
            f"epoch {epoch + 1} of {EPOCHS}: {right / len(part):.0%} of the training images right",
            flush=True,
        )
    network.eval()
    with torch.inference_mode():
        both: ConcatDataset = ConcatDataset(
            [images, ImageFolder(str(data_root / "test"), images.transform)]
        )
        return torch.cat([network(pixels)[0][-1].mean(dim=(2, 3)) for pixels, _ in load(both)])
