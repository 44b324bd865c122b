"""Compare strategies.

    python tools/al_compare.py work_dirs/det_ssd_voc --out report

Reads run folders, finished or not, and writes `report.html`, `curves.png`, `summary.json` and
`summary.csv`. The computation is in `tools/compare`.
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

from tools.display.streams import command
from tools.experiment.options import add_moved


def parser() -> argparse.ArgumentParser:
    """The options of `al_compare.py`."""
    parse = argparse.ArgumentParser(
        prog="al_compare.py", description="Compare strategies by their run folders."
    )
    parse.add_argument(
        "runs",
        nargs="+",
        type=Path,
        help="run folders, or folders with runs such as work_dirs/<config>",
    )
    parse.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for report.html, curves.png and the summaries",
    )
    parse.add_argument(
        "--by",
        choices=("test", "validation"),
        default="test",
        help="the metric on the test set, or on the validation split that budget.validation takes "
        "from the pool (default: %(default)s)",
    )
    add_moved(parse)
    return parse


def main(argv: Sequence[str]) -> int:
    """Run the command line: read the runs, compare them, and write and show the report.

    Args:
        argv: without the program's name.

    Returns:
        The exit status: 0, 1 if the report leaves something out that looks like a run, 2 if runs
        must not be compared, one that is named cannot be read, or nothing can be written, 130 after
        Ctrl-C.
    """
    arguments = parser().parse_args(argv)
    from tools.compare import session  # what it needs takes long to import

    return session.main(arguments)


if __name__ == "__main__":
    command(main)
