"""Prepare a data set from its publisher: download, check, unpack, report."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from models.process.text import error_line
from tools.data.published.download import PrepareError, digest, fetch, gigabytes, require_space
from tools.data.published.sets import Archive, DataSet


def prepare(archive: Archive, root: Path, mirror: str | None, keep: bool) -> None:
    """Download and unpack an archive, if anything that it contains is missing or wrong."""
    faults = archive.faults(root)
    if not faults:
        return
    _make_root(root)
    for fault in faults:
        print(f"to do: {fault}")
    path = root / archive.name
    downloaded = not _usable(archive, path)
    if downloaded:
        address = f"{mirror}/{archive.name}" if mirror else archive.address
        print(f"downloading {address}", flush=True)
        fetch(address, path, archive.checksum, archive.unpacked)
    require_space(root, int(archive.unpacked * path.stat().st_size), f"what is in {path.name}")
    print(f"unpacking {path}", flush=True)
    archive.unpack(path, root)
    if faults := archive.faults(root):
        raise PrepareError(
            "\n  ".join([f"{path} is unpacked, but not all is there:", *faults])
            + f"\nIt is not the published archive, or the disk is faulty; delete {path} and "
            "run the same command again"
        )
    if downloaded and not keep:
        path.unlink()


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise PrepareError(
            f"--root {root}: expected a folder that can be written, but: "
            f"{error.strerror or error}; give another one"
        ) from error


def _usable(archive: Archive, path: Path) -> bool:
    """Whether the archive exists already; one with a wrong checksum is downloaded anew."""
    if not path.is_file():
        return False
    actual = digest(path, archive.checksum.split(":")[0])
    if actual != archive.checksum:
        print(f"{path}: expected {archive.checksum}, but got {actual}; it is replaced")
    return actual == archive.checksum


def report(data: DataSet, root: Path, remedy: str) -> int:
    """Print what is complete or wrong, and return the exit status."""
    faults = data.faults(root)
    if faults:
        text = "\n  ".join([f"{len(faults)} wrong in {root}; {remedy}:", *faults])
        print(error_line(text), file=sys.stderr)
        return 1
    train, test = data.sizes()
    print(f"{root}: {train:,} samples to train on and {test:,} to test on; all there")
    left = [root / archive.name for archive in data.archives if (root / archive.name).is_file()]
    for path in left:
        print(f"{path} ({gigabytes(path.stat().st_size)}) is no longer needed")
    return 0
