"""Draw a small synthetic data set in the layout of a real one, so that every command can be tried
without a download.

    python tools/make_sandbox.py det --root data/sandbox            # 800 + 400 scenes, about 5 s
    python tools/make_sandbox.py cls --root data/sandbox            # 2,000 + 1,000 images, about 2
    s python tools/make_sandbox.py pose --root data/sandbox           # 1,000 + 400 persons, about 6
    s

`det` writes circles, squares and triangles as a PASCAL VOC devkit; ImageSets/Main/hard.txt names
the known share of hard scenes. `cls` writes coloured shapes, a folder a class; `pose` jointed
figures as MPII's json files. A further task is a file in `tools/sandbox` with a writer that it
hands to `publish`, and a subcommand here.

The same settings give the same bytes on one machine. Scene k of a list depends on (seed, list, k)
and on whether it is hard. Hardness is dealt in blocks of 20 scenes, so sets that differ in size
alone share every scene whose block is whole in both: with sizes that are multiples of 20 the
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

from models.process.text import headline
from tools.data.sandbox.classification import make_classification
from tools.data.sandbox.detection import make_detection
from tools.data.sandbox.pose import make_pose
from tools.display.streams import command


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where the settings are wrong or the target holds something else."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    tasks = parser.add_subparsers(required=True)
    det = tasks.add_parser("det", help="detection: shapes as a PASCAL VOC devkit")
    det.set_defaults(make=make_detection)
    det.add_argument("--root", type=Path, required=True, help="folder that gets VOCdevkit/")
    det.add_argument(
        "--pool", type=int, default=800, help="scenes in trainval (default: %(default)s)"
    )
    det.add_argument("--test", type=int, default=400, help="scenes in test (default: %(default)s)")
    cls = tasks.add_parser("cls", help="classification: coloured shapes, a folder a class")
    cls.set_defaults(make=make_classification)
    cls.add_argument("--root", type=Path, required=True, help="folder that gets shapes/")
    cls.add_argument(
        "--pool", type=int, default=2000, help="images in train (default: %(default)s)"
    )
    cls.add_argument("--test", type=int, default=1000, help="images in test (default: %(default)s)")
    pose = tasks.add_parser("pose", help="pose: jointed figures as MPII's json files")
    pose.set_defaults(make=make_pose)
    pose.add_argument("--root", type=Path, required=True, help="folder that gets figures/")
    pose.add_argument(
        "--pool", type=int, default=1000, help="persons in train (default: %(default)s)"
    )
    pose.add_argument(
        "--test", type=int, default=400, help="persons in valid (default: %(default)s)"
    )
    for task in (det, cls, pose):
        task.add_argument("--seed", type=int, default=0)
        task.add_argument(
            "--hard", type=float, default=0.3, help="share of hard images (default: %(default)s)"
        )
    args = vars(parser.parse_args(argv))
    make = args.pop("make")
    try:
        make(**args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    command(main)
