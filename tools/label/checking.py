"""What came back, joined with the pool: what is taken, and what is said of the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from models.process.text import shown
from tasks.faults import Fault
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.names import Names
from tools.label.formats.nearby import near
from tools.label.labels import Answer, Entry, PoolImage, Shape, State
from tools.label.shape_checks import checked_shapes, size_fault
from tools.label.untouched import state_beside

SKIP = "skip it in the tool"
ADVISED = 20  # unknown names for which a near one is looked for


@dataclass(frozen=True)
class Checked:
    """What a file says of the pool.

    Args:
        answers: what is taken, in the file's order.
        faults: by the image's key, or by its name in the file if no image of the pool has it: all
            that is wrong. Nothing of these images is taken.
        unclear: keys of images without labels, or with drafts as they went out, of which the file
            does not tell whether anybody looked at them.
        unknown: names in the file that are no image of the pool, or could be several.
        notes: what was taken in another way than it is written, a line each.
    """

    answers: tuple[Answer, ...]
    faults: Mapping[str, tuple[Fault, ...]]
    unclear: tuple[str, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]


def check(
    entries: Sequence[Entry],
    images: Mapping[str, PoolImage],
    labeling: Labeling,
    done: Collection[str] | Literal["all"] | None = None,
    lenient: bool = False,
    drafts: Mapping[str, Sequence[Shape]] = MappingProxyType({}),
    tells: bool = True,
) -> Checked:
    """Compare what came back with the pool.

    Args:
        entries: as a format read them.
        images: the pool by key; an image by the key of another one is a copy.
        labeling: what was to be drawn.
        done: names of images that people finished: without labels they are empty, and drafts on
            them are right. "all" of the file.
        lenient: take the good shapes of images of which others are wrong, rotated boxes as the
            upright ones around them, and of two persons' annotations the newest; the notes say so.
        drafts: that people saw, by the image's key.
        tells: whether the file still tells drafts from labels when a tool has rewritten it.
    """
    names = Names(images)
    faults: dict[str, list[Fault]] = defaultdict(list)
    unknown: list[str] = []
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found = names.find(entry.name) if entry.name else ()
        if len(found) == 1:
            groups[found[0]].append(entry)
            continue
        closest = near(entry.name, images) if len(unknown) < ADVISED else ""
        faults[entry.name] += [*entry.faults, *_name_faults(entry, found, closest)]
        if entry.name and entry.name not in unknown:
            unknown.append(entry.name)
    finished = _finished(done, names, groups, faults)
    answers: list[Answer] = []
    unclear: list[str] = []
    notes: list[str] = []
    for key, group in groups.items():
        if len(group) > 1:
            faults[key] += [fault for entry in group for fault in entry.faults]
            faults[key].append(_twice(key, group))
            continue
        sent = drafts.get(images[key].key, ())
        image = replace(images[key], key=key)  # as the file names it, also a copy
        entry = _beside(group[0], image, labeling, sent, tells)
        verdict = _verdict(entry, image, labeling, key in finished, lenient)
        notes += verdict.notes
        faults[key] += verdict.faults
        if verdict.answer is not None and not faults[key]:
            answers.append(verdict.answer)
        elif not faults[key]:
            unclear.append(key)
    told = {name: tuple(found) for name, found in faults.items() if found}
    return Checked(tuple(answers), told, tuple(unclear), tuple(unknown), tuple(notes))


def _name_faults(entry: Entry, found: tuple[str, ...], closest: str) -> list[Fault]:
    if not entry.name:
        return []  # the reader said so
    came = shown(entry.name)
    if found:
        expected = "the name of one image"
        came += f", which could be any of {shown(list(found))}"
        remedy = "export the names with their folders"
        return [Fault(kinds.AMBIGUOUS_IMAGE, entry.where, expected, came, remedy)]
    remedy = closest or "is it of another pool?"
    return [Fault(kinds.UNKNOWN_IMAGE, entry.where, "an image of the pool", came, remedy)]


def _twice(key: str, group: Sequence[Entry]) -> Fault:
    places = ", ".join(entry.where for entry in group[1:4])
    remedy = "delete all but one, or export them apart and add them in their order"
    expected = "each image once"
    came = f"{shown(key)} again: {places}"
    return Fault(kinds.TWICE, group[0].where, expected, came, remedy)


def _finished(
    done: Collection[str] | Literal["all"] | None,
    names: Names,
    groups: Mapping[str, list[Entry]],
    faults: dict[str, list[Fault]],
) -> set[str]:
    """The keys of the images that people finished."""
    if done is None:
        return set()
    if done == "all":
        return set(groups)
    finished: set[str] = set()
    for name in done:
        found = names.find(name)
        if len(found) == 1 and found[0] in groups:
            finished.add(found[0])
            continue
        expected = "finished images that the file has"
        came = f"{shown(name)}, which it has not"
        remedy = "export it, too"
        kind = kinds.NOT_IN_FILE
        if len(found) != 1:
            kind = kinds.AMBIGUOUS_IMAGE if found else kinds.UNKNOWN_IMAGE
            expected = "the name of one image of the pool"
            came = f"{shown(name)}: {shown(list(found)) if found else 'none has it'}"
            remedy = "write the key of the image"
        faults[found[0] if len(found) == 1 else name].append(
            Fault(kind, "the finished images", expected, came, remedy)
        )
    return finished


@dataclass(frozen=True)
class _Verdict:
    """What becomes of one entry; neither an answer nor faults: nobody knows."""

    answer: Answer | None = None
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()


def _beside(
    entry: Entry, image: PoolImage, labeling: Labeling, drafts: Sequence[Shape], tells: bool
) -> Entry:
    """An entry with what the drafts that people saw say of its state."""
    checked = checked_shapes(entry, image, labeling)
    if entry.faults or checked.faults:
        return entry
    return replace(entry, state=state_beside(entry.state, checked.shapes, drafts, tells))


def _verdict(
    entry: Entry, image: PoolImage, labeling: Labeling, finished: bool, lenient: bool
) -> _Verdict:
    checked = checked_shapes(entry, image, labeling)
    faults = list(entry.faults)
    if entry.state != "skipped":  # nobody will learn from its shapes
        faults += checked.faults
    wrong = size_fault(entry, image)
    if wrong is not None:
        faults.append(wrong)
    state = entry.state
    if state is None and finished:
        state = "labeled" if entry.shapes else "empty"
    if state == "labeled" and not entry.shapes and not faults:
        state = "empty"
    if state == "empty" and labeling.kind == "classes":
        faults.append(Fault(kinds.NO_CLASS, entry.where, "one class", "none", f"choose, or {SKIP}"))
    notes = [f"{image.key}: {note}" for note in checked.notes]
    shapes = checked.shapes if state == "labeled" else ()
    if faults:
        whole = state in ("empty", "skipped")
        if not (lenient and _mild(faults, labeling, state) and (shapes or whole)):
            return _Verdict(faults=tuple(faults))
        notes += [f"{image.key}: taken in part ({len(shapes)} shapes): {one}" for one in faults]
    if state is None:
        return _Verdict()
    kept = tuple(replace(shape, score=None) for shape in shapes)
    answer = Answer(image.key, state, kept, entry.seconds, entry.by)
    return _Verdict(answer, notes=tuple(notes))


def _mild(faults: Sequence[Fault], labeling: Labeling, state: State | None) -> bool:
    """Whether the good shapes of an image can be taken all the same."""
    if labeling.kind == "classes" or state is None:
        return False
    return all(fault.kind in kinds.OF_SHAPES for fault in faults)
