"""The image that a wrong name may mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from models.process.text import folded

COMPARED = 20_000  # names: comparing each takes about a microsecond a character


def near(name: str, keys: Iterable[str]) -> str:
    """A question that names a key nearly like a name; empty if there is none."""
    last = folded(name.replace("\\", "/").rpartition("/")[2])[:200]
    by_name: dict[str, str] = {}
    for key in keys:
        by_name.setdefault(folded(key.rpartition("/")[2]), key)
    if last in by_name:
        return f"did you mean {by_name[last]!r}?"
    if len(by_name) > COMPARED:
        return ""
    close = difflib.get_close_matches(last, list(by_name), n=1, cutoff=0.8)
    return f"did you mean {by_name[close[0]]!r}?" if close else ""
