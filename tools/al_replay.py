"""Ask other strategies what they would have chosen in a run's cycles, without training.

    python tools/al_replay.py work_dirs/cls_sandbox/entropy/seed0 --strategy margin least_confident

Each is asked with the signals that the run saved, its candidates and its random stream: how many
samples both choices share, and the true losses, annotations and traits of either. A strategy that
reads what was not saved is refused; a run with scoring.save=[loss,embedding] saves more.
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
    """Run the command line.

    Returns:
        The exit status: 0, 2 if the run cannot be read or a strategy cannot be asked.
    """
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--strategy", nargs="+", required=True, help="names; the run's own chooses what it chose"
    )
    parser.add_argument("--out", type=Path, help="a json file for all of it, samples by name")
    add_moved(parser)
    arguments = parser.parse_args(argv)
    from tools.replay import session  # what it needs takes long to import

    return session.main(arguments)


if __name__ == "__main__":
    command(main)
