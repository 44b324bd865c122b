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
from tasks.per_image import Kept
from tasks.per_image import packed as packed_tests

if TYPE_CHECKING:
    from torch import Tensor

    from models.training.committee import Member
    from models.training.joint import JointModel

# name -> sha256 in hexadecimal digits; "device" -> "cpu" or another kind; "made" -> the number of
# processes and threads
Receipt = dict[str, str]
TIMES = "seconds/"  # beginning of the keys of a row that depend on the machine's load


def receipt_of(
    task: Task, pool: Pool, model: JointModel, members: Sequence[Member], query: Query | None
) -> Receipt:
    """Return the receipt of a cycle.

    Args:
        task: gives the data for the taps.
        pool: of the cycle, before its query.
        model: that was evaluated and scored.
        members: of the strategy's committee.
        query: with all of its signals; None in the last cycle.
    """
    import torch  # receipts are read without it

    others = dict.fromkeys(member.model for member in members if member.model is not model)
    receipt = {
        "labeled": digest(np.array(pool.labeled, dtype=np.int64)),
        "weights": weights_digest(model.state_dict()),
    }
    if pool.validation:
        receipt["validation"] = digest(np.array(pool.validation, dtype=np.int64))
    for n, other in enumerate(others, 2):
        receipt[f"weights/member{n}"] = weights_digest(other.state_dict())
    receipt["taps"] = taps_digest(task, model)
    receipt["device"] = next(model.parameters()).device.type
    receipt["made"] = f"{get_world_size()} processes of {torch.get_num_threads()} threads"
    for name, values in content(query).items():
        receipt[name] = digest(values)
    return receipt


def chained(
    receipt: Mapping[str, str], row: Mapping[str, Any], before: Mapping[str, str]
) -> Receipt:
    """Return a receipt with the hashes of its cycle's row and of the receipt before.

    `before` is empty for the first cycle.
    """
    linked = {**receipt, "row": row_digest(row)}
    if before:
        linked["before"] = receipt_digest(before)
    return linked


def row_digest(row: Mapping[str, Any]) -> str:
    """Return the hash of a row of `metrics.jsonl`, without its times."""
    return _text_digest({key: value for key, value in row.items() if not key.startswith(TIMES)})


def times_digest(row: Mapping[str, Any], before: str) -> str:
    """Return the hash of a row's times together with the hash of the cycle before."""
    return _text_digest(
        [before, {key: value for key, value in row.items() if key.startswith(TIMES)}]
    )


def receipt_digest(receipt: Mapping[str, str]) -> str:
    """Return the hash of all that is in a receipt."""
    return _text_digest(dict(receipt))


def _text_digest(value: Any) -> str:
    """Return the hash of a value as JSON with sorted keys: the same once read from a file."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def content(query: Query | None) -> dict[str, np.ndarray]:
    """Return a query as the named arrays that are saved and hashed; none if there is no query."""
    if query is None:
        return {}
    arrays = {"candidates": query.candidates, "picked": query.picked}
    arrays |= {f"signal/{name}": values for name, values in query.signals.items()}
    return arrays | {f"labeled/{name}": values for name, values in query.labeled.items()}


def packed(query: Query | None, receipt: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return query and receipt as the named arrays of one file."""
    arrays = {f"receipt/{name}": np.array(value) for name, value in receipt.items()}
    return content(query) | arrays


def unpacked(arrays: Mapping[str, np.ndarray]) -> tuple[Query | None, Receipt]:
    """Return the query and the receipt that `packed` made arrays of.

    Raises:
        KeyError: if there are candidates and no picks.
    """

    def part(prefix: str) -> dict[str, np.ndarray]:
        """Return the arrays whose names begin so, without the prefix."""
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
    """Return the hash of an array's type, shape and numbers."""
    value = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    value.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return value.hexdigest()


def judged_digest(found: Kept) -> str:
    """Return the hash of a test image by image."""
    return _text_digest({name: digest(array) for name, array in packed_tests(found).items()})


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the hash of a `state_dict`: names, types, shapes and numbers, in its order."""
    value = hashlib.sha256()
    for name, tensor in state.items():
        _add(value, name, tensor)
    return value.hexdigest()


def taps_digest(task: Task, model: JointModel) -> str:
    """Return the hash of the taps: names, channels, and the feature maps (float32).

    The maps are of `canary.CANARIES` samples of the pool. They are computed one by one, so that
    neither the batch size nor the candidates have a part in it.
    """
    import torch

    data = task.dataset("pool")
    value = hashlib.sha256()
    model.eval()
    with torch.inference_mode():
        # torch declares no length
        for i in canary.chosen(range(len(data)), canary.CANARIES):  # type: ignore[arg-type]
            taps = model.output(task.collate([data[i]]), frozenset()).taps
            for tap, maps in zip(task.taps, taps, strict=True):
                _add(value, f"{i} {tap.name} {tap.channels}", maps.float())
    return value.hexdigest()


def _add(value: Any, name: str, tensor: Tensor) -> None:
    import torch

    value.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    # a tensor of one number may have any stride
    numbers = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
    value.update(numbers.view(torch.uint8).numpy())
