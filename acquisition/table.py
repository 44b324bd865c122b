"""A table of signals that batches fill row by row.

It takes memory for the expected number of rows and no more, or a file on disk if that is large.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# bytes of one signal, from which on its rows lie in a file that memory is a view of
MAPPED = 1 << 30


class Table:
    """Rows (N,) or (N, D) of each signal, beside the ids that they belong to.

    Args:
        count: rows that will come.
        scratch: folder for files without a name, gone with their arrays; the system's by default.

    Attributes:
        rows: signal -> float32, the first rows filled; nothing before the first batch.
    """

    def __init__(self, count: int, scratch: Path | None = None) -> None:
        self.count = count
        self.scratch = scratch
        self.rows: dict[str, np.ndarray] = {}
        self._ids: list[np.ndarray] = []
        self._filled = 0

    @property
    def ids(self) -> np.ndarray:
        """Ids (M,) in the order in which they were added.

        They include rows beyond `count`, which are not kept.
        """
        if not self._ids:
            return np.zeros(0, np.int64)
        return np.concatenate(self._ids)

    def add(self, ids: Sequence[int], rows: Mapping[str, np.ndarray]) -> None:
        """Add a batch's ids (B,) and rows (B,) or (B, D)."""
        self.put(self._filled, rows)
        self._ids.append(np.asarray(ids, dtype=np.int64))
        self._filled = min(self._filled + len(ids), self.count)

    def put(self, start: int, rows: Mapping[str, np.ndarray]) -> None:
        """Write rows (B,) or (B, D) from a place on, in whatever order parts of a pass come."""
        for name, values in rows.items():
            if name not in self.rows:
                self.rows[name] = empty((self.count, *values.shape[1:]), self.scratch)
            end = min(start + len(values), self.count)
            self.rows[name][start:end] = values[: end - start]


def empty(shape: tuple[int, ...], scratch: Path | None = None) -> np.ndarray:
    """An uninitialised float32 array; from `MAPPED` bytes on a memory map.

    Raises:
        OSError: if the disk has no room for it.
    """
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    if size < MAPPED:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile(dir=scratch) as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            # a full disk is an error here; later it would be a crash
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.memmap(file, np.float32, "r+", shape=shape)
