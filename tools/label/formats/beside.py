"""Images in an export that have no file of labels: nobody labeled them, or there was nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from tools.label.formats.names import SUFFIXES, Names, stem
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
    source: Source, known: Names, labeled: Collection[str], folder: str
) -> Iterator[Entry]:
    """An entry of no state for each image in the export, and in the pool, without labels.

    Args:
        source: the export.
        known: the pool.
        labeled: images with labels, by their paths below `folder` without suffix.
        folder: in which the images are; empty if paths are those in the export.
    """
    for name in source.names:
        if PurePosixPath(name).suffix.lower() not in SUFFIXES:
            continue
        inside = below(name, folder)
        if stem(inside) not in labeled and len(known.find(inside)) == 1:
            yield Entry(inside, source.where(name), None)
