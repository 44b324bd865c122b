"""Boxes of classes that are not among the setting's: a fault, or left out knowingly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Others = Literal["fault", "drop"]
ADVICE = "add it to `classes`, or leave such boxes out: task.others='drop'"


def left_out(where: object, counts: Mapping[str, int]) -> list[str]:
    """Return notes on boxes that were left out, a line a class."""
    note = f"{where}: boxes of classes that `classes` lacks are left out:"
    return [f"{note} {count:,} of {name!r}" for name, count in sorted(counts.items())]
