"""`al_label.py init`: a project of a folder of images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.process.files import locked
from tools.display.console import Plain
from tools.experiment.config import load
from tools.experiment.options import require
from tools.label.images import Index, scan
from tools.label.labels import LabelError
from tools.label.project import (
    CONFIG,
    IMAGES,
    NAME,
    VALIDATION,
    Project,
    draw_slice,
    labeling_of,
    read,
    write_index,
    write_texts,
)

LEAST = 5  # images of a pool
# a config of a labeling project need not have them
BUDGET = {"budget.initial": 2, "budget.query": 1, "budget.cycles": 2}


def start(
    config: Path, images: Path, path: Path, options: Mapping[str, Any], console: Plain
) -> Project:
    """Make a project.

    Args:
        config: of the task, the training and the strategy.
        images: the folder of the pool.
        path: of the project; there is nothing yet.
        options: settings over the config's, with dotted keys.
        console: gets notes on the folder.

    Raises:
        LabelError: if there are too few images, or there is a project already.
        ConfigError: if the config is not right, or its task cannot be labeled.
    """
    from mmengine.config import Config

    require(config)
    if (path / IMAGES).exists():
        raise LabelError(
            f"{path} is a labeling project already; go on with `next`, or take another"
        )
    if path.exists() and any(entry.name != ".lock" for entry in path.iterdir()):
        raise LabelError(f"{path}: expected a folder that is new or empty; take another --run")
    if path.resolve().is_relative_to(images.resolve()):
        raise LabelError(
            f"--run: expected a folder outside of --images, whose pages would be taken for images, "
            f"but got {path}"
        )
    experiment = load(config, options={**BUDGET, **options})
    labeling_of(experiment)
    found = scan(Index(images.resolve()))
    for note in found.notes:
        console.print(f"note: {note}")
    if len(found.index.present) < LEAST:
        raise LabelError(
            f"{images}: expected at least {LEAST} images, but got {len(found.index.present)}"
        )
    chosen = draw_slice(found.index, experiment.label.validation, experiment.seed)
    with locked(path / ".lock"):
        write_texts(
            path,
            {
                NAME: f"{experiment.name}\n",
                CONFIG: Config(dict(experiment.config)).pretty_text,
                VALIDATION: json.dumps(chosen) + "\n",
            },
        )
        write_index(path, found.index)  # the last act: from now on there is a project
    return read(path)
