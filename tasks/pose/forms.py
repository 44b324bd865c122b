"""The two forms of data of the pose task, MPII's and COCO's keypoints, behind one set of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from tasks.faults import Fault
from tasks.labelable import Unlabeled
from tasks.pose.faults import mpii_faults
from tasks.pose.metrics import Pck, PoseMetric
from tasks.pose.people import (
    MPII_BONES,
    MPII_JOINTS,
    People,
    Truth,
    box_sizes,
    mirrored,
    read_heads,
    read_people,
)

Format = Literal["mpii", "coco"]
Measure = Literal["PCKh", "PCK", "OKS"]
Part = Literal["train", "test"]
Progress = Callable[[Iterable], Iterable]

THRESHOLDS = {"PCKh": 0.5, "PCK": 0.2}
UNSCORED = ("pelvis", "thorax")  # left out of MPII's mean


@dataclass(frozen=True)
class FormSettings:
    """Settings of `tasks.pose.Pose` that are of data and metric; `size` is that of the crops."""

    root: Path
    train: str | Sequence[str] | None
    test: str | Sequence[str] | None
    heads: str | None
    joints: Sequence[str] | None
    measure: Measure | None
    threshold: float | None
    size: tuple[int, int]
    category: str | None
    sides: Sequence[tuple[str, str]] | None
    oks_sigmas: Sequence[float] | None
    test_share: float | None
    split_seed: int
    unlabeled: Unlabeled


class Form(Protocol):
    """A data set with its metric; where `faults` found some, nothing else is called.

    Attributes:
        metric: key of the metric.
        tested: the list of the test set, as messages name it.
        threshold: of PCK and PCKh, in sizes.
        given: joints that are known without the data; None where the data alone name them.
    """

    metric: str
    tested: str
    threshold: float
    given: tuple[str, ...] | None

    @property
    def joints(self) -> tuple[str, ...]:
        """Names in the order of the joints."""
        ...

    def mirrored(self, joints: Sequence[str]) -> list[int]:
        """For each of these joints the one it becomes in a mirrored image."""
        ...

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs of joints between which a line is drawn."""
        ...

    @property
    def heads(self) -> Truth | None:
        """A truth of the test persons besides the json's; None where there is none."""
        ...

    def faults(self, full: bool, progress: Progress, notes: list[str]) -> list[Fault]:
        """Faults of both splits; `notes` gets what is valid and odd."""
        ...

    def notes(self, flip: float) -> list[str]:
        """What is taken for granted, where a share `flip` of the crops is mirrored."""
        ...

    def people(self, part: Part) -> People:
        """The persons of a split."""
        ...

    def evaluator(self, part: Part = "test") -> PoseMetric:
        """A fresh metric over the persons of a split.

        Raises:
            ValueError: if it has nothing to go by, with the reason.
        """
        ...


class MpiiForm:
    """Persons as in MPII's json, judged by PCKh or PCK.

    Raises:
        ValueError: if settings are those of COCO's form, or joints have no right names.
    """

    def __init__(self, settings: FormSettings) -> None:
        for name in ("category", "sides", "oks_sigmas", "test_share"):
            given = getattr(settings, name)
            if given is not None:
                raise ValueError(f"{name}: expected None for format='mpii', but got {given!r}")
        if settings.unlabeled != "fault":
            raise ValueError(
                f"unlabeled: expected 'fault' for format='mpii', but got {settings.unlabeled!r}"
            )
        measure = settings.measure or "PCKh"
        if measure == "OKS":
            raise ValueError(
                "measure: expected 'PCKh' or 'PCK' for format='mpii', whose persons have no areas, "
                "but got 'OKS'"
            )
        if measure == "PCKh" and settings.heads is None:
            raise ValueError(
                "heads: expected a .mat with head boxes for PCKh, but got None; or set "
                "measure='PCK'"
            )
        self.root = settings.root
        self.metric: str = measure
        self.lists: dict[str, str] = {
            "train": _one("train", settings.train, "annot/train.json"),
            "test": _one("test", settings.test, "annot/valid.json"),
        }
        self.tested = self.lists["test"]
        self.head_file = settings.heads if measure == "PCKh" else None
        self.joints = tuple(MPII_JOINTS if settings.joints is None else settings.joints)
        self.given: tuple[str, ...] | None = self.joints
        mirrored(self.joints)  # names without their other side are refused
        self.threshold = threshold_of(measure, settings.threshold)
        published = self.joints == MPII_JOINTS
        self.unscored = UNSCORED if published else ()
        self.bones = MPII_BONES if published else ()
        self._read: dict[str, People] = {}

    def mirrored(self, joints: Sequence[str]) -> list[int]:
        """See `Form`."""
        return mirrored(tuple(joints))

    def faults(self, full: bool, progress: Progress, notes: list[str]) -> list[Fault]:
        """See `Form`."""
        return mpii_faults(
            self.root,
            self.lists,
            len(self.joints),
            self.head_file,
            full=full,
            progress=progress,
            notes=notes,
        )

    def notes(self, flip: float) -> list[str]:
        """None."""
        return []

    def people(self, part: Part) -> People:
        """See `Form`; a json is read once."""
        if part not in self._read:
            self._read[part] = read_people(self.root, self.lists[part])
        return self._read[part]

    @cached_property
    def heads(self) -> Truth | None:
        """What MPII's evaluation takes for the truth; None for PCK, which goes by the json."""
        return None if self.head_file is None else read_heads(self.root / self.head_file)

    def evaluator(self, part: Part = "test") -> Pck:
        """PCKh by the published truth and head boxes, or PCK by the json."""
        if part != "test" and self.head_file is not None:
            raise ValueError(
                f"PCKh needs the heads of the pool's persons, and {self.head_file} has those of "
                "the test set; task.measure=PCK goes by the json alone"
            )
        people = self.people(part)
        truth = self.heads or truth_of(people)
        images = images_of(people)
        return Pck(self.metric, self.joints, self.unscored, *truth, self.threshold, images)


def threshold_of(measure: str, given: float | None) -> float:
    """How close a joint must be in sizes, by the setting or as usual."""
    return THRESHOLDS[measure] if given is None else given


def images_of(people: People) -> np.ndarray:
    """(N,) a number for the image of each person."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(path, len(numbers)) for path in people.paths])


def truth_of(people: People) -> Truth:
    """The truth of PCK, by the json alone."""
    return people.joints, people.annotated, box_sizes(people)


def _one(name: str, given: str | Sequence[str] | None, usual: str) -> str:
    """The json of a split in MPII's form.

    Raises:
        ValueError: if there are several.
    """
    if given is None:
        return usual
    if not isinstance(given, str):
        raise ValueError(f"{name}: expected one json for format='mpii', but got {list(given)}")
    return given
