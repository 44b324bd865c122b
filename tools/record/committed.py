"""What a run folder's committed cycles left in files of text: their rows, hashes of their
times, and the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acquisition.pool import Pool
from tools.record import files
from tools.record.files import RunFolderError
from tools.record.receipt import receipt_digest


def state(path: Path) -> tuple[Pool, str | None] | None:
    """What is in `state.json`: the pool, and the hash of the last receipt; None if there is no
    file.

    Raises:
        RunFolderError: if it is damaged.
    """
    if not path.exists():
        return None
    source = files.text(path, files.STATE)
    try:
        found = files.parsed(source)
        pool = Pool(
            int(found["size"]), tuple(int(i) for i in found["labeled"]), int(found["cycle"])
        )
        return pool, None if found.get("receipt") is None else str(found["receipt"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RunFolderError(
            f"{path} is damaged ({error}); restore it from a backup, or start anew"
        ) from error


def check_last(path: Path, receipt: Mapping[str, str], expected: str | None) -> None:
    """Check that the last cycle's file is the one that `state.json` was written beside: the next
    receipt names it.

    Args:
        path: of the file.
        receipt: that is in it.
        expected: its hash, as `state.json` has it; None if an earlier version wrote that.

    Raises:
        RunFolderError: if it is lost, or another one.
    """
    if expected is not None and receipt_digest(receipt) != expected:
        told = f"one with the hash {receipt_digest(receipt)[:12]}" if receipt else "none"
        what = (
            f"{path}: expected the receipt with the hash {expected[:12]} of state.json, but got "
            f"{told}"
        )
        raise RunFolderError(f"{what}; restore the file, or move the folder away to start anew")


def rows(path: Path, cycle: int) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` before a cycle.

    Raises:
        RunFolderError: if a line is damaged or a cycle's is missing.
    """
    content = files.content(path, files.ROWS) if path.exists() else b""
    found = []
    for number, line in enumerate(
        content.decode("utf-8", errors="replace").splitlines()[:cycle], 1
    ):
        try:
            found.append(files.row(line))
        except ValueError as error:
            raise RunFolderError(
                f"{path}, line {number} is damaged ({error}): {line[:60]!r}"
            ) from error
    if [row.get("cycle") for row in found] != list(range(cycle)):
        raise RunFolderError(
            f"{path}: expected a row for each cycle before {cycle}, but got {len(found)} rows"
        )
    return found


def times(path: Path, cycle: int) -> list[str]:
    """The lines of `seconds.txt` before a cycle; "-" where an earlier version kept none."""
    content = files.content(path, files.ROWS) if path.exists() else b""
    lines = content.decode("utf-8", errors="replace").split()
    return [*lines[:cycle], *["-"] * (cycle - len(lines))]
