"""COCO's keypoints as a form of data of the pose task, with OKS-AP as the metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from models.process.text import shown
from tasks.data import drawn, few, first_fault_raised
from tasks.faults import Fault, Reading
from tasks.images import ImageCheck
from tasks.pose.forms import FormSettings, Part, Progress, images_of, threshold_of, truth_of
from tasks.pose.keypoint_json import EXAMPLE, FORM, Keypoints, counts, read_keypoints
from tasks.pose.keypoint_people import (
    OTHER_SIGMA,
    SIGMAS,
    KeypointPeople,
    oks_sigmas,
    people_of,
)
from tasks.pose.metrics import Pck, PoseMetric
from tasks.pose.oks import MOST, OksAp
from tasks.pose.people import mirrored

Pairs = Sequence[tuple[str, str]]


class CocoForm:
    """Persons as in COCO's person_keypoints json, judged by OKS-AP or PCK.

    Each list is "<image folder>:<json>" below the data's root; a split may have several.

    Raises:
        ValueError: if settings do not fit each other.
    """

    heads = None

    def __init__(self, settings: FormSettings) -> None:
        measure = settings.measure or "OKS"
        if measure == "PCKh":
            raise ValueError(
                "measure: expected 'OKS' or 'PCK' for format='coco', which has no heads, but got "
                "'PCKh'"
            )
        if settings.test is not None and settings.test_share is not None:
            raise ValueError(
                "test_share: expected None beside `test`, as it draws the test set from `train`, "
                f"but got {settings.test_share}; set one of the two alone"
            )
        if settings.train is None or (settings.test is None and settings.test_share is None):
            name = "train" if settings.train is None else "test"
            raise ValueError(
                f"{name}: expected {FORM} for format='coco', such as {EXAMPLE}, but got None; name "
                "it (test_share=0.2 draws that share of the images of `train` as the test set)"
            )
        self.root, self.size = settings.root, settings.size
        self.settings, self.measure = settings, measure
        self.metric: str = "AP" if measure == "OKS" else measure
        self.given = None if settings.joints is None else tuple(settings.joints)
        self.entries: dict[str, tuple[str, ...]] = {"train": _entries(settings.train)}
        if settings.test_share is None:
            self.entries["test"] = _entries(settings.test)
        self.threshold = threshold_of("PCK", settings.threshold)
        self.tested = ", ".join(self.entries.get("test", self.entries["train"]))

    def faults(self, full: bool, progress: Progress, notes: list[str]) -> list[Fault]:
        """See `forms.Form`."""
        found: list[Fault] = []
        splits: list[Keypoints] = []
        for entries in self.entries.values():
            look = ImageCheck(full)
            keypoints = _collected(
                read_keypoints(self.root, entries, self.settings.category, look, progress), found
            )
            found += look.together()
            splits.append(keypoints)
            notes += [*keypoints.notes, *look.notes()]
        found = list(dict.fromkeys(found))  # what both splits lack is one fault
        if found:
            return found
        found = self._faults_of_joints(splits)
        if self.settings.unlabeled == "kept":
            return found
        return found + self._faults_of_splits(splits)

    def _faults_of_joints(self, splits: list[Keypoints]) -> list[Fault]:
        joints = splits[0].joints
        found = []
        for other in splits[1:]:
            if other.joints != joints:
                expected = f"the joints of task.train, {shown(list(joints))}"
                came = shown(list(other.joints))
                found.append(
                    Fault("other joints", "task.test", expected, came, "export both alike")
                )
        wanted, sigmas = self.settings.joints, self.settings.oks_sigmas
        if wanted is not None and tuple(wanted) != joints:
            expected = f"the joints of the json, {shown(list(joints))}, or None"
            came = shown(list(wanted))
            found.append(Fault("joints", "task.joints", expected, came, "leave it out"))
        if sigmas is not None and len(sigmas) != len(joints):
            expected = f"{len(joints)} numbers, one for each of {shown(list(joints))}"
            came = str(len(sigmas))
            found.append(Fault("sigmas", "task.oks_sigmas", expected, came, "write them all"))
        try:
            swapped(joints, self.settings.sides)
        except ValueError as error:
            expected = "pairs of joints of the json that change places in mirrored images"
            remedy = "write them as [['paw_l', 'paw_r'], ...]; [] says that there are none"
            came = str(error)
            found.append(Fault("sides", "task.sides", expected, came, remedy))
        return found

    def _faults_of_splits(self, splits: list[Keypoints]) -> list[Fault]:
        """A pool or a test set without anybody."""
        found = []
        for part, keypoints in zip(self.entries, splits, strict=True):
            if not any(map(counts, keypoints.annotations)):
                where = f"task.{part}"
                expected = "a person at least with an annotated joint (v of 1 or 2)"
                came = f"none in {len(keypoints.annotations):,} persons"
                found.append(Fault("no annotated joint", where, expected, came, "annotate some"))
        with_persons = {one["image_id"] for one in splits[0].annotations if counts(one)}
        if self.settings.test_share is not None and not found and len(with_persons) < 2:
            expected = "two images with persons at least to draw a test set from"
            found.append(
                Fault("too few images", "task.test_share", expected, "1", "set task.test instead")
            )
        return found

    @cached_property
    def _splits(self) -> dict[str, Keypoints]:
        read = {
            part: first_fault_raised(read_keypoints(self.root, entries, self.settings.category))
            for part, entries in self.entries.items()
        }
        if self.settings.test_share is None:
            return read
        return _divided(read["train"], self.settings.test_share, self.settings.split_seed)

    @cached_property
    def _people(self) -> dict[str, KeypointPeople]:
        kept = self.settings.unlabeled == "kept"
        return {
            part: people_of(found, self.root, self.size, unlabeled=kept and part == "train")
            for part, found in self._splits.items()
        }

    @property
    def joints(self) -> tuple[str, ...]:
        """See `forms.Form`; those of the json."""
        return self._splits["train"].joints

    def mirrored(self, joints: Sequence[str]) -> list[int]:
        """See `forms.Form`."""
        return swapped(joints, self.settings.sides)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """See `forms.Form`; the category's skeleton."""
        return self._splits["train"].bones

    def people(self, part: Part) -> KeypointPeople:
        """See `forms.Form`: persons that are no crowd and have an annotated joint.

        The pool has those of unlabeled images besides, where these are kept.
        """
        return self._people[part]

    def evaluator(self, part: Part = "test") -> PoseMetric:
        """See `forms.Form`."""
        people = self.people(part)
        if self.measure == "OKS":
            sigmas = oks_sigmas(self.joints, self.settings.oks_sigmas)
            return OksAp(self._splits[part], people, sigmas)
        return Pck("PCK", self.joints, (), *truth_of(people), self.threshold, images_of(people))

    def notes(self, flip: float) -> list[str]:
        """What is taken for granted of these joints, and images that hold too many persons.

        Args:
            flip: the share of the crops that are mirrored.
        """
        found = []
        unknown = [name for name in self.joints if name not in SIGMAS]
        if self.measure == "OKS" and self.settings.oks_sigmas is None and unknown:
            found.append(
                f"OKS takes {OTHER_SIGMA}, the mean of COCO's 17, as sigma of {len(unknown)} "
                f"joints that COCO does not have: {few(unknown)}; task.oks_sigmas sets all"
            )
        unmoved = self.mirrored(self.joints) == list(range(len(self.joints)))
        if flip > 0 and self.settings.sides is None and unmoved:
            found.append(
                "no joint's name begins with left_ or right_: none changes places in mirrored "
                "crops; where some have sides, set task.sides, or task.flip=0"
            )
        return found + self._crowded()

    def _crowded(self) -> list[str]:
        sizes: dict[Path, int] = {}
        for path in self.people("test").paths:
            sizes[path] = sizes.get(path, 0) + 1
        above = [size for size in sizes.values() if size > MOST]
        if self.measure != "OKS" or not above:
            return []
        return [
            f"task.test: {len(above):,} images have more than {MOST} persons (up to {max(above)}); "
            f"COCO's evaluation takes the {MOST} surest of an image, so that AP cannot reach 1"
        ]


def swapped(joints: Sequence[str], sides: Pairs | None) -> list[int]:
    """For each joint the one it becomes in a mirrored image.

    Args:
        joints: their names.
        sides: pairs that change places; None goes by "left_" and "right_".

    Raises:
        ValueError: if a pair names a joint that there is not, or one twice; or the names alone say
            sides in another way.
    """
    if sides is None:
        return mirrored(tuple(joints))
    named = [name for pair in sides for name in pair]
    lone = sorted({name for name in named if name not in joints or named.count(name) > 1})
    if lone:
        raise ValueError(f"{lone}, which are no joints or come twice")
    other = {name: twin for a, b in sides for name, twin in ((a, b), (b, a))}
    return [list(joints).index(other.get(name, name)) for name in joints]


def _collected(reading: Reading[Keypoints], found: list[Fault]) -> Keypoints:
    """What a reading returns; `found` gets its faults."""
    while True:
        try:
            found.append(next(reading))
        except StopIteration as end:
            return end.value


def _entries(given: Sequence[str] | str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _divided(whole: Keypoints, share: float, seed: int) -> dict[str, Keypoints]:
    """Pool and test set of one split; all persons of an image are on one side."""
    shown_in = {one["image_id"] for one in whole.annotations if counts(one)}
    images = [image for image in whole.images if image["id"] in shown_in]
    chosen = drawn([Path(image["file_name"]).as_posix() for image in images], share, seed)
    tested = {image["id"] for image, test in zip(images, chosen, strict=True) if test}
    sides = {}
    for part, is_test in (("train", False), ("test", True)):
        annotations = [one for one in whole.annotations if (one["image_id"] in tested) == is_test]
        sides[part] = replace(whole, annotations=annotations)
    return sides
