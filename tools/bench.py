"""How fast parts of losstap are beside others, measured side by side:  python tools/bench.py kcenter --features random

All contenders run in one process on the same arrays, once to warm up and then in turn, so that a busy machine slows
all of them alike; a ratio is the median of the ratios of the rounds. A further subject is a subcommand in `parser` and
a function that returns a `Report`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

LIBRARIES = ("torch", "numpy", "scikit-learn", "scikit-activeml")


@dataclass(frozen=True)
class Row:
    """One contender's times.

    Args:
        name: the contender.
        seconds: of each round.
        ratio: the median over the rounds of its time over the first contender's.
        ratios: the smallest and the largest of these.
        notes: what else was seen, such as agreement.
    """

    name: str
    seconds: list[float]
    ratio: float
    ratios: tuple[float, float]
    notes: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A benchmark's settings, rows and machine; what the json holds."""

    subject: str
    settings: dict[str, Any]
    rows: list[Row]
    machine: dict[str, Any]


def side_by_side(runs: Mapping[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each round and the last result, by name; each runs once unmeasured, then they take turns."""
    results = {name: run() for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = run()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def rows(seconds: Mapping[str, list[float]], notes: Mapping[str, dict[str, Any]]) -> list[Row]:
    """Rows with ratios over the first contender, round by round."""
    first = next(iter(seconds.values()))
    found = []
    for name, times in seconds.items():
        ratios = [time / other for time, other in zip(times, first, strict=True)]
        found.append(Row(name, times, statistics.median(ratios), (min(ratios), max(ratios)), notes.get(name, {})))
    return found


def machine() -> dict[str, Any]:
    """The processor's kind, threads, and versions."""
    versions: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    return {
        "processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(), "system": platform.system(),
        "python": platform.python_version(), "versions": versions,
    }  # fmt: skip


def kcenter(args: argparse.Namespace) -> Report:
    """`k_center` beside the plain version and scikit-activeml."""
    from tools import bench_kcenter

    features, labeled = bench_kcenter.arrays(args.features, args.n, args.d, args.labeled, args.data_root)
    runs = {
        name: (lambda pick=pick: pick(features, labeled, args.budget))
        for name, pick in bench_kcenter.contenders().items()
    }
    seconds, results = side_by_side(runs, args.repeats)
    ours = results["losstap"]
    notes = {name: {"same picks": int((picks == ours).sum())} for name, picks in results.items()}
    settings = {"features": args.features, "n": len(features), "d": features.shape[1], "labeled": len(labeled),
                "budget": args.budget, "repeats": args.repeats}  # fmt: skip
    return Report("kcenter", settings, rows(seconds, notes), machine())


def show(report: Report, console: Console) -> None:
    """The table in the terminal."""
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    table = Table(title=f"{report.subject}: {settings}")
    for heading in ("", "seconds, median", "least to most", "times losstap's", "least to most", "notes"):
        table.add_column(heading, justify="left" if heading in ("", "notes") else "right")
    for row in report.rows:
        notes = ", ".join(f"{name} {value}" for name, value in row.notes.items())
        spread = f"{min(row.seconds):.3f} to {max(row.seconds):.3f}"
        table.add_row(row.name, f"{statistics.median(row.seconds):.3f}", spread, f"{row.ratio:.1f}",
                      f"{row.ratios[0]:.1f} to {row.ratios[1]:.1f}", notes)  # fmt: skip
    console.print(table)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    subjects = top.add_subparsers(required=True)
    sub = subjects.add_parser("kcenter", help="greedy k-center beside the plain version and scikit-activeml")
    sub.set_defaults(measure=kcenter)
    sub.add_argument("--features", default="random", help="random, clustered, cifar or PATH.npy (default: %(default)s)")
    sub.add_argument("--data-root", type=Path, help="image folder, for --features cifar")
    sub.add_argument("--n", type=int, default=50_000, help="candidates (default: %(default)s)")
    sub.add_argument("--d", type=int, default=512, help="length of made rows (default: %(default)s)")
    sub.add_argument("--labeled", type=int, default=1000, help="rows labeled already (default: %(default)s)")
    sub.add_argument("--budget", type=int, default=1000, help="picks (default: %(default)s)")
    for each in subjects.choices.values():
        each.add_argument("--repeats", type=int, default=5, help="rounds measured (default: %(default)s)")
        each.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
        each.add_argument("--json", type=Path, help="file for settings, times, machine and versions")
    return top


def check(args: argparse.Namespace) -> None:
    """Refuse what would fail only after the measuring.

    Raises:
        ValueError: where a number is below 1, or the folder of the json is missing.
    """
    for name, value in vars(args).items():
        if isinstance(value, int) and value < 1:
            raise ValueError(f"--{name}: expected at least 1, but got {value}")
    if args.json and not args.json.parent.is_dir():
        raise ValueError(f"--json: expected a file in a folder that exists, but got {args.json}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where the settings are wrong."""
    args = parser().parse_args(argv)
    try:
        check(args)
        torch.set_num_threads(args.threads)
        report = args.measure(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show(report, Console())
    if args.json:
        part = args.json.with_name(f"{args.json.name}.tmp-{os.getpid()}")
        part.write_text(json.dumps(asdict(report), indent=1))
        part.replace(args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
