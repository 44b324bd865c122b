"""Whether the data are those that a run was made of, where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from models.process.text import told
from tasks.base import Task
from tools.record import data as record
from tools.record.fingerprint import FILE, Fingerprint, difference, fingerprint
from tools.record.folder import RunFolderError
from tools.record.receipt import receipt_digest
from tools.verify.run import Record, Remark


class Present:
    """Fingerprints of the data as they are now, each taken once however many runs are of them."""

    def __init__(self) -> None:
        self._found: dict[str, Fingerprint | None | str] = {}

    def of(self, settings: object, task: Callable[[], Task]) -> Fingerprint | None | str:
        """Of the data of a task with these settings.

        Returns:
            None if the task does not tell its sources, and why where the data are not here.
        """
        key = json.dumps(settings, sort_keys=True, default=str)
        if key not in self._found:
            self._found[key] = self._taken(task)
        return self._found[key]

    def _taken(self, task: Callable[[], Task]) -> Fingerprint | None | str:
        try:
            # without its `check`, which may download weights that a run names
            return fingerprint(task())
        except Exception as error:  # adapters are anybody's, and data may be gone in any way
            return told(error)


def data(run: Record) -> Iterator[Remark]:
    """Images and labels of pool and test set are those that the run was made of."""
    try:
        there = record.kept(run.folder.path)
    except RunFolderError as error:
        yield Remark(None, str(error))
        return
    named = {cycle.number: cycle.receipt["data"] for cycle in run.cycles if "data" in cycle.receipt}
    came = "(none)" if there is None else receipt_digest(there.whole)
    for number in [number for number, expected in named.items() if expected != came][:1]:
        expected, where = named[number][:12], f"queries/{number:02d}.npz"
        yield Remark(
            number, f"{FILE}: expected the hash {expected} of {where}, but got {came[:12]}"
        )
        return
    if there is None:
        text = "not recorded: a version before made the run, or its task does not tell its sources"
        yield Remark(None, text, "not compared")
    else:
        yield from _now(run, there)


def _now(run: Record, there: Fingerprint) -> Iterator[Remark]:
    now = run.present()
    if isinstance(now, Fingerprint):
        for line in difference(there, now, run.names):
            yield Remark(None, f"{line}: the data are not those that the run was made of")
        return
    why = now or "the task does not tell its sources any more"
    moved = "where they moved, add --cfg-options task.data_root=..."
    yield Remark(None, f"the data cannot be looked at ({why}); {moved}", "not compared")
