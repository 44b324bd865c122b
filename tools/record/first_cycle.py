"""The first cycle of a run.

Runs of one seed that train alike must have the same weights and the same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.record.folder import RunFolder, RunFolderError
from tools.record.receipt import TIMES

# settings of the passes over the test set, beside their batch size
TESTED = ("scoring.amp", "scoring.channels_last", "training.amp", "training.channels_last")


@dataclass(frozen=True)
class First:
    """A run's first cycle: what its row came from, and the row.

    Args:
        receipt: of the cycle; empty if there is none.
        row: of the cycle.
        settings: the run's config, flat.
        batch_size: of the passes over the test set, set or measured; None if it is not known.
    """

    receipt: Mapping[str, str]
    row: Mapping[str, Any]
    settings: Mapping[str, Any]
    batch_size: int | None

    @property
    def weights(self) -> str | None:
        """The hash of the model that the row is about."""
        return self.receipt.get("weights")

    def alike(self, other: First) -> bool:
        """Whether both were tested with the same rounding.

        The same weights must then give the same row. On a GPU this needs --deterministic.
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
        """Return the keys in which the rows differ, but for times and what depends on queries."""
        keys = [key for key in {**self.row, **other.row} if not key.startswith((TIMES, "ranking/"))]
        return [key for key in keys if self.row.get(key) != other.row.get(key)]

    def other_test(self, other: First) -> str:
        """Describe rows that differ though they should not."""
        keys = self.differing(other)[:3]
        what = ", ".join(f"{key} {self.row.get(key)!r} and {other.row.get(key)!r}" for key in keys)
        return (
            f"the same first weights, but {what}: not tested on the same data, or a row was edited"
        )


def first_cycle(folder: RunFolder, row: Mapping[str, Any], settings: Mapping[str, Any]) -> First:
    """Return the first cycle of a run that has committed one.

    A receipt that cannot be read is left out, as other checks report it.
    """
    size = settings.get("scoring.batch_size")
    try:
        receipt = folder.receipt(0)
        if size == "auto":
            size = folder.batch_size()
    except RunFolderError:
        return First({}, row, settings, None)
    if not isinstance(size, int):
        size = None
    return First(receipt, row, settings, size)
