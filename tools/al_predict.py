"""Predict with a run's network on any images.

    python tools/al_predict.py work_dirs/det_sandbox/random/seed0 --images photos --out found

Boxes and joints are written as COCO's json, `predictions.json`, classes as `predictions.csv`, and
a picture of each image lies in `pictures`. The run's data need not be at hand. The weights are
compared with the run's receipt first. The exit status is 0, 1 if an image could not be read, 2 if
the run has no such network or there are no images, and 130 after Ctrl-C.
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
from tools.experiment.options import add_run, at_least


def parser() -> argparse.ArgumentParser:
    """The options of `al_predict.py`."""
    parse = argparse.ArgumentParser(prog="al_predict.py", description=headline(__doc__))
    add_run(parse)
    parse.add_argument(
        "--images", type=Path, metavar="DIR", required=True, help="a folder of images, at any depth"
    )
    parse.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="where to; not in --images"
    )
    parse.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="of poses: a COCO json with the persons' boxes, such as a detector's "
        "predictions.json; without it each image is one person",
    )
    parse.add_argument(
        "--score-threshold",
        type=float,
        default=0.3,
        metavar="S",
        help="of what pictures show, and of the boxes of --boxes; predictions are written all",
    )
    parse.add_argument(
        "--limit", type=at_least(1), metavar="N", help="the first N images by name alone"
    )
    parse.add_argument(
        "--no-pictures", dest="pictures", action="store_false", help="write predictions alone"
    )
    parse.add_argument("--batch-size", type=at_least(1), default=16, help="images at a time")
    parse.add_argument("--workers", type=at_least(0), default=2, help="processes that read images")
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = parser().parse_args(argv)
    from tools.deploy import predicting  # what it needs takes seconds to import

    return predicting.main(arguments)


if __name__ == "__main__":
    command(main)
