"""The pose part of `make_sandbox.py`: jointed figures as MPII's json files, one person an image.

Limbs of a person's left side are bluish and those of the right side reddish, so that the sides can be told apart from
the front and from behind. hard.txt names the known share of hard persons: in rare poses, smaller, of dull colours,
crossed by bars, in more clutter. Joints outside of the image or behind a bar are not annotated.

Person k of a split depends on (seed, split, k) and on whether it is hard.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from tools.make_sandbox import CLUTTER, Image, Rng, background, draw_mark, hard_flags, publish

DRAWING = 1  # raise it when the same settings give other images: sets made before are then refused
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
SIDE = 96  # px, width and height of an image
ENLARGED = 4  # figures are drawn so many times as large
CODES = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho", "lsho",
    "lelb", "lwri",
)  # fmt: skip  # of the joints in MPII's order
R_ANKLE, R_KNEE, R_HIP, L_HIP, L_KNEE, L_ANKLE, PELVIS, THORAX, NECK, TOP = range(10)
R_WRIST, R_ELBOW, R_SHOULDER, L_SHOULDER, L_ELBOW, L_WRIST = range(10, 16)
LEGS = {"left": (L_HIP, L_KNEE, L_ANKLE), "right": (R_HIP, R_KNEE, R_ANKLE)}
ARMS = {"left": (L_SHOULDER, L_ELBOW, L_WRIST), "right": (R_SHOULDER, R_ELBOW, R_WRIST)}
HUES = {"left": 108, "right": 4}  # OpenCV's, in units of 2 degrees
# lengths and widths in heights of a standing figure; trunk, neck, head, thigh and shin add up to 1
TRUNK, NECK_LENGTH, HEAD, THIGH, SHIN, UPPER_ARM, FOREARM = 0.28, 0.04, 0.2, 0.245, 0.235, 0.175, 0.165
SHOULDERS, HIPS, LEG_WIDTH, ARM_WIDTH = 0.13, 0.075, 0.085, 0.065  # the first two are half widths
HEAD_BOX = 1.1  # side of the head box in head lengths; MPII's head size is then .6 * 2^.5 * 1.1 = .93 head lengths


class Look(NamedTuple):
    """How persons of a kind look. Pairs are ranges; angles are in degrees, 0 for hanging or standing straight."""

    height: tuple[float, float]  # px, of the standing figure
    turn: float  # of the whole figure, to either side at most
    lean: float  # of the upper body, likewise
    shoulder: tuple[float, float]  # away from the body
    elbow: tuple[float, float]
    hip: tuple[float, float]
    knee: tuple[float, float]
    colour: tuple[float, float]  # 1 for full colours, 0 for that of the background
    clutter: tuple[int, int]  # marks in the background
    bars: tuple[int, int]  # across the figure
    cut: float  # share of figures that the lower border cuts off


EASY = Look(height=(60, 70), turn=15, lean=18, shoulder=(-15, 130), elbow=(-60, 100), hip=(-10, 50), knee=(-60, 20),
            colour=(0.7, 1), clutter=(6, 12), bars=(0, 0), cut=0.15)  # fmt: skip
HARD = Look(height=(44, 56), turn=100, lean=40, shoulder=(-30, 170), elbow=(-120, 130), hip=(-25, 90), knee=(-110, 50),
            colour=(0.5, 0.7), clutter=(12, 18), bars=(1, 2), cut=0.15)  # fmt: skip
HUE_SPREAD, NOISE, BAR_WIDTH = 12, 5, (3, 5)  # standard deviations in units of 2 degrees and in levels; px


class Person(NamedTuple):
    """A drawn person; points are 0-based (x, y) in pixels of the image."""

    image: Image
    joints: NDArray[np.float64]  # (16, 2)
    annotated: NDArray[np.bool_]  # (16,)
    centre: NDArray[np.float64]  # (2,), above the middle of the figure by what readers of MPII move it down
    scale: float  # height of the standing figure in units of 200 px
    head: NDArray[np.float64]  # (2, 2), first and second corner of the head box


def rotated(points: NDArray[Any], degrees: float) -> NDArray[Any]:
    """Points (N, 2) turned clockwise, as seen in an image, about the origin."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return points @ np.array([[c, s], [-s, c]])


def limb(rng: Rng, start: NDArray[Any], out: float, lengths: tuple[float, float], angles: tuple[Any, Any]) -> list[Any]:
    """The two further joints of an arm or leg that begins at `start`; `out` is the sign of x away from the body."""
    points, angle = [start], 0.0
    for length, (low, high) in zip(lengths, angles, strict=True):
        angle += np.deg2rad(rng.triangular(low, np.clip(8, low, high), high))
        points.append(points[-1] + length * np.array([out * np.sin(angle), np.cos(angle)]))
    return points


def pose(rng: Rng, look: Look, facing: float) -> NDArray[np.float64]:
    """Joints (16, 2) in heights of the standing figure, pelvis at the origin, y down.

    `facing` is the cosine of the turn about the upright axis: 1 seen from the front (the person's right is to the left
    in the image), -1 from behind.
    """
    joints, front = np.zeros((16, 2)), np.sign(facing)
    joints[[THORAX, NECK, TOP], 1] = -np.cumsum([TRUNK, NECK_LENGTH, HEAD])
    joints[TOP] = joints[NECK] + rotated(joints[[TOP]] - joints[NECK], rng.normal(0, look.lean))[0]
    for side, sign in (("left", 1), ("right", -1)):
        shoulder, hip = joints[THORAX] + [sign * facing * SHOULDERS, 0], np.array([sign * facing * HIPS, 0])
        joints[list(ARMS[side])] = limb(rng, shoulder, sign * front, (UPPER_ARM, FOREARM), (look.shoulder, look.elbow))
        joints[list(LEGS[side])] = limb(rng, hip, sign * front, (THIGH, SHIN), (look.hip, look.knee))
    upper = [THORAX, NECK, TOP, *ARMS["left"], *ARMS["right"]]
    joints[upper] = rotated(joints[upper], rng.uniform(-look.lean, look.lean))
    return rotated(joints, rng.uniform(-look.turn, look.turn))


def place(rng: Rng, joints: NDArray[Any], height: float, cut: bool) -> NDArray[Any]:
    """The joints in pixels: the figure anywhere inside the image, or with its lower part below the border."""
    margin = 0.06 * height  # what limbs and head reach beyond their joints
    joints = height * (joints - joints.min(0))
    free = SIDE - 1 - 2 * margin - joints.max(0)
    offset = margin + np.where(free > 0, rng.uniform(0, 1, 2), 0.5) * free
    if cut:
        offset[1] = SIDE - rng.uniform(0.55, 0.8) * joints[:, 1].max()
    return joints + offset


def shade(rng: Rng, hue: float, saturation: tuple[int, int], value: tuple[int, int]) -> NDArray[np.float64]:
    """A colour (3,), BGR, of about a hue (in units of 2 degrees)."""
    tone = [round(rng.normal(hue, HUE_SPREAD)) % 180, rng.integers(*saturation), rng.integers(*value)]
    return cv2.cvtColor(np.array([[tone]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


class Canvas:
    """Colours (H, W, 3) and mask (H, W) of a figure, ENLARGED times as large as the image; later parts cover others."""

    def __init__(self) -> None:
        self.colours = np.zeros((SIDE * ENLARGED, SIDE * ENLARGED, 3), np.uint8)
        self.mask = np.zeros(self.colours.shape[:2], np.uint8)

    def stroke(self, points: NDArray[Any], width: float, colour: NDArray[Any]) -> None:
        """The area within half a `width` of the lines through `points` (N, 2), filled; its rim is darker."""
        corners = np.round(((points + 0.5) * ENLARGED - 0.5) * 16).astype(np.int32)  # in sixteenths, for shift
        for part, tint in ((width, 0.6 * colour), (width - 1.2, colour)):  # px
            thickness = max(1, round(part * ENLARGED))
            for layer, value in ((self.colours, tint.tolist()), (self.mask, (255,))):
                if len(points) > 2:
                    cv2.fillPoly(layer, [corners], value, cv2.LINE_8, 4)
                cv2.polylines(layer, [corners], len(points) > 2, value, thickness, cv2.LINE_8, 4)

    def stroke_chain(self, joints: NDArray[Any], width: float, colour: NDArray[Any]) -> None:
        """The two parts of a limb, joints (3, 2); the outer one is brighter."""
        self.stroke(joints[:2], width, colour)
        self.stroke(joints[1:], 0.85 * width, (1.2 * colour).clip(0, 255))

    def onto(self, image: Image) -> Image:
        """The image (SIDE, SIDE, 3) with the figure in front."""
        colours, mask = (cv2.resize(layer, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for layer in
                         (self.colours, self.mask))  # fmt: skip
        return (image * (1 - mask[..., None] / 255.0) + colours).round().clip(0, 255).astype(np.uint8)


def draw_head(rng: Rng, canvas: Canvas, joints: NDArray[Any], height: float, facing: float, dull: Any) -> None:
    """Skin, hair and, from the front, eyes; from behind hair covers the head."""
    axis = joints[TOP] - joints[NECK]
    across, centre = np.array([-axis[1], axis[0]]), joints[NECK] + 0.5 * axis
    skin, hair = dull(shade(rng, 11, (60, 130), (130, 240))), dull(shade(rng, 14, (40, 200), (20, 110)))
    canvas.stroke(joints[[THORAX, NECK]], ARM_WIDTH * height, skin)
    canvas.stroke(np.stack([centre - 0.06 * axis, centre + 0.06 * axis]), 0.88 * HEAD * height, skin)
    if facing < 0:
        canvas.stroke(np.stack([centre - 0.02 * axis, centre + 0.06 * axis]), 0.86 * HEAD * height, hair)
        return
    canvas.stroke(centre + 0.27 * axis + np.outer([-0.22, 0.22], across), 0.4 * HEAD * height, hair)
    for side in (-0.17, 0.17):
        eye = centre - 0.05 * axis + side * across
        canvas.stroke(np.stack([eye, eye]), 2.2, 0.4 * hair)


def draw_figure(rng: Rng, image: Image, joints: NDArray[Any], height: float, facing: float, colour: float) -> Image:
    """The image with the figure in front: legs, then trunk, head and arms, each covering those before."""
    surround, canvas = np.array(cv2.mean(image)[:3]), Canvas()

    def dull(full: NDArray[Any]) -> NDArray[Any]:
        return surround + colour * (full - surround)

    for side, chain in LEGS.items():
        canvas.stroke_chain(
            joints[list(chain)], LEG_WIDTH * height, dull(shade(rng, HUES[side], (150, 255), (90, 170)))
        )
    corners = joints[[R_SHOULDER, L_SHOULDER, L_HIP, R_HIP]]
    canvas.stroke(corners, LEG_WIDTH * height, dull(shade(rng, rng.uniform(0, 180), (20, 160), (80, 230))))
    draw_head(rng, canvas, joints, height, facing, dull)
    for side, chain in ARMS.items():
        tone = dull(shade(rng, HUES[side], (110, 220), (150, 245)))
        canvas.stroke_chain(joints[list(chain)], ARM_WIDTH * height, tone)
    return canvas.onto(image)


def draw_bar(rng: Rng, image: Image, joints: NDArray[Any]) -> NDArray[np.bool_]:
    """Cover a strip through the figure, into `image`; which joints (16,) are behind it."""
    x, y = joints[rng.integers(len(joints))] + rng.uniform(-4, 4, 2)
    angle, width = rng.uniform(0, np.pi), int(rng.integers(*BAR_WIDTH, endpoint=True))
    ends = [(round(x + s * 2 * SIDE * np.cos(angle)), round(y + s * 2 * SIDE * np.sin(angle))) for s in (-1, 1)]
    cv2.line(image, ends[0], ends[1], rng.uniform(40, 210, 3).tolist(), width, cv2.LINE_AA)
    distances = np.abs((joints[:, 0] - x) * np.sin(angle) - (joints[:, 1] - y) * np.cos(angle))
    return distances < width / 2


def draw_person(seed: int, split: int, index: int, hard: bool) -> Person:
    """Person `index` (from 0) of train (split 0) or valid (1); it depends on these four alone."""
    rng, look = np.random.default_rng([seed, split, index, int(hard), 2]), HARD if hard else EASY
    image = np.ascontiguousarray(background(rng)[:SIDE, :SIDE])
    for kind in rng.integers(len(CLUTTER), size=rng.integers(*look.clutter, endpoint=True)):
        draw_mark(rng, image, rng.uniform(0, SIDE, 2), np.array(CLUTTER[kind]) * rng.uniform(0.7, 1.4, 2))
    height, facing = rng.uniform(*look.height), rng.choice([-1, 1]) * np.cos(rng.uniform(0, np.pi / 3))
    joints = place(rng, pose(rng, look, facing), height, cut=bool(rng.random() < look.cut))
    image = draw_figure(rng, image, joints, height, facing, rng.uniform(*look.colour))
    annotated = np.all((joints >= 0) & (joints <= SIDE - 1), axis=1)
    middle = (joints[annotated].min(0) + joints[annotated].max(0)) / 2
    for _ in range(rng.integers(*look.bars, endpoint=True)):
        annotated &= ~draw_bar(rng, image, joints)
    image = (image + rng.normal(0, NOISE, image.shape)).round().clip(0, 255).astype(np.uint8)
    head = joints[[NECK, TOP]].mean(0) + HEAD_BOX * HEAD * height / 2 * np.array([[-1, -1], [1, 1]])
    return Person(image, joints, annotated, middle - [0, 15 * height / 200], height / 200, head)


def record(person: Person, name: str) -> dict[str, Any]:
    """A person as the json files have it: pixels count from 1, and joints that are not annotated are at -1."""
    joints = np.where(person.annotated[:, None], (person.joints + 1).round(3), -1.0)
    centre = (person.centre + 1).round(3).tolist()
    visible = person.annotated.astype(int).tolist()
    return {"image": name, "center": centre, "scale": round(person.scale, 4), "joints": joints.tolist(),
            "joints_vis": visible}  # fmt: skip


def heads_file(persons: Sequence[Person]) -> bytes:
    """`gt_valid.mat`; the text at its beginning would hold the time of writing."""
    joints = [np.where(p.annotated[:, None], (p.joints + 1).round(3), -1.0) for p in persons]
    content = io.BytesIO()
    savemat(content, {
        "headboxes_src": np.stack([(p.head + 1).round(3) for p in persons], -1),
        "jnt_missing": np.stack([~p.annotated for p in persons], -1).astype(float),
        "pos_gt_src": np.stack(joints, -1), "dataset_joints": np.array([CODES], object),
    })  # fmt: skip
    return b"MATLAB 5.0 MAT-file".ljust(116) + content.getvalue()[116:]


def write_pose(target: Path, settings: dict[str, Any]) -> str:
    """Write images/, annot/ and hard.txt below `target`; returns the counts in words."""
    for folder in ("images", "annot"):
        (target / folder).mkdir()
    hard_names: list[str] = []
    seen = 0
    for split, (name, count) in enumerate((("train", settings["pool"]), ("valid", settings["test"]))):
        persons, records = [], []
        for k, hard in enumerate(hard_flags(settings["seed"], split, count, settings["hard"])):
            persons.append(draw_person(settings["seed"], split, k, hard))
            records.append(record(persons[-1], f"{split * settings['pool'] + k + 1:06d}.jpg"))
            path = f"images/{records[-1]['image']}"
            (target / path).write_bytes(cv2.imencode(".jpg", persons[-1].image, QUALITY)[1].tobytes())
            hard_names += [f"{path} person 1"] * hard
        seen += sum(int(p.annotated.sum()) for p in persons)
        (target / f"annot/{name}.json").write_text(json.dumps(records))
        if name == "valid":
            (target / "annot/gt_valid.mat").write_bytes(heads_file(persons))
    (target / "hard.txt").write_text("".join(f"{name}\n" for name in hard_names))
    missing = 1 - seen / (16 * (settings["pool"] + settings["test"]))
    words = f"{settings['pool']} + {settings['test']} persons, {len(hard_names)} hard"
    return f"{words}, {missing:.0%} of the joints not annotated"


def make_pose(root: Path, pool: int, test: int, seed: int, hard: float) -> Path:
    """Make root/figures, `hard` a share; its path. ValueError: bad settings; FileExistsError: made with others."""
    rules = {
        f"pool: expected at least 1 person, got {pool}": pool >= 1,
        f"test: expected at least 1 person, got {test}": test >= 1,
        f"pool + test: expected at most 999999 persons, as names have six digits, got {pool + test}":
            pool + test < 10**6,
        f"seed: expected a number >= 0, got {seed}": seed >= 0,
        f"hard: expected a share in [0, 1], got {hard}": 0 <= hard <= 1,
    }  # fmt: skip
    if not all(rules.values()):
        raise ValueError("; ".join(rule for rule, holds in rules.items() if not holds))
    settings = {"task": "pose", "drawing": DRAWING, "pool": pool, "test": test, "seed": seed, "hard": hard}
    return publish(root / "figures", settings, write_pose)
