"""Read the text files of a run folder's committed cycles: rows, hashes of times, and state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acquisition.pool import Pool
from tools.record import files
from tools.record.files import RunFolderError
from tools.record.receipt import receipt_digest


def state(path: Path) -> tuple[Pool, str | None] | None:
    """Read `state.json`: the pool, and the hash of the last receipt; None if there is no file.

    Raises:
        RunFolderError: if it is damaged.
    """
    if not path.exists():
        return None
    source = files.text(path, files.STATE)
    try:
        values = files.parsed(source)
        labeled = tuple(int(i) for i in values["labeled"])
        held = tuple(int(i) for i in values.get("validation", ()))
        pool = Pool(int(values["size"]), labeled, int(values["cycle"]), held)
        receipt = values.get("receipt")
        if receipt is not None:
            receipt = str(receipt)
        return pool, receipt
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RunFolderError(
            f"{path} is damaged ({error}); restore it from a backup, or start anew"
        ) from error


def check_last(path: Path, receipt: Mapping[str, str], expected: str | None) -> None:
    """Check that the last cycle's file has the receipt whose hash is in `state.json`.

    The next receipt will name it.

    Args:
        path: of the file.
        receipt: that is in it.
        expected: its hash, as `state.json` has it; None if an earlier version wrote that.

    Raises:
        RunFolderError: if it is lost, or another one.
    """
    if expected is not None and receipt_digest(receipt) != expected:
        value = "none"
        if receipt:
            value = f"one with the hash {receipt_digest(receipt)[:12]}"
        what = (
            f"{path}: expected the receipt with the hash {expected[:12]} of state.json, but got "
            f"{value}"
        )
        raise RunFolderError(f"{what}; restore the file, or move the folder away to start anew")


def rows(path: Path, cycle: int) -> list[dict[str, Any]]:
    """Read the rows of `metrics.jsonl` before a cycle.

    Raises:
        RunFolderError: if a line is damaged or a cycle's is missing.
    """
    values = []
    for number, line in enumerate(_text(path).splitlines()[:cycle], 1):
        try:
            values.append(files.row(line))
        except ValueError as error:
            raise RunFolderError(
                f"{path}, line {number} is damaged ({error}): {line[:60]!r}"
            ) from error
    if [row.get("cycle") for row in values] != list(range(cycle)):
        raise RunFolderError(
            f"{path}: expected a row for each cycle before {cycle}, but got {len(values)} rows"
        )
    return values


def times(path: Path, cycle: int) -> list[str]:
    """Read the lines of `seconds.txt` before a cycle; "-" where an earlier version kept none."""
    lines = _text(path).split()
    return [*lines[:cycle], *["-"] * (cycle - len(lines))]


def _text(path: Path) -> str:
    if not path.exists():
        return ""
    return files.content(path, files.ROWS).decode("utf-8", errors="replace")
