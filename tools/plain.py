"""Say in plain words what a comparison shows.

    python tools/plain.py work_dirs/demo

Reads the summary.json that `al_compare.py` wrote into the folder.
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

from models.process.text import error_line, headline
from tools.compare.plain import PICTURE, said, summary
from tools.display.streams import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if the folder holds no summary."""
    parser = argparse.ArgumentParser(prog="plain.py", description=headline(__doc__))
    parser.add_argument("report", type=Path, help="the folder given to al_compare.py as --out")
    arguments = parser.parse_args(argv)
    try:
        for one in summary(arguments.report):
            print("\n" + "\n".join(said(one)))
    except (OSError, ValueError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    print(f"The curves in one picture: {arguments.report / PICTURE}")
    return 0


if __name__ == "__main__":
    command(main)
