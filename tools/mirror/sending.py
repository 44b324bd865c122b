"""Send run folders to W&B, one after the other: what `wandb_push.py` does."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from models.process.stopping import listening
from models.process.text import error_line, printable
from tools.display.console import Plain
from tools.experiment.options import STOPPED, USAGE_ERROR, ConfigError
from tools.mirror.modes import resolve_mode
from tools.mirror.push import PushError, push
from tools.record import plans
from tools.record.finding import find
from tools.record.folder import RunFolderError
from tools.record.reading import ComparisonError

FAILED = 1


def main(arguments: argparse.Namespace) -> int:
    """Send what W&B lacks.

    Args:
        arguments: the options of `wandb_push.py`.

    Returns:
        The exit status of `wandb_push.py`.
    """
    console = Plain()
    try:
        mode = resolve_mode(arguments.mode)
        paths, left_out = find(arguments.runs)
    except (ValueError, ComparisonError) as error:
        console.print(error_line(error))
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
    status = 0
    left: list[Path] = []
    for path in paths:
        try:
            sent = push(path, mode, trust)
            console.print(f"{path}: {sent.text}")
            left += sent.unsent
        except (RunFolderError, ConfigError, PushError, OSError) as error:
            console.print(f"{path}: FAILED: {error}")
            status = FAILED
    if left:
        what = "all of it" if len(left) > 1 else "it"
        console.print(f"to upload {what}: wandb sync {shlex.join(map(str, left))}")
    return status
