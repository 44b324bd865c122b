"""Fingerprint of a data set: a short digest of each image and each annotation.

It shows which data changed. Beside them it holds what lies in the files that shape the network.

The digest of an image file is of its name and its size in bytes, so that a start reads no pixels:
another image of the same name and size is not noticed. Where the data lie has no part in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from tasks.base import Pinned, Read, Source, Sourced, Task
from tools.experiment.settings import flat
from tools.record import files
from tools.record.comparable import MISSING, differing

FILE = "data.npz"
SPLITS: dict[Read, str] = {"pool": "the pool", "test": "the test set"}
PARTS = {
    f"{split}/{kind}": f"{kind} of {name}"
    for split, name in SPLITS.items()
    for kind in ("images", "labels")
}
NAMES = "test/names"
PINNED = "pinned"
SHOWN = 8  # settings of a file that differ
LENGTH = 60  # characters of a value that is shown


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """The fingerprint of a run's data.

    Args:
        digests: part -> (N,) of uint64, one a sample in the split's order; the parts are the keys
            of `PARTS`.
        tested: names of the images of the test set; the pool's names are in `samples.txt`.
        pinned: what lies in files that shape the network, see `tasks.base.Pinned`; empty if there
            are none, or an earlier version made the run.
    """

    digests: Mapping[str, np.ndarray]
    tested: tuple[str, ...]
    pinned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> dict[str, str]:
        """Part -> one hash over its samples, and one over what is pinned."""
        whole = {part: hashlib.sha256(self.digests[part].tobytes()).hexdigest() for part in PARTS}
        if self.pinned:
            whole[PINNED] = hashlib.sha256(_json(self.pinned)).hexdigest()
        return whole

    def packed(self) -> dict[str, np.ndarray]:
        """Return the fingerprint as the named arrays of one file."""
        names = "\n".join(self.tested).encode("utf-8", "surrogateescape")
        arrays = {**self.digests, NAMES: np.frombuffer(names, np.uint8)}
        if self.pinned:
            arrays[PINNED] = np.frombuffer(_json(self.pinned), np.uint8)
        return arrays


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode("ascii")


def unpacked(arrays: Mapping[str, np.ndarray]) -> Fingerprint:
    """Return the fingerprint that `packed` made arrays of.

    Raises:
        KeyError, ValueError: if the arrays are others.
    """
    digests = {part: arrays[part] for part in PARTS}
    for part, values in digests.items():
        if values.ndim != 1 or values.dtype != np.dtype("<u8"):
            raise ValueError(
                f"{part}: expected (N,) of uint64, but got {values.dtype} of shape {values.shape}"
            )
    names = arrays[NAMES].tobytes().decode("utf-8", "surrogateescape")
    pinned = {}
    if PINNED in arrays:
        pinned = files.parsed(arrays[PINNED].tobytes().decode("ascii"))
        if not isinstance(pinned, dict):
            raise ValueError(f"{PINNED}: expected settings, but got {type(pinned).__name__}")
        files.shallow(pinned)
    return Fingerprint(digests, tuple(names.split("\n")), pinned)


def fingerprint(task: Task) -> Fingerprint | None:
    """Return the fingerprint of a task's data; None if the task has no `sources`.

    The task's `check` must have found no fault.

    Raises:
        OSError: if an image is gone, or a file of weights cannot be read.
    """
    if not isinstance(task, Sourced):
        return None
    pinned = json.loads(_json(task.pinned())) if isinstance(task, Pinned) else {}
    digests = {}
    names = {}

    @cache  # the persons of an image share it
    def size(path: Path) -> int:
        """Return the bytes of a file."""
        return os.stat(path).st_size

    for split in SPLITS:
        sources = task.sources(split)
        digests[f"{split}/images"] = _array([_image(source, size) for source in sources])
        digests[f"{split}/labels"] = _array([source.label for source in sources])
        names[split] = tuple(_name(source) for source in sources)
    return Fingerprint(digests, names["test"], pinned)


def _name(source: Source) -> str:
    return source.file.name if source.file else ""


def _image(source: Source, size: Callable[[Path], int]) -> str:
    if source.file is not None:
        return f"{source.file.name}\n{size(source.file)}"
    return (source.content or b"").hex()


def _array(texts: Sequence[str]) -> np.ndarray:
    digests = b"".join(
        hashlib.blake2b(t.encode("utf-8", "surrogateescape"), digest_size=8).digest() for t in texts
    )
    return np.frombuffer(digests, "<u8")


def difference(before: Fingerprint, now: Fingerprint, names: Sequence[str]) -> list[str]:
    """Return how the data differ from those of a run: for each part a sentence with a sample.

    Beside them, a line for each setting of a file, and for each file of weights, that differs; a
    file that only one of them has is not compared. Empty if nothing differs.

    Args:
        before: of the run.
        now: of the data as they are.
        names: of the pool's samples.
    """
    known: dict[str, Sequence[str]] = {
        "pool": names,
        "test": max(before.tested, now.tested, key=len),
    }
    lines = []
    for part, description in PARTS.items():
        one = before.digests[part].tolist()
        other = now.digests[part].tolist()
        places = [i for i, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1]]
        if places:
            count = f"{len(places):,} of {max(len(one), len(other)):,}"
            first = _sample(places[0], known[part.partition("/")[0]])
            lines.append(f"the {description} differ in {count} samples, first in {first}")
    return lines + other_files(before.pinned, now.pinned)


def other_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return how what is pinned differs in what both have: a line for each setting and weights."""
    both = before.keys() & now.keys()
    one = flat({name: before[name] for name in both})
    other = flat({name: now[name] for name in both})
    keys = differing(one, other)
    lines = [
        f"{key} differs: {_short(one.get(key, MISSING))} and {_short(other.get(key, MISSING))}"
        for key in keys[:SHOWN]
    ]
    if len(keys) > SHOWN:
        lines.append(f"and {len(keys) - SHOWN} more settings of these files")
    return lines


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LENGTH else f"{text[:LENGTH]}..."


def _sample(place: int, names: Sequence[str]) -> str:
    if place < len(names) and names[place]:
        return f"sample {place} ({names[place]})"
    return f"sample {place}"
