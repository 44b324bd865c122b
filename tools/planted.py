"""How many of a sandbox's planted hard samples the queries took.

    python tools/planted.py RUN... --hard HARD.txt

Reads run folders on a sandbox of `make_sandbox.py` and its hard.txt; says, for every run, the share
of hard samples among all that was queried, beside the share in the pool.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from rich.console import Console

from models.process.text import headline, printable
from tools.compare.planted import hard_share
from tools.display.sheet import Column, Sheet
from tools.display.streams import command
from tools.record.folder import RunFolderError


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where a folder is not what it should be."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--hard", type=Path, required=True, help="hard.txt of the sandbox")
    arguments = parser.parse_args(argv)
    columns = (
        Column("hard", 2),
        Column("queried", 1),
        Column("share", 4),
        Column("share in the pool", 3),
    )
    sheet = Sheet(Column("run"), *columns)
    try:
        hard = frozenset(arguments.hard.read_text(encoding="utf-8").splitlines()) - {""}
        for share in [hard_share(run, hard) for run in arguments.runs]:
            ratio = share.hard / share.queried
            sheet.add(share.run, share.hard, share.queried, f"{ratio:.3f}", f"{share.pool:.3f}")
    except (OSError, ValueError, TypeError, RunFolderError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    sheet.print(Console())
    return 0


if __name__ == "__main__":
    command(main)
