"""A benchmark of the memory of scoring pass and query: what a pool 100 times larger adds."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from acquisition import table
from acquisition.pool import Pool
from acquisition.query import ask
from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from acquisition.steps import Highest
from models.output import Output, Tap
from models.training.joint import JointModel
from models.training.settings import ModuleSettings
from tools.benchmarks import report

TIMES = 100
WIDTH = 64
STATUS = Path("/proc/self/status")


def measure(images: int, repeats: int) -> report.Report:
    """Measure passes over a generated pool and one `TIMES` as large.

    Signals are predicted losses and vectors of `WIDTH` numbers.

    Raises:
        OSError: if the system does not report a process's own memory, as Linux does.
    """
    seconds: dict[str, list[float]] = {}
    notes: dict[str, dict[str, Any]] = {}
    usual = table.MAPPED
    for name, signal, numbers, mapped in (
        ("predicted loss", "predicted_loss", 1, usual),
        ("vectors in memory", "embedding", WIDTH, 1 << 50),
        ("vectors in a file", "embedding", WIDTH, 1 << 20),
    ):
        table.MAPPED = mapped
        try:
            once(images, signal)  # a first pass loads modules and keeps buffers
            small, _ = once(images, signal)
            large = [once(images * TIMES, signal) for _ in range(repeats)]
        finally:
            table.MAPPED = usual
        seconds[name] = [took for _, took in large]
        more = (max(peak for peak, _ in large) - small) / (images * (TIMES - 1))
        notes[name] = {"bytes more a sample": round(more, 1), "of the signal": 4 * numbers}
    small, _ = ask_once(images)
    large = [ask_once(images * TIMES) for _ in range(repeats)]
    more = (max(peak for peak, _ in large) - small) / (images * (TIMES - 1))
    seconds["pool and query"] = [took for _, took in large]
    notes["pool and query"] = {"bytes more a sample": round(more, 1), "of the signal": 4}
    settings = {"images": images, "and": images * TIMES, "vectors": WIDTH, "repeats": repeats}
    return report.Report("memory", settings, report.rows(seconds, notes), report.machine())


def once(images: int, signal: str) -> tuple[int, float]:
    """Measure one pass.

    Returns:
        The peak of the process's own memory above that before the pass, in bytes, and its seconds.
    """
    torch.manual_seed(0)
    model = JointModel(
        Tiny(), _forward, lambda *_: [], (Tap("map", WIDTH),), ModuleSettings(width=8), "joint"
    )
    watch = Watch()
    began = time.perf_counter()
    with watch:
        score(
            model,
            Samples(Numbers(), _collate, np.arange(images)),
            (signal,),
            ScoringSettings(1000, workers=0),
        )
    return watch.peak - watch.before, time.perf_counter() - began


def ask_once(images: int) -> tuple[int, float]:
    """Measure the query after a pass, as `once` does.

    It lists the ids without labels, and picks the highest scores among them.
    """
    pool = Pool.initial(images, 10, seed=0)
    rng = np.random.default_rng(0)
    watch = Watch()
    began = time.perf_counter()
    with watch:
        ids = pool.unlabeled
        query = ask(
            [Highest("predicted_loss")], ids, np.array(pool.labeled), 100, rng, _random_scores
        )
        pool.label(query.picked.tolist())
    return watch.peak - watch.before, time.perf_counter() - began


def _random_scores(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(len(ids), dtype=np.float32) for name in names}


class Watch:
    """Samples the process's own memory, without mapped files, every few milliseconds."""

    def __enter__(self) -> Watch:
        self.before = self.peak = own_memory()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, own_memory())

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


def own_memory() -> int:
    """Return the bytes of the process that are not backed by a file."""
    line = re.search(r"^RssAnon:\s+(\d+) kB", STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    if line is None:
        raise OSError(f"{STATUS}: expected a line RssAnon, but there is none")
    return int(line.group(1)) * 1024


class Numbers(Dataset):
    """A dataset of any size, whose samples are their own indices."""

    def __getitem__(self, index: int) -> int:
        return index


class Tiny(nn.Module):
    """A network from a number to a map of `WIDTH` channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 1, 1) -> (B, WIDTH, 1, 1)."""
        return self.conv(x).sin()


def _collate(samples: Sequence[int]) -> dict[str, Tensor]:
    return {"x": torch.tensor(samples).remainder(1000).div(1000).view(-1, 1, 1, 1)}


def _forward(network: nn.Module, batch: dict[str, Tensor], want: frozenset[str]) -> Output:
    return Output((network(batch["x"]),))
