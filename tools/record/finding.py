"""Find run folders.

Whatever looks like a run is either read or named, so that no run is left out in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.process.text import printable, reason
from tools.record.folder import RunFolderError
from tools.record.marks import looks_like_run
from tools.record.plans import Trust
from tools.record.reading import ComparisonError, Run, read

Identity = tuple[int, int]  # device and inode: of a folder, by whatever name


@dataclass(frozen=True)
class LeftOut:
    """What may be a run, or hold some, and is not read; `str()` says which and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return printable(f"{self.path}, because {' '.join(self.why.split())}")


def read_all(paths: Sequence[Path], trust: Trust = ()) -> tuple[list[Run], list[LeftOut]]:
    """The runs at or below the paths. One below that cannot be read is left out; one that is named
    itself must be.

    Raises:
        ComparisonError: if a path holds no run, or nothing can be read.
        RunFolderError: if a path is a run that cannot be read.
    """
    found, left_out = find(paths)
    named = [str(one) for one in left_out if one.path in paths]
    if named:
        raise ComparisonError(
            "\n  ".join(["These folders cannot be read; leave them out:", *named])
        )
    runs = []
    for path in found:
        try:
            runs.append(read(path, trust))
        except (RunFolderError, OSError) as error:
            if path in paths:
                raise
            left_out.append(LeftOut(path, str(error)))
    if not runs:
        raise ComparisonError("\n  ".join(["No run can be read:", *map(str, left_out)]))
    return runs, left_out


def find(paths: Iterable[str | Path]) -> tuple[list[Path], list[LeftOut]]:
    """Folders at or below the paths that look like runs, whole or not; and what could not be looked
    into.

    Those of a path are sorted. A run may lie below another one. Links are followed, and each real
    folder comes once: by its own name, where that is below the paths, too.

    Raises:
        ComparisonError: if a path is not there, or holds no run.
    """
    runs: dict[Identity, tuple[bool, Path]] = {}
    closed: dict[Path, LeftOut] = {}
    for path in map(Path, paths):
        below, out = _below(path)
        if not (below or out):
            came = "holds no run folder" if path.is_dir() else "is no folder"
            raise ComparisonError(f"{path} {came}; expected one such as work_dirs/<config>")
        for identity, one in sorted(below.items(), key=lambda item: item[1][1]):
            runs[identity] = min(runs.get(identity, one), one, key=lambda run: run[0])
        closed |= out
    return [place for _, place in runs.values()], list(closed.values())


def _below(path: Path) -> tuple[dict[Identity, tuple[bool, Path]], dict[Path, LeftOut]]:
    """Runs, each with whether a link leads there.

    And folders and links that cannot be looked into.
    """
    runs: dict[Identity, tuple[bool, Path]] = {}
    closed: dict[Path, LeftOut] = {}
    seen: set[Identity] = set()
    plain, linked = [(path, False)], list[tuple[Path, bool]]()
    if path.is_symlink():
        plain, linked = linked, plain
    while plain or linked:
        by_link = not plain  # links come last: most lead to what is known by then
        place, inside = (plain or linked).pop()
        try:
            status = os.stat(place)
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                entries = []
            else:
                entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        # also of a run that goes on, and clears what it does not need
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            closed[place] = LeftOut(place, f"it cannot be read ({reason(error)})")
            continue
        seen.add(identity)
        if looks_like_run([entry.name for entry in entries]):
            runs[identity], inside = (by_link, place), True
        for entry in entries:
            below = Path(place, entry.name)
            if not entry.is_symlink():
                (linked if by_link else plain).extend([(below, inside)] if entry.is_dir() else [])
            elif below.is_dir():
                linked.append((below, inside))
            elif not (inside or below.exists()):
                closed[below] = LeftOut(
                    below, f"it is a link that leads to nothing: {os.readlink(below)}"
                )
    return runs, closed
