"""Write the weights of a run's network in the form that mmdet, torchvision or torch loads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from models.process.files import replacing
from models.process.text import error_line, printable
from tasks.deployable import Export
from tasks.deployment import WEIGHTS
from tools.deploy.trained import DeployError, Trained, stoppers, summary, trained
from tools.display.console import Plain
from tools.experiment.options import USAGE_ERROR

LOAD = "load.py"


def main(arguments: argparse.Namespace) -> int:
    """Export, and print what was written; see `al_export.py`."""
    try:
        one = trained(arguments.run, arguments.cycle, arguments.trust, dict(arguments.cfg_options))
        out = arguments.out or beside(arguments.run)
        written = write(one, out)
    except stoppers() as error:
        print(error_line(error), file=sys.stderr)
        return USAGE_ERROR
    console = Plain()
    console.print(printable(summary(one)))
    for note in one.notes:
        console.print(printable(f"note: {note}"))
    console.print(printable(f"{out}: {WEIGHTS}, {', '.join([*written.files, LOAD])}"))
    console.print(f"\n{printable(written.load, keep=chr(10))}")
    return 0


def beside(run: Path) -> Path:
    """Where an export goes by default: the run's folder is a record, and stays as it is."""
    run = run.absolute()
    return run.with_name(f"{run.name}-export")


def write(one: Trained, out: Path) -> Export:
    """Write the files of an export, each whole or not at all, the script last.

    Raises:
        DeployError: if the network can be loaded by nothing else.
        OSError: if the folder cannot be written to.
    """
    try:
        export = one.deployment.exported(one.network)
    except ValueError as error:
        raise DeployError(f"{one.folder} cannot be exported: {error}") from error
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in export.state.items()}
    kept = {"state_dict": state, "meta": {**export.meta, "cycle": one.cycle}}
    with replacing(out / WEIGHTS) as beside:
        torch.save(kept, beside)
    for name, text in {**export.files, LOAD: export.load}.items():
        with replacing(out / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return export
