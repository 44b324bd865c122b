"""Download a published data set, check it, unpack it, and count what is there.

    python tools/prepare_data.py voc --root data/VOCdevkit
    python tools/prepare_data.py cifar10 --root data/cifar
    python tools/prepare_data.py mpii --root data/mpii
    python tools/prepare_data.py voc --root data/VOCdevkit --check   # only look

The result is what the configs read: `VOC2007/` and `VOC2012/`; `cifar-10-batches-py/`; `images/` and `annot/`. Stopped
or killed anywhere, the same command goes on, and where all is there it does nothing but check. Where something is
missing, its archive is unpacked again, over files of the same names.

An archive that lies in the root already (copied from another machine) is used instead of a download, and kept; one that
was downloaded is deleted once what is in it is there and checked, unless with `--keep-archives`. Addresses, checksums
and counts are in `tools/data/published/sets.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

if not __package__:  # run as a file: its folder is first on the path, where its names would hide others
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place).resolve() != HERE)]

from tools.data.published.download import digest, fetch, gigabytes, PrepareError, require_space
from tools.data.published.sets import Archive, DataSet, SETS
from tools.display.streams import command

WRONG, STOPPED = 1, 130


def parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The options."""
    parse = argparse.ArgumentParser(
        prog="prepare_data.py",
        description="Download, check, unpack and count a published data set. The same command goes on after a stop.",
    )
    parse.add_argument("data", choices=names)
    parse.add_argument("--root", type=Path, required=True, help="what the config calls task.data_root")
    parse.add_argument("--check", action="store_true", help="only check and count what is there")
    parse.add_argument("--keep-archives", action="store_true", help="do not delete them after they are unpacked")
    parse.add_argument("--mirror", type=_mirror, help="http(s) address of a folder that has the archives")
    return parse


def main(argv: Sequence[str] | None = None, sets: Mapping[str, DataSet] = SETS) -> int:
    """The command line.

    Args:
        argv: without the program's name.
        sets: what can be prepared, by name.

    Returns:
        The exit status: 0 where all is there, 1 where something is wrong, 130 after Ctrl-C.
    """
    arguments = parser(list(sets)).parse_args(argv)
    data, root = sets[arguments.data], arguments.root
    try:
        if not arguments.check:
            for archive in data.archives:
                _prepare(archive, root, arguments.mirror, arguments.keep_archives)
        return _report(data, root, "run this without --check, which gets what is missing")
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG
    except OSError as error:
        print(f"error: {error}; put it right, and the same command goes on", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED


def _mirror(text: str) -> str:
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and text.isascii()
        right = right and all(len(label) < 64 for label in (parts.hostname or "").split("."))
    except ValueError:
        right = False
    if not right:
        raise argparse.ArgumentTypeError(f"expected an address such as http://host/folder, but got {text!r}")
    return text.rstrip("/")


def _prepare(archive: Archive, root: Path, mirror: str | None, keep: bool) -> None:
    """Make what an archive brings be there, where anything of it is missing or wrong."""
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
            + f"\nIt is not the published archive, or the disk is faulty; delete {path} and run the same command again"
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
            f"--root {root}: expected a folder that can be written, but: {error.strerror or error}; give another one"
        ) from error


def _usable(archive: Archive, path: Path) -> bool:
    """Whether the archive is there already; one with a wrong checksum is downloaded over."""
    if not path.is_file():
        return False
    came = digest(path, archive.checksum.split(":")[0])
    if came != archive.checksum:
        print(f"{path}: expected {archive.checksum}, but got {came}; it is replaced")
    return came == archive.checksum


def _report(data: DataSet, root: Path, remedy: str) -> int:
    faults = data.faults(root)
    if faults:
        print("\n  ".join([f"error: {len(faults)} wrong in {root}; {remedy}:", *faults]), file=sys.stderr)
        return WRONG
    train, test = data.sizes()
    print(f"{root}: {train:,} samples to train on and {test:,} to test on; all there")
    left = [root / archive.name for archive in data.archives if (root / archive.name).is_file()]
    for path in left:
        print(f"{path} ({gigabytes(path.stat().st_size)}) is no longer needed")
    return 0


if __name__ == "__main__":
    command(main)
