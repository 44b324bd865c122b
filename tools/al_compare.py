"""Compare strategies.

    python tools/al_compare.py work_dirs/det_ssd_voc --out report

Reads run folders, finished or not, and writes `report.html`, `curves.png`, `summary.json` and
`summary.csv`. What is computed is in `tools/compare`.
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

from models.process.text import printable
from tools.compare.findings import findings
from tools.compare.grouping import group
from tools.compare.page.figure import png
from tools.compare.page.files import as_csv, as_json, write
from tools.compare.page.html import page
from tools.compare.page.terminal import show
from tools.display.looks import styles
from tools.display.streams import command
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError, option
from tools.record import code
from tools.record.finding import read_all
from tools.record.folder import RunFolderError
from tools.record.reading import ComparisonError

INCOMPLETE = 1


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
        "--cfg-options",
        nargs="+",
        type=option,
        default=[],
        metavar="key=value",
        help="settings over the runs', to find data that moved: task.data_root=data/mine",
    )
    code.add_option(parse)
    return parse


def main(argv: Sequence[str]) -> int:
    """Read, compare, write, and show.

    Args:
        argv: without the program's name.

    Returns:
        The exit status: 0, 1 where the report leaves something out that looks like a run, 2 where
        runs must not be compared, one that is named cannot be read, or nothing can be written, 130
        after Ctrl-C.
    """
    arguments = parser().parse_args(argv)
    console = Console(soft_wrap=True, markup=False)  # paths may hold [brackets]
    try:
        runs, left_out = read_all(arguments.runs, arguments.trust)
        compared = group(runs, list(map(str, left_out)))
        found = [findings(one, dict(arguments.cfg_options), arguments.trust) for one in compared]
        looks = styles(run.leg for one in compared for run in one.runs)
        texts = {
            "summary.json": as_json(found),
            "summary.csv": as_csv(found),
            "report.html": page(found, looks),
        }
        write(
            arguments.out,
            {"curves.png": png(found, looks), **{k: text.encode() for k, text in texts.items()}},
        )
    except (ComparisonError, RunFolderError, ConfigError, OSError) as error:
        console.print(f"error: {printable(str(error), keep=chr(10))}", highlight=False)
        return USAGE_ERROR
    except KeyboardInterrupt:
        console.print("stopped; nothing was written", highlight=False)
        return STOPPED
    for one in found:
        show(one, console)
    console.print(f"report: {arguments.out / 'report.html'}", highlight=False)
    for closed in left_out:
        print(f"left out: {closed}", file=sys.stderr)
    return INCOMPLETE if left_out else 0


if __name__ == "__main__":
    command(main)
