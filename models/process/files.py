"""Files that a kill, a full disk or a second process must not leave half-written.

Kept by hand: the usual lock libraries use flock, which data-loading processes inherit, so that a
killed run would stay locked as long as one of its workers lives.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK = 1 << 24  # bytes that are hashed at once


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a path beside `path` to write to.

    When the block ends without an error, the file is flushed to disk and renamed to `path`.

    A file that is there already is removed first: a killed process left it, or it is a link,
    through which another file would be overwritten. Where the block fails, the new file is removed
    and `path` stays.

    Raises:
        OSError: if the folder cannot be written to, or there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # suffixes mean something to NumPy and Matplotlib
    beside = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        _clear(beside)
        yield beside
        _flush(beside)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):  # if the folder itself failed, there is nothing to remove
            beside.unlink()
        raise
    _flush(path.parent)  # or a power cut could undo the renames of two files in the wrong order


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock `path` for this process while the block runs.

    The file names the process that holds the lock. A process that ends in any way releases it.

    Raises:
        BlockingIOError: if another process holds it; the message names that process.
        OSError: if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    followed = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW  # of a link the target would be emptied
    with open(os.open(path, followed, 0o666), "r+", encoding="utf-8") as file:
        try:
            # not flock: data-loading processes, which may live longer, would inherit it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise BlockingIOError(file.read().strip() or "another process") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _clear(path: Path) -> None:
    path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flush a folder's names or a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, which need not fit into memory.

    Raises:
        OSError: if it cannot be read.
    """
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
