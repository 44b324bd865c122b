"""Try detectors of mmdet: whether each trains here, and what it gives the strategies.

    python tools/detectors.py --root data/sandbox --out docs/detectors_table.md

For each config a row: the maps for the loss-prediction module, whether an image's loss in a batch
is its loss alone, what an image without boxes loses, the distributions, and mAP after two short
cycles of learning_loss on the drawn scenes of `make_sandbox.py`; or the reason why it is refused.
The exit status is 1 if a detector that was not refused failed.
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument(
        "--root", type=Path, required=True, help="folder with the sandboxes of make_sandbox.py"
    )
    parser.add_argument(
        "--configs", nargs="+", metavar="CONFIG", help="mmdet's names; default: one of each family"
    )
    parser.add_argument("--out", type=Path, help="also write the table here, in Markdown")
    arguments = parser.parse_args(argv)
    from tools.contract import detectors  # what it needs takes seconds to import

    return detectors.main(arguments)


if __name__ == "__main__":
    command(main)
