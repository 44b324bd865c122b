"""The curve of a project: what each round was worth, and what its labels had cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.base import lower_is_better
from tools.label import spread, versions
from tools.label.cost import total
from tools.label.labels import LabelError
from tools.label.project import NAME, Project
from tools.label.spread import Halves
from tools.label.versions import Version
from tools.record import people
from tools.record.files import RunFolderError
from tools.record.folder import RunFolder


@dataclass(frozen=True)
class Point:
    """A round that trained a network.

    Args:
        number: of the round.
        row: as a run folder has it: samples, metrics, ranking.
        halves: of the validation slice; None where they were not judged.
        labels: the version of the labels that it was trained on.
    """

    number: int
    row: Mapping[str, Any]
    halves: Halves | None
    labels: Version

    @property
    def costs(self) -> dict[str, float]:
        """What all labels had cost until then, the validation slice's included."""
        return costs(self.labels)


def costs(version: Version) -> dict[str, float]:
    """Seconds of people, and the sums of what they did; `cost/<name>`.

    The seconds are those that the tools counted; `cost/timed` is the number of images that have
    some.
    """
    known = version.labels.values()
    times = [one.answer.seconds for one in known if one.answer.seconds is not None]
    done = asdict(total(one.cost for one in known))
    found: dict[str, float] = {f"cost/{name}": value for name, value in done.items()}
    return {"cost/seconds": float(sum(times)), "cost/timed": len(times), **found}


def curve(project: Project) -> list[Point]:
    """The rounds that trained, in order.

    Raises:
        LabelError: if one is damaged.
    """
    points = []
    for batch in project.batches:
        if not batch.trained:
            continue
        folder = project.round(batch.number)
        try:
            row = RunFolder(folder).rows(1)[0]
        except RunFolderError as error:
            raise LabelError(str(error)) from error
        labels = versions.read(project.path, batch.labels)
        points.append(Point(batch.number, row, spread.read(folder), labels))
    return points


def keep(project: Project) -> None:
    """Write the curve for `al_compare.py`, which reads it beside run folders."""
    task = project.task
    name = (project.path / NAME).read_text(encoding="utf-8").strip()
    names = sorted(image.key for image in project.index.present)
    about = people.About(name, project.experiment.config, task.metric, lower_is_better(task), names)
    rows = [
        {**point.row, **point.costs, "cycle": place} for place, point in enumerate(curve(project))
    ]
    people.write(project.path, about, rows)


@dataclass(frozen=True)
class Count:
    """How many images of the pool are in which state.

    Args:
        labeled: with something drawn.
        empty: labeled, and nothing is to be drawn.
        skipped: nobody will label them.
        waiting: with people.
        open: may be asked for.
        gone: labeled or asked for, and not in the folder any more.
    """

    labeled: int
    empty: int
    skipped: int
    waiting: int
    open: int
    gone: int


def count(project: Project, only: frozenset[str] | None = None) -> Count:
    """Count the images, or those with these hashes alone."""

    def kept(keys: Sequence[str]) -> list[str]:
        """Those that are counted."""
        return [key for key in keys if only is None or key in only]

    labels = project.labels.labels
    states = Counter(labels[key].answer.state for key in kept([*labels]) if key in project.images)
    known = {*labels, *project.waiting}
    return Count(
        states["labeled"],
        states["empty"],
        states["skipped"],
        len(kept([key for key in project.waiting if key in project.images])),
        len(kept([image.sha256 for image in project.open])),
        len(kept([key for key in known if key not in project.images])),
    )
