"""Read files of a run folder that anybody may have written.

Files must be regular, inside the folder and of bounded size. No code in them is run.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from models.process.text import shown

MIB = 1 << 20
SMALL = 16 * MIB  # bytes of a file of settings
ROWS = 64 * MIB  # of metrics.jsonl: 100 cycles of 1,200 classes take 5 MB
NAMES = 1024 * MIB  # of samples.txt: 20 million names of 50 characters
STATE = 256 * MIB  # of state.json: as many ids
DEEPEST = 40  # dicts and lists inside each other in settings


class RunFolderError(Exception):
    """A run folder that does not fit what is to be run, or that is damaged.

    The message says what to do.
    """


def sound(folder: Path) -> None:
    """Check that a run folder holds files and folders only: no links out of it, pipes or devices.

    A link to `/etc/passwd` would be shown, one to a file of the user's written over, and a pipe
    waited for. The folder itself may be a link. What W&B keeps below `wandb` is its own, and links
    to logs elsewhere.

    Raises:
        RunFolderError: with the first entry that is something else.
    """
    home = folder.resolve()
    for path in _entries(folder):
        try:
            mode = path.stat().st_mode
            inside = home in path.resolve().parents
        except (OSError, RuntimeError) as error:  # a link to nowhere or in a circle
            if not os.path.lexists(path):
                continue  # of a run that goes on: written beside its place, and renamed since
            raise RunFolderError(
                f"{path} cannot be read ({error}); take it away, or restore it"
            ) from error
        if not inside:
            what = f"{path} is a link out of the run folder, to {os.path.realpath(path)}"
            raise RunFolderError(f"{what}; put the file itself there (cp -L)")
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise RunFolderError(
                f"{path}: expected a file or a folder, but got {_kind(mode)}; take it away"
            )


def _entries(folder: Path) -> Iterator[Path]:
    """Yield the entries of the folder and of its subfolders, but for those below `wandb`."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = folder / entry.name
                yield path
                if entry.is_dir(follow_symlinks=False) and entry.name != "wandb":
                    yield from _entries(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be read ({error}); give yourself the right to read it"
        ) from error


def _kind(mode: int) -> str:
    kinds = {
        stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((name for test, name in kinds.items() if test(mode)), "a folder")


def content(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes.

    Raises:
        RunFolderError: if it is missing, cannot be read, is larger, or is no file.
    """
    try:
        # a pipe would be waited for
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            _regular(path, file, most)
            return file.read(most)
    except OSError as error:
        what = f"{path} cannot be read ({type(error).__name__}: {error})"
        raise RunFolderError(f"{what}; restore it from a backup") from error


def text(path: Path, most: int) -> str:
    """Read a file of UTF-8 of at most `most` bytes.

    Raises:
        RunFolderError: as `content`, and where it is another encoding.
    """
    try:
        return content(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{path} is damaged ({error}); restore it from a backup") from error


def _regular(path: Path, file: IO[bytes], most: int) -> int:
    """Return the size of an open file; RunFolderError if it is no file, or larger than `most`."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise RunFolderError(
            f"{path}: expected a file, but got {_kind(status.st_mode)}; take it away, or restore it"
        )
    if status.st_size > most:
        raise RunFolderError(
            f"{path}: expected at most {most:,} bytes, but got {status.st_size:,}; restore it"
        )
    return status.st_size


def parsed(source: str) -> Any:
    """Parse a text of JSON.

    Raises:
        ValueError: if it is no JSON, has a key twice, or brackets in brackets without end.
    """
    try:
        return json.loads(source, object_pairs_hook=_object)
    except (RecursionError, MemoryError) as error:
        raise ValueError("too many brackets in brackets") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):  # readers of JSON differ in which one they keep
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(double)} twice in one object")
    return values


def row(line: str) -> dict[str, Any]:
    """Parse a line of metrics.jsonl: null, and numbers of at most 64 bits, by name.

    Raises:
        ValueError: if something else is in it.
    """
    values = parsed(line)
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, but got {shown(values)}")
    for key, value in values.items():
        large = isinstance(value, int) and abs(value) >= 1 << 63
        if large or isinstance(value, dict | list | str):
            raise ValueError(
                "expected a number of at most 64 bits or null, but got "
                f"{shown(key)}: {shown(value)}"
            )
    return values


def shallow(value: Any, left: int = DEEPEST) -> None:
    """Raise ValueError where more than `left` dicts and lists lie inside each other."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        if not left:
            raise ValueError(f"more than {DEEPEST} brackets in brackets")
        for item in value:
            shallow(item, left - 1)


def arrays(path: Path, part: str = "") -> dict[str, np.ndarray]:
    """Read the arrays of a file that `np.savez` wrote.

    None of them may be pickled, packed, or larger than the file.

    Args:
        path: of the file.
        part: the beginning of the names of the arrays that are wanted.

    Raises:
        RunFolderError: if the file is damaged, of another kind, or more than fits into memory.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            stored(file, _regular(path, file, free_memory()))
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored_arrays:
                names = [name for name in stored_arrays if name.startswith(part)]
                return {name: stored_arrays[name] for name in names}
    except RunFolderError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged bytes
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error


def stored(file: IO[bytes], size: int) -> None:
    """Check the sizes in an npz: no more than `size` bytes, and no array larger than its bytes.

    Raises:
        BadZipFile: where it is no npz, or holds more.
    """
    if not zipfile.is_zipfile(file):  # NumPy would report that other bytes hold pickles
        raise zipfile.BadZipFile("no npz file, or its end is missing")
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise zipfile.BadZipFile("two arrays of one name")
        compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if compressed or sum(entry.file_size for entry in entries) > size:
            raise zipfile.BadZipFile("expected arrays as np.savez stores them, but got packed ones")
        for entry in entries:
            with archive.open(entry) as member:
                _whole(entry, member)


def _whole(entry: zipfile.ZipInfo, member: IO[bytes]) -> None:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0
    else:
        header = np.lib.format.read_array_header_2_0
    shape, _, dtype = header(member)
    values = math.prod(shape)
    stored_bytes = entry.file_size - member.tell()
    if dtype.hasobject:
        raise zipfile.BadZipFile(
            f"expected numbers or text in {shown(entry.filename)}, but got pickled objects"
        )
    if stored_bytes != values * dtype.itemsize or (not dtype.itemsize and values > 1):
        what = f"{values:,} values of {dtype.itemsize} bytes in {shown(entry.filename)}"
        raise zipfile.BadZipFile(f"expected {what}, but got {stored_bytes:,} bytes")


def free_memory() -> int:
    """Return the bytes that are free without swapping; all memory where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(
            int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")
        )
    except (OSError, ValueError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
