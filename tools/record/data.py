"""The fingerprint of a run's data: written when the run begins, compared later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tasks.base import Pinned, Task
from tools.record import files, first_set
from tools.record.files import RunFolderError
from tools.record.fingerprint import (
    FILE,
    PINNED,
    Fingerprint,
    difference,
    other_files,
    unpacked,
)
from tools.record.receipt import receipt_digest
from tools.record.writing import write_whole

ANEW = "or start anew with another --work-dir"


def kept(folder: Path) -> Fingerprint | None:
    """Read the fingerprint of a run's data; None if it was not recorded.

    Earlier versions recorded none, and nor do tasks without `sources`.

    Raises:
        RunFolderError: if the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return unpacked(files.arrays(path))
    except (KeyError, ValueError) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error


def keep(folder: Path, now: Fingerprint | None, names: Sequence[str]) -> None:
    """Write the fingerprint of the data before the first training; later check that it is the same.

    Args:
        folder: of the run.
        now: the data as they are; None if the task has no `sources`.
        names: of the pool's samples.

    Raises:
        RunFolderError: if they changed, with what did and the first sample.
    """
    begun = ("state.json", "cycles", first_set.NAME)  # the samples of that are chosen by features
    if any((folder / name).exists() for name in begun):
        check(folder, now, names)
    elif now is not None:
        arrays: dict[str, Any] = now.packed()
        write_whole(folder / FILE, partial(np.savez, **arrays))


def check(folder: Path, now: Fingerprint | None, names: Sequence[str]) -> None:
    """Check that the data are those that the run began with, where both are known.

    Raises:
        RunFolderError: if they changed, with what did and the first sample.
    """
    before = kept(folder)
    if before is None or now is None:
        return
    if changed := difference(before, now, names):
        what = f"{folder} was begun with other data or files; put them back as they were, {ANEW}:"
        raise RunFolderError("\n  ".join([what, *changed]))


def check_receipt(folder: Path, receipt: Mapping[str, str]) -> None:
    """Check that the file is the one that a receipt names.

    Raises:
        RunFolderError: if it is lost, or another one.
    """
    expected = receipt.get("data")
    current = receipt_part(folder).get("data", "(none)")
    if expected is not None and expected != current:
        what = (
            f"{folder / FILE}: expected the hash {expected[:12]} of the last receipt, but got "
            f"{current[:12]}"
        )
        raise RunFolderError(f"{what}; restore the file, {ANEW}")


def receipt_part(folder: Path) -> dict[str, str]:
    """Return the part of a receipt that is about the data; empty if they are not recorded."""
    hashes = whole(folder)
    return {"data": receipt_digest(hashes)} if hashes else {}


def whole(folder: Path) -> dict[str, str]:
    """Part of the data, and what is pinned -> one hash over it; empty if it is not recorded."""
    data = kept(folder)
    return {} if data is None else data.whole


def other_settings(folder: Path, task: Task) -> list[str]:
    """Return how config files that a task's settings name differ from what a run was made with.

    Weights that its training began from are not compared.

    Raises:
        RunFolderError: if the file of the run is damaged.
    """
    before = kept(folder)
    if before is None or not isinstance(task, Pinned):
        return []
    settings = {name: one for name, one in before.pinned.items() if isinstance(one, Mapping)}
    return other_files(settings, task.pinned()) if settings else []


def beside_pool(folder: Path) -> str:
    """The hashes of the test set, and of the files that shape the network, in one string.

    Empty if they are not recorded.
    """
    parts = whole(folder).items()
    return "".join(value for part, value in parts if part.startswith(("test", PINNED)))
