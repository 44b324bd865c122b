"""Check run folders from their files.

    python tools/al_verify.py work_dirs/cls_sandbox/*/seed0

For each run folder: the labeled sets follow from seed and picks, candidates and picks are what they
must be, files agree with each other and with the receipts' hashes, and the strategy picks the same
when it is run again with the saved signals. Images and labels, if they are on this machine, are
those that the run was made of. Across runs of one config and seed: the initial set and the data are
the same, the first weights if the training is, and the first row if the weights are. A run that is
not finished is checked as far as it is committed.

The exit status is 0 if all is well, 1 if a check failed, 2 if a folder holds no run.
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
from tools.experiment.options import add_moved


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        help="run folders, or folders with some below: work_dirs/<config>",
    )
    add_moved(parser)
    arguments = parser.parse_args(argv)
    from tools.verify import report  # what it needs takes long to import

    return report.main(arguments)


if __name__ == "__main__":
    command(main)
