"""The check that the data, if they are available, are those that a run was made of."""

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
    """Fingerprints of the data as they are now, each taken once for all runs that use them."""

    def __init__(self) -> None:
        self._found: dict[str, Fingerprint | None | str] = {}

    def of(self, settings: object, task: Callable[[], Task]) -> Fingerprint | None | str:
        """Return the fingerprint of the data of a task with these settings.

        Returns:
            None if the task does not list its sources; a reason if the data cannot be read.
        """
        key = json.dumps(settings, sort_keys=True, default=str)
        if key not in self._found:
            self._found[key] = self._taken(task)
        return self._found[key]

    def _taken(self, task: Callable[[], Task]) -> Fingerprint | None | str:
        try:
            # without its `check`, which may download weights that a run names
            return fingerprint(task())
        except Exception as error:  # adapters may raise anything if their data are missing
            return told(error)


def data(run: Record) -> Iterator[Remark]:
    """Images and labels of pool and test set are those that the run was made of."""
    try:
        recorded = record.kept(run.folder.path)
    except RunFolderError as error:
        yield Remark(None, str(error))
        return
    value = "(none)"
    if recorded is not None:
        value = receipt_digest(recorded.whole)
    for cycle in run.cycles:
        expected = cycle.receipt.get("data", value)
        if value != expected:
            where = f"queries/{cycle.number:02d}.npz"
            text = f"{FILE}: expected the hash {expected[:12]} of {where}, but got {value[:12]}"
            yield Remark(cycle.number, text)
            return
    if recorded is None:
        text = (
            "not recorded: an earlier version made the run, or its task does not list its sources"
        )
        yield Remark(None, text, "not compared")
    else:
        yield from _now(run, recorded)


def _now(run: Record, recorded: Fingerprint) -> Iterator[Remark]:
    """Whether the data are still those that were recorded."""
    now = run.present()
    if isinstance(now, Fingerprint):
        for line in difference(recorded, now, run.names):
            yield Remark(None, f"{line}: not what the run was made of")
        return
    why = now or "the task does not list its sources any more"
    moved = "if they have moved, add --cfg-options task.data_root=..."
    yield Remark(None, f"the data cannot be read ({why}); {moved}", "not compared")
