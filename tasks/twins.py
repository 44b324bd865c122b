"""Find images that a data set holds more than once, in one split or in two."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from models.process.progress import track
from models.process.text import abridged, shown
from tasks.base import Read, Source, Sourced
from tasks.faults import Fault

THREADS = 16  # reading waits for the disk, and hashing leaves Python's lock to others
BATCH = 32  # files that a thread takes at a time: most of them are looked at in microseconds
PART = 4096  # bytes at a file's middle, where most files of one size differ
BLOCK = 1 << 20  # bytes that are read at once
FIRST = 3  # examples in a sentence
ALLOW = "test_in_pool"  # the config's key

Image = Hashable  # equal for samples of one image


@dataclass(frozen=True)
class Split:
    """The samples of a split, and the image of each."""

    name: Read
    sources: Sequence[Source]
    images: Sequence[Image]

    def called(self, index: int) -> str:
        """The file of sample `index`, or else its number."""
        file = self.sources[index].file
        if file is None:
            return f"{self.name} sample {index}"
        return str(file)


def shared_images(task: Sourced) -> tuple[list[Fault], list[str]]:
    """Find test images in the pool, as a fault, and images that a split holds twice, as notes.

    Files are of one image where their paths are the same, or their content. Samples of one path are
    not duplicates where their annotations differ, as those of an image's persons do.
    """
    sources = {"pool": task.sources("pool"), "test": task.sources("test")}
    files = [source.file for part in sources.values() for source in part if source.file is not None]
    contents = same_content([os.path.abspath(file) for file in dict.fromkeys(files)])
    pool, test = (
        Split(name, sources[name], [_image(source, contents) for source in sources[name]])
        for name in ("pool", "test")
    )
    return _across(pool, test), [*_doubles(pool), *_doubles(test)]


def _image(source: Source, contents: dict[str, str]) -> Image:
    if source.file is not None:
        return contents[os.path.abspath(source.file)]
    if source.content is not None:
        return source.content
    return object()  # equal to no other


def same_content(files: Sequence[str]) -> dict[str, str]:
    """Map each file to the first one that holds the same bytes.

    Only files of one size are opened, and only those whose middle is the same are read.
    """
    same = {file: file for file in files}
    alike = [list(same)]
    for key, what in (
        (_size, "sizes of files"),
        (_middle, "comparing files"),
        (_digest, "hashing files"),
    ):
        alike = _parted(alike, key, what)
    for group in alike:
        same |= dict.fromkeys(group, group[0])
    return same


def _parted(groups: list[list[str]], key: Callable[[str], Hashable], what: str) -> list[list[str]]:
    """Split the groups by `key`; files that are alone are left out."""
    parts: dict[tuple[int, Hashable], list[str]] = {}
    pairs = [(number, file) for number, group in enumerate(groups) for file in group]
    files = [file for _, file in pairs]
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(THREADS) as threads:
        keys = chain.from_iterable(threads.map(lambda batch: [*map(key, batch)], batches))
        for (number, file), value in zip(track(pairs, what), keys, strict=True):
            parts.setdefault((number, value), []).append(file)
    return [part for part in parts.values() if len(part) > 1]


def _size(file: str) -> Hashable:
    try:
        return os.stat(file).st_size
    except OSError:  # gone since it was checked: equal to no other
        return file


def _middle(file: str) -> Hashable:
    try:
        with open(file, "rb") as opened:
            opened.seek(max(0, os.stat(file).st_size - PART) // 2)
            return opened.read(PART)
    except OSError:
        return file


def _digest(file: str) -> Hashable:
    digest = hashlib.sha256()
    try:
        with open(file, "rb") as opened:
            while block := opened.read(BLOCK):
                digest.update(block)
    except OSError:
        return file
    return digest.digest()


def _across(pool: Split, test: Split) -> list[Fault]:
    first: dict[Image, int] = {}
    for index, image in enumerate(pool.images):
        first.setdefault(image, index)
    both = [(index, first[image]) for index, image in enumerate(test.images) if image in first]
    if not both:
        return []
    pairs = _listed([_equal([test.called(index), pool.called(other)]) for index, other in both])
    value = f"{len(both):,} of {len(test.images):,} samples that are: {pairs}"
    remedy = (
        f"take them out of one of the two, or set {ALLOW}=True in the config where that is meant"
    )
    return [Fault("test image in the pool", "test set", "no image of the pool", value, remedy)]


def _doubles(split: Split) -> list[str]:
    """A note on images that a split holds twice, and one on those whose annotations differ."""
    labels: dict[Image, dict[str, list[str]]] = {}
    for index, (source, image) in enumerate(zip(split.sources, split.images, strict=True)):
        labels.setdefault(image, {}).setdefault(split.called(index), []).append(source.label)
    doubles = [copies for copies in labels.values() if len(copies) > 1 or _repeats(copies)]
    if not doubles:
        return []
    which = _listed([_equal(list(copies)) for copies in doubles])
    notes = [f"{split.name}: {len(doubles):,} images are there more than once: {which}"]
    differing = [
        copies for copies in doubles if len({tuple(sorted(own)) for own in copies.values()}) > 1
    ]
    if differing:
        which = _listed([_contrast(copies) for copies in differing])
        notes.append(
            f"{split.name}: {len(differing):,} of these have annotations that differ: {which}"
        )
    return notes


def _repeats(copies: dict[str, list[str]]) -> bool:
    return any(len(set(labels)) < len(labels) for labels in copies.values())


def _equal(names: list[str]) -> str:
    equal = " = ".join(dict.fromkeys(names[:FIRST]))
    if len(names) > FIRST:
        equal += " = ..."
    return equal


def _contrast(copies: dict[str, list[str]]) -> str:
    """Two copies with annotations that differ."""
    (name, labels), *others = copies.items()
    other, different = next(item for item in others if sorted(item[1]) != sorted(labels))
    return f"{name} is {_shown(labels)}, {other} is {_shown(different)}"


def _shown(labels: list[str]) -> str:
    return shown(" ".join(labels)).strip("'")


def _listed(examples: list[str]) -> str:
    return abridged(examples, FIRST, "; ")
