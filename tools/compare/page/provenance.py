"""Where a report comes from: its date and versions, and the runs with their settings."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata

from models.process.text import printable, shown
from tools.compare.grouping import Comparison

LIBRARIES = ("losstap", "numpy", "scipy")  # that compute what is on the page
MISSING = "not installed"


@dataclass(frozen=True)
class Made:
    """A report's origin.

    Args:
        at: date and time, UTC.
        versions: of the software that computed it.
    """

    at: str
    versions: tuple[str, ...]


def made() -> Made:
    """Return the origin of a report that is made now."""
    versions = [f"{name} {_version(name)}" for name in LIBRARIES]
    return Made(
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        (*versions, f"Python {platform.python_version()}"),
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return MISSING


def runs(compared: Comparison) -> list[tuple[str, int, str, str]]:
    """Return each run's leg, seed, state and folder."""
    return [
        (
            run.leg,
            run.seed,
            "finished" if run.finished else f"{len(run.rows)} cycles so far",
            printable(str(run.folder)),
        )
        for run in compared.runs
    ]


def settings(compared: Comparison) -> list[tuple[str, str]]:
    """Return the settings with dotted names; one that differs between runs has all its values."""
    names = dict.fromkeys(name for run in compared.runs for name in run.settings)
    return [
        (printable(name), _values([run.settings.get(name) for run in compared.runs]))
        for name in names
    ]


def _values(values: Sequence[object]) -> str:
    return " | ".join(dict.fromkeys(printable(shown(value)) for value in values))
