"""Names that losstap's packages share with the user's modules.

Says which of the two is imported, and what to do about the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("models", "tasks", "acquisition", "tools")


def others(name: str) -> Iterator[Path]:
    """Yield modules and packages on Python's path that a package of losstap's hides.

    They have the same name, and losstap's is imported in their place.
    """
    for place in dict.fromkeys(Path(place or ".").resolve() for place in sys.path):
        if place == ROOT or "site-packages" in place.parts:
            continue
        spec = PathFinder.find_spec(name, [str(place)])
        if spec is None:
            continue
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        if spec.origin and not folders:
            yield Path(spec.origin)
        elif any(file for folder in folders for file in folder.glob("*.py")):
            yield folders[0]  # and not a folder of something else, such as of weights


def told() -> list[str]:
    """Return a line for each module or package that one of losstap's hides."""
    return [
        f"{other} is hidden by losstap's own {ROOT / name}; rename it where you import it"
        for name in OURS
        for other in others(name)
    ]


def reason(missing: str) -> str:
    """Return the end of a sentence on an import that failed; empty if no name is shared."""
    first = missing.partition(".")[0]
    if first not in OURS:
        return ""
    for other in others(first):
        return f"; {other} is hidden by losstap's own {ROOT / first}: rename it"
    return ""
