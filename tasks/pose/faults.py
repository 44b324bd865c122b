"""Find every fault of a data set in MPII's form: images, json files, and head boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.process.text import reason, shown
from tasks.faults import SEPARATORS, Fault, Reading, escapes, path_fault, read_file
from tasks.images import ImageCheck
from tasks.mat import read_arrays
from tasks.pose.fit import ASTRAY
from tasks.pose.people import head_sizes, mend_separators
from tasks.pose.person_faults import Images, Persons, person_faults, read_records

LAYOUT = "data_root holds images/ and the lists, as annot/train.json"
ARRAYS = ("headboxes_src", "jnt_missing", "pos_gt_src")
MAT_BYTES = 64 << 20
# head sizes from a head's middle to the nearest joint: at most 2.5 in the published files
FAR = 10.0


def mpii_faults(
    root: Path,
    lists: Mapping[str, str],
    joints: int,
    heads: str | None,
    *,
    full: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
    notes: list[str] | None = None,
) -> list[Fault]:
    """All faults of both lists.

    Args:
        root: the data set's folder, `data_root`, which holds images/.
        lists: the json files of the splits "train" and "test", below root.
        joints: their number for a person.
        heads: the mat file with the head boxes of the test persons, below root; None if no head
            sizes are needed.
        full: decode every image; without, headers are read.
        progress: wraps the persons of each list, as tqdm does.
        notes: gets a line for each thing that is valid but unusual.
    """
    if notes is None:
        notes = []
    return list(_faults(Path(root).absolute(), lists, joints, heads, full, progress, notes))


def _faults(
    root: Path,
    lists: Mapping[str, str],
    joints: int,
    heads: str | None,
    full: bool,
    progress: Callable,
    notes: list[str],
) -> Iterator[Fault]:
    fault = path_fault(root, "data_root", LAYOUT)
    if fault is not None:
        yield fault
        return
    fault = path_fault(root / "images", "images folder", LAYOUT)
    if fault is not None:
        yield fault
    splits = {}
    look = ImageCheck(full, upright=False)
    images = Images(root / "images", fault is None, look)
    for split, name in lists.items():
        records = yield from read_records(root, name)
        if records is not None:
            mended = mend_separators(records, root / "images")
            if mended:
                notes.append(f"{root / name}: {SEPARATORS.format(f'{mended:,}')}")
            splits[split] = yield from person_faults(
                root / name, records, joints, images, progress, notes
            )
    yield from look.together()
    if look.turned:
        one = next(iter(look.turned))
        notes.append(
            f"{len(look.turned)} images such as {one} have an EXIF orientation, which is not "
            "followed for poses: joints are taken to lie on the pixels as stored, as MPII's and "
            "HRNet's do"
        )
    if heads is not None:
        yield from _head_faults(root, heads, splits.get("test"), joints)


def _head_faults(root: Path, name: str, test: Persons | None, joints: int) -> Iterator[Fault]:
    arrays = yield from _head_arrays(root, name)
    if arrays is None or test is None:
        return
    count = len(test.names)
    shapes = dict(zip(ARRAYS, ((2, 2, count), (joints, count), (joints, 2, count)), strict=True))
    wrong = [key for key in ARRAYS if arrays[key].shape != shapes[key]]
    for key in wrong:
        expected = (
            f"numbers of the shape {shapes[key]} as {key!r}, for the {count} persons of {test.path}"
        )
        value = f"the shape {arrays[key].shape}"
        remedy = "take the mat file that belongs to the json"
        yield Fault("head sizes", str(root / name), expected, value, remedy)
    if not wrong:
        boxes, missing, positions = (arrays[key] for key in ARRAYS)
        with np.errstate(all="ignore"):
            sizes = head_sizes(boxes)
            yield from _size_faults(root / name, boxes, sizes, test)
            yield from _order_faults(
                root / name, positions.transpose(2, 0, 1), missing.T == 0, sizes, test
            )
        if not (missing == 0).any():
            yield Fault(
                "head sizes",
                str(root / name),
                "a joint with 0 in 'jnt_missing'",
                "1 for all of them",
                "there is nothing to score",
            )


def _size_faults(
    path: Path, boxes: NDArray[Any], sizes: NDArray[Any], test: Persons
) -> Iterator[Fault]:
    ordered = (boxes[1] > boxes[0]).all(axis=0)
    for index in np.flatnonzero(~(np.isfinite(sizes) & ordered)).tolist():
        where = f"{path}, headboxes_src[:, :, {index}]"
        expected = f"the first corner [x, y] left of and above the second for {test.where(index)}"
        value = shown(boxes[:, :, index].tolist())
        yield Fault("head box", where, expected, value, "correct it")
    away = np.linalg.norm(boxes.mean(0).T[:, None] - test.joints, axis=-1)  # (N, joints)
    away = np.where(test.annotated, away, np.inf).min(1)
    far = test.annotated.any(1) & ordered & (away > FAR * sizes)
    for index in np.flatnonzero(far).tolist():
        where = f"{path}, headboxes_src[:, :, {index}]"
        expected = f"a head near the joints of {test.where(index)}"
        value = f"one {away[index]:.0f} px away from all of them"
        remedy = "correct the box, or the order of the mat file"
        yield Fault("head elsewhere", where, expected, value, remedy)


def _order_faults(
    path: Path,
    positions: NDArray[Any],
    annotated: NDArray[np.bool_],
    sizes: NDArray[Any],
    test: Persons,
) -> Iterator[Fault]:
    """Report a mat file whose persons, positions (N, joints, 2), are not in the json's order."""
    both = annotated & test.annotated
    distances = np.linalg.norm(positions - test.joints, axis=-1)
    means = np.where(both, distances, 0).sum(1) / both.sum(1)  # NaN without a joint in both
    wrong = np.flatnonzero(both.any(1) & (sizes > 0) & ~(means <= sizes)).tolist()
    if len(wrong) > ASTRAY * len(means):
        expected = (
            f"the persons of {test.path} in its order, 'pos_gt_src' within a head size of 'joints'"
        )
        value = (
            f"{len(wrong)} elsewhere, the first of them {means[wrong[0]]:.1f} px from "
            f"{test.where(wrong[0])}"
        )
        yield Fault(
            "order of heads", str(path), expected, value, "put mat file and json in the same order"
        )


def _head_arrays(root: Path, name: str) -> Reading[dict[str, NDArray[Any]] | None]:
    remedy = "put MPII's gt_valid.mat there, in the order of the test json"
    if escapes(name):
        yield Fault(
            "head sizes name",
            str(root),
            "a mat file below data_root",
            shown(name),
            "'annot/gt_valid.mat'",
        )
        return None
    content = yield from read_file(root / name, "head sizes", remedy, MAT_BYTES)
    if content is None:
        return None
    expected = f"a MAT-file of version 5 with the arrays of numbers {ARRAYS}"
    try:
        arrays = read_arrays(content)
    except (ValueError, MemoryError) as error:
        yield Fault("unreadable head sizes", str(root / name), expected, reason(error), remedy)
        return None
    lacking = [key for key in ARRAYS if key not in arrays]
    if lacking:
        yield Fault("head sizes", str(root / name), expected, f"none of {lacking}", remedy)
        return None
    return arrays
