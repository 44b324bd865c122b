"""The scoring pass over the candidates.

Ids travel with their rows, so that order, workers and processes do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch import Tensor
from torch.utils.data import Dataset

from acquisition import canary, signals
from acquisition.settings import ScoringSettings
from acquisition.table import Table
from models.process.progress import track
from models.training.committee import Member
from models.training.inference import full_precision, inference
from models.training.joint import JointModel
from models.training.loading import loader
from models.training.numbered import Collate, Ids, WithId, gathered


@dataclass(frozen=True)
class Samples:
    """Some samples of a data set.

    Args:
        dataset: indexed by sample id; the pool as seen at test time.
        collate: makes a batch of samples; the task's.
        ids: distinct sample ids (N,).
    """

    dataset: Dataset
    collate: Collate
    ids: Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Pass:
    """The settings of one pass over samples.

    Args:
        title: of the progress bar.
        committee: members whose votes some signals count, each run on every batch.
        tap: number of the tap that is a sample's embedding.
        scratch: folder for vectors that are too many for memory; the system's by default.
        temperature: of the probabilities that calibrated signals read.
    """

    title: str = "scoring"
    committee: Sequence[Member] = ()
    tap: int = -1
    scratch: Path | None = None
    temperature: float = 1.0


def score(
    model: JointModel,
    samples: Samples,
    names: Sequence[str],
    settings: ScoringSettings,
    how: Pass | None = None,
) -> dict[str, np.ndarray]:
    """Compute signals of some samples.

    Args:
        model: trained; it scores as it is, in evaluation mode.
        samples: which ones.
        names: signals to compute.
        settings: batch size, workers and precision.
        how: title, committee, tap and scratch folder; `Pass()` by default.

    Returns:
        For each signal float32 rows (N,), (N, D) or (N, M, D), in the order of `ids`, the same on
        every process.

    Raises:
        RuntimeError: if a signal does not have one row a sample, or samples got lost.
        CanaryError: if samples computed alone have other rows.

    Examples:
        >>> import torch
        >>> from models.output import Output
        >>> from models.training.joint import ModuleSettings
        >>> def forward(network, batch, want):
        ...     return Output(taps=(), probs=network(batch["x"]).softmax(dim=1).unsqueeze(1))
        >>> network = torch.nn.Linear(2, 2, bias=False)
        >>> _ = network.weight.data.copy_(torch.eye(2))
        >>> model = JointModel(network, forward, lambda n, b: [], (), ModuleSettings(), "off")
        >>> pool = [torch.tensor([x, 0.0]) for x in (0.0, 1.0, 2.0)]
        >>> samples = Samples(pool, lambda items: {"x": torch.stack(items)}, ids=[2, 0])
        >>> rows = score(model, samples, ["entropy"], ScoringSettings(2, workers=0))
        >>> rows["entropy"].tolist()
        [0.365..., 0.693...]
    """
    how = how or Pass()
    ids = np.asarray(samples.ids, dtype=np.int64)
    if not len(ids):
        return nothing(names)
    share = ids[get_rank() :: get_world_size()]
    counted = _Counted(model, samples, names, settings, how)
    with counted.ready():
        table = counted.table(share)
        scores = _in_order(ids, table.ids, table.rows)
        canary.check(ids, scores, share, counted.alone, how.title, rounded=settings.amp)
    return scores


def unchecked(
    model: JointModel,
    samples: Samples,
    names: Sequence[str],
    settings: ScoringSettings,
    how: Pass | None = None,
) -> dict[str, np.ndarray]:
    """Compute signals of a part of a pass, for whoever calls `check` once all parts are there.

    Rows depend on the batch in their last digits: parts that begin at multiples of the batch size
    have those of the whole pass, bit for bit.

    Args:
        model: see `score`, as are the others; other processes have no share in it.

    Raises:
        RuntimeError: see `score`.
    """
    ids = np.asarray(samples.ids, dtype=np.int64)
    if not len(ids):
        return nothing(names)
    counted = _Counted(model, samples, names, settings, how or Pass())
    with counted.ready():
        table = counted.table(ids)
        return _in_order(ids, table.ids, table.rows)


def check(
    model: JointModel,
    samples: Samples,
    rows: Mapping[str, np.ndarray],
    settings: ScoringSettings,
    how: Pass | None = None,
) -> None:
    """Compare rows, from wherever they come, with those of a few samples computed here alone.

    Args:
        model: see `score`, as are the others.
        rows: signal -> (N,) or (N, D), in the order of `samples.ids`.

    Raises:
        CanaryError: if they do not agree.
    """
    how = how or Pass()
    if not len(samples.ids):
        return
    counted = _Counted(model, samples, list(rows), settings, how)
    with counted.ready():
        canary.check(samples.ids, rows, samples.ids, counted.alone, how.title, rounded=settings.amp)


def nothing(names: Sequence[str]) -> dict[str, np.ndarray]:
    """The rows of no samples."""
    return {name: np.zeros(0, np.float32) for name in names}


@dataclass(frozen=True)
class _Counted:
    """Computes the signals of batches and of single samples; within `ready`."""

    model: JointModel
    samples: Samples
    names: Sequence[str]
    settings: ScoringSettings
    how: Pass

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Within, the networks are in evaluation mode, and in the precision of the settings."""
        self.model.eval()
        models = self.model, *(member.model for member in self.how.committee)
        networks = {id(model): model.network for model in models}
        with inference(networks.values(), self.settings.amp, self.settings.channels_last):
            yield

    def table(self, ids: np.ndarray) -> Table:
        """The rows of these samples, as one process reads and computes them."""
        data, settings = self.samples.dataset, self.settings
        gather = partial(gathered, collate=self.samples.collate)
        batches = loader(WithId(data), Ids(ids), settings.size, settings.workers, gather)
        table = Table(len(ids), self.how.scratch)
        waiting: tuple[list[int], dict[str, Tensor]] | None = None
        for batch_ids, batch in track(batches, self.how.title):
            rows, _ = self.rows(batch, len(batch_ids))
            # one batch behind: a GPU has its next work before this waits for numbers of the last
            if waiting:
                table.add(waiting[0], _numbers(waiting[1]))
            waiting = batch_ids, rows
        if waiting:
            table.add(waiting[0], _numbers(waiting[1]))
        return table

    def rows(self, batch: dict[str, Any], count: int) -> tuple[dict[str, Tensor], bool]:
        """The signals of a batch, and whether distributions have weights."""
        evidence = _evidence(self.model, batch, self.names, self.settings, self.how)
        with full_precision(next(self.model.parameters()).device):
            rows = {name: _rows(name, evidence, count) for name in self.names}
        return rows, evidence.weighted

    def alone(self, i: int) -> tuple[dict[str, np.ndarray], bool]:
        """The signals of one sample, computed without others."""
        batch = self.samples.collate([self.samples.dataset[i]])
        rows, weighted = self.rows(batch, 1)
        return {name: values[0] for name, values in _numbers(rows).items()}, weighted


def _evidence(
    model: JointModel,
    batch: dict[str, Any],
    names: Sequence[str],
    settings: ScoringSettings,
    how: Pass,
) -> signals.Evidence:
    """What the signals read of one batch: a pass of the model, one of each member, or both."""
    known = {name: signals.known(name) for name in names}
    own = [name for name, signal in known.items() if not signal.committee or signal.compared]
    counted = signals.fields(name for name, signal in known.items() if signal.committee)
    output = votes = None
    if own:
        output = model.output(batch, signals.fields(own))
    if counted:
        votes = signals.vote(member(batch, counted) for member in how.committee)
    return signals.Evidence(model, output, votes, settings.aggregate, how.tap, how.temperature)


def _rows(name: str, evidence: signals.Evidence, count: int) -> Tensor:
    rows = signals.known(name).rows(evidence)
    if rows.dim() not in (1, 2, 3) or len(rows) != count:
        raise RuntimeError(
            f"Expected the signal {name!r} to have {count} rows, but got shape {tuple(rows.shape)}"
        )
    return rows.float()


def _numbers(rows: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: values.cpu().numpy() for name, values in rows.items()}


def _in_order(
    ids: np.ndarray, seen: np.ndarray, rows: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Put every process's rows together, in the order of `ids`.

    They are returned as they are if they are in that order already.
    """
    parts = [part for part in all_gather_object((seen, rows)) if len(part[0])]
    everyone = np.concatenate([part_ids for part_ids, _ in parts]) if parts else seen
    if len(parts) == 1 and np.array_equal(everyone, ids):
        return parts[0][1]
    order = np.argsort(everyone, kind="stable")
    if not np.array_equal(everyone[order], np.sort(ids)):
        lost = np.setdiff1d(ids, everyone)[:5].tolist()
        raise RuntimeError(
            f"Expected {len(ids)} distinct scored samples, but got {len(everyone)}; lost: {lost}"
        )
    order = order[np.searchsorted(everyone, ids, sorter=order)]
    return {name: np.concatenate([part[name] for _, part in parts])[order] for name in parts[0][1]}
