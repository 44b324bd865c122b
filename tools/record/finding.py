"""Find run folders.

Whatever looks like a run is either read or named, so that no run is left out in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.process.text import printable, reason
from tools.record import people
from tools.record.folder import RunFolderError
from tools.record.marks import looks_like_run
from tools.record.plans import Trust
from tools.record.reading import ComparisonError, Run, read

Identity = tuple[int, int]  # device and inode: of a folder, by whatever name


@dataclass(frozen=True)
class LeftOut:
    """A path that may be a run, or hold some, and is not read; `str()` adds the reason."""

    path: Path
    why: str

    def __str__(self) -> str:
        return printable(f"{self.path}, because {' '.join(self.why.split())}")


def read_all(paths: Sequence[Path], trust: Trust = ()) -> tuple[list[Run], list[LeftOut]]:
    """Read the runs at or below the paths.

    A run below a path that cannot be read is left out; one that is itself among the paths must be
    readable.

    Raises:
        ComparisonError: if a path holds no run, or nothing can be read.
        RunFolderError: if a path is a run that cannot be read.
    """
    folders, left_out = find(paths, projects=True)
    named = [str(one) for one in left_out if one.path in paths]
    if named:
        raise ComparisonError(
            "\n  ".join(["These folders cannot be read; leave them out:", *named])
        )
    runs = []
    for path in folders:
        try:
            runs.append(people.read(path) if people.there(path) else read(path, trust))
        except (RunFolderError, OSError) as error:
            if path in paths:
                raise
            left_out.append(LeftOut(path, str(error)))
    if not runs:
        raise ComparisonError("\n  ".join(["No run can be read:", *map(str, left_out)]))
    return runs, left_out


def find(paths: Iterable[str | Path], projects: bool = False) -> tuple[list[Path], list[LeftOut]]:
    """Find folders at or below the paths that look like runs, and list what cannot be read.

    The folders may lack files. Those of a path are sorted. A run may lie below another one. Links
    are followed, and each real folder comes once: by its own name, where that is below the paths,
    too.

    Args:
        paths: folders.
        projects: a labeling project counts as a run, and its rounds do not.

    Raises:
        ComparisonError: if a path is not there, or holds no run.
    """
    runs: dict[Identity, tuple[bool, Path]] = {}
    closed: dict[Path, LeftOut] = {}
    for path in map(Path, paths):
        below, out = _below(path, projects)
        if not (below or out):
            what = "holds no run folder" if path.is_dir() else "is no folder"
            raise ComparisonError(f"{path} {what}; expected one such as work_dirs/<config>")
        for identity, one in sorted(below.items(), key=lambda item: item[1][1]):
            runs[identity] = min(runs.get(identity, one), one, key=lambda run: run[0])
        closed |= out
    return [place for _, place in runs.values()], list(closed.values())


def _below(
    path: Path, projects: bool
) -> tuple[dict[Identity, tuple[bool, Path]], dict[Path, LeftOut]]:
    """Return the runs, each with whether a link leads there, and what cannot be read."""
    runs: dict[Identity, tuple[bool, Path]] = {}
    closed: dict[Path, LeftOut] = {}
    seen: set[Identity] = set()
    plain: list[tuple[Path, bool]] = []
    linked: list[tuple[Path, bool]] = []
    if path.is_symlink():
        linked.append((path, False))
    else:
        plain.append((path, False))
    while plain or linked:
        by_link = not plain  # links come last: most lead to what is known by then
        place, inside = (plain or linked).pop()
        try:
            status = os.stat(place)
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                continue
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        # also of a run that goes on, and clears what it does not need
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            closed[place] = LeftOut(place, f"it cannot be read ({reason(error)})")
            continue
        seen.add(identity)
        if projects and people.FILE in {entry.name for entry in entries}:
            runs[identity] = (by_link, place)
            continue
        if looks_like_run([entry.name for entry in entries]):
            runs[identity] = (by_link, place)
            inside = True
        for entry in entries:
            below = Path(place, entry.name)
            if not entry.is_symlink():
                if entry.is_dir():
                    (linked if by_link else plain).append((below, inside))
            elif below.is_dir():
                linked.append((below, inside))
            elif not (inside or below.exists()):
                closed[below] = LeftOut(
                    below, f"it is a link that leads to nothing: {os.readlink(below)}"
                )
    return runs, closed
