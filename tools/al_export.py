"""Write the weights of a run's network alone, in the form that its library loads.

    python tools/al_export.py work_dirs/det_sandbox/random/seed0

Beside the weights lies `load.py`, which loads them without losstap: by mmdet a detector, by
torchvision or torch the rest. It is printed, too. The weights are compared with the run's receipt
first. The exit status is 0, or 2 if the run has no such weights.
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
from tools.experiment.options import add_run


def parser() -> argparse.ArgumentParser:
    """The options of `al_export.py`."""
    parse = argparse.ArgumentParser(prog="al_export.py", description=headline(__doc__))
    add_run(parse)
    parse.add_argument(
        "--out", type=Path, metavar="DIR", help="where to; RUN-export beside the run by default"
    )
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = parser().parse_args(argv)
    from tools.deploy import exporting  # what it needs takes seconds to import

    return exporting.main(arguments)


if __name__ == "__main__":
    command(main)
