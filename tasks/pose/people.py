"""Persons in MPII's form, as HRNet and mmpose read it.

A json holds the persons, and a .mat file the heads of the test persons.

Coordinates on disk are 1-based; here and everywhere else the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tasks.data import canonical, first_fault_raised
from tasks.faults import read_file, slashed, text_of
from tasks.mat import read_arrays

# joints (N, J, 2), annotated (N, J), sizes (N,) in pixels
Truth = tuple[np.ndarray, np.ndarray, np.ndarray]

IMAGES = "images"  # the folder below the data's root
UNIT = 200.0  # pixels: MPII's scale is a person's height in units of 200
MARGIN = 1.25  # a crop is so many times as large as the person; HRNet and mmpose do the same
LOWERED = 15.0  # pixels by which a crop of scale 1 is lowered, so that feet are in it; the same
JSON_BYTES = 1 << 30
# head size over the diagonal of the head's rectangle (Andriluka et al., CVPR 2014)
HEAD_SHARE = 0.6

MPII_JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "thorax",
    "upper_neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
MPII_BONES = (
    (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9),
    (10, 11), (11, 12), (12, 7), (7, 13), (13, 14), (14, 15),
)  # fmt: skip


@dataclass(frozen=True)
class People:
    """N persons with J joints each; lengths in pixels of the image as it is on disk.

    Args:
        paths: a file a person; persons may share one.
        names: of each person, ``"images/0001.jpg person 2"``: the second of this image in the
            json.
        centres: (N, 2) of the crops.
        sides: (N,) of the crops, which are squares; the widths of others.
        joints: (N, J, 2); arbitrary where not annotated.
        annotated: (N, J) bool.

    Attributes:
        upright: whether images are turned as their EXIF says; MPII's joints lie on stored pixels.
    """

    upright: ClassVar[bool] = False

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    centres: np.ndarray
    sides: np.ndarray
    joints: np.ndarray
    annotated: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def heights(self) -> np.ndarray:
        """(N,) of the persons in pixels."""
        return self.sides / MARGIN

    def known(self, index: int) -> dict[str, Any]:
        """What a form of data says of a person besides, for its label."""
        return {}


def read_people(root: Path, name: str) -> People:
    """Read the persons of a json without faults, in its order."""
    persons = json.loads(text_of(_content(root / name, "json")))
    mend_separators(persons, root / IMAGES)
    seen: Counter[str] = Counter()
    names = []
    for person in persons:
        seen[person["image"]] += 1
        names.append(f"{IMAGES}/{person['image']} person {seen[person['image']]}")
    scales = np.array([person["scale"] for person in persons], dtype=np.float64)
    centres = np.array([person["center"] for person in persons], dtype=np.float64) - 1
    centres[:, 1] += LOWERED * scales
    return People(
        paths=tuple(root / IMAGES / person["image"] for person in persons),
        names=tuple(names),
        centres=centres,
        sides=UNIT * MARGIN * scales,
        joints=np.array([person["joints"] for person in persons], dtype=np.float64) - 1,
        annotated=np.array([person["joints_vis"] for person in persons], dtype=np.float64) > 0,
    )


def _content(path: Path, what: str) -> bytes:
    """Read a file that was checked; without a check, a pipe or a device is still refused."""
    return first_fault_raised(read_file(path, what, "put it there", JSON_BYTES))


def mend_separators(records: Sequence[object], images: Path) -> int:
    """Replace Windows' separators in the names of image files by "/".

    Return how many names had some.
    """
    count = 0
    for record in records:
        if isinstance(record, dict) and isinstance(record.get("image"), str):
            name = record["image"]
            record["image"] = slashed(images, name)
            count += record["image"] != name
    return count


def read_heads(path: Path) -> Truth:
    """Read the ground truth of MPII's evaluation; sizes are those of heads."""
    arrays = read_arrays(_content(path, "file of heads"))
    return (
        arrays["pos_gt_src"].transpose(2, 0, 1) - 1,
        arrays["jnt_missing"].T == 0,
        head_sizes(arrays["headboxes_src"]),
    )


def head_sizes(boxes: np.ndarray) -> np.ndarray:
    """Head sizes (N,) in pixels of boxes (2, 2, N): two corners by x and y."""
    return HEAD_SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)


def box_sizes(people: People) -> np.ndarray:
    """(N,) longer sides of the tight boxes around the annotated joints, in pixels.

    0 for less than two joints.
    """
    shown = people.annotated[..., None]
    low = np.where(shown, people.joints, np.inf).min(axis=1)
    high = np.where(shown, people.joints, -np.inf).max(axis=1)
    return np.where(people.annotated.any(axis=1), (high - low).max(axis=1), 0.0)


def mirrored(joints: tuple[str, ...]) -> list[int]:
    """The joint that each becomes in a mirrored image: "left_x" and "right_x" change places.

    Raises:
        ValueError: if one of a pair is missing, or a name has left or right in another form.
    """
    odd = [name for name in joints if re.search(r"left|right|^[lr]_|_[lr]$", name, re.IGNORECASE)
           and not re.match(r"(left|right)_", name)]  # fmt: skip
    if odd:
        raise ValueError(
            f"joints: expected sides as in 'left_knee' and 'right_knee', but got {odd}"
        )
    other = {"left": "right", "right": "left"}
    swapped = []
    for name in joints:
        side, _, part = name.partition("_")
        if side in other:
            name = f"{other[side]}_{part}"
        swapped.append(name)
    lone = sorted(set(swapped) - set(joints))
    if lone:
        raise ValueError(
            f"joints: expected left and right ones in pairs, but got none named {lone}"
        )
    return [joints.index(name) for name in swapped]


def label_of(people: People, index: int, heads: Truth | None = None) -> str:
    """The annotation of a person as text; joints that are not annotated are None."""
    parts = {
        "centre": people.centres[index].tolist(),
        "side": float(people.sides[index]),
        "joints": _known(people.joints[index], people.annotated[index]),
    } | people.known(index)
    if heads is not None:
        joints, annotated, sizes = (column[index] for column in heads)
        parts |= {"truth": _known(joints, annotated), "head": float(sizes)}
    return canonical(**parts)


def _known(joints: np.ndarray, annotated: np.ndarray) -> list[list[float] | None]:
    listed: list[list[float] | None] = joints.tolist()
    for index in np.flatnonzero(~annotated):
        listed[index] = None
    return listed
