"""The figures of the pose sandbox: a jointed person in a random pose, with thick limbs.

Limbs of the person's left side are bluish and those of the right side reddish, so that the sides
can be told apart from the front and from behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.data.sandbox.common import Image, Rng

SIDE = 96  # px, width and height of an image
ENLARGED = 4  # figures are drawn so many times as large
# indices of the joints, in MPII's order
R_ANKLE, R_KNEE, R_HIP, L_HIP, L_KNEE, L_ANKLE, PELVIS, THORAX, NECK, TOP = range(10)
R_WRIST, R_ELBOW, R_SHOULDER, L_SHOULDER, L_ELBOW, L_WRIST = range(10, 16)
LEGS = {"left": (L_HIP, L_KNEE, L_ANKLE), "right": (R_HIP, R_KNEE, R_ANKLE)}
ARMS = {"left": (L_SHOULDER, L_ELBOW, L_WRIST), "right": (R_SHOULDER, R_ELBOW, R_WRIST)}
HUES = {"left": 108, "right": 4}  # OpenCV's, in units of 2 degrees
# lengths and widths in heights of a standing figure; trunk, neck, head, thigh and shin add up to 1
TRUNK = 0.28
NECK_LENGTH = 0.04
HEAD = 0.2
THIGH = 0.245
SHIN = 0.235
UPPER_ARM = 0.175
FOREARM = 0.165
SHOULDERS = 0.13  # half the width
HIPS = 0.075  # half the width
LEG_WIDTH = 0.085
ARM_WIDTH = 0.065
HUE_SPREAD = 12  # standard deviation of the hue of one kind of limb, in units of 2 degrees


Tint = Callable[[NDArray[Any]], NDArray[np.float64]]  # colour (3,) -> the colour that is drawn


class Look(NamedTuple):
    """The look of a kind of persons.

    Pairs are ranges; angles are in degrees, 0 for hanging or standing straight.
    """

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


def rotated(points: NDArray[Any], degrees: float) -> NDArray[Any]:
    """Return points (N, 2) turned clockwise, as seen in an image, about the origin."""
    angle = np.deg2rad(degrees)
    c = np.cos(angle)
    s = np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def limb(
    rng: Rng, start: NDArray[Any], out: float, lengths: tuple[float, float], angles: tuple[Any, Any]
) -> list[Any]:
    """Draw a pose of an arm or leg: its joint at `start`, and the two further ones.

    `out` is the sign of x away from the body.
    """
    points = [start]
    angle = 0.0
    for length, (low, high) in zip(lengths, angles, strict=True):
        angle += np.deg2rad(rng.triangular(low, np.clip(8, low, high), high))
        points.append(points[-1] + length * np.array([out * np.sin(angle), np.cos(angle)]))
    return points


def pose(rng: Rng, look: Look, facing: float) -> NDArray[np.float64]:
    """Draw joints (16, 2) in heights of the standing figure, pelvis at the origin, y down.

    `facing` is the cosine of the turn about the upright axis: 1 seen from the front (the person's
    right is to the left in the image), -1 from behind.
    """
    joints = np.zeros((16, 2))
    front = np.sign(facing)
    joints[[THORAX, NECK, TOP], 1] = -np.cumsum([TRUNK, NECK_LENGTH, HEAD])
    joints[TOP] = joints[NECK] + rotated(joints[[TOP]] - joints[NECK], rng.normal(0, look.lean))[0]
    for side, sign in (("left", 1), ("right", -1)):
        shoulder = joints[THORAX] + [sign * facing * SHOULDERS, 0]
        hip = np.array([sign * facing * HIPS, 0])
        joints[list(ARMS[side])] = limb(
            rng, shoulder, sign * front, (UPPER_ARM, FOREARM), (look.shoulder, look.elbow)
        )
        joints[list(LEGS[side])] = limb(
            rng, hip, sign * front, (THIGH, SHIN), (look.hip, look.knee)
        )
    upper = [THORAX, NECK, TOP, *ARMS["left"], *ARMS["right"]]
    joints[upper] = rotated(joints[upper], rng.uniform(-look.lean, look.lean))
    return rotated(joints, rng.uniform(-look.turn, look.turn))


def shade(
    rng: Rng, hue: float, saturation: tuple[int, int], value: tuple[int, int]
) -> NDArray[np.float64]:
    """Draw a colour (3,), BGR, of about a hue (in units of 2 degrees)."""
    tone = [
        round(rng.normal(hue, HUE_SPREAD)) % 180,
        rng.integers(*saturation),
        rng.integers(*value),
    ]
    return cv2.cvtColor(np.array([[tone]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


class Canvas:
    """Colours (H, W, 3) and mask (H, W) of a figure, ENLARGED times as large as the image.

    Later parts cover others.
    """

    def __init__(self) -> None:
        self.colours = np.zeros((SIDE * ENLARGED, SIDE * ENLARGED, 3), np.uint8)
        self.mask = np.zeros(self.colours.shape[:2], np.uint8)

    def stroke(self, points: NDArray[Any], width: float, colour: NDArray[Any]) -> None:
        """Fill the area within half a `width` of the lines through `points` (N, 2).

        Its rim is darker.
        """
        # in sixteenths, for shift
        corners = np.round(((points + 0.5) * ENLARGED - 0.5) * 16).astype(np.int32)
        for part, tint in ((width, 0.6 * colour), (width - 1.2, colour)):  # px
            thickness = max(1, round(part * ENLARGED))
            for layer, value in ((self.colours, tint.tolist()), (self.mask, (255,))):
                if len(points) > 2:
                    cv2.fillPoly(layer, [corners], value, cv2.LINE_8, 4)
                cv2.polylines(layer, [corners], len(points) > 2, value, thickness, cv2.LINE_8, 4)

    def stroke_chain(self, joints: NDArray[Any], width: float, colour: NDArray[Any]) -> None:
        """Draw the two parts of a limb, joints (3, 2); the outer one is brighter."""
        self.stroke(joints[:2], width, colour)
        self.stroke(joints[1:], 0.85 * width, (1.2 * colour).clip(0, 255))

    def onto(self, image: Image) -> Image:
        """Return the image (SIDE, SIDE, 3) with the figure in front."""
        colours = cv2.resize(self.colours, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(self.mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        values = image * (1 - mask[..., None] / 255.0) + colours
        return values.round().clip(0, 255).astype(np.uint8)


def draw_head(
    rng: Rng, canvas: Canvas, joints: NDArray[Any], height: float, facing: float, dull: Tint
) -> None:
    """Draw skin, hair and, from the front, eyes; from behind hair covers the head."""
    axis = joints[TOP] - joints[NECK]
    across = np.array([-axis[1], axis[0]])
    centre = joints[NECK] + 0.5 * axis
    skin = dull(shade(rng, 11, (60, 130), (130, 240)))
    hair = dull(shade(rng, 14, (40, 200), (20, 110)))
    canvas.stroke(joints[[THORAX, NECK]], ARM_WIDTH * height, skin)
    canvas.stroke(
        np.stack([centre - 0.06 * axis, centre + 0.06 * axis]), 0.88 * HEAD * height, skin
    )
    if facing < 0:
        canvas.stroke(
            np.stack([centre - 0.02 * axis, centre + 0.06 * axis]), 0.86 * HEAD * height, hair
        )
        return
    canvas.stroke(centre + 0.27 * axis + np.outer([-0.22, 0.22], across), 0.4 * HEAD * height, hair)
    for side in (-0.17, 0.17):
        eye = centre - 0.05 * axis + side * across
        canvas.stroke(np.stack([eye, eye]), 2.2, 0.4 * hair)


def draw_figure(
    rng: Rng, image: Image, joints: NDArray[Any], height: float, facing: float, colour: float
) -> Image:
    """Return the image with the figure in front.

    Legs come first, then trunk, head and arms, each covering those before.
    """
    surround = np.array(cv2.mean(image)[:3])
    canvas = Canvas()

    def dull(full: NDArray[Any]) -> NDArray[Any]:
        """Return a colour nearer to that of the surroundings."""
        return surround + colour * (full - surround)

    for side, chain in LEGS.items():
        canvas.stroke_chain(
            joints[list(chain)],
            LEG_WIDTH * height,
            dull(shade(rng, HUES[side], (150, 255), (90, 170))),
        )
    corners = joints[[R_SHOULDER, L_SHOULDER, L_HIP, R_HIP]]
    canvas.stroke(
        corners, LEG_WIDTH * height, dull(shade(rng, rng.uniform(0, 180), (20, 160), (80, 230)))
    )
    draw_head(rng, canvas, joints, height, facing, dull)
    for side, chain in ARMS.items():
        tone = dull(shade(rng, HUES[side], (110, 220), (150, 245)))
        canvas.stroke_chain(joints[list(chain)], ARM_WIDTH * height, tone)
    return canvas.onto(image)
