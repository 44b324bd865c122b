"""Compare the picks of each strategy with those of scikit-activeml's of the same name.

    python tools/agreement.py --environment .venv-activeml

Scikit-activeml is in a virtual environment of its own, which `make agreement` makes. The exit
status is 1 if it is not there or fails; what disagrees is a result.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from models.process.text import error_line, headline
from tools.display.streams import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(os.environ.get("AL_ACTIVEML", ".venv-activeml")),
        help="folder of the virtual environment; AL_ACTIVEML says another default",
    )
    arguments = parser.parse_args(argv)
    from tools.benchmarks import agreement  # what it needs takes seconds to import
    from tools.benchmarks.apart import ApartError
    from tools.display.console import Plain

    try:
        version, found = agreement.measure(arguments.environment)
    except ApartError as error:
        print(error_line(error), file=sys.stderr)
        return 1
    agreement.table(version, found).print(Plain())
    return 0


if __name__ == "__main__":
    command(main)
