"""The first cycle of a run.

Runs of one seed that train alike must have the same weights and the same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.record.folder import RunFolder, RunFolderError
from tools.record.receipt import TIMES

# with what the passes over the test set are made, beside their batch size
TESTED = ("scoring.amp", "scoring.channels_last", "training.amp", "training.channels_last")


@dataclass(frozen=True)
class First:
    """A run's first cycle: what its row came from, and the row.

    Args:
        receipt: of the cycle; empty if there is none.
        row: of the cycle.
        settings: the run's config, flat.
        batch_size: of the passes over the test set, a measured one too; None if nobody knows it.
    """

    receipt: Mapping[str, str]
    row: Mapping[str, Any]
    settings: Mapping[str, Any]
    batch_size: int | None

    @property
    def weights(self) -> str | None:
        """The hash of the model that the row tells of."""
        return self.receipt.get("weights")

    def alike(self, other: First) -> bool:
        """Whether both were tested with the same rounding, so that the same weights must give the
        same row.

        On a GPU that is so with --deterministic alone.
        """
        exact = all(
            one.receipt.get("device") == "cpu" or one.settings.get("training.deterministic") is True
            for one in (self, other)
        )
        made = [
            (one.receipt.get("device"), one.receipt.get("made"), one.batch_size)
            for one in (self, other)
        ]
        same = not [key for key in TESTED if self.settings.get(key) != other.settings.get(key)]
        return exact and same and made[0] == made[1] and None not in made[0]

    def differing(self, other: First) -> list[str]:
        """Keys of the rows that differ, but for times and for what queries have a part in."""
        keys = [key for key in {**self.row, **other.row} if not key.startswith((TIMES, "ranking/"))]
        return [key for key in keys if self.row.get(key) != other.row.get(key)]

    def other_test(self, other: First) -> str:
        """What is wrong with rows that differ though they should not, in words."""
        keys = self.differing(other)[:3]
        told = ", ".join(f"{key} {self.row.get(key)!r} and {other.row.get(key)!r}" for key in keys)
        return (
            f"the same first weights, but {told}: not tested on the same data, or a row was edited"
        )


def first_cycle(folder: RunFolder, row: Mapping[str, Any], settings: Mapping[str, Any]) -> First:
    """Of a run with a committed cycle.

    Without a receipt where that cannot be read, which other checks tell.
    """
    size = settings.get("scoring.batch_size")
    try:
        receipt = folder.receipt(0)
        if size == "auto":
            size = folder.batch_size()
    except RunFolderError:
        receipt, size = {}, None
    return First(receipt, row, settings, size if isinstance(size, int) else None)
