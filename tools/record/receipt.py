"""The receipt of a cycle: hashes of everything that its query came from.

It is saved beside the query, and `al_verify.py` checks it.

A receipt is a function of config, data, weights, and the number of processes and threads: a run
that was killed and resumed leaves the same bytes. Receipts are a chain: each also holds the hash of
its cycle's row, times aside, and of the receipt before it, and `state.json` holds that of the last
one. Times differ from run to run; their hashes are a chain of their own, in `seconds.txt`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acquisition import canary
from acquisition.pool import Pool
from acquisition.query import Query
from models.process.ranks import get_world_size
from tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor

    from models.training.committee import Member
    from models.training.joint import JointModel

# what -> its sha256 in hexadecimal digits; "device" -> "cpu" or another kind; "made" -> by which
# number of processes
Receipt = dict[str, str]
TIMES = "seconds/"  # how keys of a row begin that are of the machine's load


def receipt_of(
    task: Task, pool: Pool, model: JointModel, members: Sequence[Member], query: Query | None
) -> Receipt:
    """The receipt of a cycle.

    Args:
        task: whose data the taps are of.
        pool: of the cycle, before its query.
        model: that was evaluated and scored.
        members: the committee that the strategy asked.
        query: with all of its signals; None in the last cycle.
    """
    import torch  # receipts are read without it

    others = dict.fromkeys(member.model for member in members if member.model is not model)
    found = {
        "labeled": digest(np.array(pool.labeled, dtype=np.int64)),
        "weights": weights_digest(model.state_dict()),
    }
    found |= {
        f"weights/member{n}": weights_digest(other.state_dict())
        for n, other in enumerate(others, 2)
    }
    found |= {"taps": taps_digest(task, model), "device": next(model.parameters()).device.type}
    found["made"] = f"{get_world_size()} processes of {torch.get_num_threads()} threads"
    return found | (
        {} if query is None else {name: digest(values) for name, values in content(query).items()}
    )


def chained(
    receipt: Mapping[str, str], row: Mapping[str, Any], before: Mapping[str, str]
) -> Receipt:
    """A receipt that also holds the hashes of its cycle's row and, but for the first
    cycle's, of the receipt before.
    """
    found = {**receipt, "row": row_digest(row)}
    return found | ({"before": receipt_digest(before)} if before else {})


def row_digest(row: Mapping[str, Any]) -> str:
    """Of a row of `metrics.jsonl`, its times aside."""
    return _text_digest({key: value for key, value in row.items() if not key.startswith(TIMES)})


def times_digest(row: Mapping[str, Any], before: str) -> str:
    """Of a row's times, and of the hash of those of the cycle before."""
    return _text_digest(
        [before, {key: value for key, value in row.items() if key.startswith(TIMES)}]
    )


def receipt_digest(receipt: Mapping[str, str]) -> str:
    """Of all that is in a receipt."""
    return _text_digest(dict(receipt))


def _text_digest(value: Any) -> str:
    """Of what JSON can hold, in one order: read back from a file it has the same."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def content(query: Query) -> dict[str, np.ndarray]:
    """A query as named arrays: those that are saved and hashed."""
    arrays = {"candidates": query.candidates, "picked": query.picked}
    arrays |= {f"signal/{name}": values for name, values in query.signals.items()}
    return arrays | {f"labeled/{name}": values for name, values in query.labeled.items()}


def packed(query: Query | None, receipt: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Query and receipt as the named arrays of one file."""
    arrays = {f"receipt/{name}": np.array(value) for name, value in receipt.items()}
    return ({} if query is None else content(query)) | arrays


def unpacked(arrays: Mapping[str, np.ndarray]) -> tuple[Query | None, Receipt]:
    """What `packed` packed.

    Raises:
        KeyError: if there are candidates and no picks.
    """

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {
            name.removeprefix(prefix): values
            for name, values in arrays.items()
            if name.startswith(prefix)
        }

    receipt = {name: str(value) for name, value in part("receipt/").items()}
    if "candidates" not in arrays:
        return None, receipt
    return Query(arrays["candidates"], part("signal/"), arrays["picked"], part("labeled/")), receipt


def digest(array: np.ndarray) -> str:
    """Of type, shape and numbers."""
    found = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Of a whole `state_dict`: names, types, shapes and numbers, in its order."""
    found = hashlib.sha256()
    for name, tensor in state.items():
        _add(found, name, tensor)
    return found.hexdigest()


def taps_digest(task: Task, model: JointModel) -> str:
    """Of the taps: names, channels, and the feature maps (float32) of `canary.CANARIES` samples of
    the pool.

    They are computed one by one, so that neither the batch size nor the candidates have a part in
    it.
    """
    import torch

    data, found = task.dataset("pool"), hashlib.sha256()
    model.eval()
    with torch.inference_mode():
        # torch declares no length
        for i in canary.chosen(range(len(data)), canary.CANARIES):  # type: ignore[arg-type]
            taps = model.output(task.collate([data[i]]), frozenset()).taps
            for tap, maps in zip(task.taps, taps, strict=True):
                _add(found, f"{i} {tap.name} {tap.channels}", maps.float())
    return found.hexdigest()


def _add(found: Any, name: str, tensor: Tensor) -> None:
    import torch

    found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    # one has any stride
    numbers = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
    found.update(numbers.view(torch.uint8).numpy())
