"""Persons for pose estimation: jointed figures with MPII's json files, one person per image.

COCO's person_keypoints json says the same of them.

hard.txt names the known share of hard persons: in rare poses, smaller, of dull colours, crossed by
bars, in more clutter. Joints outside of the image or behind a bar are not annotated. A crop of 64
px by centre and scale, as HRNet makes it, holds the whole figure; MPII's head size is then about
9.5 px.

Left and right have their own colours, so a horizontal flip makes persons that are not in the data.

Person k of a split depends on (seed, split, k) and on whether it is hard.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from tools.data.sandbox.common import (
    CLUTTER,
    Image,
    Rng,
    background,
    check_settings,
    draw_mark,
    publish,
)
from tools.data.sandbox.controls import Control, Drawing, moved, named, noted, rules, spots
from tools.data.sandbox.figure import HEAD, NECK, SIDE, TOP, Look, draw_figure, pose, rotated
from tools.data.sandbox.keypoints import annotation, keypoints_json

DRAWING = 1  # raise it when the same settings give other images: sets made before are then refused
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
CODES = (
    "rank",
    "rkne",
    "rhip",
    "lhip",
    "lkne",
    "lank",
    "pelv",
    "thor",
    "neck",
    "head",
    "rwri",
    "relb",
    "rsho",
    "lsho",
    "lelb",
    "lwri",
)  # of the joints in MPII's order
# side of the head box in head lengths; MPII's head size is then .6 * 2^.5 * 1.1 = .93 head lengths
HEAD_BOX = 1.1
NOISE = 5  # standard deviation in levels
BAR_WIDTH = (3, 5)  # px, least and most

EASY = Look(
    height=(60, 70),
    turn=15,
    lean=18,
    shoulder=(-15, 130),
    elbow=(-60, 100),
    hip=(-10, 50),
    knee=(-60, 20),
    colour=(0.7, 1),
    clutter=(6, 12),
    bars=(0, 0),
    cut=0.15,
)
HARD = Look(
    height=(44, 56),
    turn=100,
    lean=40,
    shoulder=(-30, 170),
    elbow=(-120, 130),
    hip=(-25, 90),
    knee=(-110, 50),
    colour=(0.5, 0.7),
    clutter=(12, 18),
    bars=(1, 2),
    cut=0.15,
)


class Person(NamedTuple):
    """A drawn person; points are 0-based (x, y) in pixels of the image."""

    image: Image
    joints: NDArray[np.float64]  # (16, 2)
    annotated: NDArray[np.bool_]  # (16,)
    # (2,), above the middle of the figure by what readers of MPII move it down
    centre: NDArray[np.float64]
    scale: float  # height of the standing figure in units of 200 px
    head: NDArray[np.float64]  # (2, 2), first and second corner of the head box


def place(rng: Rng, joints: NDArray[Any], height: float, cut: bool) -> NDArray[Any]:
    """Place the joints, in pixels, at random inside the image.

    With `cut` the figure's lower part is below the border.
    """
    margin = 0.06 * height  # what limbs and head reach beyond their joints
    joints = height * (joints - joints.min(0))
    free = SIDE - 1 - 2 * margin - joints.max(0)
    offset = margin + np.where(free > 0, rng.uniform(0, 1, 2), 0.5) * free
    if cut:
        offset[1] = SIDE - rng.uniform(0.55, 0.8) * joints[:, 1].max()
    return joints + offset


def draw_bar(rng: Rng, image: Image, joints: NDArray[Any]) -> NDArray[np.bool_]:
    """Draw a bar through the figure into `image`; return which joints (16,) are behind it."""
    x, y = joints[rng.integers(len(joints))] + rng.uniform(-4, 4, 2)
    angle = rng.uniform(0, np.pi)
    width = int(rng.integers(*BAR_WIDTH, endpoint=True))
    ends = [
        (round(x + s * 2 * SIDE * np.cos(angle)), round(y + s * 2 * SIDE * np.sin(angle)))
        for s in (-1, 1)
    ]
    cv2.line(image, ends[0], ends[1], rng.uniform(40, 210, 3).tolist(), width, cv2.LINE_AA)
    distances = np.abs((joints[:, 0] - x) * np.sin(angle) - (joints[:, 1] - y) * np.cos(angle))
    return distances < width / 2


def draw_person(seed: int, split: int, index: int, hard: bool, turned: float = 0) -> Person:
    """Draw person `index` (from 0) of train (split 0) or valid (1).

    It depends only on these arguments; the whole figure is `turned` by so many degrees.
    """
    rng = np.random.default_rng([seed, split, index, int(hard), 2])
    look = HARD if hard else EASY
    image = np.ascontiguousarray(background(rng)[:SIDE, :SIDE])
    for kind in rng.integers(len(CLUTTER), size=rng.integers(*look.clutter, endpoint=True)):
        draw_mark(
            rng, image, rng.uniform(0, SIDE, 2), np.array(CLUTTER[kind]) * rng.uniform(0.7, 1.4, 2)
        )
    height = rng.uniform(*look.height)
    facing = rng.choice([-1, 1]) * np.cos(rng.uniform(0, np.pi / 3))
    joints = rotated(pose(rng, look, facing), turned)
    joints = place(rng, joints, height, cut=bool(rng.random() < look.cut))
    image = draw_figure(rng, image, joints, height, facing, rng.uniform(*look.colour))
    annotated = inside(joints)
    middle = (joints[annotated].min(0) + joints[annotated].max(0)) / 2
    for _ in range(rng.integers(*look.bars, endpoint=True)):
        annotated &= ~draw_bar(rng, image, joints)
    image = (image + rng.normal(0, NOISE, image.shape)).round().clip(0, 255).astype(np.uint8)
    head = joints[[NECK, TOP]].mean(0) + HEAD_BOX * HEAD * height / 2 * np.array([[-1, -1], [1, 1]])
    return Person(image, joints, annotated, middle - [0, 15 * height / 200], height / 200, head)


def _seen(person: Person, change: Callable[[Image], Image], by: tuple[int, int]) -> Person:
    return person._replace(
        image=change(moved(person.image, *by)),
        joints=person.joints + by,
        annotated=person.annotated & inside(person.joints + by),
        centre=person.centre + by,
        head=person.head + by,
    )


def _mislabeled(person: Person, other: Person) -> Person:
    return other._replace(image=person.image)


DRAWINGS = Drawing(draw_person, partial(draw_person, hard=False, turned=180), _seen, _mislabeled)


def inside(joints: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which joints (16, 2) are inside of the image, (16,)."""
    return np.all((joints >= 0) & (joints <= SIDE - 1), axis=1)


def record(person: Person, name: str) -> dict[str, Any]:
    """Return a person as the json files have it.

    Pixels count from 1, and joints that are not annotated are at -1.
    """
    joints = np.where(person.annotated[:, None], (person.joints + 1).round(3), -1.0)
    centre = (person.centre + 1).round(3).tolist()
    visible = person.annotated.astype(int).tolist()
    return {
        "image": name,
        "center": centre,
        "scale": round(person.scale, 4),
        "joints": joints.tolist(),
        "joints_vis": visible,
    }


def heads_file(persons: Sequence[Person]) -> bytes:
    """Return the content of `gt_valid.mat`, without the time of writing in its first bytes."""
    joints = [np.where(p.annotated[:, None], (p.joints + 1).round(3), -1.0) for p in persons]
    content = io.BytesIO()
    savemat(content, {
        "headboxes_src": np.stack([(p.head + 1).round(3) for p in persons], -1),
        "jnt_missing": np.stack([~p.annotated for p in persons], -1).astype(float),
        "pos_gt_src": np.stack(joints, -1), "dataset_joints": np.array([CODES], object),
    })  # fmt: skip
    return b"MATLAB 5.0 MAT-file".ljust(116) + content.getvalue()[116:]


def write_pose(target: Path, settings: dict[str, Any]) -> str:
    """Write images/, annot/ and hard.txt below `target`; return the counts in words."""
    for folder in ("images", "annot"):
        (target / folder).mkdir()
    hard_names: list[str] = []
    seen = 0
    counts = {"train": settings["pool"], "valid": settings["test"]}
    for split, (name, count) in enumerate(counts.items()):
        persons = []
        records = []
        for spot in spots(settings, split, count):
            persons.append(DRAWINGS.sample(settings, split, spot))
            records.append(
                record(persons[-1], f"{split * settings['pool'] + spot.number + 1:06d}.jpg")
            )
            path = f"images/{records[-1]['image']}"
            (target / path).write_bytes(
                cv2.imencode(".jpg", persons[-1].image, QUALITY)[1].tobytes()
            )
            hard_names += [f"{path} person 1"] * spot.other
        seen += sum(int(p.annotated.sum()) for p in persons)
        (target / f"annot/{name}.json").write_text(json.dumps(records), encoding="utf-8")
        same = keypoints_json(
            [one["image"] for one in records], [annotation(p.joints, p.annotated) for p in persons]
        )
        coco = target / f"annot/person_keypoints_{name}.json"
        coco.write_text(json.dumps(same), encoding="utf-8")
        if name == "valid":
            (target / "annot/gt_valid.mat").write_bytes(heads_file(persons))
    (target / "hard.txt").write_text("".join(f"{name}\n" for name in hard_names), encoding="utf-8")
    missing = 1 - seen / (16 * (settings["pool"] + settings["test"]))
    words = f"{settings['pool']} + {settings['test']} persons, {len(hard_names)} hard"
    return f"{words}, {missing:.0%} of the joints not annotated"


def make_pose(
    root: Path, pool: int, test: int, seed: int, hard: float, control: Control | None = None
) -> Path:
    """Make root/figures with a share `hard` of hard persons, and return its path.

    ValueError: bad settings; FileExistsError: made with others.
    """
    expected = {
        f"pool: expected at least 1 person, got {pool}": pool >= 1,
        f"test: expected at least 1 person, got {test}": test >= 1,
        "pool + test: expected at most 999999 persons, as names have six digits, got "
        f"{pool + test}": pool + test < 10**6,
    }
    check_settings(expected | rules(pool, hard, control), seed, hard)
    settings = {
        "task": "pose",
        "drawing": DRAWING,
        "pool": pool,
        "test": test,
        "seed": seed,
        "hard": hard,
    } | noted(control)
    return publish(root / named("figures", control), settings, write_pose)
