"""Predictions of a run's network on any images: read, predicted, written, drawn."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.model import BaseDataPreprocessor
from torch.utils.data import Dataset, SequentialSampler

from models.process.progress import track
from models.process.stopping import listening, workers_may_die
from models.process.text import error_line, printable
from models.training.inference import inference
from models.training.loading import length, loader, stop_workers
from tasks.base import Batch, DataError
from tasks.deployable import Record, Subject
from tools.deploy.images import Images, find
from tools.deploy.persons import persons
from tools.deploy.trained import DeployError, Trained, stoppers, summary, trained
from tools.deploy.writing import JSON, PICTURES, TABLE, draw, text_of, write
from tools.display.console import Plain
from tools.experiment.options import STOPPED, USAGE_ERROR

INCOMPLETE = 1
WHOLE = "each image is taken as one person, as there is no --boxes FILE (a COCO json of persons)"


def main(arguments: argparse.Namespace) -> int:
    """Predict, and print what was written; see `al_predict.py`."""
    console = Plain()
    try:
        with listening(), workers_may_die():
            return _main(arguments, console)
    except stoppers() as error:
        print(error_line(error), file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        console.print(f"stopped; each file in {printable(str(arguments.out))} is whole")
        return STOPPED


def _main(arguments: argparse.Namespace, console: Plain) -> int:
    _check(arguments)
    one = trained(arguments.run, arguments.cycle, arguments.trust, dict(arguments.cfg_options))
    images = find(arguments.images, arguments.limit)
    if not images.files:
        lines = "".join(f"\n  {line}" for line in (*images.unreadable, *images.notes))
        raise DeployError(f"{arguments.images}: expected images, but got none{lines}")
    subjects, notes = _subjects(one, images, arguments)
    console.print(printable(summary(one)))
    for note in (*one.notes, *images.notes, *notes):
        console.print(printable(f"note: {note}"))
    found = predict(one, subjects, arguments.batch_size, arguments.workers)
    files = [file for file in images.files if file.path not in found.unreadable]
    records = {file.path: found.records.get(file.path, []) for file in files}
    about = f"predictions of {summary(one)}, by losstap"
    name, text = text_of(one.deployment, files, records, about)
    write(arguments.out / name, text)
    console.print(printable(f"{arguments.out / name}: {_count(one, records)}"))
    left_out = [*images.unreadable, *found.unreadable.values()]
    if arguments.pictures:
        pictures = arguments.out / PICTURES
        shown = track(files, "drawing")
        undrawn = draw(one.deployment, shown, records, arguments.score_threshold, pictures)
        console.print(printable(f"{pictures}: {len(files) - len(undrawn):,} pictures"))
        left_out += undrawn
    for line in left_out:
        print(printable(f"left out: {line}"), file=sys.stderr)
    return INCOMPLETE if left_out else 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise DeployError for folders that cannot be read from or written to."""
    if not arguments.images.is_dir():
        raise DeployError(f"--images: expected a folder, but got {arguments.images}")
    if arguments.out.resolve().is_relative_to(arguments.images.resolve()):
        raise DeployError(
            f"--out: expected a folder outside of --images, whose pictures would be taken for "
            f"images the next time, but got {arguments.out}"
        )
    there = [name for name in (JSON, TABLE, PICTURES) if (arguments.out / name).exists()]
    if there:
        raise DeployError(
            f"--out: {arguments.out} holds {there[0]} of an earlier call; take another folder, or "
            "remove it"
        )


def _subjects(
    one: Trained, images: Images, arguments: argparse.Namespace
) -> tuple[list[Subject], list[str]]:
    """What predictions are asked for, and notes on it."""
    whole = [Subject(file.path) for file in images.files]
    if arguments.boxes is None:
        return whole, [WHOLE] if one.deployment.crops else []
    if not one.deployment.crops:
        raise DeployError(
            f"--boxes: expected none, as {one.folder} is of a task that takes whole images"
        )
    return persons(arguments.boxes, images.files, arguments.score_threshold)


@dataclass(frozen=True)
class Predictions:
    """What was predicted.

    Args:
        records: of each image of which something was predicted, in the order of the subjects.
        unreadable: why an image's pixels could not be used.
    """

    records: dict[Path, list[Record]]
    unreadable: dict[Path, str]


def predict(
    one: Trained, subjects: Sequence[Subject], batch_size: int = 16, workers: int = 0
) -> Predictions:
    """Predict, a batch at a time, on the device that there is.

    Args:
        one: the network.
        subjects: images, or parts of them.
        batch_size: of the network.
        workers: processes that read images.
    """
    device = get_device()
    network = one.network.to(device)
    move = BaseDataPreprocessor(non_blocking=True).to(device)
    samples = Tolerant(one.deployment.images(subjects))
    gather = partial(_gather, one.deployment.collate)
    batches = loader(samples, SequentialSampler(samples), batch_size, workers, gather)
    found = Predictions({}, {})
    try:
        with inference([network]):
            for gathered in track(batches, "predicting"):
                for place, why in gathered.unreadable.items():
                    found.unreadable[subjects[place].path] = why
                if gathered.batch is None:
                    continue
                records = one.deployment.records(network, move(gathered.batch))
                for place, own in zip(gathered.places, records, strict=True):
                    found.records.setdefault(subjects[place].path, []).extend(own)
    finally:
        stop_workers(batches)
    return found


class Tolerant(Dataset):
    """Sample i of a data set, or why it cannot be read; with i."""

    def __init__(self, samples: Dataset) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return length(self.samples)

    def __getitem__(self, index: int) -> tuple[int, Any, str]:
        try:
            return index, self.samples[index], ""
        except DataError as error:
            return index, None, str(error)


@dataclass(frozen=True)
class Gathered:
    """A batch, the places of its samples, and why others could not be read, by place."""

    batch: Batch | None
    places: tuple[int, ...]
    unreadable: dict[int, str]


def _gather(
    collate: Callable[[Sequence[Any]], Batch], samples: Sequence[tuple[int, Any, str]]
) -> Gathered:
    good = [(place, sample) for place, sample, why in samples if not why]
    unreadable = {place: why for place, _, why in samples if why}
    places = tuple(place for place, _ in good)
    if not good:
        return Gathered(None, places, unreadable)
    return Gathered(collate([sample for _, sample in good]), places, unreadable)


def _count(one: Trained, records: dict[Path, list[Record]]) -> str:
    count = sum(map(len, records.values()))
    what = "images" if one.deployment.form == "csv" else f"images, {count:,} predictions"
    return f"{len(records):,} {what}"
