"""Send run folders to W&B.

    python tools/wandb_push.py work_dirs/det_ssd_voc

For runs made with `--wandb disabled`, or after a lost upload: the same W&B run as `al_train.py`'s,
by id, group, job type, tags and config, with each committed row once: online those that the server
lacks, offline those that no offline file of the run holds yet. Sent online, offline files are
marked as sent, so that `wandb sync` leaves them out.

The exit status is 0 where all is well, 1 where a run could not be read or sent, 2 where there is no
run, 130 after Ctrl-C; the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

# run as a file: its folder is first on the path, where its names would hide others
if not __package__:
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() != HERE)]

from rich.console import Console

from models.process.stopping import listening
from models.process.text import printable
from tools.display.streams import command
from tools.experiment.options import ConfigError
from tools.mirror.push import PushError, push
from tools.mirror.tracking import resolve_mode
from tools.record import code, plans
from tools.record.finding import find
from tools.record.folder import RunFolderError
from tools.record.reading import ComparisonError

FAILED, USAGE_ERROR, STOPPED = 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The options of `wandb_push.py`."""
    parse = argparse.ArgumentParser(
        prog="wandb_push.py", description="Send run folders to Weights & Biases."
    )
    parse.add_argument(
        "runs",
        nargs="+",
        type=Path,
        help="run folders, or folders with some below: work_dirs/<config>",
    )
    parse.add_argument(
        "--mode",
        choices=("online", "offline"),
        help="by default WANDB_MODE, else online where logged "
        "in, else offline: files that `wandb sync` uploads",
    )
    code.add_option(parse)
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    arguments = parser().parse_args(argv)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        mode = resolve_mode(arguments.mode)
        paths, left_out = find(arguments.runs)
    except (ValueError, ComparisonError) as error:
        console.print(f"error: {error}")
        return USAGE_ERROR
    if mode == "disabled":
        console.print("error: WANDB_MODE is disabled; add --mode online or --mode offline")
        return USAGE_ERROR
    try:
        with listening():
            status = _push_all(paths, mode, console, arguments.trust)
    except KeyboardInterrupt:
        console.print("stopped; the same command sends what is left")
        return STOPPED
    for closed in left_out:
        console.print(f"{closed.path}: FAILED: {printable(closed.why)}")
    return FAILED if left_out else status


def _push_all(paths: Sequence[Path], mode: str, console: Console, trust: plans.Trust) -> int:
    status, left = 0, list[Path]()
    for path in paths:
        try:
            sent = push(path, mode, trust)
            console.print(f"{path}: {sent.text}")
            left += sent.unsent
        except (RunFolderError, ConfigError, PushError, OSError) as error:
            console.print(f"{path}: FAILED: {printable(str(error), keep=chr(10))}")
            status = FAILED
    if left:
        console.print(
            f"to upload {'all of it' if len(left) > 1 else 'it'}: wandb sync "
            f"{shlex.join(map(str, left))}"
        )
    return status


if __name__ == "__main__":
    command(main)
