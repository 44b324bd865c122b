"""Unpack archives whole or not at all, and only into their folder.

Only the files of a tar are taken, and written here rather than by `tarfile`: its treatment of
links, owners and modes depends on the patch version of Python, and the archives of data sets need
none of it.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from models.process.progress import bar
from models.process.text import reason, shown
from tasks.faults import escapes
from tools.data.published.download import CHUNK, PrepareError

Place = Callable[[PurePosixPath], PurePosixPath | None]


def unpack(archive: Path, root: Path, place: Place) -> None:
    """Put the files of a tar archive below `root`, over files of the same names.

    They are written into a folder beside and renamed when all are there; killed anywhere, a further
    call does it again.

    Args:
        archive: any tar, compressed or not.
        root: an existing folder.
        place: path in the archive -> path below `root`, or None for a file that is not wanted.

    Raises:
        PrepareError: if it is no whole archive, holds anything but files and folders below its
            own top, or the disk is full; nothing below `root` is changed then.
    """
    try:
        with staged(archive, root) as staging:
            _extract(archive, staging, place)
    # ValueError: a NUL in a name
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise broken(archive, "a whole tar archive", error) from error


@contextmanager
def staged(archive: Path, root: Path) -> Iterator[Path]:
    """Yield a folder beside, for the files of `archive`, and then move them below `root`.

    They get the same paths there.

    Raises:
        PrepareError: if the disk is full or refuses; if that happens in the block, nothing below
            `root` is changed.
    """
    staging = root / f".{archive.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
        _publish(staging, root)
    except OSError as error:
        raise PrepareError(
            f"Could not unpack {archive} below {root}: {reason(error)}; make room or give another "
            "--root. The archive is kept, and the same command goes on"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def broken(archive: Path, expected: str, error: Exception) -> PrepareError:
    """Return the error to raise for an archive that cannot be read."""
    return PrepareError(f"{archive}: expected {expected}, but {reason(error)}; {_again(archive)}")


def _extract(archive: Path, staging: Path, place: Place) -> None:
    with bar(of_bytes=True) as progress, open(archive, "rb") as file:
        task = progress.add_task(f"unpacking {archive.name}", total=archive.stat().st_size)
        with tarfile.open(fileobj=file, mode="r|*") as members:
            for member in members:
                _check_inside(archive, member)
                path = None
                if member.isreg():
                    path = place(PurePosixPath(member.name))
                if path is not None:
                    content = members.extractfile(member)
                    _write(content, staging / path, member)  # type: ignore[arg-type]
                progress.update(task, completed=file.tell())


def _check_inside(archive: Path, member: tarfile.TarInfo) -> None:
    """Raise PrepareError for what could end up, or lead, outside the folder."""
    if escapes(member.name):
        what = "a path out of it"
    elif member.islnk() or member.issym():
        what = f"a link to {shown(member.linkname)}"
    elif not (member.isreg() or member.isdir()):
        what = "a device or pipe"
    else:
        return
    raise PrepareError(
        f"{archive}: expected files and folders below the archive's own, but got "
        f"{shown(member.name)}, {what}; nothing was unpacked. This is not what the publisher "
        f"offers; {_again(archive)}"
    )


def _write(source: IO[bytes], path: Path, member: tarfile.TarInfo) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
    if path.stat().st_size != member.size:
        raise tarfile.ReadError(
            f"{shown(member.name)} ends after {path.stat().st_size:,} of {member.size:,} bytes"
        )


def _publish(staging: Path, root: Path) -> None:
    """Rename every file to its place; one at a time, as several archives fill the same folders."""
    for folder, _, names in os.walk(staging):
        target = root / Path(folder).relative_to(staging)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.replace(Path(folder) / name, target / name)


def _again(archive: Path) -> str:
    return f"delete {archive} and run the same command, which downloads it anew, or try --mirror"
