"""The pool as a folder of images, known by their content: moved and changed files are found.

An image is its bytes: a file that was moved or renamed is the same image, and one whose bytes
changed is another. The index keeps every image that ever was in the folder, in the order in which
they came.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.process.progress import track
from models.process.text import abridged, one_line, shown
from tasks.images import read_header
from tools.deploy.images import find
from tools.label.labels import LabelError, PoolImage
from tools.label.versions import listed

BLOCK = 1 << 20  # bytes that are read at once
NAMED = 5  # examples in a note


@dataclass(frozen=True)
class Known:
    """An image of the index.

    Args:
        image: as it was found last.
        bytes: of the file.
        mtime: when the file was changed, in nanoseconds: a file that has this size and this time
            still is not read again.
        inode: of the file, which goes with it when it is renamed: names that were swapped are seen.
        there: whether the folder holds it now.
        copies: keys of other files with its bytes.
    """

    image: PoolImage
    bytes: int
    mtime: int
    inode: int
    there: bool = True
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """All images that ever were in the folder, in the order in which they came."""

    root: Path
    known: tuple[Known, ...] = ()

    @property
    def present(self) -> tuple[PoolImage, ...]:
        """The images that the folder holds."""
        return tuple(one.image for one in self.known if one.there)

    @property
    def absent(self) -> tuple[PoolImage, ...]:
        """Those that it does not hold any more."""
        return tuple(one.image for one in self.known if not one.there)

    @property
    def copies(self) -> dict[str, PoolImage]:
        """The images of which there are copies, by the keys of these."""
        return {key: one.image for one in self.known if one.there for key in one.copies}

    def text(self) -> str:
        """As json, with a line for each image."""
        rows = [json.dumps(_plain(one)) for one in self.known]
        return listed({"root": str(self.root)}, "images", rows)


def index_of(text: str) -> Index:
    """Read what `Index.text` wrote.

    Raises:
        ValueError, KeyError, TypeError: if it is damaged.
    """
    values = json.loads(text)
    root = Path(values["root"])
    return Index(root, tuple(_known(root, row) for row in values["images"]))


def _plain(one: Known) -> dict[str, Any]:
    image = one.image
    return {
        "key": image.key,
        "sha256": image.sha256,
        "size": list(image.size),
        "turned": image.turned,
        "bytes": one.bytes,
        "mtime": one.mtime,
        "inode": one.inode,
        "there": one.there,
        "copies": list(one.copies),
    }


def _known(root: Path, values: dict[str, Any]) -> Known:
    width, height = map(int, values["size"])
    key = str(values["key"])
    turned = bool(values["turned"])
    image = PoolImage(key, root / key, (width, height), str(values["sha256"]), turned)
    size, mtime, inode = (int(values[name]) for name in ("bytes", "mtime", "inode"))
    copies = tuple(map(str, values.get("copies", ())))  # earlier versions kept none
    return Known(image, size, mtime, inode, bool(values["there"]), copies)


@dataclass(frozen=True)
class Scan:
    """What a look into the folder found.

    Args:
        index: as it is now.
        notes: what came, went, moved, changed, is there twice, or cannot be read; a line each.
    """

    index: Index
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """A readable image of the folder, with the hash of its bytes."""

    image: PoolImage
    bytes: int
    mtime: int
    inode: int


def scan(before: Index) -> Scan:
    """Look into the folder, and compare it with the index.

    Raises:
        LabelError: if there is no such folder, or a name cannot be a line of a file.
    """
    root = before.root
    if not root.is_dir():
        raise LabelError(f"{root}: expected the folder of images, but there is none; put it back")
    found = find(root)
    odd = [file.name for file in found.files if not one_line(file.name)]
    if odd:
        raise LabelError(
            f"{root}: expected names of files in one line of UTF-8, but got {shown(odd[0])} "
            f"({len(odd)} such); rename them"
        )
    seen = {(one.image.key, one.bytes, one.mtime, one.inode): one.image for one in before.known}
    hashed = [_file(root, file.name, seen) for file in track(found.files, "hashing images")]
    return _compared(before, hashed, [*found.unreadable, *found.notes])


def _file(root: Path, key: str, seen: dict[tuple[str, int, int, int], PoolImage]) -> _File:
    path = root / key
    status = path.stat()
    about = (status.st_size, status.st_mtime_ns, status.st_ino)
    same = seen.get((key, *about))
    if same is None:
        width, height, turned = _size(path)
        same = PoolImage(key, path, (width, height), digest(path), turned)
    return _File(same, *about)


def _size(path: Path) -> tuple[int, int, bool]:
    """Width and height as the EXIF turns the image, and whether it does by a quarter."""
    reading = read_header(path)
    try:
        next(reading)
    except StopIteration as end:
        header = end.value
        return *header.size, header.size != header.stored
    raise LabelError(f"{path} was changed while it was read; run the command again")


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal digits."""
    value = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            value.update(block)
    return value.hexdigest()


def _compared(before: Index, files: Sequence[_File], notes: list[str]) -> Scan:
    first: dict[str, _File] = {}
    copies: dict[str, list[str]] = defaultdict(list)
    kept = {one.image.sha256: one.image.key for one in before.known}
    for file in sorted(files, key=lambda one: one.image.key != kept.get(one.image.sha256)):
        other = first.setdefault(file.image.sha256, file)
        if other is not file:
            copies[file.image.sha256].append(file.image.key)
    told = [f"{key} = {first[sha].image.key}" for sha, keys in copies.items() for key in keys]
    found = {sha: _now(file, copies[sha]) for sha, file in first.items()}
    known = []
    moved = []
    for one in before.known:
        now = found.pop(one.image.sha256, None)
        if now is None:
            known.append(replace(one, there=False, copies=()))
            continue
        if now.image.key != one.image.key:
            moved.append(f"{one.image.key} -> {now.image.key}")
        known.append(now)
    new = sorted(found.values(), key=lambda one: one.image.key)
    gone = {one.image.key for one in known if not one.there}
    changed = sorted(gone & {one.image.key for one in new})
    gone -= set(changed)
    notes += _told("copies of another image, which are labeled once", told)
    notes += _told("images were moved", moved)
    notes += _told("images have other bytes than before: they are new ones", changed)
    notes += _told("images are gone: their labels are kept, and not trained on", sorted(gone))
    if before.known:
        joined = [one.image.key for one in new if one.image.key not in changed]
        notes += _told("new images join the pool", joined)
    return Scan(Index(before.root, (*known, *new)), tuple(notes))


def _now(file: _File, copies: Sequence[str]) -> Known:
    return Known(file.image, file.bytes, file.mtime, file.inode, copies=tuple(copies))


def _told(what: str, which: Sequence[str]) -> list[str]:
    if not which:
        return []
    return [f"{len(which):,} {what}: {abridged(which, NAMED)}"]
