"""A benchmark of the scoring pass, in images a second.

It is compared with the bare network, with reading alone, and with another library's pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.utils.data import Dataset

from acquisition.batch_size import fastest
from acquisition.canary import CANARIES
from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from acquisition.signals import given
from models.training.inference import inference
from models.training.joint import JointModel
from models.training.loading import loader, read
from tools.benchmarks import report, subjects
from tools.benchmarks.subjects import Held
from tools.experiment.config import Experiment
from tools.train.models import untrained

USUAL = {"resnet18": 128, "ssd300": 32, "hourglass": 16}  # batch sizes of a plain pass


def measure(
    network: str, root: Path, images: int, train_steps: int, workers: int, repeats: int
) -> report.Report:
    """Measure the pass with the default settings, and with all settings that make it faster.

    A pass has the same number of canaries over a whole pool as over these few images, so their time
    is measured separately.

    Args:
        network: a key of `subjects.PAPER`.
        root: folder of the sandboxes.
        images: size of the pool, which is read from disk; classification has its images in memory.
        train_steps: of a training before, so that predicted losses are not those of random weights.
        workers: processes that read.
        repeats: rounds.
    """
    experiment = subjects.experiment(network, root)
    usual = USUAL[network]
    task = experiment.task
    model = untrained(experiment, "joint")
    _train(experiment, model, train_steps)
    model.eval()
    pool = Repeated(task.dataset("pool"), images)
    auto = fastest(model, pool, task.collate, frozenset(), amp=True, channels_last=True)
    plain = ScoringSettings(usual, workers)
    fast = ScoringSettings(auto, workers, amp=True, channels_last=True)
    held = Held(pool, min(images, max(usual, auto)))
    runs: dict[str, Callable[[], Any]] = {
        f"network alone, float32, {usual}": partial(alone, experiment, model, held, images, plain),
        f"losstap, float32, {usual}": partial(whole, experiment, model, pool, plain),
        f"network alone, bfloat16, {auto}": partial(alone, experiment, model, held, images, fast),
        f"losstap, bfloat16, {auto}": partial(whole, experiment, model, pool, fast),
        "reading alone": partial(reading, experiment, pool, fast),
        f"network alone, bfloat16, {CANARIES} images one by one": partial(
            alone, experiment, model, held, CANARIES, replace(fast, batch_size=1)
        ),
    }
    if network == "resnet18":
        runs |= _baal(experiment, model, pool, usual, workers)
    seconds, results = report.side_by_side(runs, repeats)
    settings = {"network": network, "images": images, "workers": workers, "repeats": repeats}
    notes = _notes(list(runs), seconds, results, images)
    return report.Report("score", settings, report.rows(seconds, notes), report.machine())


def _notes(
    names: list[str], seconds: Mapping[str, list[float]], results: Mapping[str, Any], images: int
) -> dict[str, dict[str, Any]]:
    """Rates and ratios, from the contenders in the order of `measure`."""
    _, plain_pass, alone_fast, last, read_alone, canaries, *_ = names
    counts = dict.fromkeys(names, images) | {canaries: CANARIES}
    notes: dict[str, dict[str, Any]] = {
        name: {"images/s": round(count / np.median(seconds[name]), 1)}
        for name, count in counts.items()
    }
    for name in (plain_pass, last):
        bare = name.replace("losstap", "network alone")
        notes[name]["of the network's rate"] = round(1 / report.over(seconds, name, bare), 3)
    slower = max((alone_fast, read_alone), key=lambda name: np.median(seconds[name]))
    notes[last]["over the slower of network and reading"] = round(
        report.over(seconds, last, slower), 3
    )
    others = [a - b for a, b in zip(seconds[last], seconds[canaries], strict=True)]
    less = report.over({"others": others, slower: seconds[slower]}, "others", slower)
    notes[last]["that without the canaries"] = round(less, 3)
    notes[last]["Spearman to float32"] = round(
        float(spearmanr(results[last], results[plain_pass])[0]), 5
    )
    if "baal" in names:
        notes[last]["baal's time over it"] = round(report.over(seconds, "baal", last), 2)
    return notes


class Repeated(Dataset):
    """A dataset that is repeated up to a size; each sample is read anew."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        self.dataset = dataset
        self.count = count
        self.size = len(dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index % self.size]

    def __getitems__(self, indices: list[int]) -> list:
        """Return a batch, which is read at once if the dataset supports that."""
        return read(self.dataset, [index % self.size for index in indices])


def _train(experiment: Experiment, model: JointModel, steps: int) -> None:
    """Train a few steps with the paper's optimiser.

    The learning rate is a tenth of the paper's, as random weights diverge with more.
    """
    size = 32
    settings = dict(experiment.training.optimizer)
    optimizer = settings.pop("type")
    settings["lr"] /= 10
    optimizer = optimizer(model.parameters(), **settings)
    samples = Held(experiment.task.dataset("train"), size * min(steps, 10))
    model.train()
    for step in range(steps):
        batch = experiment.task.collate(
            [samples[(step * size + i) % len(samples)] for i in range(size)]
        )
        sum(model(mode="loss", **model.data_preprocessor(batch)).values()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()


def alone(
    experiment: Experiment, model: JointModel, held: Held, images: int, settings: ScoringSettings
) -> None:
    """Run the network on batches in memory; no pass can be faster."""
    task = experiment.task
    size = settings.size
    batch = model.data_preprocessor(task.collate([held[i] for i in range(size)]))
    with inference([model.network], settings.amp, settings.channels_last):
        for start in range(0, images, size):
            if images - start < size:
                batch = model.data_preprocessor(
                    task.collate([held[i] for i in range(images - start)])
                )
            taps = task.forward(model.network, batch, frozenset()).taps
        taps[0].sum().item()  # waits for a GPU


def whole(
    experiment: Experiment, model: JointModel, pool: Dataset, settings: ScoringSettings
) -> np.ndarray:
    """Return predicted losses of the pool from a run's whole pass, with reading and canaries."""
    samples = Samples(pool, experiment.task.collate, np.arange(len(pool)))  # type: ignore[arg-type]
    return score(model, samples, ("predicted_loss",), settings)["predicted_loss"]


def reading(experiment: Experiment, pool: Dataset, settings: ScoringSettings) -> None:
    """Read the batches of the pass, and do nothing with them."""
    ids = range(len(pool))  # type: ignore[arg-type]
    for _ in loader(pool, ids, settings.size, settings.workers, experiment.task.collate):
        pass


def _baal(
    experiment: Experiment, model: JointModel, pool: Dataset, size: int, workers: int
) -> dict[str, Callable]:
    """The contender baal, by its `predict_on_dataset` with the same network and images.

    Empty if it is not installed.
    """
    try:
        import structlog
        from baal.modelwrapper import ModelWrapper, TrainingArgs
    except ImportError:
        return {}
    # otherwise it logs a line for each pass
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logits = Logits(model)
    args = TrainingArgs(batch_size=size, workers=workers, use_cuda=torch.cuda.is_available())
    wrapper = ModelWrapper(logits, args)
    return {"baal": lambda: wrapper.predict_on_dataset(Pairs(pool), iterations=1, verbose=False)}


class Logits(nn.Module):
    """A network in the form that other libraries expect, from bytes to logits.

    It normalises the bytes itself.
    """

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) bytes -> (B, classes)."""
        batch = {"images": images, "labels": images.new_zeros(len(images), dtype=torch.long)}
        return given(self.model.output(batch, frozenset({"probs"})).probs, "probs")[:, 0]


class Pairs(Dataset):
    """A dataset of (image, label) pairs."""

    def __init__(self, pool: Dataset) -> None:
        self.pool = pool

    def __len__(self) -> int:
        return len(self.pool)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pool[index]
