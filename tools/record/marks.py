"""Recognise a run folder by its files, and find which of them are lost.

A run writes them one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tools.record.files import ROWS, content

CONFIGS = ("config.json", "config.py")
# in the order in which a run first writes them, one of each
ESSENTIAL = (CONFIGS, ("samples.txt",), ("metrics.jsonl",), ("state.json",))
MARKS = {"samples.txt", "metrics.jsonl", "state.json", "done", "queries", ".lock"}


def looks_like_run(names: Collection[str]) -> bool:
    """Whether a folder with these names in it is a run's, even if it lacks some files.

    A folder of mmengine, which has only a config.py, is none.
    """
    return any(config in names for config in CONFIGS) + len(MARKS & set(names)) > 1


def lost(folder: Path) -> tuple[list[str], str]:
    """Return essential files that are missing though a later file is there, and that later file.

    A kill at any moment loses none: in a run that was killed in its first cycle, `state.json` is
    not lost but yet to come.

    Raises:
        OSError: if the folder cannot be read, or RunFolderError a file.
    """
    if not folder.exists() or not looks_like_run([path.name for path in folder.iterdir()]):
        return [], ""
    count, last = _latest(folder)  # before the others: a run may write them at this moment
    missing = [
        names[-1]
        for names in ESSENTIAL[:count]
        if not any((folder / name).exists() for name in names)
    ]
    return missing, last


def _latest(folder: Path) -> tuple[int, str]:
    """Return the number of essential files that a run wrote before its last file, and that file."""
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
    if (folder / "state.json").exists():
        return 3, "state.json"
    if rows.exists():
        return 2, "metrics.jsonl"
    if numbers:
        return 2, "cycle 00"
    if (folder / "samples.txt").exists():
        return 1, "samples.txt"
    return 0, ""
