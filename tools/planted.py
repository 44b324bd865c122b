"""Count how many of a sandbox's planted hard samples the queries took.

    python tools/planted.py RUN... --hard HARD.txt

Reads run folders on a sandbox of `make_sandbox.py` and its hard.txt, and prints, for every run, the
share of hard samples among all queried ones, beside the share in the pool.
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

from models.process.text import headline
from tools.display.streams import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if a folder is not what it should be."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--hard", type=Path, required=True, help="hard.txt of the sandbox")
    arguments = parser.parse_args(argv)
    from tools.compare import planted  # what it needs takes long to import

    return planted.main(arguments)


if __name__ == "__main__":
    command(main)
