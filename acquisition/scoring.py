"""The scoring pass over the candidates.

Ids travel with their rows, so that order, workers and processes do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from models.training.loading import loader, read

Collate = Callable[[list], dict[str, Any]]


class WithId(Dataset):
    """Samples beside their own ids, so that no position can be taken for an id."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list[tuple[int, Any]]:
        """Read a batch of samples with their ids; at once where the dataset can."""
        return list(zip(indices, read(self.dataset, indices), strict=True))


class Ids:
    """Ids one by one as Python's numbers, without a list of all of them."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return map(int, self.ids)


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
    """

    title: str = "scoring"
    committee: Sequence[Member] = ()
    tap: int = -1
    scratch: Path | None = None


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
        For each signal float32 rows (N,) or (N, D), in the order of `ids`, the same on every
        process.

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
        return {name: np.zeros(0, np.float32) for name in names}
    share = ids[get_rank() :: get_world_size()]
    gather = partial(_collate, collate=samples.collate)
    batches = loader(WithId(samples.dataset), Ids(share), settings.size, settings.workers, gather)
    model.eval()

    def rows_of(batch: dict[str, Any], count: int) -> tuple[dict[str, Tensor], bool]:
        """The signals of a batch, and whether distributions have weights."""
        evidence = _evidence(model, batch, names, settings, how)
        with full_precision(next(model.parameters()).device):
            return {name: _rows(name, evidence, count) for name in names}, evidence.weighted

    def alone(i: int) -> tuple[dict[str, np.ndarray], bool]:
        """The signals of one sample, computed without others."""
        rows, weighted = rows_of(samples.collate([samples.dataset[i]]), 1)
        return {name: values[0] for name, values in _numbers(rows).items()}, weighted

    table = Table(len(share), how.scratch)
    networks = {id(m): m.network for m in (model, *(member.model for member in how.committee))}
    with inference(networks.values(), settings.amp, settings.channels_last):
        waiting: tuple[list[int], dict[str, Tensor]] | None = None
        for batch_ids, batch in track(batches, how.title):
            rows, _ = rows_of(batch, len(batch_ids))
            # one batch behind: a GPU has its next work before this waits for numbers of the last
            if waiting:
                table.add(waiting[0], _numbers(waiting[1]))
            waiting = batch_ids, rows
        if waiting:
            table.add(waiting[0], _numbers(waiting[1]))
        scores = _in_order(ids, table.ids, table.rows)
        canary.check(ids, scores, share, alone, how.title, rounded=settings.amp)
    return scores


def _collate(pairs: list[tuple[int, Any]], collate: Collate) -> tuple[list[int], dict[str, Any]]:
    return [i for i, _ in pairs], collate([sample for _, sample in pairs])


def _evidence(
    model: JointModel,
    batch: dict[str, Any],
    names: Sequence[str],
    settings: ScoringSettings,
    how: Pass,
) -> signals.Evidence:
    """What the signals read of one batch: a pass of the model, one of each member, or both."""
    own = [name for name in names if signals.known(name).committee is None]
    counted = signals.fields(name for name in names if name not in own)
    output = votes = None
    if own:
        output = model.output(batch, signals.fields(own))
    if counted:
        votes = signals.vote(member(batch, counted) for member in how.committee)
    return signals.Evidence(model, output, votes, settings.aggregate, how.tap)


def _rows(name: str, evidence: signals.Evidence, count: int) -> Tensor:
    rows = signals.known(name).rows(evidence)
    if rows.dim() not in (1, 2) or len(rows) != count:
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
