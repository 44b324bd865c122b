"""The chain of the receipts, which links rows, queries and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tools.record.folder import RunFolderError
from tools.record.receipt import receipt_digest, row_digest, times_digest
from tools.verify.run import Cycle, Record, Remark


def history(run: Record) -> Iterator[Remark]:
    """Receipts hold the hashes of their rows and the receipts before, state.json the last one's."""
    try:
        rows = run.folder.rows(len(run.cycles))
        times = run.folder.times(len(run.cycles))
    except RunFolderError:
        return  # reported by the check of the rows
    yield from _rows(run, rows)
    yield from _receipts(run)
    yield from _times(run, rows, times)
    old = [cycle.number for cycle in run.cycles if cycle.receipt and "row" not in cycle.receipt]
    if old:
        which = "its rows"
        if len(old) < len(run.cycles):
            which = f"the rows of cycles {old}"
        text = f"{which}: their hashes are not recorded, as an earlier version made them"
        yield Remark(None, text, "not compared")


def _rows(run: Record, rows: list[dict]) -> Iterator[Remark]:
    for cycle, row in zip(run.cycles, rows, strict=True):
        if "row" in cycle.receipt:
            what = "metrics.jsonl, the row"
            if run.metric:
                what += f" with {run.metric} {row.get(run.metric)!r}"
            expected = cycle.receipt["row"]
            yield from _compared(cycle.number, what, _file(cycle), expected, row_digest(row))


def _receipts(run: Record) -> Iterator[Remark]:
    for before, cycle in pairwise(run.cycles):
        if before.receipt and "before" in cycle.receipt:
            yield from _receipt(before, _file(cycle), cycle.receipt["before"])
    last = run.cycles[-1]
    if "row" in last.receipt:
        yield from _receipt(last, "state.json", run.folder.last_receipt or "(none)")


def _receipt(cycle: Cycle, where: str, expected: str) -> Iterator[Remark]:
    what = f"the receipt in {_file(cycle)}"
    yield from _compared(cycle.number, what, where, expected, receipt_digest(cycle.receipt))


def _times(run: Record, rows: list[dict], times: list[str]) -> Iterator[Remark]:
    before = ""
    for cycle, row, time in zip(run.cycles, rows, times, strict=True):
        if time != "-" or "row" in cycle.receipt:
            what = "metrics.jsonl, the row's seconds"
            value = times_digest(row, before)
            yield from _compared(cycle.number, what, "seconds.txt", time, value)
        before = time


def _file(cycle: Cycle) -> str:
    return f"queries/{cycle.number:02d}.npz"


def _compared(cycle: int, what: str, where: str, expected: str, value: str) -> Iterator[Remark]:
    """Whether something has the hash that another file records for it."""
    if value != expected:
        yield Remark(
            cycle, f"{what}: expected the hash {expected[:12]} of {where}, but got {value[:12]}"
        )
