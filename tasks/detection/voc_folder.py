"""Files below a folder by their names without suffix, as an image and its XML are matched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tasks.litter import is_litter, listing

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".dib",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tif",
        ".tiff",
        ".webp",
        ".gif",
        ".jp2",
    }
)  # in small letters
XMLS = frozenset({".xml"})


@dataclass
class Folder:
    """Files of some suffixes below a folder, found by their path without suffix.

    Each folder is listed once.
    """

    home: Path
    suffixes: frozenset[str]
    _seen: dict[PurePath, dict[str, list[str]]] = field(default_factory=dict)

    def named(self, stem: str) -> list[Path]:
        """The files with this path without suffix, in order."""
        parent = PurePath(stem).parent
        name = PurePath(stem).name
        if parent not in self._seen:
            self._seen[parent] = self._names(self.home / parent)
        return [self.home / parent / file for file in self._seen[parent].get(name, [])]

    def _names(self, folder: Path) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        try:
            paths = listing(folder)
        except (OSError, ValueError):  # reported where the folder itself is checked
            paths = []
        for path in paths:
            if path.suffix.lower() in self.suffixes:
                names.setdefault(path.stem, []).append(path.name)
        return names

    def stems(self) -> list[str]:
        """The paths without suffix of all files, in sub-folders too, in order.

        Litter does not count.
        """
        inside = [(folder.relative_to(self.home), self._names(folder)) for folder in self.folders()]
        return sorted((folder / stem).as_posix() for folder, stems in inside for stem in stems)

    def folders(self) -> Iterator[Path]:
        """The folder and those below it, behind links too."""
        visited: set[str] = set()  # a link to a folder above would never end
        for folder, below, _ in os.walk(self.home, followlinks=True):
            real = os.path.realpath(folder)
            if real in visited:
                below.clear()
                continue
            visited.add(real)
            below[:] = [name for name in below if not is_litter(name)]
            yield Path(folder)

    def others(self) -> list[str]:
        """Files of other suffixes, by name."""
        files = [path for folder in self.folders() for path in listing(folder) if not path.is_dir()]
        return sorted(path.name for path in files if path.suffix.lower() not in self.suffixes)
