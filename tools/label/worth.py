"""Whether the strategy's choice is worth more than a random one, by training with each.

A share of each batch is drawn at random. Two networks are trained on the same labels but for these:
one with as many of the strategy's images as there are random ones, the other with the random ones.
Both are judged on the validation slice.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from models.process.seeding import stream
from tasks.base import lower_is_better
from tools.display.console import Plain
from tools.label import spread, task_files
from tools.label.batches import By
from tools.label.drafts import network_of
from tools.label.labels import LabelError, PoolImage
from tools.label.project import Project, write_texts
from tools.label.spread import Halves, difference
from tools.label.training import experiment_on, places_of, trained
from tools.record.folder import RunFolder

FILE, FOLDER = "worth.json", "worth"
LEAST = 2  # images of each kind


@dataclass(frozen=True)
class Worth:
    """What a comparison found.

    Args:
        labels: the version of the labels that both networks were trained on.
        common: images that both were trained on.
        images: how many of the strategy's one had, and of the random ones the other.
        metric: name.
        strategy: metric of the network with the strategy's images.
        random: of the one with the random images.
        error: the standard error of their difference; not-a-number where it is not known.
        lower: whether less of the metric is better.
    """

    labels: int
    common: int
    images: int
    metric: str
    strategy: float
    random: float
    error: float
    lower: bool = False

    def sentence(self) -> str:
        """The finding in words."""
        gain = self.strategy - self.random
        told = (
            f"with {self.images} images that the strategy chose, {self.metric} is "
            f"{self.strategy:.3f}; with {self.images} random ones {self.random:.3f} (difference "
            f"{gain:+.3f} ± {self.error:.3f}; {self.common:,} other images in both; labels version "
            f"{self.labels})"
        )
        better = -gain if self.lower else gain
        if not math.isfinite(self.error) or abs(gain) <= 2 * self.error:
            return f"{told}: no difference that can be told from chance"
        return f"{told}: the strategy's are worth {'more' if better > 0 else 'less'}"


def measure(project: Project, console: Plain) -> Worth:
    """Train both networks, or read what is known of the newest labels already.

    Raises:
        LabelError: if too few images of either kind came back.
        ConfigError: if something does not fit together.
    """
    known = read(project)
    if known is not None and known.labels == project.labels.number:
        return known
    chosen, random = _came(project, "strategy"), _came(project, "random")
    size = min(len(chosen), len(random))
    if size < LEAST or not project.judged():
        raise LabelError(
            f"{project.path}: expected at least {LEAST} labeled images that the strategy chose, as "
            f"many random ones, and labels of the validation slice, but got {len(chosen)}, "
            f"{len(random)} and {len(project.judged())}; label more"
        )
    drawn = stream(project.experiment.seed, project.labels.number, "worth").permutation(len(chosen))
    apart = {image.sha256 for image in (*chosen, *random)}
    common = [image for image in project.learnt() if image.sha256 not in apart]
    folder = project.path.resolve() / FOLDER
    parts = {
        "strategy": [chosen[i] for i in sorted(drawn[:size].tolist())],
        "random": random[:size],
    }
    found = {
        name: _trained(project, folder / name, [*common, *images], console)
        for name, images in parts.items()
    }
    (strategy, own), (chance, other) = found["strategy"], found["random"]
    worth = Worth(
        project.labels.number,
        len(common),
        size,
        project.task.metric,
        strategy,
        chance,
        difference(own, other),
        lower_is_better(project.task),
    )
    write_texts(project.path, {FILE: json.dumps(asdict(worth)) + "\n"})
    shutil.rmtree(folder)
    return worth


def _came(project: Project, by: By) -> list[PoolImage]:
    """The labeled images that were chosen so by a trained network, in the order of the pool."""
    known = {
        one.sha256
        for batch in project.batches
        if batch.trained
        for one in batch.choices
        if one.by == by
    }
    return [image for image in project.learnt() if image.sha256 in known]


def _trained(
    project: Project, folder: Path, images: Sequence[PoolImage], console: Plain
) -> tuple[float, Halves]:
    """The metric of a network that is trained on these images, and its halves."""
    plan = json.dumps([project.labels.number, [image.sha256 for image in images]]) + "\n"
    begun = folder / "plan.json"
    if folder.exists() and not (begun.exists() and begun.read_text(encoding="utf-8") == plan):
        shutil.rmtree(folder)
    write_texts(folder, {begun.name: plan})
    files = task_files.write(project, folder, images, project.judged())
    number = project.labels.number
    samples = len(places_of(experiment_on(project, number, files, 0, 0), images))
    experiment = experiment_on(project, number, files, samples, 0)
    row = trained(experiment, RunFolder(folder), number, tuple(range(samples)), console)
    one = network_of(experiment, folder)
    value = row[experiment.task.metric]
    seed = project.experiment.seed
    return math.nan if value is None else value, spread.halves(experiment, one.network, seed)


def read(project: Project) -> Worth | None:
    """The newest finding; None if there is none.

    Raises:
        LabelError: if its file is damaged.
    """
    path = project.path / FILE
    if not path.exists():
        return None
    try:
        return Worth(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LabelError(f"{path} is damaged ({error}); remove it") from error
