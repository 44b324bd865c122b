"""Labels that people give, in one form whichever tool they come from.

Pixels are those of the image as its EXIF turns it, counted from 0 at the upper left corner, as
COCO counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from tasks.faults import Fault
from tasks.labelable import Labeling

State = Literal["labeled", "empty", "skipped"]
Box = tuple[float, float, float, float]  # x, y, width, height in pixels


@dataclass(frozen=True)
class Joint:
    """A joint of a person.

    Args:
        x: in pixels.
        y: in pixels.
        visibility: 0 is not annotated (x and y are 0), 1 hidden, 2 visible, as COCO counts it.
    """

    x: float
    y: float
    visibility: int


@dataclass(frozen=True)
class Shape:
    """One label in an image: an object, a person, or the image's class.

    Args:
        label: the class; of a person the one name of what has the joints.
        box: None of a class, and of a person whose box is not given.
        joints: of a person, in the order of `Labeling.joints`.
        score: of a prediction, from 0 to 1; None of what a person drew.
        id: by which the tool knows it. One that came from a prediction keeps that one's, which
            tells a moved box from a new one.
    """

    label: str
    box: Box | None = None
    joints: tuple[Joint, ...] = ()
    score: float | None = None
    id: str = ""


@dataclass(frozen=True)
class PoolImage:
    """An image of the pool.

    Args:
        key: its path below the pool's folder, with "/".
        path: of the file.
        size: (width, height) in pixels as its EXIF turns it.
        sha256: of the file's bytes, in hexadecimal digits.
        turned: whether its EXIF turns it by a quarter, so that `size` is not the stored one.
    """

    key: str
    path: Path
    size: tuple[int, int]
    sha256: str
    turned: bool = False


@dataclass(frozen=True)
class Entry:
    """What a file says of one image, before anything is compared with the pool.

    Args:
        name: of the image, as the file has it.
        where: the place in the file, for messages.
        state: None where the file does not tell an empty image from one that nobody looked at.
        shapes: in pixels.
        size: (width, height) that the file declares; None if it declares none.
        seconds: that the person took; None where the tool does not count them.
        by: who labeled it; empty if that is not known.
        faults: what is wrong with it; then nothing of this image is taken.
    """

    name: str
    where: str
    state: State | None
    shapes: tuple[Shape, ...] = ()
    size: tuple[float, float] | None = None
    seconds: float | None = None
    by: str = ""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What people said of one image of the pool, checked.

    Args:
        key: of the image.
        state: "empty" is labeled, too: there is nothing to draw.
        shapes: as they are taken; none unless the state is "labeled".
        seconds: that the person took; None if that is not known.
        by: who labeled it.
    """

    key: str
    state: State
    shapes: tuple[Shape, ...] = ()
    seconds: float | None = None
    by: str = ""


@dataclass(frozen=True)
class Pick:
    """An image that goes out to be labeled.

    Args:
        image: of the pool.
        rank: 1 is the first.
        reason: why it was chosen, in words.
        signals: the numbers by which it was chosen.
        drafts: predictions for people to correct; None of a blind one, which shows none.
    """

    image: PoolImage
    rank: int
    reason: str
    signals: Mapping[str, float] = field(default_factory=dict)
    drafts: tuple[Shape, ...] | None = None


@dataclass(frozen=True)
class Outgoing:
    """A batch of images on its way to people.

    Args:
        number: of the batch, from 0.
        labeling: what is to be drawn.
        picks: by rank.
        root: the pool's folder.
        model: which network made the drafts, in words.
    """

    number: int
    labeling: Labeling
    picks: tuple[Pick, ...]
    root: Path
    model: str = ""


class LabelError(Exception):
    """A file or a folder of which nothing is taken; the message says what to do."""


class Format(Protocol):
    """A labeling tool's files; each is a module of `tools/label/formats` with these functions."""

    def write(self, batch: Outgoing, folder: Path) -> list[str]:
        """Write a batch into an empty folder.

        Returns:
            What people do next, a line a step.

        Raises:
            LabelError: if the tool could not tell two images apart, before anything is written.
        """
        ...

    def read(
        self, path: Path, labeling: Labeling, images: Mapping[str, PoolImage]
    ) -> Sequence[Entry]:
        """Read what came back: a file, or a folder, as the tool exports it.

        Args:
            path: of the export.
            labeling: what was to be drawn.
            images: the pool by key; only for what the format leaves to the image, as its size.

        Raises:
            LabelError: if the file as a whole cannot be read.
        """
        ...
