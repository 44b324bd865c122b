"""Write files of a run folder so that they are whole or absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.process.files import replacing
from tools.record.files import RunFolderError


def write_whole(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a file so that it is whole or absent.

    Args:
        path: its folders are made.
        content: bytes, or a function that writes them to a path, so that large arrays need not be
            in memory twice.

    Raises:
        RunFolderError: if it cannot be written.
    """
    try:
        with replacing(path) as beside:
            if callable(content):
                content(beside)
            else:
                beside.write_bytes(content)
    except OSError as error:
        raise RunFolderError(
            f"Could not write {path}: {error}; earlier cycles are whole"
        ) from error
