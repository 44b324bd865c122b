"""Images in an export that have no file of labels: nobody labeled them, or there was nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tools.label.formats.names import SUFFIXES, Names
from tools.label.formats.sources import Source
from tools.label.labels import Entry


def below(path: str, folder: str) -> str:
    """The part of a path below the last folder of a name; the whole path if there is none.

    >>> below("x/Annotations/a/b", "Annotations"), below("a/b", "Annotations")
    ('a/b', 'a/b')
    """
    before, found, after = f"/{path}".rpartition(f"/{folder}/")
    return after if found else path


def unlabeled(
    source: Source, known: Names, labeled: Iterable[Entry], folder: str
) -> Iterator[Entry]:
    """An entry of no state for each image in the export, and in the pool, without labels.

    An image is the one of the pool that its name means: tools put images and labels into folders of
    any names, beside each other or into one.

    Args:
        source: the export.
        known: the pool.
        labeled: the entries of images with labels.
        folder: in which the images are; empty if paths are those in the export.
    """
    seen = {known.content(key) for entry in labeled for key in known.find(entry.name)}
    for name in source.names:
        if PurePosixPath(name).suffix.lower() not in SUFFIXES:
            continue
        inside = below(name, folder)
        found = known.find(inside)
        if len(found) == 1 and known.content(found[0]) not in seen:
            seen.add(known.content(found[0]))
            yield Entry(inside, source.where(name), None)
