"""Save a view in W&B that compares strategies.

    python tools/wandb_board.py configs/det_ssd_voc.py

For the runs of a config it shows the metric by strategy over labeled images and over annotations,
mean and standard deviation over seeds; how well the module ranks; pictures of queries; seconds of
a cycle's steps; the areas. The same command updates the same view; changes made in it by hand are
lost, so save a copy under another name. Needs wandb-workspaces (`pip install -e '.[board]'`).
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
from tools.experiment.options import USAGE_ERROR, missing
from tools.mirror.modes import PROJECT


def parser() -> argparse.ArgumentParser:
    """The options of `wandb_board.py`."""
    parse = argparse.ArgumentParser(
        prog="wandb_board.py", description="Create or update the W&B view of a config."
    )
    parse.add_argument(
        "configs", nargs="+", help="files such as configs/det_ssd_voc.py, a view each"
    )
    parse.add_argument("--smoke", action="store_true", help="of the smoke variants' runs")
    parse.add_argument(
        "--entity", default="", help="user or team in W&B; WANDB_ENTITY or your own by default"
    )
    parse.add_argument("--project", default=PROJECT, help="default: %(default)s")
    parse.add_argument(
        "--print", action="store_true", help="print what would be saved; needs no login"
    )
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 if something must be put right first."""
    arguments = parser().parse_args(argv)
    if missing(*arguments.configs):
        return USAGE_ERROR
    from tools.mirror import boards  # what it needs takes seconds to import

    return boards.main(arguments)


if __name__ == "__main__":
    command(main)
