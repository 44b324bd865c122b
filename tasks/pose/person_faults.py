"""Every fault of the persons of one of MPII's json files, as HRNet and mmpose read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.process.text import shown
from tasks.faults import Fault, Reading, Size, escapes, finite, misleads, read_json
from tasks.images import ImageCheck
from tasks.pose import fit
from tasks.pose.people import JSON_BYTES, LOWERED, MARGIN, UNIT

FIELDS = ("image", "center", "scale", "joints", "joints_vis")
UNANNOTATED = ([-1, -1], [0, 0])  # 1-based pixels
OFF = "crop outside the image"  # a kind of fault
# sides of the image that a crop may have: MPII's stay below 5, a scale in pixels gives hundreds
LARGEST = 20.0


@dataclass
class Images:
    """Images, each checked once.

    Where the folder is missing (`exists` False), no image is checked.
    """

    folder: Path
    exists: bool
    look: ImageCheck
    sizes: dict[PurePath, Size | None] = field(default_factory=dict)

    def size(self, name: object, where: str) -> Reading[Size | None]:
        """(width, height) of the image that a person names at `where`."""
        if not isinstance(name, str) or not name or misleads(name):
            yield Fault(
                "image name",
                where,
                f"a one-line path below {self.folder}",
                shown(name),
                "write the file's name",
            )
            return None
        key = PurePath(name)
        if self.exists and key not in self.sizes:
            self.sizes[key] = yield from self.look.size(
                self.folder / name, f"take {where} off the list"
            )
        return self.sizes.get(key)


class Persons(NamedTuple):
    """The content of a list of N persons; rows of broken records are unannotated."""

    path: Path
    names: list[str | None]  # of the images, None where there is none
    joints: NDArray[np.float64]  # (N, joints, 2), 1-based pixels
    annotated: NDArray[np.bool_]  # (N, joints)

    def where(self, index: int) -> str:
        """A person as faults name it."""
        name = self.names[index]
        where = f"{self.path}, persons[{index}]"
        if name is not None:
            where += f" (image {name[:100]})"
        return where

    def spots(self, index: int) -> NDArray[np.float64]:
        """The annotated joints of a person, (n, 2)."""
        return self.joints[index][self.annotated[index]]


def read_records(root: Path, name: str) -> Reading[list | None]:
    """The list in a json below `root`."""
    if escapes(name):
        yield Fault(
            "list name",
            str(root),
            "a json below data_root",
            shown(name),
            "write 'annot/train.json'",
        )
        return None
    form = "a list of persons"
    otherwise = "write it as HRNet's train.json is"
    remedies = f"lists are relative to data_root, here {root}", otherwise
    records = yield from read_json(root / name, list, form, remedies, JSON_BYTES)
    if records == []:
        yield Fault("broken json", str(root / name), form, "[]", otherwise)
    return records or None


def person_faults(
    path: Path,
    records: list,
    joints: int,
    images: Images,
    progress: Callable[[Iterable], Iterable],
    notes: list[str],
) -> Reading[Persons]:
    """Read `records` of the json at `path`, each person with `joints` joints.

    `notes` gets what is unusual but no fault.
    """
    names = [_image_name(record) for record in records]
    shape = (len(records), joints)
    persons = Persons(path, names, np.full((*shape, 2), np.nan), np.zeros(shape, bool))
    first: dict[str, str] = {}
    astray: list[Fault] = []
    for index, record in enumerate(progress(records)):
        if isinstance(record, dict):
            astray += yield from _record_faults(record, index, persons, images, first)
        else:
            where = persons.where(index)
            yield Fault("broken record", where, "an object", shown(record), "write the person anew")
    if len(astray) > fit.ASTRAY * len(records):
        yield from astray
    elif astray:
        notes.append(
            f"{path}: {len(astray)} of {len(records)} persons outside of their crop; {astray[0]}"
        )
    if not persons.annotated.any():
        expected = "a person at least with an annotated joint (1 in 'joints_vis')"
        value = f"none in {len(records)} persons"
        yield Fault("no annotated joint", str(path), expected, value, "annotate some")
    return persons


def _image_name(record: object) -> str | None:
    if not isinstance(record, dict):
        return None
    name = record.get("image")
    return name if isinstance(name, str) else None


def _record_faults(
    record: dict, index: int, persons: Persons, images: Images, first: dict[str, str]
) -> Reading[list[Fault]]:
    """Check one person and fill in row `index` of `persons`.

    Return the faults of joints outside the crop, which a few persons of a list may have.
    """
    where = persons.where(index)
    missing = [name for name in FIELDS if name not in record]
    if missing:
        expected = f"the fields {FIELDS}"
        yield Fault("missing field", where, expected, f"none of {missing}", "annotate the person")
    size = None
    if "image" in record:
        size = yield from images.size(record["image"], where)
    yield from _duplicate(record, where, first)
    crop = list(_crop_faults(record, where, size))
    joint = list(_joint_faults(record, where, size, persons, index))
    spots = persons.spots(index)
    other = list(_other_image(record, where, size, images, spots))
    yield from (fault for fault in crop if not other or fault.kind != OFF)
    yield from joint + other
    if size is None or crop or joint or other:
        return []
    misfits = list(_misfits(record, where, spots, persons.joints.shape[1]))
    yield from (fault for fault in misfits if fault.kind != fit.OUTSIDE)
    return [fault for fault in misfits if fault.kind == fit.OUTSIDE]


def _other_image(
    record: dict, where: str, size: Size | None, images: Images, spots: NDArray[np.float64]
) -> Iterator[Fault]:
    """Report joints in other coordinates than the image's pixels.

    A fault of the crop may only follow from them.
    """
    centre = record["center"] if _pair(record.get("center")) else None
    yield from fit.normalised(where, centre, spots[spots.any(1)], size)  # [0, 0] is no joint
    if size is not None:
        orientation = images.look.turned.get(images.folder / record["image"], 1)
        yield from fit.of_the_turned_image(where, size, orientation, spots)


def _misfits(record: dict, where: str, spots: NDArray[np.float64], joints: int) -> Iterator[Fault]:
    """Report fields of a person that are each valid but do not fit each other."""
    if "center" in record and "scale" in record:
        small = list(fit.too_small(where, record["scale"], spots, joints))
        yield from small or fit.astray(
            where, np.array(record["center"], float), record["scale"], spots
        )


def _duplicate(record: dict, where: str, first: dict[str, str]) -> Iterator[Fault]:
    """Report a person that is in the list already: it would be labeled and scored twice."""
    parts = [record[name] for name in ("image", "center", "joints") if name in record]
    key = repr(parts)
    if len(parts) == 3 and first.setdefault(key, where) != where:
        value = f"{shown(record['image'])} with the same center and joints again"
        yield Fault(
            "person twice",
            where,
            "every person once in a list",
            value,
            f"see {first[key]}; delete one",
        )


def _pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(finite(v) for v in value)


def _flag(value: object) -> bool:
    return finite(value) and value in (0, 1)


def _crop_faults(record: dict, where: str, size: Size | None) -> Iterator[Fault]:
    """Check the fields 'center' and 'scale', where present, and the crop that they make."""
    centre: Any = record.get("center")
    scale: Any = record.get("scale")
    remedy = "write the person's height divided by 200 pixels"
    if "center" in record and not _pair(centre):
        yield Fault(
            "center",
            where,
            "'center' as two finite numbers x, y",
            shown(centre),
            "annotate it anew",
        )
    if "scale" in record and not (finite(scale) and scale > 0):
        yield Fault("scale", where, "a finite number above 0 as 'scale'", shown(scale), remedy)
    elif size is not None and scale is not None and _pair(centre):
        side = UNIT * MARGIN * scale
        if not 1 <= side <= LARGEST * max(size):
            expected = (
                f"a 'scale' whose crop, {UNIT * MARGIN:.0f} times as large, has 1 to "
                f"{LARGEST * max(size):.0f} px"
            )
            yield Fault("scale", where, expected, shown(scale), remedy)
        elif _apart(centre, scale, size):
            expected = f"a crop that meets the image of {size} (width, height)"
            value = f"one of {side:.0f} px around {shown(centre)}"
            yield Fault(OFF, where, expected, value, "correct 'center' or 'image'")


def _apart(centre: Any, scale: Any, size: Size) -> bool:
    """Whether the crop around a centre (1-based pixels) and the image have no pixel in common."""
    half = UNIT * MARGIN * scale / 2
    middle = np.array([centre[0], centre[1] + LOWERED * scale], float) - 1
    return bool((middle - half >= size).any() or (middle + half <= 0).any())


def _joint_faults(
    record: dict, where: str, size: Size | None, persons: Persons, index: int
) -> Iterator[Fault]:
    """Check the joints of a person; fill in row `index` of `persons` where they are valid."""
    count = persons.joints.shape[1]
    joints = yield from _listed(
        record, "joints", count, _pair, "pairs of finite numbers x, y", where
    )
    flags = yield from _listed(record, "joints_vis", count, _flag, "0 (not annotated) or 1", where)
    if joints is None or flags is None:
        return
    persons.joints[index] = joints
    persons.annotated[index] = np.array(flags) == 1
    unmarked = [k for k, joint in enumerate(joints) if joint in UNANNOTATED and flags[k] == 1]
    if unmarked:
        value = f"{joints[unmarked[0]]} as joints[{unmarked[0]}] with 1 ({len(unmarked)} such)"
        expected = "0 in 'joints_vis' for a joint at [-1, -1] or [0, 0], which is not annotated"
        yield Fault("joint not annotated", where, expected, value, "write 0, or where the joint is")
    elif size is not None:
        yield from _far_joints(where, size, persons.joints[index], persons.annotated[index])


def _listed(
    record: dict, name: str, count: int, good: Callable[[object], bool], form: str, where: str
) -> Reading[list | None]:
    """The field `name`, a list of `count` values that are `good`; None if it is not."""
    if name not in record:
        return None
    values = record[name]
    if not isinstance(values, list) or len(values) != count:
        value = f"{len(values)}" if isinstance(values, list) else shown(values)
        yield Fault(
            name, where, f"a list of {count} joints as {name!r}", value, "annotate the person anew"
        )
        return None
    bad = [k for k, entry in enumerate(values) if not good(entry)]
    if not bad:
        return values
    value = f"{shown(values[bad[0]])} as {name}[{bad[0]}]"
    if len(bad) > 1:
        value += f" and {len(bad) - 1} more such"
    remedy = "annotate the joint anew; one that is not annotated has [-1, -1] and 0 in 'joints_vis'"
    yield Fault(name, where, f"{form} for each joint in {name!r}", value, remedy)
    return None


def _far_joints(
    where: str, size: Size, joints: NDArray[Any], annotated: NDArray[np.bool_]
) -> Iterator[Fault]:
    """Report joints that are outside the image by more than its longer side.

    MPII's joints leave the image by some pixels; these are of another image or in another unit.
    """
    outside = np.maximum(-joints, joints - size).max(-1)
    far = np.flatnonzero(annotated & (outside > max(size)))
    if len(far):
        expected = f"annotated joints in or near the image of {size} (width, height)"
        value = f"{shown(joints[far[0]].tolist())} as number {far[0]} ({len(far)} such)"
        yield Fault(
            "joint far outside", where, expected, value, "correct it, or set 0 in 'joints_vis'"
        )
