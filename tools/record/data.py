"""The fingerprint of a run's data: written when the run begins, compared later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tools.record import files
from tools.record.files import RunFolderError
from tools.record.fingerprint import FILE, PARTS, Fingerprint, difference, unpacked
from tools.record.receipt import receipt_digest
from tools.record.writing import write_whole

ANEW = "or start anew with another --work-dir"


def kept(folder: Path) -> Fingerprint | None:
    """What a run's data were; None if it was not recorded: by an earlier version, or of a task
    that does not tell.

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
    """Write what the data are where nothing was trained on them yet; else check that they are the
    same.

    Args:
        folder: of the run.
        now: None if the task does not tell.
        names: of the pool's samples.

    Raises:
        RunFolderError: if they changed, with what did and the first sample.
    """
    begun = (folder / "state.json").exists() or (folder / "cycles").exists()
    if begun:
        check(folder, now, names)
    elif now is not None:
        arrays: dict[str, Any] = now.packed()
        write_whole(folder / FILE, partial(np.savez, **arrays))


def check(folder: Path, now: Fingerprint | None, names: Sequence[str]) -> None:
    """Check that the data are those that the run began with, where both are known.

    Raises:
        RunFolderError: if they changed, with what did and the first sample.
    """
    there = kept(folder)
    changed = [] if there is None or now is None else difference(there, now, names)
    if changed:
        what = f"{folder} was begun with other data; put them back as they were, {ANEW}:"
        raise RunFolderError("\n  ".join([what, *changed]))


def check_receipt(folder: Path, receipt: Mapping[str, str]) -> None:
    """Check that the file is the one that a receipt names.

    Raises:
        RunFolderError: if it is lost, or another one.
    """
    expected, came = receipt.get("data"), receipt_part(folder).get("data", "(none)")
    if expected is not None and expected != came:
        what = (
            f"{folder / FILE}: expected the hash {expected[:12]} of the last receipt, but got "
            f"{came[:12]}"
        )
        raise RunFolderError(f"{what}; restore the file, {ANEW}")


def receipt_part(folder: Path) -> dict[str, str]:
    """What receipts hold of the data; empty if it is not recorded."""
    there = kept(folder)
    return {} if there is None else {"data": receipt_digest(there.whole)}


def whole(folder: Path) -> dict[str, str]:
    """Part of the data -> one hash over its samples; empty if it is not recorded."""
    there = kept(folder)
    return {} if there is None else there.whole


def test_set(folder: Path) -> str:
    """One hash over the test set; empty if it is not recorded."""
    found = whole(folder)
    return "".join(found[part] for part in PARTS if found and part.startswith("test"))
