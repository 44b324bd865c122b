"""Download a published data set, check it, unpack it, and count its samples.

    python tools/prepare_data.py voc --root data/VOCdevkit
    python tools/prepare_data.py cifar10 --root data/cifar
    python tools/prepare_data.py mpii --root data/mpii
    python tools/prepare_data.py voc --root data/VOCdevkit --check   # only look

The result is what the configs read: `VOC2007/` and `VOC2012/`; `cifar-10-batches-py/`; `images/`
and `annot/`. Stopped or killed anywhere, the same command goes on, and if nothing is missing it
only checks. If something is missing, its archive is unpacked again, over files of the same names.

An archive that lies in the root already (copied from another machine) is used instead of a
download, and kept. One that was downloaded is deleted once its files are unpacked and checked,
unless `--keep-archives` is given. Addresses, checksums and counts are in
`tools/data/published/sets.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from models.process.text import error_line
from tools.data.published import NAMES, address
from tools.display.streams import command

if TYPE_CHECKING:
    from tools.data.published.sets import DataSet

WRONG, STOPPED = 1, 130


def parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The options of `prepare_data.py`."""
    parse = argparse.ArgumentParser(
        prog="prepare_data.py",
        description="Download, check, unpack and count a published data set. The same command goes "
        "on after a stop.",
    )
    parse.add_argument("data", choices=names)
    parse.add_argument(
        "--root", type=Path, required=True, help="what the config calls task.data_root"
    )
    parse.add_argument("--check", action="store_true", help="only check and count what is there")
    parse.add_argument(
        "--keep-archives", action="store_true", help="do not delete them after they are unpacked"
    )
    parse.add_argument(
        "--mirror", type=address, help="http(s) address of a folder that has the archives"
    )
    return parse


def main(argv: Sequence[str] | None = None, sets: Mapping[str, DataSet] | None = None) -> int:
    """Run the command line.

    Args:
        argv: without the program's name.
        sets: data sets that can be prepared, by name; all of `NAMES` by default.

    Returns:
        The exit status: 0 if all is there, 1 if something is wrong, 130 after Ctrl-C.
    """
    arguments = parser(list(sets or NAMES)).parse_args(argv)
    from tools.data.published.download import PrepareError
    from tools.data.published.prepare import prepare, report
    from tools.data.published.sets import SETS

    data = (sets or SETS)[arguments.data]
    root = arguments.root
    try:
        if not arguments.check:
            for archive in data.archives:
                prepare(archive, root, arguments.mirror, arguments.keep_archives)
        return report(data, root, "run this without --check, which gets what is missing")
    except PrepareError as error:
        print(error_line(error), file=sys.stderr)
        return WRONG
    except OSError as error:
        print(error_line(f"{error}; put it right, and the same command goes on"), file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED


if __name__ == "__main__":
    command(main)
