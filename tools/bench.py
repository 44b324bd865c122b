"""Measure how fast losstap is beside what it could be and beside other libraries.

    python tools/bench.py score --network resnet18

All contenders of a subject run in one process on the same inputs, once to warm up and then in turn,
so that a busy machine slows all of them alike; a ratio is the median of the ratios of the rounds. A
further subject is a subcommand in `parser` and a function that returns a `Report`; its parts are in
`tools/benchmarks/`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from models.process.text import error_line, headline
from tools.benchmarks.names import BY_PLACE, NETWORKS
from tools.display.streams import command
from tools.experiment.options import ConfigError, at_least, option, require

# every subject but those that need data
ALL = ("train", "score", "memory", "kcenter")
SANDBOXES = Path("data/sandbox")
Subject = Callable[[str, str], argparse.ArgumentParser]  # its name and what it measures


def parser() -> argparse.ArgumentParser:
    """The options of `bench.py`."""
    top = argparse.ArgumentParser(description=headline(__doc__))
    subs = top.add_subparsers(required=True)

    def subject(name: str, what: str) -> argparse.ArgumentParser:
        """Add the parser of a subject, with the options that all of them have."""
        sub = subs.add_parser(
            name, help=what, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.set_defaults(subject=name)
        sub.add_argument("--repeats", type=int, default=5, help="rounds measured")
        sub.add_argument("--threads", type=int, default=1, help="of torch")
        sub.add_argument("--json", type=Path, help="file for settings, times, machine and versions")
        return sub

    _of_networks(subject)
    sub = subject("memory", "memory of scoring a pool, and one a hundred times as large")
    sub.add_argument("--images", type=int, default=20_000, help="of the small pool")
    _by_place(subject)
    sub = subject("cycle", "a run of a config, split into its steps")
    sub.add_argument("--config", default="configs/cls_cifar10_small.py", help="file")
    sub.add_argument("--cycles", type=int, default=2, help="of the run")
    sub.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
                     help="settings over the config's, such as task.data_root=DIR")  # fmt: skip
    sub = subject("scale", "scoring a large pool of made images in one process and on Ray")
    sub.set_defaults(repeats=1)
    sub.add_argument("--images", type=int, default=1_000_000, help="of the pool")
    sub.add_argument(
        "--workers", nargs="+", type=at_least(1), default=[1, 2], help="of each cluster"
    )
    sub.add_argument("--shard", type=int, default=10_000, help="images of a shard")
    sub.add_argument("--batch-size", type=int, default=1000, help="images of a batch")
    sub = subject("start", "runs to their first iteration beside their imports, and --help")
    sub.add_argument(
        "--root", type=Path, default=SANDBOXES, help="sandboxes; made where they are not"
    )
    subject("all", "train, score, memory and kcenter with their defaults")
    return top


def _of_networks(subject: Subject) -> None:
    """Add the subjects that are measured with networks, and the options of each."""
    train = subject(
        "train",
        "a training step with the module joint, detached and off; through the Runner and without",
    )
    score = subject(
        "score", "the scoring pass beside the bare network, the reading, and baal's pass"
    )
    for sub in (train, score):
        sub.add_argument(
            "--network", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="whose"
        )
        sub.add_argument(
            "--root", type=Path, default=SANDBOXES, help="sandboxes; made where they are not"
        )
    train.add_argument("--batch-size", type=int, help="samples; the paper's by default")
    train.add_argument("--steps", type=int, default=2, help="iterations a round")
    score.add_argument("--images", type=int, default=512, help="of the pool")
    score.add_argument(
        "--train-steps", type=int, default=20, help="before, so that ranks mean something"
    )
    score.add_argument("--workers", type=int, default=1, help="processes that read")


def _by_place(subject: Subject) -> None:
    """Add the subjects of strategies that choose by place, and the options of each."""
    k_center = subject("kcenter", "greedy k-center beside the plain version and scikit-activeml")
    select = subject("select", "other strategies that choose by place, beside scikit-activeml")
    for sub in (k_center, select):
        sub.add_argument(
            "--features", default="random", help="random, clustered, cifar or PATH.npy"
        )
        sub.add_argument("--data-root", type=Path, help="image folder, for --features cifar")
        sub.add_argument("--n", type=int, default=50_000, help="candidates")
        sub.add_argument("--d", type=int, default=512, help="length of made rows")
        sub.add_argument("--labeled", type=int, default=1000, help="rows labeled already")
        sub.add_argument("--budget", type=int, default=1000, help="picks")
    select.set_defaults(repeats=1)
    select.add_argument(
        "--strategy", nargs="+", choices=BY_PLACE, default=list(BY_PLACE), help="which"
    )
    select.add_argument(
        "--environment", type=Path, help="with scikit-activeml, as `make agreement` makes one"
    )


def check(args: argparse.Namespace) -> None:
    """Refuse options that would fail only after the measurements.

    Raises:
        ValueError: if a number is below 1, or the folder of the json is missing.
        ConfigError: if there is no such config.
    """
    for name, value in vars(args).items():
        least = 0 if name in ("workers", "train_steps") else 1
        if isinstance(value, int) and value < least:
            raise ValueError(
                f"--{name.replace('_', '-')}: expected at least {least}, but got {value}"
            )
    if args.json and not args.json.parent.is_dir():
        raise ValueError(f"--json: expected a file in a folder that exists, but got {args.json}")
    if args.subject == "cycle":
        require(args.config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if the settings are wrong."""
    args = parser().parse_args(argv)
    try:
        check(args)
    except (ValueError, ConfigError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    from tools.benchmarks import session  # what it needs takes seconds to import

    chosen = [args]
    if args.subject == "all":
        chosen = [each(name, args) for name in ALL]
    return session.main(args, chosen)


def each(subject: str, args: argparse.Namespace) -> argparse.Namespace:
    """Return the options of a subject with its defaults, as a part of all."""
    return parser().parse_args(
        [subject, "--repeats", str(args.repeats), "--threads", str(args.threads)]
    )


if __name__ == "__main__":
    command(main)
