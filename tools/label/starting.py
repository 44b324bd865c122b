"""`al_label.py init`: a project of a folder of images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acquisition.query import needs
from acquisition.signals import fields
from models.process.files import locked
from tools.display.console import Plain
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError, require
from tools.label import versions
from tools.label.images import Index, scan
from tools.label.labels import LabelError
from tools.label.project import (
    CONFIG,
    HOME,
    IMAGES,
    NAME,
    VALIDATION,
    Project,
    draw_slice,
    labeling_of,
    write_index,
    write_texts,
)
from tools.label.versions import Version

BEGUN = "begun"  # there while a project is made
LEAST = 5  # images of a pool
# a config of a labeling project need not have them
BUDGET = {"budget.initial": 2, "budget.query": 1, "budget.cycles": 2}


@contextmanager
def begun(
    config: Path, images: Path, path: Path, options: Mapping[str, Any], console: Plain
) -> Iterator[Project]:
    """Make a project, which is there when the block has ended without an error.

    What is left of one that was stopped within is written anew.

    Args:
        config: of the task, the training and the strategy.
        images: the folder of the pool.
        path: of the project; there is nothing yet.
        options: settings over the config's, with dotted keys.
        console: gets notes on the folder.

    Yields:
        The project, to which labels that there are already may be added.

    Raises:
        LabelError: if there are too few images, or there is a project already.
        ConfigError: if the config is not right, or its task cannot be labeled.
    """
    from mmengine.config import Config

    require(config)
    if (path / IMAGES).exists():
        raise LabelError(
            f"{path} is a labeling project already; go on with `add` or `next`, or take another"
        )
    if not _free(path):
        raise LabelError(f"{path}: expected a folder that is new or empty; take another --run")
    if path.resolve().is_relative_to(images.resolve()):
        raise LabelError(
            f"--run: expected a folder outside of --images, whose pages would be taken for images, "
            f"but got {path}"
        )
    experiment = load(config, options={**BUDGET, **options})
    labeling_of(experiment)
    _require_people(experiment)
    found = scan(Index(images.resolve()))
    for note in found.notes:
        console.print(f"note: {note}")
    if len(found.index.present) < LEAST:
        raise LabelError(
            f"{images}: expected at least {LEAST} images, but got {len(found.index.present)}"
        )
    chosen = draw_slice(found.index, experiment.label.validation, experiment.seed)
    with locked(path / ".lock"):
        if (path / versions.FOLDER).exists():
            shutil.rmtree(path / versions.FOLDER)
        texts = {
            BEGUN: "",
            NAME: f"{experiment.name}\n",
            HOME: f"{config.resolve().parent}\n",
            CONFIG: Config(dict(experiment.config)).pretty_text,
            VALIDATION: json.dumps(chosen) + "\n",
        }
        write_texts(path, texts)
        yield Project(path, found.index, frozenset(chosen), Version(), ())
        write_index(path, found.index)  # the last act: from now on there is a project
        (path / BEGUN).unlink()


def _require_people(experiment: Experiment) -> None:
    """Refuse what takes the labels from elsewhere than people.

    Raises:
        ConfigError: if the config has such settings.
    """
    problems = []
    if experiment.oracle is not None:
        problems.append(
            "oracle: expected None, as people give the labels, but got simulated people; take it "
            "out of the config, or add --cfg-options oracle=None"
        )
    if experiment.budget.validation:
        problems.append(
            f"budget.validation: expected 0, as label.validation says how many images validate, "
            f"but got {experiment.budget.validation}; add --cfg-options budget.validation=0"
        )
    if experiment.scoring.save:
        problems.append(
            "scoring.save: expected no signals, as a project is not replayed; add --cfg-options "
            "scoring.save=[]"
        )
    if "loss" in fields(needs(experiment.steps)):
        problems.append(
            f"strategy: expected one that knows nothing of labels that nobody has given, but "
            f"{experiment.strategy!r} needs the loss of every image; choose another"
        )
    if problems:
        raise ConfigError(experiment.name, problems)


def _free(path: Path) -> bool:
    """Whether a folder is new, empty, or what a stopped `init` left."""
    if not path.exists():
        return True
    there = {entry.name for entry in path.iterdir()}
    return there <= {".lock", f".{BEGUN}.tmp"} or BEGUN in there
