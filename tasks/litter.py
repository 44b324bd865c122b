"""Files that systems and tools leave in folders of data.

Every reader skips them, and one note reports them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from models.process.text import abridged

NAMES = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "__macosx",
        "icon\r",
        "@eadir",
        "#recycle",
        "#snapshot",
        "lost+found",
        "__pycache__",
    }
)
SHOWN = 4  # names in a note


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name belongs to no data set: it is hidden or well known."""
    return name.startswith(".") or name.lower() in NAMES or name.lower().startswith("thumbs.db:")


def listing(folder: Path) -> list[Path]:
    """The files and folders in a folder, sorted by name, without litter."""
    return sorted((p for p in folder.iterdir() if not is_litter(p.name)), key=lambda p: p.name)


def skipped(folders: Iterable[Path], place: str) -> list[str]:
    """A note on the litter in `folders`, which are of `place`, with counts; empty without any."""
    counts: Counter[str] = Counter()
    for folder in folders:
        for path in folder.iterdir():
            if path.name.startswith("._"):
                counts["._*"] += 1
            elif is_litter(path.name):
                counts[path.name] += 1
    if not counts:
        return []
    which = abridged([f"{count:,} {name!r}" for name, count in counts.most_common()], SHOWN)
    return [f"{place}: {counts.total():,} files and folders without data are skipped: {which}"]
