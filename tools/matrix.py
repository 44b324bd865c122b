"""Run every strategy on every sandbox for two short cycles.

    python tools/matrix.py --root data/sandbox

Prints a table of cells: the seconds of a cell, and the range of its scores or of its vectors'
norms, or the reason why it was refused. Needs the sandboxes of `make_sandbox.py`. The exit status
is 1 if a cell that was not refused failed.
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

from acquisition.names import STRATEGIES
from models.process.text import headline
from tools.data.sandbox import CONFIGS
from tools.display.streams import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument(
        "--root", type=Path, required=True, help="folder with the sandboxes of make_sandbox.py"
    )
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument(
        "--strategies",
        nargs="+",
        choices=STRATEGIES,
        default=list(STRATEGIES),
    )
    arguments = parser.parse_args(argv)
    from tools.contract import matrix  # what it needs takes seconds to import

    return matrix.main(arguments)


if __name__ == "__main__":
    command(main)
