"""Read run folders, compare them, write the report, and show the results."""

from __future__ import annotations

import argparse
import sys

from models.process.text import error_line
from tools.compare.findings import findings
from tools.compare.grouping import group
from tools.compare.held import by_validation
from tools.compare.page.figure import png
from tools.compare.page.files import as_csv, as_json, ranking_csv, ranking_json, write
from tools.compare.page.html import page
from tools.compare.page.terminal import show, show_ranking
from tools.compare.ranking.result import ranking
from tools.display.console import Plain
from tools.display.looks import styles
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError
from tools.record.finding import read_all
from tools.record.folder import RunFolderError
from tools.record.reading import ComparisonError

INCOMPLETE = 1


def main(arguments: argparse.Namespace) -> int:
    """Read and compare runs, write the report, and show the results.

    Args:
        arguments: the options of `al_compare.py`.

    Returns:
        The exit status of `al_compare.py`.
    """
    console = Plain()
    try:
        runs, left_out = read_all(arguments.runs, arguments.trust)
        if arguments.by == "validation":
            runs = by_validation(runs)
        compared = group(runs, list(map(str, left_out)))
        found = [findings(one, dict(arguments.cfg_options), arguments.trust) for one in compared]
        looks = styles(run.leg for one in compared for run in one.runs)
        over = ranking(found)
        texts = {
            "summary.json": as_json(found),
            "summary.csv": as_csv(found),
            "ranking.json": ranking_json(over),
            "ranking.csv": ranking_csv(over),
            "report.html": page(found, looks, over),
        }
        write(
            arguments.out,
            {"curves.png": png(found, looks), **{k: text.encode() for k, text in texts.items()}},
        )
    except (ComparisonError, RunFolderError, ConfigError, OSError) as error:
        console.print(error_line(error))
        return USAGE_ERROR
    except KeyboardInterrupt:
        console.print("stopped; nothing was written")
        return STOPPED
    for one in found:
        show(one, console)
    if over is not None:
        show_ranking(over, console)
    console.print(f"report: {arguments.out / 'report.html'}")
    for closed in left_out:
        print(f"left out: {closed}", file=sys.stderr)
    return INCOMPLETE if left_out else 0
