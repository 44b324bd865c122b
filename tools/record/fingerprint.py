"""Fingerprint of a data set: a short digest of each image and each annotation.

It shows which data changed.

Of an image that is a file these are its name and its size in bytes, so that a start reads no
pixels: another image of the same name and size is not seen. Where the data lie has no part in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np

from tasks.base import Read, Source, Sourced, Task

FILE = "data.npz"
SPLITS: dict[Read, str] = {"pool": "the pool", "test": "the test set"}
PARTS = {
    f"{split}/{kind}": f"{kind} of {name}"
    for split, name in SPLITS.items()
    for kind in ("images", "labels")
}
NAMES = "test/names"


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Of the data of a run.

    Args:
        digests: part -> (N,) of uint64, one a sample in the split's order; the parts are the keys
            of `PARTS`.
        tested: what the images of the test set are called; the pool's names are in `samples.txt`.
    """

    digests: Mapping[str, np.ndarray]
    tested: tuple[str, ...]

    @property
    def whole(self) -> dict[str, str]:
        """Part -> one hash over its samples."""
        return {part: hashlib.sha256(self.digests[part].tobytes()).hexdigest() for part in PARTS}

    def packed(self) -> dict[str, np.ndarray]:
        """The named arrays of one file."""
        names = "\n".join(self.tested).encode("utf-8", "surrogateescape")
        return {**self.digests, NAMES: np.frombuffer(names, np.uint8)}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Fingerprint:
    """What `packed` packed.

    Raises:
        KeyError, ValueError: if the arrays are others.
    """
    digests = {part: arrays[part] for part in PARTS}
    for part, found in digests.items():
        if found.ndim != 1 or found.dtype != np.dtype("<u8"):
            raise ValueError(
                f"{part}: expected (N,) of uint64, but got {found.dtype} of shape {found.shape}"
            )
    names = arrays[NAMES].tobytes().decode("utf-8", "surrogateescape")
    return Fingerprint(digests, tuple(names.split("\n")))


def fingerprint(task: Task) -> Fingerprint | None:
    """Of a task's data as they are now, where its `check` found nothing; None if it does not
    tell its sources.

    Raises:
        OSError: if an image is gone.
    """
    if not isinstance(task, Sourced):
        return None
    digests, tested = {}, tuple[str, ...]()

    @cache  # the persons of an image share it
    def size(path: Path) -> int:
        return os.stat(path).st_size

    for split in SPLITS:
        sources = task.sources(split)
        digests[f"{split}/images"] = _array([_image(source, size) for source in sources])
        digests[f"{split}/labels"] = _array([source.label for source in sources])
        # of the test set in the end
        tested = tuple(source.file.name if source.file else "" for source in sources)
    return Fingerprint(digests, tested)


def _image(source: Source, size: Callable[[Path], int]) -> str:
    if source.file is not None:
        return f"{source.file.name}\n{size(source.file)}"
    return (source.content or b"").hex()


def _array(texts: Sequence[str]) -> np.ndarray:
    found = b"".join(
        hashlib.blake2b(t.encode("utf-8", "surrogateescape"), digest_size=8).digest() for t in texts
    )
    return np.frombuffer(found, "<u8")


def difference(there: Fingerprint, now: Fingerprint, names: Sequence[str]) -> list[str]:
    """What differs between the data of a run and others, a sentence a part with the first sample;
    empty if nothing.

    Args:
        names: of the pool's samples.
    """
    found = []
    for part, called in PARTS.items():
        one, other = there.digests[part].tolist(), now.digests[part].tolist()
        places = [i for i, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1]]
        if places:
            known = names if part.startswith("pool") else max(there.tested, now.tested, key=len)
            first, count = (
                _sample(places[0], known),
                f"{len(places):,} of {max(len(one), len(other)):,}",
            )
            found.append(f"the {called} differ in {count} samples, first in {first}")
    return found


def _sample(place: int, names: Sequence[str]) -> str:
    name = names[place] if place < len(names) else ""
    return f"sample {place}" + (f" ({name})" if name else "")
