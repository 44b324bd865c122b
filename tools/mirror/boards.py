"""Print or save the views of several configs: what `wandb_board.py` does."""

from __future__ import annotations

import argparse
import json

from models.process.text import error_line
from tasks.base import lower_is_better
from tools.display.console import Plain
from tools.experiment.config import load
from tools.experiment.options import USAGE_ERROR, ConfigError
from tools.mirror.board import BoardError, build, own_entity, save, spec
from tools.mirror.modes import logged_in


def main(arguments: argparse.Namespace) -> int:
    """Print or save a view of each config.

    Args:
        arguments: the options of `wandb_board.py`.

    Returns:
        The exit status of `wandb_board.py`.
    """
    console = Plain()
    try:
        experiments = [load(config, smoke=arguments.smoke) for config in arguments.configs]
        if not arguments.print and not logged_in():
            raise BoardError(
                "not logged in to W&B: `wandb login` first, or --print to see what would be saved"
            )
        entity = arguments.entity
        if not arguments.print:
            entity = entity or own_entity()
        for experiment in experiments:
            lower = lower_is_better(experiment.task)
            board = build(experiment.name, experiment.task.metric, entity, arguments.project, lower)
            if arguments.print:
                console.print(json.dumps(spec(board), indent=2))
            else:
                console.print(f"{board.name}: {save(board)}")
    except (ConfigError, BoardError) as error:
        console.print(error_line(error))
        return USAGE_ERROR
    return 0
