"""Files that systems and tools leave in folders of data.

Every reader skips them, and one note says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

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
    """Whether a file or folder of this name is no part of any data set: hidden ones, and
    what is known by its name.
    """
    return name.startswith(".") or name.lower() in NAMES or name.lower().startswith("thumbs.db:")


def listing(folder: Path) -> list[Path]:
    """What is in a folder, by name, without litter."""
    return sorted((p for p in folder.iterdir() if not is_litter(p.name)), key=lambda p: p.name)


def skipped(folders: Iterable[Path], place: str) -> list[str]:
    """A note of the litter in `folders`, which are of `place`, with its number.

    None if there is none.
    """
    found = Counter(
        "._*" if path.name.startswith("._") else path.name
        for folder in folders
        for path in folder.iterdir()
        if is_litter(path.name)
    )
    if not found:
        return []
    which = ", ".join(f"{count:,} {name!r}" for name, count in found.most_common(SHOWN))
    more = ", ..." if len(found) > SHOWN else ""
    return [
        f"{place}: {found.total():,} files and folders are skipped that are no data: {which}{more}"
    ]
