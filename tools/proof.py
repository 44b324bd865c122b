"""Prove that the networks of the paper learn: a few real images, from random weights, by heart.

    python tools/proof.py --data data

ResNet-18 learns 500 images of CIFAR-10 until its accuracy is 1, the hourglass of two stacks 16
persons of MPII until PCKh is above .95, and SSD300 16 images of VOC until mAP is above .9. Then the
network is held still, and the loss-prediction module, which learned beside it, goes on until it
orders more than .9 of the pairs of these samples by their true loss. Settings, numbers and times
are in docs/proof.md. A proof that is stopped goes on with the same command. With `--bug` a mistake
is put into the training, and the proof must fail.

The exit status is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from models.process.text import headline
from tools.display.streams import command

NAMES = ("resnet18", "hourglass", "ssd300")
BUGS = ("labels_shuffled", "boxes_off", "joints_swapped", "taps_of_another")


def parser() -> argparse.ArgumentParser:
    """The options of `proof.py`."""
    parse = argparse.ArgumentParser(prog="proof.py", description=headline(__doc__))
    parse.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("AL_DATA", "data")),
        help="folder that holds cifar10 (folders of images), mpii and VOCdevkit (default: that of "
        "AL_DATA, or data)",
    )
    parse.add_argument("--cifar", type=Path, help="CIFAR-10 as cifar_folders.py writes it")
    parse.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parse.add_argument(
        "--small",
        action="store_true",
        help="small networks on fewer of the same images: minutes on one core",
    )
    parse.add_argument("--bug", choices=BUGS, help="a mistake that the proof must fail for")
    parse.add_argument(
        "--out",
        type=Path,
        default=Path("work_dirs/proof"),
        help="folder of the runs (default: %(default)s)",
    )
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = parser().parse_args(argv)
    from tools.proving import session  # what it needs takes seconds to import

    return session.main(arguments)


if __name__ == "__main__":
    command(main)
