"""The names of the pool's samples by id, a line of `samples.txt` each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from tools.record import files
from tools.record.comparable import MISSING
from tools.record.files import RunFolderError
from tools.record.writing import write_whole

FILE = "samples.txt"


def write(folder: Path, names: Sequence[str]) -> None:
    """Write the names, over those that are there."""
    write_whole(folder / FILE, "".join(f"{name}\n" for name in names).encode())


def keep(folder: Path, names: Sequence[str]) -> None:
    """Write the names when a run begins; later check that they are the same.

    Raises:
        RunFolderError: if they are others, with the first one.
    """
    written = folder / FILE
    if not written.exists():
        write(folder, names)
    before = written.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    if before != list(names):
        pairs = itertools.zip_longest(before, names, fillvalue=MISSING)
        place, (old, new) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise RunFolderError(
            f"{written} is of other data: sample {place} is {old!r} there, and {new!r} now"
        )


def read(folder: Path) -> list[str]:
    """Read the names.

    Raises:
        RunFolderError: if the file cannot be read.
    """
    return files.text(folder / FILE, files.NAMES).split("\n")[:-1]
