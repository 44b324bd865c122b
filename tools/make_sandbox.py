"""Draw a small data set in the layout of a real one, to try every command without a download.

    python tools/make_sandbox.py det --root data/sandbox    # 800 + 400 scenes, about 5 s
    python tools/make_sandbox.py cls --root data/sandbox    # 2,000 + 1,000 images, about 2 s
    python tools/make_sandbox.py pose --root data/sandbox   # 1,000 + 400 persons, about 6 s

`det` writes circles, squares and triangles as a PASCAL VOC devkit; ImageSets/Main/hard.txt names
the known share of hard scenes. `cls` writes coloured shapes, a folder a class; `pose` jointed
figures with MPII's json files and with COCO's keypoints. With `--control` the set is one on which
active learning must win, or lose (docs/controls.md). A further task is a file in
`tools/data/sandbox` with a writer that it passes to `publish`, and a subcommand here.

The same settings give the same bytes on one machine. Scene k of a list depends on (seed, list, k)
and on whether it is hard. Hard scenes are chosen within blocks of 20 scenes, so sets that differ
only in size share every scene whose block is whole in both: with sizes that are multiples of 20 the
smaller set is the beginning of the larger.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from models.process.text import error_line, headline
from tools.data.sandbox import HARD, SHARES, SIZES, draw
from tools.display.streams import command

KINDS = {
    "det": (
        "detection: shapes as a PASCAL VOC devkit",
        "VOCdevkit/",
        "scenes in trainval and test",
    ),
    "cls": (
        "classification: coloured shapes, a folder a class",
        "shapes/",
        "images in train and test",
    ),
    "pose": (
        "pose: jointed figures as MPII's json files",
        "figures/",
        "persons in train and valid",
    ),
}


def parser() -> argparse.ArgumentParser:
    """The options of `make_sandbox.py`."""
    parse = argparse.ArgumentParser(prog="make_sandbox.py", description=headline(__doc__))
    tasks = parse.add_subparsers(dest="task", required=True)
    for name, (what, folder, samples) in KINDS.items():
        pool, test = SIZES[name]
        task = tasks.add_parser(name, help=what)
        task.add_argument("--root", type=Path, required=True, help=f"folder that gets {folder}")
        first, second = samples.split(" and ")
        task.add_argument("--pool", type=int, help=f"{first} (default: {pool})")
        task.add_argument(
            "--test", type=int, help=f"{samples.split()[0]} in {second} (default: {test})"
        )
        task.add_argument("--seed", type=int, default=0)
        task.add_argument(
            "--hard",
            type=float,
            help=f"share of hard images (default: {HARD}); in the pool of a control, of those at "
            f"night ({SHARES['positive'][0]}) or with false labels ({SHARES['negative'][0]})",
        )
        task.add_argument(
            "--control",
            choices=("positive", "negative"),
            help="a set on which it is known beforehand what active learning must do "
            "(docs/controls.md); it gets a folder and sizes of its own",
        )
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if settings are wrong or the target is another."""
    arguments = parser().parse_args(argv)
    try:
        draw(**vars(arguments))
    except (ValueError, OSError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    command(main)
