"""Find the images below a folder; whatever is left out is named or counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from models.process.text import abridged, reason
from tasks import litter
from tasks.images import FORMATS, read_header

REMEDY = "take it away"


@dataclass(frozen=True)
class ImageFile:
    """An image with a header that can be read.

    Args:
        path: of the file.
        name: the path below the folder, with "/".
        size: (width, height) in pixels as its EXIF turns it.
    """

    path: Path
    name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Images:
    """The images below a folder, sorted by name.

    Args:
        files: those that can be read.
        unreadable: a line for each image file and folder that cannot be read.
        notes: lines on files that are no images, on litter, and on what was not looked at.
    """

    files: tuple[ImageFile, ...]
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find(root: Path, limit: int | None = None) -> Images:
    """The images below a folder, at any depth.

    A file is an image if its header is one of `tasks.images.FORMATS`. One that is not is unreadable
    if its name ends like an image's, and else counted in a note. Links are followed, each folder
    once.

    Args:
        root: the folder.
        limit: of images; the first ones by name.
    """
    unreadable: list[str] = []
    folders: list[Path] = []
    paths = sorted(_below(root, folders, unreadable), key=lambda path: path.relative_to(root).parts)
    suffixes = _suffixes()
    files: list[ImageFile] = []
    others: Counter[str] = Counter()
    notes = []
    for place, path in enumerate(paths):
        if limit is not None and len(files) == limit:
            notes.append(f"--limit: {len(paths) - place:,} more files are not looked at")
            break
        faults = read_header(path, REMEDY)
        try:
            fault = next(faults)
        except StopIteration as end:
            files.append(ImageFile(path, path.relative_to(root).as_posix(), end.value.size))
            continue
        if path.suffix.lower() in suffixes:
            unreadable.append(str(fault))
        else:
            others[path.suffix or path.name] += 1
    if others:
        which = abridged([f"{count:,} {name!r}" for name, count in others.most_common()], 6)
        notes.append(f"{root}: {others.total():,} files are no images: {which}")
    return Images(tuple(files), tuple(unreadable), (*notes, *litter.skipped(folders, str(root))))


def _below(root: Path, folders: list[Path], unreadable: list[str]) -> Iterator[Path]:
    """Yield the files below a folder; add the folders that were listed, and what cannot be."""
    seen: set[Path] = set()
    left = [root]
    while left:
        folder = left.pop()
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = litter.listing(folder)
        except OSError as error:
            unreadable.append(f"{folder}: cannot be listed ({reason(error)})")
            continue
        folders.append(folder)
        for entry in entries:
            if entry.is_dir():
                left.append(entry)
            else:
                yield entry


def _suffixes() -> set[str]:
    """How the names of images end, in lower case."""
    Image.init()
    known = Image.registered_extensions()
    return {suffix for suffix, form in known.items() if form in FORMATS}
