"""What is valid and odd about a folder of images, said once before a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks import litter
from tasks.base import Source
from tasks.data import canonical, few


def folder_notes(split: str, folder: Path, classes: Sequence[str]) -> list[str]:
    """Skipped litter and left-out classes of a split's folder."""
    homes = litter.listing(folder)
    known = [home for home in homes if home.name in classes]
    others = [home for home in homes if home.name not in classes]
    notes = litter.skipped([folder, *known], split)
    if others:
        counts = ", ".join(f"{len(litter.listing(home)):,} of {home.name!r}" for home in others)
        notes.append(f"{split}: images of classes that `classes` lacks are left out: {counts}")
    return notes


def untested(classes: Sequence[str], test: Sequence[Source]) -> list[str]:
    """Classes without a test image."""
    tested = {source.label for source in test}
    if not tested - {canonical(label=None)}:
        return ["test: no image has a class; accuracy is not a number"]
    lacking = [name for name in classes if canonical(label=name) not in tested]
    if not lacking:
        return []
    which = f"{len(lacking)} of {len(classes)} classes: {few(lacking)}"
    return [f"test: no image of {which}; their accuracy is not a number"]
