"""The text files of a run folder's committed cycles: rows, hashes of times, and state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.pool import Pool
from tools.record import files
from tools.record.files import RunFolderError
from tools.record.receipt import receipt_digest, times_digest
from tools.record.writing import write_whole

ROWS, TIMES, STATE = "metrics.jsonl", "seconds.txt", "state.json"


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON holds it: NumPy numbers as Python's, what is not finite as null."""
    return {key: _json(value) for key, value in row.items()}


def _json(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write(folder: Path, row: dict[str, Any], pool: Pool, receipt: Mapping[str, str]) -> None:
    """Write the row of a cycle, the hash of its times, and the state, each file whole by itself.

    Args:
        folder: of the run.
        row: as `as_json` returns it.
        pool: of the next cycle.
        receipt: of the cycle, whose hash the state holds; empty if there is none.
    """
    cycle = row["cycle"]
    state = {"cycle": pool.cycle, "size": pool.size, "labeled": list(pool.labeled)}
    if pool.validation:
        state["validation"] = list(pool.validation)
    if receipt:
        state["receipt"] = receipt_digest(receipt)
    lines = [json.dumps(one) for one in [*rows(folder / ROWS, cycle), row]]
    hashes = times(folder / TIMES, cycle)
    hashes.append(times_digest(row, hashes[-1] if hashes else ""))
    write_whole(folder / ROWS, "".join(f"{line}\n" for line in lines).encode())
    write_whole(folder / TIMES, "".join(f"{line}\n" for line in hashes).encode())
    write_whole(folder / STATE, json.dumps(state).encode())  # the last: now the cycle counts


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
