"""Write a part of CIFAR-10 as folders of images.

    python tools/cifar_folders.py --root data/cifar --out data/cifar10

Writes `out`/{train,test}/<class>/*.png, the first so many images of each class in the order of
CIFAR's files (which is random). `--root` holds the files of `prepare_data.py cifar10`.
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


from models.process.text import error_line, headline
from tools.display.streams import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if it cannot read or write."""
    parser = argparse.ArgumentParser(description=headline(__doc__))
    parser.add_argument(
        "--root", type=Path, required=True, help="folder that holds cifar-10-batches-py"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--per-class", type=int, default=500, help="images of a class in each split (default: 500)"
    )
    arguments = parser.parse_args(argv)
    from tools.data.published.cifar import write  # it imports torchvision

    try:
        count = write(arguments.root, arguments.out, max(1, arguments.per_class))
    except (ValueError, OSError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    print(f"{arguments.out}: {count:,} images")
    return 0


if __name__ == "__main__":
    command(main)
