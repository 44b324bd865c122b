"""Run strategies x seeds.

    python tools/al_sweep.py configs/det_ssd_voc.py --strategies random learning_loss --seeds 0 1 2

Each run is `al_train.py` in a process of its own, with its folder and a log beside it. The same
command skips what is finished and goes on with what is not. Runs of a seed and module mode share
their first training. With `--in-process` runs take turns in `--jobs` processes, with `--ray` the
processes are those of a Ray cluster's workers; run folders, logs and all else are the same.
With `--grid budget.query=25,50` each value is a setting of its own, for all strategies and seeds.
With `--until-decided entropy random` seeds are added until the two are told apart, or cannot be.
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

from models.process.text import error_line
from tools.display.streams import command
from tools.experiment.options import (
    USAGE_ERROR,
    ConfigError,
    add_ray,
    at_least,
    option,
    require,
)
from tools.mirror.modes import MODES
from tools.sweep.grid import axis, problems

FEWEST, MOST = 3, 200  # pairs of seeds that a test takes; as of tools/compare/sequential.py
SEEDS = 20  # at most, where nothing else is said


def parser() -> argparse.ArgumentParser:
    """The options of `al_sweep.py`."""
    parse = argparse.ArgumentParser(
        prog="al_sweep.py",
        description="Run strategies x seeds of one config. The same command goes on with the rest.",
    )
    parse.add_argument("config", help="a file such as configs/det_ssd_voc.py")
    parse.add_argument("--strategies", nargs="+", help="names")
    parse.add_argument("--seeds", nargs="+", type=int, help="numbers")
    parse.add_argument(
        "--module",
        nargs="+",
        choices=("auto", "joint", "detached", "off"),
        default=["auto"],
        help="modes of the module, each a run of its own; auto is what the strategy needs",
    )
    parse.add_argument(
        "--grid",
        nargs="+",
        type=axis,
        default=[],
        metavar="key=value,value",
        help="settings over the config's: the runs once for each combination, with folders in "
        "<work-dir>/<config>/<combination>, which al_compare.py takes as configs of their own",
    )
    _add_until_decided(parse)
    parse.add_argument(
        "--dry-run", action="store_true", help="check everything, list the runs, and end"
    )
    _add_places(parse)
    parse.add_argument(
        "--work-dir",
        type=Path,
        default=Path("work_dirs"),
        help="run folders are in <work-dir>/<config>/<strategy>/seed<N> (default: %(default)s)",
    )
    parse.add_argument("--no-cache", action="store_true", help="train each first model anew")
    parse.add_argument("--smoke", action="store_true", help="the config's smoke variant")
    parse.add_argument("--wandb", choices=MODES, help="as of al_train.py")
    parse.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
                       help="settings over the config's")  # fmt: skip
    return parse


def _add_until_decided(parse: argparse.ArgumentParser) -> None:
    """The options of a comparison to which seeds are added."""
    parse.add_argument(
        "--until-decided",
        nargs=2,
        metavar=("A", "B"),
        help="add seeds until the areas of these two are told apart (a test that keeps its level "
        "over all looks), or hopeless; --strategies are the two and --seeds 0 1 2 by default",
    )
    parse.add_argument(
        "--max-seeds",
        type=at_least(FEWEST),
        metavar="N",
        help=f"seeds at most, with --until-decided (default: {SEEDS})",
    )
    parse.add_argument(
        "--look-every",
        type=at_least(1),
        metavar="N",
        help="seeds between two looks, with --until-decided (default: 1)",
    )


def _add_places(parse: argparse.ArgumentParser) -> None:
    """The options of where runs take place, and how many at a time."""
    parse.add_argument(
        "--jobs",
        type=int,
        help="runs at a time (default: 1; with --ray what the cluster has room for)",
    )
    parse.add_argument(
        "--in-process",
        action="store_true",
        help="runs take turns in --jobs processes, which spares each its start and the reading of "
        "the data: for runs of seconds or minutes; the run folders are the same",
    )
    add_ray(parse, "run")
    parse.add_argument(
        "--cpus",
        type=int,
        help="with --ray: CPUs, and so threads, of a run (default: 1)",
    )
    parse.add_argument(
        "--gpus",
        type=float,
        help="with --ray: GPUs of a run, 0.5 for two runs on one (default: 1 if the cluster has "
        "GPUs, otherwise 0)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0, 1 if a run failed, 2 if something must be put right first, 130 after
        Ctrl-C.
    """
    arguments = parser().parse_args(argv)
    try:
        _check(arguments)
        require(arguments.config)
    except ConfigError as error:
        print(error_line(error))
        return USAGE_ERROR
    from tools.sweep import session  # what it needs takes seconds to import

    return session.main(arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Check the options, each and together.

    Raises:
        ConfigError: with all that is wrong.
    """
    jobs, cpus, gpus = arguments.jobs, arguments.cpus, arguments.gpus
    faults = problems(arguments.grid, arguments.cfg_options) + _asked(arguments)
    faults += [
        f"{name}: expected at least 1, but got {number}"
        for name, number in (("--jobs", jobs), ("--cpus", cpus))
        if number is not None and number < 1
    ]
    if gpus is not None and not (0 <= gpus <= 1 or 1 < gpus < float("inf") and gpus == int(gpus)):
        faults.append(f"--gpus: expected a whole number, or a part of one, but got {gpus}")
    if arguments.ray is not None and arguments.in_process:
        faults.append("--in-process: expected without --ray, whose workers hold one run each")
    if arguments.ray is None:
        given = (("--cpus", cpus), ("--gpus", gpus))
        faults += [
            f"{name}: expected with --ray, but there is none"
            for name, number in given
            if number is not None
        ]
    if faults:
        raise ConfigError("al_sweep.py", faults)


def _asked(arguments: argparse.Namespace) -> list[str]:
    """Complete strategies and seeds where a comparison is to be decided; return what is wrong."""
    more, every = arguments.max_seeds, arguments.look_every
    if not arguments.until_decided:
        lines = [
            f"--{name}: missing" for name in ("strategies", "seeds") if not vars(arguments)[name]
        ]
        given = (("--max-seeds", more), ("--look-every", every))
        return lines + [
            f"{name}: expected with --until-decided, but there is none"
            for name, number in given
            if number is not None
        ]
    first, second = arguments.until_decided
    if first == second:
        return [f"--until-decided: expected two strategies, but got {first} twice"]
    if arguments.grid:
        return ["--until-decided: expected without --grid: each cell is a comparison of its own"]
    arguments.strategies = arguments.strategies or [first, second]
    arguments.seeds = arguments.seeds or list(range(FEWEST))
    arguments.first_look = len(arguments.seeds)
    arguments.max_seeds, arguments.look_every = more or max(SEEDS, arguments.first_look), every or 1
    if not max(FEWEST, arguments.first_look) <= arguments.max_seeds <= MOST:
        return [
            f"--max-seeds: expected at least as many as --seeds ({arguments.first_look}), and at "
            f"most {MOST}, but got {arguments.max_seeds}"
        ]
    rest = arguments.max_seeds - arguments.first_look
    arguments.seeds += [max(arguments.seeds) + 1 + i for i in range(rest)]
    return []


if __name__ == "__main__":
    command(main)
