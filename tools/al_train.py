"""Run active learning, from a config to a curve.

    python tools/al_train.py configs/det_ssd_voc.py --strategy learning_loss

The same command resumes a run that was stopped or killed. The loop is in `tools/train/loop.py`, the
parts of a cycle are in `tools/train/cycle.py`, and what happens around the loop is in
`tools/train/session.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from tools.display.streams import command
from tools.experiment.options import USAGE_ERROR, missing
from tools.train.options import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; see `tools.train.session.main`."""
    arguments = parser().parse_args(argv)
    if arguments.launcher == "none" and missing(arguments.config):
        return USAGE_ERROR  # the first of several processes reports it, in the session
    from tools.train import session  # what it needs takes seconds to import

    return session.main(arguments)


if __name__ == "__main__":
    command(main)
