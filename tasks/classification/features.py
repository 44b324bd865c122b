"""Rows of numbers that are computed once and kept in a file, for every process that asks again.

A file is written whole or not at all, under the hash of everything that its rows follow from. Its
own hash lies beside it: what is damaged, or not ours, is made anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.process.files import locked, replacing, sha256

Fill = Callable[[np.ndarray], None]
WAIT = 0.5  # seconds between two looks at whether another process has made the rows
DAMAGED = (OSError, ValueError, KeyError, TypeError)


def kept_rows(folder: Path, key: str, shape: tuple[int, int], fill: Fill) -> np.ndarray:
    """The rows of a key, from the folder, or made and kept there.

    Of several processes one makes them, and the others wait.

    Args:
        folder: made where it is missing.
        key: hash of all that the rows follow from; the file's name.
        shape: rows and columns.
        fill: puts the numbers into an array of zeros.

    Returns:
        float32 rows of this shape in a memory map; what is written to them stays in this process.

    Raises:
        OSError: if the folder cannot be written to, or has no room.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> def fill(rows):
        ...     print("computed")
        ...     rows[:] = 7
        >>> for _ in range(2):  # the second time it is read
        ...     rows = kept_rows(folder, "sevens", (2, 3), fill)
        computed
        >>> rows.tolist()
        [[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]
    """
    path = folder / f"{key}.npy"
    while (found := _whole(path, shape)) is None:
        try:
            with locked(folder / f".{key}.lock"):
                if _whole(path, shape) is None:
                    _make(path, shape, fill)
                    if _whole(path, shape) is None:
                        raise OSError(
                            f"{path}: expected the rows that were just written, but got others; "
                            "name another folder as task.cache"
                        )
        except BlockingIOError:
            time.sleep(WAIT)
    return found


def size_of(shape: tuple[int, int]) -> int:
    """Bytes of such rows."""
    return shape[0] * shape[1] * np.dtype(np.float32).itemsize


def there(folder: Path, key: str) -> bool:
    """Whether a file of this key is there; whether it is whole is seen when it is read."""
    return (folder / f"{key}.npy").is_file()


def digest_of(*parts: object) -> str:
    """A hash over numbers, texts, and lists and dicts of them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _make(path: Path, shape: tuple[int, int], fill: Fill) -> None:
    with replacing(path) as beside:
        rows = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape)
        fill(rows)
        rows.flush()
        about = {"sha256": sha256(beside)}
        # first: a file that is there has its hash
        with replacing(_about(path)) as note:
            note.write_text(json.dumps(about), encoding="utf-8")


def _whole(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The rows of a file that is there and undamaged; else None."""
    try:
        if json.loads(_about(path).read_text(encoding="utf-8"))["sha256"] != sha256(path):
            return None
        rows = np.load(path, mmap_mode="c", allow_pickle=False)
    except DAMAGED:
        return None
    fits = isinstance(rows, np.ndarray) and (rows.shape, rows.dtype) == (shape, np.float32)
    return rows if fits else None


def _about(path: Path) -> Path:
    return path.with_suffix(".json")
