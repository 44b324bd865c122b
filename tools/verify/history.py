"""The chain of the receipts: what ties rows, queries and cycles to each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tools.record.folder import RunFolderError
from tools.record.receipt import receipt_digest, row_digest, times_digest
from tools.verify.run import Cycle, Record, Remark


def history(run: Record) -> Iterator[Remark]:
    """Receipts hold the hashes of their rows and of the receipts before them, state.json
    that of the last one.
    """
    try:
        rows, times = run.folder.rows(len(run.cycles)), run.folder.times(len(run.cycles))
    except RunFolderError:
        return  # the check of the rows says it
    yield from _rows(run, rows)
    yield from _receipts(run)
    yield from _times(run, rows, times)
    old = [cycle.number for cycle in run.cycles if cycle.receipt and "row" not in cycle.receipt]
    if old:
        which = "its rows" if len(old) == len(run.cycles) else f"the rows of cycles {old}"
        text = f"{which}: their hashes are not recorded, as a version before made them"
        yield Remark(None, text, "not compared")


def _rows(run: Record, rows: list[dict]) -> Iterator[Remark]:
    for cycle, row in zip(run.cycles, rows, strict=True):
        if "row" in cycle.receipt:
            value = f" with {run.metric} {row.get(run.metric)!r}" if run.metric else ""
            what, where = f"metrics.jsonl, the row{value}", _file(cycle)
            yield from _compared(cycle.number, what, where, cycle.receipt["row"], row_digest(row))


def _receipts(run: Record) -> Iterator[Remark]:
    for before, cycle in pairwise(run.cycles):
        if before.receipt and "before" in cycle.receipt:
            what, came = f"the receipt in {_file(before)}", receipt_digest(before.receipt)
            yield from _compared(before.number, what, _file(cycle), cycle.receipt["before"], came)
    last = run.cycles[-1]
    if "row" in last.receipt:
        what, expected = f"the receipt in {_file(last)}", run.folder.last_receipt or "(none)"
        yield from _compared(
            last.number, what, "state.json", expected, receipt_digest(last.receipt)
        )


def _times(run: Record, rows: list[dict], times: list[str]) -> Iterator[Remark]:
    before = ""
    for cycle, row, time in zip(run.cycles, rows, times, strict=True):
        if time != "-" or "row" in cycle.receipt:
            what, came = "metrics.jsonl, the row's seconds", times_digest(row, before)
            yield from _compared(cycle.number, what, "seconds.txt", time, came)
        before = time


def _file(cycle: Cycle) -> str:
    return f"queries/{cycle.number:02d}.npz"


def _compared(cycle: int, what: str, where: str, expected: str, came: str) -> Iterator[Remark]:
    """Whether something has the hash that another file has for it."""
    if expected != came:
        yield Remark(
            cycle, f"{what}: expected the hash {expected[:12]} of {where}, but got {came[:12]}"
        )
