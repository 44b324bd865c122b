"""Measure how well uncertainty ranks true errors.

    python tools/uncertainty.py CONFIG --labels 200 --seeds 0 1 2

Trains once per seed on so many random samples of the pool, scores the test set by signals, and
prints Spearman's correlation of each with two errors of a test sample: 1 minus the metric of the
sample alone, and its loss. `--variants task.distribution=mass ...` scores the same networks under
further settings, which must not be of the training.
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

from acquisition.names import SIGNALS
from models.process.text import error_line, headline
from tools.benchmarks.names import OWN
from tools.display.streams import command
from tools.experiment.options import ConfigError, option, require


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if config, data or settings are wrong."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument("config")
    parser.add_argument("--labels", type=int, required=True, help="samples to train on, at random")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--signals", nargs="+", choices=sorted(SIGNALS), default=list(OWN), metavar="SIGNAL"
    )
    parser.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value")
    parser.add_argument("--variants", nargs="+", type=option, default=[], metavar="key=value",
                        help="score the same networks under each of these, too")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args(argv)
    try:
        require(args.config)
    except ConfigError as error:
        print(error_line(error), file=sys.stderr)
        return 1
    from tools.benchmarks import uncertainty  # what it needs takes seconds to import

    return uncertainty.main(args)


if __name__ == "__main__":
    command(main)
