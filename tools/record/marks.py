"""By which files a run folder is known, and which of them are lost: a run writes them one
after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tools.record.files import ROWS, content

CONFIGS = ("config.json", "config.py")
# as a run writes them first, one of each
ESSENTIAL = (CONFIGS, ("samples.txt",), ("metrics.jsonl",), ("state.json",))
MARKS = {"samples.txt", "metrics.jsonl", "state.json", "done", "queries", ".lock"}


def looks_like_run(names: Collection[str]) -> bool:
    """Whether a folder with these names in it is a run's, though some are lost: mmengine's
    have a config.py alone.
    """
    return any(config in names for config in CONFIGS) + len(MARKS & set(names)) > 1


def lost(folder: Path) -> tuple[list[str], str]:
    """Essential files that are missing though what a run writes later is there, and what that is.

    A kill at any moment loses none: of a run that was killed in its first cycle, `state.json` is
    not lost but yet to come.

    Raises:
        OSError: if the folder cannot be read, or RunFolderError a file.
    """
    if not folder.exists() or not looks_like_run([path.name for path in folder.iterdir()]):
        return [], ""
    place, last = _latest(folder)  # before the others: a run may write them while it is looked at
    return [
        names[-1]
        for names in ESSENTIAL[:place]
        if not any((folder / name).exists() for name in names)
    ], last


def _latest(folder: Path) -> tuple[int, str]:
    """How many of the essential files were written before what a run wrote last, and what
    that is.
    """
    numbers = [
        path.stem
        for part in ("queries", "cycles")
        for path in sorted((folder / part).glob("[0-9]*"))
    ]
    if (folder / "done").exists():
        return 4, "done"
    if later := [number for number in numbers if number > "00"]:
        return 4, f"cycle {later[-1]}"
    rows = folder / "metrics.jsonl"
    if rows.exists() and content(rows, ROWS).count(b"\n") > 1:
        return 4, "metrics.jsonl with more than a row"
    for place, name in ((3, "state.json"), (2, "metrics.jsonl")):
        if (folder / name).exists():
            return place, name
    if numbers:
        return 2, "cycle 00"
    return (1, "samples.txt") if (folder / "samples.txt").exists() else (0, "")
