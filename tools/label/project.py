"""A labeling project: a folder that holds the pool's index, the batches, and what came back.

    config.py          the settings, as the project was made with them
    name.txt           of the config that they came from
    home.txt           the folder of that config, beside which code of one's own may lie
    images.json        the pool: path, hash and size of each image
    validation.json    the images of the validation slice, by hash
    batches/NN/        a batch as it went out, its page, and its files for a labeling tool
    labels/NN.json     the labels, whole, after each time that some came back
    rounds/NN/         the training that chose batch NN, a run folder with one cycle
    curve.json         a row for each round that trained, for al_compare.py

Every file is written whole or not at all; `images.json` and `curve.json` alone are ever changed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from acquisition.pool import drawn_slice
from models.process.files import locked, replacing
from models.process.text import abridged
from tasks.base import Sourced, Task
from tasks.deployable import Deployable
from tasks.labelable import Labelable, LabelFiles, Labeling
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.label import batches as sent
from tools.label import versions
from tools.label.batches import Batch
from tools.label.images import NAMED, Index, index_of, scan
from tools.label.labels import LabelError, PoolImage
from tools.label.versions import Version

CONFIG, NAME, HOME, ROUNDS = "config.py", "name.txt", "home.txt", "rounds"
IMAGES, VALIDATION = "images.json", "validation.json"
MOST = 5  # the validation slice is at most one of so many images


@dataclass(frozen=True)
class Project:
    """A project as its folder has it.

    Args:
        path: the folder.
        index: the pool.
        slice: hashes of the images of the validation slice.
        labels: the newest version.
        batches: that went out.
    """

    path: Path
    index: Index
    slice: frozenset[str]
    labels: Version
    batches: tuple[Batch, ...]

    @cached_property
    def experiment(self) -> Experiment:
        """The project's config, built; its task has read no data, and those are not the pool's."""
        _find_code(self.path)
        return load(self.path / CONFIG)

    def reading(self, files: LabelFiles) -> dict[str, Any]:
        """The options with which the config's task reads these files."""
        task = labelable(self.experiment)
        return {f"task.{key}": value for key, value in task.on_labels(files).items()}

    @cached_property
    def task(self) -> Task:
        """The config's task as it reads labels of people, and judges by them; it has read none."""
        files = LabelFiles(self.index.root, self.path / "pool", self.path / "validation")
        return load(self.path / CONFIG, options=self.reading(files)).task

    @cached_property
    def labeling(self) -> Labeling:
        """What people draw."""
        return labeling_of(self.experiment)

    @cached_property
    def images(self) -> dict[str, PoolImage]:
        """The images that are there, by the hash of their bytes."""
        return {image.sha256: image for image in self.index.present}

    @cached_property
    def waiting(self) -> frozenset[str]:
        """Hashes of the images that people were asked for and said nothing of yet."""
        return frozenset(sent.asked(self.batches)) - self.labels.labels.keys()

    def learnt(self, version: Version | None = None) -> list[PoolImage]:
        """The labeled images, empty ones included, that a network is trained on."""
        return [image for image in self._known(version) if image.sha256 not in self.slice]

    def judged(self, version: Version | None = None) -> list[PoolImage]:
        """The labeled images of the validation slice."""
        return [image for image in self._known(version) if image.sha256 in self.slice]

    def _known(self, version: Version | None) -> list[PoolImage]:
        labels = (version or self.labels).labels
        known = {key for key, one in labels.items() if one.answer.state != "skipped"}
        return [image for image in self.index.present if image.sha256 in known]

    @cached_property
    def open(self) -> list[PoolImage]:
        """The images that may be asked for: of which nobody said anything, and nobody has."""
        taken = self.waiting | self.labels.labels.keys()
        taken |= {image.sha256 for image in self.namesakes}
        return [image for image in self.index.present if image.sha256 not in taken]

    @cached_property
    def namesakes(self) -> list[PoolImage]:
        """Images with the name of another one, which went out to people by it.

        What comes back by that name is about the other one.
        """
        sent_as: dict[str, set[str]] = {}
        for batch in self.batches:
            for one in batch.choices:
                sent_as.setdefault(one.key, set()).add(one.sha256)
        known = set(sent.asked(self.batches)) | self.labels.labels.keys()
        return [
            image
            for image in self.index.present
            if image.sha256 not in known and sent_as.get(image.key)
        ]

    @cached_property
    def candidates(self) -> list[PoolImage]:
        """Those among which a strategy chooses: the validation slice is not."""
        return [image for image in self.open if image.sha256 not in self.slice]

    def round(self, number: int) -> Path:
        """The folder of a round: the training that chooses the batch of that number."""
        return self.path / ROUNDS / f"{number:02d}"

    def looked(self) -> tuple[Project, tuple[str, ...]]:
        """The project with the folder as it is now, and what is to be said of it."""
        found = scan(self.index)
        if found.index != self.index:
            write_index(self.path, found.index)
        now = replace(self, index=found.index)
        return now, (*found.notes, *now._told())

    def _told(self) -> list[str]:
        if not self.namesakes:
            return []
        which = abridged([image.key for image in self.namesakes], NAMED)
        return [
            f"{len(self.namesakes):,} images have the name of another one that went out to people, "
            f"and are not asked for until they are renamed: {which}"
        ]


def _find_code(path: Path) -> None:
    """Let code beside the config that a project was made with be found."""
    home = path / HOME
    if home.exists():
        folder = home.read_text(encoding="utf-8").rstrip("\n")
        if folder not in sys.path:
            sys.path.append(folder)


def labelable(experiment: Experiment) -> Labelable:
    """A config's task, whose labels people can give.

    Raises:
        ConfigError: if it lacks what that needs.
    """
    task = experiment.task
    needed = {
        Labelable: "`labeling` and `on_labels`; see tasks/labelable.py",
        Sourced: "`sources`, by which the images of its samples are found; see tasks/base.py",
        Deployable: "`labels` and `deployment`, for predictions that people begin with; see "
        "tasks/deployable.py",
    }
    lacking = [text for part, text in needed.items() if not isinstance(task, part)]
    if lacking or not isinstance(task, Labelable):
        which = (
            f"task.type: expected a task whose labels people can give, but {type(task).__name__}"
        )
        raise ConfigError(experiment.name, [f"{which} lacks {text}" for text in lacking])
    return task


def labeling_of(experiment: Experiment) -> Labeling:
    """What people draw for a config's task.

    Raises:
        ConfigError: if the task cannot say it.
    """
    try:
        return labelable(experiment).labeling()
    except ValueError as error:
        remedy = "set it in the config, or by --cfg-options"
        raise ConfigError(experiment.name, [f"{error}; {remedy}"]) from error


@contextmanager
def opened(path: Path) -> Iterator[Project]:
    """A project, which no other process changes within.

    Raises:
        LabelError: if there is none, it is damaged, or another process is in it.
    """
    if not (path / IMAGES).is_file():
        raise LabelError(
            f"{path}: expected a labeling project, but there is none; make one by "
            f"al_label.py init CONFIG --images FOLDER --run {path}"
        )
    try:
        with locked(path / ".lock"):
            yield read(path)
    except BlockingIOError as error:
        raise LabelError(f"{path} is in use by {error}; wait until that has ended") from error


def read(path: Path) -> Project:
    """Read a project.

    Raises:
        LabelError: if a file is damaged.
    """
    index = _parsed(path / IMAGES)
    chosen = _slice(path / VALIDATION)
    return Project(path, index, chosen, versions.read(path), sent.read(path))


def _parsed(path: Path) -> Index:
    try:
        return index_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(f"{path} is damaged ({error}); restore it") from error


def _slice(path: Path) -> frozenset[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(names, list):
            raise ValueError("it has no list")
        return frozenset(map(str, names))
    except (OSError, ValueError, TypeError) as error:
        raise LabelError(f"{path} is damaged ({error}); restore it") from error


def write_index(path: Path, index: Index) -> None:
    """Write the index of the pool."""
    with replacing(path / IMAGES) as beside:
        beside.write_text(index.text(), encoding="utf-8")


def draw_slice(index: Index, count: int, seed: int) -> list[str]:
    """Draw the validation slice at random: hashes of images, in the order of their drawing."""
    images = index.present
    size = min(count, max(1, len(images) // MOST))
    return [images[i].sha256 for i in drawn_slice(len(images), size, seed)]


def write_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Write files of a project, each whole, in their order."""
    for name, text in texts.items():
        with replacing(path / name) as beside:
            beside.write_text(text, encoding="utf-8")
