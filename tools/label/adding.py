"""`al_label.py add`: take what came back, and say what is missing, what changed, what it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from models.process.text import abridged, shown
from tasks.faults import Fault
from tools.label import batches as sent
from tools.label import versions
from tools.label.batches import Batch, Choice
from tools.label.checking import Checked, check
from tools.label.cost import cost
from tools.label.formats import UNTOLD, kinds
from tools.label.labels import Answer, Entry, PoolImage, Shape
from tools.label.project import Project
from tools.label.versions import Labeled, Version

Done = Collection[str] | Literal["all"] | None
NAMED = 5  # examples in a line


@dataclass(frozen=True)
class Added:
    """What a return brought.

    Args:
        project: with the new version of the labels, or as it was where nothing changed.
        new: labels of images that had none.
        changed: labels that take the place of earlier ones.
        same: answers that were known already.
        lines: what is to be said of it.
        faulty: images of which nothing was taken.
    """

    project: Project
    new: Mapping[str, Labeled]
    changed: Mapping[str, Labeled]
    same: int
    lines: tuple[str, ...]
    faulty: int


def add(
    project: Project,
    entries: Sequence[Entry],
    source: Mapping[str, str],
    done: Done = None,
    lenient: bool = False,
) -> Added:
    """Take labels into a project: all of them by one file that is written whole, or none.

    Args:
        project: as it is.
        entries: as a format read them.
        source: the file that they came from, with its hash, which is kept.
        done: images that are finished, though the file cannot say so: those without a shape are
            empty.
        lenient: take what is right of images with faults.
    """
    images = images_by_name(project)
    shown = _choices(project.batches)
    drafts = {key: _seen(shown.get(image.sha256)) for key, image in images.items()}
    tells = source.get("format") not in UNTOLD
    checked = check(entries, images, project.labeling, done, lenient, drafts, tells)
    checked = _once(checked, images)
    new: dict[str, Labeled] = {}
    changed: dict[str, Labeled] = {}
    same = 0
    for answer in checked.answers:
        image = images[answer.key]
        answer = replace(answer, key=project.images[image.sha256].key)
        before = project.labels.labels.get(image.sha256)
        if before is not None and answer.seconds is None:  # what it took is not forgotten
            answer = replace(answer, seconds=before.answer.seconds)
        if before is not None and replace(before.answer, key=answer.key) == answer:
            same += 1
            continue
        now = _labeled(project, answer, shown.get(image.sha256))
        (new if before is None else changed)[image.sha256] = now
    after = project
    if new or changed:
        version = versions.after(project.labels, {**new, **changed}, source)
        versions.write(project.path, version)
        after = replace(project, labels=version)
    lines = [*_faults(checked), *_changes(project.labels, changed), *_missing(after)]
    return Added(after, new, changed, same, tuple(lines), len(checked.faults))


def images_by_name(project: Project) -> dict[str, PoolImage]:
    """The images that are there, by the paths by which people know them, which are their keys here.

    It is the one of the batch that asked for them, whatever the file is called now; where the file
    that went out is gone, nothing that came back for it is taken. Beside it the path of now is
    known, too, unless it ends in the same name: that name alone would mean two. The path of a copy
    leads to the image that is labeled in its place.
    """
    asked = {one.sha256: one.key for batch in project.batches for one in batch.choices}
    taken = set(asked.values())
    images = {}
    for image in project.index.present:
        if image.sha256 not in asked and image.key in taken:
            continue
        key = asked.get(image.sha256, image.key)
        images[key] = replace(image, key=key)
        renamed = PurePosixPath(image.key).name != PurePosixPath(key).name
        if renamed and image.key not in taken:
            images[image.key] = image
    copies = project.index.copies.items()
    return {key: image for key, image in copies if key not in taken} | images


def _once(checked: Checked, images: Mapping[str, PoolImage]) -> Checked:
    """Take nothing of an image that came back by two names."""
    names: dict[str, list[str]] = defaultdict(list)
    for answer in checked.answers:
        names[images[answer.key].sha256].append(answer.key)
    double = {key: keys for keys in names.values() if len(keys) > 1 for key in keys}
    faults = {
        key: (
            Fault(
                kinds.TWICE,
                shown(key),
                "each image once",
                f"it by {len(keys)} names, {shown(keys)}",
                "delete all but one",
            ),
        )
        for key, keys in double.items()
    }
    kept = tuple(answer for answer in checked.answers if answer.key not in double)
    return replace(checked, answers=kept, faults={**checked.faults, **faults})


def _choices(batches: Sequence[Batch]) -> dict[str, tuple[int, Choice]]:
    """The newest batch that asked for each image, and what went out of it."""
    return {one.sha256: (batch.number, one) for batch in batches for one in batch.choices}


def _labeled(project: Project, answer: Answer, asked: tuple[int, Choice] | None) -> Labeled:
    number = None if asked is None else asked[0]
    if answer.state == "skipped":
        return Labeled(answer, number)
    moved = project.experiment.label.moved
    return Labeled(answer, number, cost(answer.shapes, _seen(asked), moved))


def _seen(asked: tuple[int, Choice] | None) -> tuple[Shape, ...]:
    """The drafts that people saw."""
    return () if asked is None or asked[1].blind else asked[1].drafts


def _faults(checked: Checked) -> list[str]:
    lines = [str(fault) for faults in checked.faults.values() for fault in faults]
    lines += [str(note) for note in checked.notes]
    if checked.unclear:
        lines.append(
            f"{len(checked.unclear):,} images have no shape, or drafts as they went out, and the "
            f"file does not say whether they are finished: "
            f"{abridged(sorted(checked.unclear), NAMED)}; name those that are with --done FILE, or "
            "--done all"
        )
    return lines


def _changes(before: Version, changed: Mapping[str, Labeled]) -> list[str]:
    if not changed:
        return []
    which = []
    for sha256, now in changed.items():
        was = before.labels[sha256].answer
        what = "corrected"
        if was.state != now.answer.state:
            what = f"{was.state}, now {now.answer.state}"
        which.append(f"{now.answer.key} ({what})")
    return [
        f"{len(changed):,} labels were changed, and version {before.number} keeps what they were: "
        f"{abridged(which, NAMED)}"
    ]


def _missing(project: Project) -> list[str]:
    """The images that are still with people."""
    waiting = [one for one in project.index.present if one.sha256 in project.waiting]
    if not waiting:
        return []
    asked = sent.asked(project.batches)
    numbers = sorted({asked[image.sha256] for image in waiting})
    which = abridged([image.key for image in waiting], NAMED)
    plural = "batch" if len(numbers) == 1 else "batches"
    return [
        f"{len(waiting):,} images of {plural} {', '.join(map(str, numbers))} did not come back "
        f"yet: {which}"
    ]
