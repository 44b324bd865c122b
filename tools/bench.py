"""How fast losstap is beside what it could be and beside others.

    python tools/bench.py score --network resnet18

All contenders of a subject run in one process on the same inputs, once to warm up and then in turn,
so that a busy machine slows all of them alike; a ratio is the median of the ratios of the rounds. A
further subject is a subcommand in `parser` and a function that returns a `Report`; its parts are in
`tools/benchmarks/`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

import torch
from rich.console import Console

from models.process.text import headline
from tools.benchmarks import cycle, kcenter, memory, score, subjects, train
from tools.benchmarks.report import Report, machine, rows, show, side_by_side
from tools.display.streams import command
from tools.experiment.options import ConfigError, option

NETWORKS = tuple(subjects.PAPER)


def of_train(args: argparse.Namespace) -> Iterator[Report]:
    """A training step of each network."""
    for network in args.network:
        yield train.measure(network, args.root, args.batch_size, args.steps, args.repeats)


def of_score(args: argparse.Namespace) -> Iterator[Report]:
    """The scoring pass of each network."""
    for network in args.network:
        yield score.measure(
            network, args.root, args.images, args.train_steps, args.workers, args.repeats
        )


def of_memory(args: argparse.Namespace) -> Iterator[Report]:
    """Memory of the scoring pass."""
    yield memory.measure(args.images, args.repeats)


def of_cycle(args: argparse.Namespace) -> Iterator[Report]:
    """A run and its steps."""
    options = [f"{key}={value}" for key, value in args.cfg_options]
    yield cycle.measure(args.config, options, args.cycles, args.repeats)


def of_kcenter(args: argparse.Namespace) -> Iterator[Report]:
    """`k_center` beside the plain version and scikit-activeml."""
    features, labeled = kcenter.arrays(args.features, args.n, args.d, args.labeled, args.data_root)
    runs = {
        name: (lambda pick=pick: pick(features, labeled, args.budget))
        for name, pick in kcenter.contenders().items()
    }
    seconds, results = side_by_side(runs, args.repeats)
    notes = {
        name: {"same picks": int((picks == results["losstap"]).sum())}
        for name, picks in results.items()
    }
    settings = {
        "features": args.features,
        "n": len(features),
        "d": features.shape[1],
        "labeled": len(labeled),
        "budget": args.budget,
        "repeats": args.repeats,
    }
    yield Report("kcenter", settings, rows(seconds, notes), machine())


def of_all(args: argparse.Namespace) -> Iterator[Report]:
    """Every subject with its defaults, but those of `cycle`, which needs data."""
    for name in ("train", "score", "memory", "kcenter"):
        each = parser().parse_args(
            [name, "--repeats", str(args.repeats), "--threads", str(args.threads)]
        )
        yield from each.measure(each)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=headline(__doc__))
    subs = top.add_subparsers(required=True)

    def subject(name: str, measure: Callable, what: str) -> argparse.ArgumentParser:
        sub = subs.add_parser(
            name, help=what, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.set_defaults(measure=measure)
        sub.add_argument("--repeats", type=int, default=5, help="rounds measured")
        sub.add_argument("--threads", type=int, default=1, help="of torch")
        sub.add_argument("--json", type=Path, help="file for settings, times, machine and versions")
        return sub

    for name, measure, what in (
        (
            "train",
            of_train,
            "a training step with the module joint, detached and off; through the Runner and "
            "without",
        ),
        (
            "score",
            of_score,
            "the scoring pass beside the bare network, the reading, and baal's pass",
        ),
    ):
        sub = subject(name, measure, what)
        sub.add_argument(
            "--network", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="whose"
        )
        sub.add_argument(
            "--root",
            type=Path,
            default=Path("data/sandbox"),
            help="sandboxes; made where they are not",
        )
    train_sub, score_sub = subs.choices["train"], subs.choices["score"]
    train_sub.add_argument("--batch-size", type=int, help="samples; the paper's by default")
    train_sub.add_argument("--steps", type=int, default=2, help="iterations a round")
    score_sub.add_argument("--images", type=int, default=512, help="of the pool")
    score_sub.add_argument(
        "--train-steps", type=int, default=20, help="before, so that ranks mean something"
    )
    score_sub.add_argument("--workers", type=int, default=1, help="processes that read")
    sub = subject("memory", of_memory, "memory of scoring a pool, and one a hundred times as large")
    sub.add_argument("--images", type=int, default=20_000, help="of the small pool")
    sub = subject(
        "kcenter", of_kcenter, "greedy k-center beside the plain version and scikit-activeml"
    )
    sub.add_argument("--features", default="random", help="random, clustered, cifar or PATH.npy")
    sub.add_argument("--data-root", type=Path, help="image folder, for --features cifar")
    sub.add_argument("--n", type=int, default=50_000, help="candidates")
    sub.add_argument("--d", type=int, default=512, help="length of made rows")
    sub.add_argument("--labeled", type=int, default=1000, help="rows labeled already")
    sub.add_argument("--budget", type=int, default=1000, help="picks")
    sub = subject("cycle", of_cycle, "a run of a config, split into its steps")
    sub.add_argument("--config", default="configs/cls_cifar10_small.py", help="file")
    sub.add_argument("--cycles", type=int, default=2, help="of the run")
    sub.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
                     help="settings over the config's, such as task.data_root=DIR")  # fmt: skip
    subject("all", of_all, "train, score, memory and kcenter with their defaults")
    return top


def check(args: argparse.Namespace) -> None:
    """Refuse what would fail only after the measuring.

    Raises:
        ValueError: where a number is below 1, or the folder of the json is missing.
    """
    for name, value in vars(args).items():
        least = 0 if name in ("workers", "train_steps") else 1
        if isinstance(value, int) and value < least:
            raise ValueError(
                f"--{name.replace('_', '-')}: expected at least {least}, but got {value}"
            )
    if args.json and not args.json.parent.is_dir():
        raise ValueError(f"--json: expected a file in a folder that exists, but got {args.json}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where the settings are wrong."""
    args, reports = parser().parse_args(argv), []
    try:
        check(args)
        torch.set_num_threads(args.threads)
        for report in args.measure(args):
            show(report, Console())
            reports.append(asdict(report))
    except (ValueError, OSError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if args.json:
        part = args.json.with_name(f"{args.json.name}.tmp-{os.getpid()}")
        part.write_text(
            json.dumps(reports[0] if len(reports) == 1 else reports, indent=1), encoding="utf-8"
        )
        part.replace(args.json)
    return 0


if __name__ == "__main__":
    command(main)
