"""The options of `al_train.py`, which series of runs read, too."""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.experiment.options import option
from tools.mirror.modes import MODES


def parser() -> argparse.ArgumentParser:
    """The options of `al_train.py`."""
    parse = argparse.ArgumentParser(
        prog="al_train.py",
        description="Run active-learning cycles. The same command resumes a run that was stopped "
        "or killed.",
    )
    parse.add_argument("config", help="a file such as configs/det_ssd_voc.py")
    parse.add_argument("--strategy", help="name of the strategy; the config's by default")
    parse.add_argument(
        "--module",
        choices=("joint", "detached", "off"),
        help="mode of the loss-prediction module; by default what the strategy needs",
    )
    parse.add_argument(
        "--seed", type=int, help="of initial set, models and queries; the config's by default"
    )
    parse.add_argument(
        "--work-dir", type=Path, help="run folder; work_dirs/<config>/<strategy>/seed<N> by default"
    )
    parse.add_argument(
        "--name",
        help="what reports call the config, whose runs are compared with each other; the name of "
        "its file by default",
    )
    parse.add_argument(
        "--first-models",
        type=Path,
        help="folder of first trainings that runs share, as al_sweep.py's do",
    )
    parse.add_argument(
        "--smoke", action="store_true", help="the config's smoke variant: a few samples, minutes"
    )
    parse.add_argument(
        "--wandb",
        choices=MODES,
        help="default: WANDB_MODE, else online where logged in, else offline",
    )
    parse.add_argument(
        "--amp", action="store_true", help="bfloat16 mixed precision in training and scoring"
    )
    parse.add_argument(
        "--compile", action="store_true", help="torch.compile the network in training"
    )
    parse.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bytes each time on a GPU, too: slower "
        "there, and an error where torch has no such form of an operation",
    )
    parse.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm"),
        default="none",
        help="of several processes",
    )
    parse.add_argument(
        "--check",
        choices=("fast", "full"),
        default="fast",
        help="full: decode every image beforehand",
    )
    parse.add_argument(
        "--every-fault",
        action="store_true",
        help="print every fault of the data, not the first ones of each kind",
    )
    parse.add_argument(
        "--dry-run", action="store_true", help="check everything, print what would be run, and end"
    )
    parse.add_argument("--cfg-options", nargs="+", type=option, default=[], metavar="key=value",
                       help="settings over the config's, such as training.epochs=10")  # fmt: skip
    return parse
