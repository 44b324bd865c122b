"""Send run folders to W&B.

    python tools/wandb_push.py work_dirs/det_ssd_voc

For runs made with `--wandb disabled`, or after a lost upload. The W&B run is that of `al_train.py`,
by id, group, job type, tags and config, with each committed row once: online it gets the rows that
the server lacks, offline those that no offline file of the run holds yet. Offline files that are
sent online are marked as sent, so that `wandb sync` leaves them out.

The exit status is 0 if all is well, 1 if a run could not be read or sent, 2 if there is no
run, 130 after Ctrl-C; the same command goes on.
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
from tools.experiment.options import add_trust


def parser() -> argparse.ArgumentParser:
    """The options of `wandb_push.py`."""
    parse = argparse.ArgumentParser(
        prog="wandb_push.py", description="Send run folders to Weights & Biases."
    )
    parse.add_argument(
        "runs",
        nargs="+",
        type=Path,
        help="run folders, or folders with some below: work_dirs/<config>",
    )
    parse.add_argument(
        "--mode",
        choices=("online", "offline"),
        help="by default WANDB_MODE, else online where logged "
        "in, else offline: files that `wandb sync` uploads",
    )
    add_trust(parse)
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = parser().parse_args(argv)
    from tools.mirror import sending  # what it needs takes long to import

    return sending.main(arguments)


if __name__ == "__main__":
    command(main)
