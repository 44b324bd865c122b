"""Names that losstap's packages share with the user's: whose is imported, and what to do
about the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("models", "tasks", "acquisition", "tools")


def others(name: str) -> Iterator[Path]:
    """Modules and packages on Python's path that are called as one of losstap's, which is
    imported in their place.
    """
    for place in dict.fromkeys(Path(place or ".").resolve() for place in sys.path):
        if place == ROOT or "site-packages" in place.parts:
            continue
        spec = PathFinder.find_spec(name, [str(place)])
        if spec is None:
            continue
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        if folders and not any(file for folder in folders for file in folder.glob("*.py")):
            continue  # a folder of something else, such as of weights
        yield Path(spec.origin) if spec.origin and not folders else folders[0]


def told() -> list[str]:
    """A line for each name of losstap's that something else on Python's path has, too."""
    found = [(name, other) for name in OURS for other in others(name)]
    return [
        f"{other} is hidden by losstap's own {ROOT / name}; rename it where you import it"
        for name, other in found
    ]


def reason(missing: str) -> str:
    """What may be behind an import that failed: the end of a sentence, empty if no name
    is shared.
    """
    first = missing.partition(".")[0]
    found = next(others(first), None) if first in OURS else None
    return f"; {found} is hidden by losstap's own {ROOT / first}: rename it" if found else ""
