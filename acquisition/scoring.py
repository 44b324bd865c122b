"""The pass over the candidates: ids travel with their rows, whatever the order, the workers and the processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch.utils.data import Dataset

from acquisition import canary, signals
from models.committee import Member
from models.joint import JointModel
from models.loading import loader
from models.progress import track

Collate = Callable[[list], dict[str, Any]]


@dataclass(frozen=True)
class ScoringSettings:
    """The passes that do not train: evaluation, scoring, and the measure of the module's ranking.

    Args:
        batch_size: samples a forward pass.
        workers: data-loading processes.
        control: unlabeled samples, drawn at random in each cycle, on which the module's ranking is measured.
        aggregate: how the scores of a sample's distributions (boxes, joints) become one.
        embedding: name of the tap whose mean over the map is a sample's embedding; None means the last one.
        keep_vectors: save what strategies by place look at, a vector a candidate, so that `al_verify.py` can replay
            their picks; else its hash alone is saved.
    """

    batch_size: Annotated[int, Ge(1)]
    workers: Annotated[int, Ge(0)] = 2
    control: Annotated[int, Ge(0)] = 500
    aggregate: signals.Aggregate = "mean"
    embedding: str | None = None
    keep_vectors: bool = True


class WithId(Dataset):
    """Samples beside their own ids, so that no position can be taken for an id."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.dataset[index]


def score(
    model: JointModel, dataset: Dataset, collate: Collate, ids: Sequence[int] | np.ndarray, names: Sequence[str],
    settings: ScoringSettings, title: str = "scoring", committee: Sequence[Member] = (), tap: int = -1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Signals of some samples.

    Args:
        model: trained; it scores as it is, in evaluation mode.
        dataset: the pool as seen at test time, indexed by sample id.
        collate: the task's.
        ids: distinct sample ids (N,).
        names: signals to compute.
        settings: batch size and workers.
        title: what the progress bar says.
        committee: members whose votes some signals count, each asked about every batch.
        tap: number of the tap that is a sample's embedding.

    Returns:
        For each signal float32 rows (N,) or (N, D), in the order of `ids`, the same on every process.

    Raises:
        RuntimeError: where a signal does not have one row a sample, or samples got lost.
        CanaryError: where samples computed alone have other rows.
    """
    ids = [int(i) for i in ids]
    if not ids:
        return {name: np.zeros(0, np.float32) for name in names}
    share = ids[get_rank() :: get_world_size()]
    gather = partial(_collate, collate=collate)
    batches = loader(WithId(dataset), share, settings.batch_size, settings.workers, gather)
    model.eval()
    seen: list[int] = []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def rows_of(batch: dict[str, Any], count: int) -> tuple[dict[str, np.ndarray], bool]:
        evidence = _evidence(model, batch, names, settings, committee, tap)
        return {name: _rows(name, evidence, count) for name in names}, evidence.weighted

    def alone(i: int) -> tuple[dict[str, np.ndarray], bool]:
        rows, weighted = rows_of(collate([dataset[i]]), 1)
        return {name: values[0] for name, values in rows.items()}, weighted

    with torch.inference_mode():
        for batch_ids, batch in track(batches, title):
            for name, values in rows_of(batch, len(batch_ids))[0].items():
                parts[name].append(values)
            seen.extend(batch_ids)
        rows = _in_order(ids, seen, {name: np.concatenate(values) for name, values in parts.items() if values})
        canary.check(ids, rows, share, alone, title)
    return rows


def _collate(pairs: list[tuple[int, Any]], collate: Collate) -> tuple[list[int], dict[str, Any]]:
    return [i for i, _ in pairs], collate([sample for _, sample in pairs])


def _evidence(
    model: JointModel, batch: dict[str, Any], names: Sequence[str], settings: ScoringSettings,
    committee: Sequence[Member], tap: int,
) -> signals.Evidence:  # fmt: skip
    """What the signals look at for one batch: a forward pass of the model, one of each member, or both."""
    own = [name for name in names if signals.SIGNALS[name].committee is None]
    output = model.output(batch, signals.fields(own)) if own else None
    counted = signals.fields(name for name in names if name not in own)
    votes = signals.vote(member(batch, counted) for member in committee) if counted else None
    return signals.Evidence(model, output, votes, settings.aggregate, tap)


def _rows(name: str, evidence: signals.Evidence, count: int) -> np.ndarray:
    rows = signals.SIGNALS[name].rows(evidence)
    if rows.dim() not in (1, 2) or len(rows) != count:
        raise RuntimeError(f"Expected the signal {name!r} to have {count} rows, but got shape {tuple(rows.shape)}")
    return rows.float().cpu().numpy()


def _in_order(ids: list[int], seen: list[int], rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put every process's rows together, in the order of `ids`."""
    parts = [part for part in all_gather_object((seen, rows)) if part[0]]
    everyone = [i for part_ids, _ in parts for i in part_ids]
    if sorted(everyone) != sorted(ids):
        lost = sorted(set(ids) - set(everyone))
        raise RuntimeError(f"Expected {len(ids)} distinct scored samples, but got {len(everyone)}; lost: {lost[:5]}")
    position = {i: p for p, i in enumerate(everyone)}
    order = [position[i] for i in ids]
    return {name: np.concatenate([part[name] for _, part in parts])[order] for name in parts[0][1]}
