"""Faults of a data set, found before any training: the parts that all tasks share.

Every check is a generator: it yields the faults that it finds and returns what it could read (None
where it could not). Bad data raises nothing, and the checks after a fault go on with what there is.
"""

from __future__ import annotations

import functools
import json
import math
import os
import stat
from collections.abc import Generator
from pathlib import Path, PurePath
from typing import TypeVar

from models.process.text import _SHORT, folded, one_line, otherwise, printable, reason, shown

T = TypeVar("T")
Reading = Generator["Fault", None, T]
Size = tuple[float, float]  # (width, height) in pixels

LIST_BYTES = 100 << 20
SEPARATORS = r"{} names of image files have Windows' separators: '\' is taken as '/'"  # a note

_SHORT.maxstring = _SHORT.maxother = 100


class Fault(str):
    """One thing that is wrong: the sentence for the user, which also keeps its parts.

    Args:
        kind: which check found it: `tasks.grouping` counts faults by it.
        where: the file's full path, then the line or object in it.
    """

    kind: str
    where: str
    expected: str
    came: str
    remedy: str

    def __new__(cls, kind: str, where: str, expected: str, came: str, remedy: str) -> Fault:
        """The sentence."""
        fault = super().__new__(
            cls, printable(f"{where}: expected {expected}, but got {came}; {remedy}")
        )
        fault.kind = kind
        fault.where = where
        fault.expected = expected
        fault.came = came
        fault.remedy = remedy
        return fault

    def __getnewargs__(self) -> tuple[str, ...]:  # type: ignore[override]  # of str: its text alone
        return self.kind, self.where, self.expected, self.came, self.remedy


def escapes(path: str) -> bool:
    """Whether the relative `path` of a list or json leads out of the data set's folder."""
    return PurePath(path).is_absolute() or ".." in PurePath(path).parts


def misleads(name: str) -> bool:
    """Whether a file's name leads out of its folder, or cannot be a line of `samples.txt`."""
    return escapes(name) or not one_line(name)


def slashed(folder: Path, name: str) -> str:
    r"""A file's name with Windows' separators, "sub\1.jpg", as "sub/1.jpg".

    Unless `folder` has a file of that name.
    """
    if "\\" not in name or os.path.lexists(folder / name):
        return name
    return name.replace("\\", "/")


def finite(value: object) -> bool:
    """Whether a value of a json is a finite number; true and false are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of over 300 digits
        return False


def path_fault(path: Path, what: str, remedy: str, most: int = 0) -> Fault | None:
    """Return a fault unless `path` is a file of at most `most` bytes (with `most` 0: a folder)."""
    kind = "file" if most else "folder"
    right = stat.S_ISREG if most else stat.S_ISDIR
    expected = f"{what} (a {kind})"
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Fault(
            f"missing {what}", str(path), expected, f"nothing at this path{_instead(path)}", remedy
        )
    except (OSError, ValueError) as error:
        return Fault(f"unreadable {what}", str(path), expected, reason(error), remedy)
    if not right(status.st_mode):
        return Fault(
            f"unreadable {what}", str(path), expected, f"something that is not a {kind}", remedy
        )
    if most and status.st_size > most:
        return Fault(
            f"unreadable {what}",
            str(path),
            f"{what} of at most {most} bytes",
            str(status.st_size),
            remedy,
        )
    return None


def _instead(path: Path) -> str:
    """The remark on what exists in place of a missing file or folder.

    It names one of nearly the same name, or the first folder above that is missing.
    """
    if os.path.islink(path):
        return f" (a link to {shown(os.readlink(path))}, which is not there)"
    home = next((folder for folder in path.parents if os.path.isdir(folder)), path.parent)
    if home != path.parent:
        return f" ({home} has no folder {path.relative_to(home).parts[0]!r})"
    names = _names(str(home), os.stat(home).st_mtime_ns)
    other = names.get(folded(path.name)) or names.get(f"{folded(path.stem)}.*")
    if not other:
        return ""
    return f" (but {other!r} is there{otherwise(path.name, other)})"


@functools.lru_cache(maxsize=16)
def _names(folder: str, _: int) -> dict[str, str]:
    """The entries of a folder by their folded name, and by that without suffix.

    The second argument, the time of the folder's last change, is for the cache.
    """
    entries: dict[str, str] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return entries
    for name in names:
        stem, suffix = os.path.splitext(name)
        entries.setdefault(folded(name), name)
        if suffix:
            entries.setdefault(f"{folded(stem)}.*", name)
    return entries


def read_file(path: Path, what: str, remedy: str, most: int) -> Reading[bytes | None]:
    """Read a file of at most `most` bytes."""
    fault = path_fault(path, what, remedy, most)
    if fault is None:
        try:
            return path.read_bytes()
        except OSError as error:
            fault = Fault(
                f"unreadable {what}", str(path), f"{what} that can be read", reason(error), remedy
            )
    yield fault
    return None


def read_json(
    path: Path, kind: type[T], form: str, remedies: tuple[str, str], most: int
) -> Reading[T | None]:
    """Read a json of at most `most` bytes.

    Args:
        kind: dict or list, what must be at the top; `form` is the same in words.
        remedies: what to do if there is no file, and where something else is at the top.
    """
    content = yield from read_file(path, "json", remedies[0], most)
    if content is None:
        return None
    try:
        data = json.loads(text_of(content), object_pairs_hook=_object)
    except (ValueError, RecursionError, MemoryError) as error:
        yield Fault(
            "broken json", str(path), "json that parses", reason(error), "write the file anew"
        )
        return None
    if isinstance(data, kind):
        return data
    yield Fault("broken json", str(path), form, shown(data), remedies[1])
    return None


def text_of(content: bytes) -> str:
    """Decode a json in UTF-8, -16 or -32, with or without a byte order mark.

    Windows' editors write each.
    """
    return content.decode(json.detect_encoding(content))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a json; a repeated key is refused, as readers differ in which one they keep."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(
            f"the key {shown(next(key for key in keys if keys.count(key) > 1))} twice in one object"
        )
    return result
