"""Pictures of what was queried: the first, the middle and the last choice of every query."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from models.process.text import printable
from tasks.base import Task
from tools.compare.statistics import Legs
from tools.record.folder import RunFolder, RunFolderError
from tools.record.reading import Run

QUALITY = 82  # of JPEG: a picture of 256 pixels takes about 10 kB


@dataclass(frozen=True)
class Picture:
    """The picture of a queried sample.

    Args:
        leg: that queried it.
        seed: of its run.
        labeled: samples before the query.
        choice: 1 for the first.
        of: size of the query.
        name: the task's name for it.
        effort: its annotations.
        scores: signal name -> its value.
        uri: a JPEG as a data URI.
    """

    leg: str
    seed: int
    labeled: int
    choice: int
    of: int
    name: str
    effort: int
    scores: dict[str, float]
    uri: str = field(repr=False)


def gallery(task: Task, legs: Legs) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Make three pictures for each query of one run of each strategy.

    The run is that of the smallest seed that all strategies have, or else of the strategy's first
    seed.

    Returns:
        The pictures, and a message for each query whose file or images cannot be read.
    """
    common = set.intersection(*({run.seed for run in runs} for runs in legs.values()))
    pictures: list[Picture] = []
    faults = []
    for runs in legs.values():
        run = next((run for run in runs if run.seed == min(common, default=None)), runs[0])
        for row in run.rows[:-1]:  # the last cycle queries nothing
            try:
                pictures += _of_query(task, run, row)
            except Exception as error:  # files may be damaged, and adapters may raise anything
                message = " ".join(str(error).split())
                if not isinstance(error, RunFolderError):
                    message = f"{type(error).__name__}: {message}"
                where = f"{run.leg}, seed {run.seed}, the query after {row['labeled']:,} labels"
                faults.append(printable(f"{where}: {message}"))
    return tuple(pictures), tuple(faults)


def _of_query(task: Task, run: Run, row: Mapping[str, Any]) -> list[Picture]:
    """The pictures of one cycle's query.

    Raises:
        RunFolderError: if its file is missing or damaged.
    """
    folder = RunFolder(run.folder)
    query = folder.query(row["cycle"])
    if query is None:
        raise RunFolderError(f"{folder.query_file(row['cycle'])} is missing; restore it")
    picked = query.picked.tolist()
    position = {int(i): p for p, i in enumerate(query.candidates)}
    pictures = []
    for place in ends_and_middle(len(picked)):
        i = picked[place]
        scores = {k: float(v[position[i]]) for k, v in query.signals.items() if v.ndim == 1}
        pictures.append(
            Picture(
                run.leg,
                run.seed,
                row["labeled"],
                place + 1,
                len(picked),
                task.name(i),
                task.effort(i),
                scores,
                data_uri(task.thumbnail(i)),
            )
        )
    return pictures


def ends_and_middle(count: int) -> Sequence[int]:
    """Return the places of the first, the middle and the last of `count`, each once."""
    if count == 0:
        return []
    return sorted({0, (count - 1) // 2, count - 1})


def data_uri(image: Image) -> str:
    """Return an image as a JPEG in a data URI, which needs no file."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
