"""`first.npz`: how the first samples of a run were chosen, where features chose them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from acquisition.query import Query
from tools.record import files
from tools.record.files import RunFolderError
from tools.record.receipt import Receipt, content, digest, packed, unpacked
from tools.record.writing import write_whole

NAME = "first.npz"


def keep(folder: Path, query: Query) -> None:
    """Write it."""
    arrays = packed(query, {})
    write_whole(folder / NAME, partial(np.savez, **arrays))  # type: ignore[arg-type]


def kept(folder: Path) -> Query | None:
    """Read it; None where there is none.

    Raises:
        RunFolderError: if it is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        query, _ = unpacked(files.arrays(path, ""))
    except KeyError as error:
        raise RunFolderError(f"{path} is damaged (KeyError: {error}); restore it") from error
    if query is None:
        raise RunFolderError(f"{path} is damaged: it holds no candidates; restore it")
    return query


def receipt_part(folder: Path) -> Receipt:
    """The hashes of what it holds, for a cycle's receipt; none where there is no such file."""
    return {f"first/{name}": digest(values) for name, values in content(kept(folder)).items()}
