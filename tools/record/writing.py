"""Files of a run folder that are there whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.process.files import replacing
from tools.record.files import RunFolderError


def write_whole(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a file that is there whole or not at all.

    Args:
        path: its folders are made.
        content: bytes, or what writes them to a path: so large arrays need not be in memory once
            more.

    Raises:
        RunFolderError: if it cannot be written.
    """
    try:
        with replacing(path) as beside:
            content(beside) if callable(content) else beside.write_bytes(content)
    except OSError as error:
        raise RunFolderError(
            f"Could not write {path}: {error}; earlier cycles are whole"
        ) from error
