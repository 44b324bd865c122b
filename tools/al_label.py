"""Label a folder of images, a batch at a time, with people as the oracle.

    python tools/al_label.py init configs/det_sandbox.py --images photos --run runs/bolts
    python tools/al_label.py next runs/bolts --count 100 --export label-studio
    python tools/al_label.py add runs/bolts export.json
    python tools/al_label.py status runs/bolts
    python tools/al_label.py labels runs/bolts --as coco --out bolts

`next` trains on what is labeled, scores the rest and writes the images that are worth most; `add`
takes what people labeled. The exit status is 0, 1 where something that came back was not taken, 2
where something must be put right first, and 130 after Ctrl-C, after which the same command goes on.
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
from tools.experiment.options import add_ray, at_least, option

TOOLS = ("label-studio", "cvat", "coco", "yolo", "voc", "csv")
AS = ("coco", "voc", "yolo", "folders", "csv")
RUN = "the project's folder"


def parser() -> argparse.ArgumentParser:
    """The options of `al_label.py`."""
    parse = argparse.ArgumentParser(prog="al_label.py", description=headline(__doc__))
    parts = parse.add_subparsers(dest="part", required=True, metavar="init|next|add|status|labels")
    _init(parts.add_parser("init", help="make a project of a folder of images"))
    _next(parts.add_parser("next", help="train on what is labeled, and choose a batch"))
    _add(parts.add_parser("add", help="take what people labeled"))
    status = parts.add_parser("status", help="what is labeled, the curve, and what it says")
    status.add_argument("run", type=Path, metavar="RUN", help=RUN)
    status.add_argument(
        "--worth",
        action="store_true",
        help="train two networks more, with as many random images as chosen ones, and compare them",
    )
    _labels(parts.add_parser("labels", help="write the labels so far as a data set"))
    return parse


def _init(parse: argparse.ArgumentParser) -> None:
    parse.add_argument("config", type=Path, help="of the task, such as configs/det_ssd_voc.py")
    parse.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="the pool: images, at any depth"
    )
    parse.add_argument(
        "--run", type=Path, required=True, metavar="RUN", help=f"{RUN}: a new one, outside of DIR"
    )
    parse.add_argument(
        "--labeled", type=Path, metavar="FILE", help="labels that there are already; as of `add`"
    )
    _reading(parse)
    parse.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
                       help="settings over the config's, such as label.validation=50")  # fmt: skip


def _next(parse: argparse.ArgumentParser) -> None:
    parse.add_argument("run", type=Path, metavar="RUN", help=RUN)
    parse.add_argument(
        "--count",
        type=at_least(0),
        default=100,
        metavar="N",
        help="images that are asked for; 0 trains on what is labeled, for the curve alone",
    )
    parse.add_argument(
        "--export",
        choices=TOOLS,
        action="append",
        default=[],
        help="write the batch for a tool; may be given more than once",
    )
    parse.add_argument(
        "--push",
        metavar="URL",
        help="send the batch to a Label Studio; the token is in LABEL_STUDIO_TOKEN, or in the file "
        "that LABEL_STUDIO_TOKEN_FILE names",
    )
    add_ray(parse, "score the pool")
    parse.add_argument(
        "--again",
        action="store_true",
        help="write or send the newest batch once more, without choosing another",
    )


def _add(parse: argparse.ArgumentParser) -> None:
    parse.add_argument("run", type=Path, metavar="RUN", help=RUN)
    parse.add_argument("file", type=Path, nargs="?", help="an export, or the folder of one")
    parse.add_argument(
        "--pull", metavar="URL", help="take what is done in a Label Studio, in place of a file"
    )
    _reading(parse)


def _reading(parse: argparse.ArgumentParser) -> None:
    """How an export is read."""
    parse.add_argument(
        "--format", choices=TOOLS, help="of the file; by default it is told by its content"
    )
    parse.add_argument(
        "--done",
        metavar="FILE|all",
        help="images that are finished, a path in a line, where the format cannot say so: without "
        "a shape they are empty",
    )
    parse.add_argument(
        "--take-good",
        action="store_true",
        help="of images with faults take what is right; else nothing of them is taken",
    )


def _labels(parse: argparse.ArgumentParser) -> None:
    parse.add_argument("run", type=Path, metavar="RUN", help=RUN)
    parse.add_argument("--as", dest="form", choices=AS, required=True, help="form of the data set")
    parse.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a folder that is new or empty"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = parser().parse_args(argv)
    from tools.label import session  # what it needs takes seconds to import

    return session.main(arguments)


if __name__ == "__main__":
    command(main)
