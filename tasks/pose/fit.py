"""Whether a person's crop and joints fit each other and the image.

Where they do not, a number is in another unit or of another image: every joint would be learned at
the wrong place and PCKh be 0, without any message.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.process.text import shown
from tasks.faults import Fault, Size
from tasks.pose.people import LOWERED, MARGIN, UNIT

FILLED = 0.05  # of the crop's side; MPII's persons have at least .12 between their outermost joints
FEWEST = 3  # joints, and a third of all: a person of whom two eyes and a nose are seen fills little
# of the crop's side: what a person fills where the unit is right; MPII's .12 to 1.12
USUAL = (0.2, 1.5)
# share of the persons of a list that may lie elsewhere: 1 of 2,958 in the published files
ASTRAY = 0.01
OUTSIDE = "person outside the crop"  # the kind of fault
# normalised coordinates: 0 to 1 in the image, and joints somewhat outside of it
WITHIN = (-0.5, 1.5)
SCALE = "'scale' is the person's height divided by 200 pixels"


def normalised(
    where: str, centre: list | None, spots: NDArray[np.float64], size: Size | None
) -> Iterator[Fault]:
    """Report annotated joints `spots` (n, 2) in shares of the image's sides, not in pixels.

    One joint may lie in the first pixel, if the crop's centre does not, too.
    """
    both = centre is not None and _is_share(centre)
    if len(spots) and _is_share(spots) and (len(spots) > 1 or both):
        expected = "'joints' in 1-based pixels"
        if size is not None:
            expected += f" of the image of {size} (width, height)"
        value = f"{len(spots)} annotated within 0 and 1, such as {shown(spots[0].tolist())}"
        what = "'joints' and 'center'" if both else "'joints'"
        remedy = f"they look normalised: multiply {what} by width and height; {SCALE}"
        yield Fault("normalised joints", where, expected, value, remedy)


def too_small(where: str, scale: float, spots: NDArray[np.float64], joints: int) -> Iterator[Fault]:
    """Report a crop of which the person fills next to nothing.

    Nothing is reported of a person with too few of its `joints` annotated.
    """
    if len(spots) < max(FEWEST, joints / 3):
        return
    side = UNIT * MARGIN * scale
    extent = float((spots.max(0) - spots.min(0)).max())
    if extent >= FILLED * side:
        return
    expected = (
        f"joints across at least {FILLED:.0%} of the crop, here {FILLED * side:.0f} of "
        f"{side:.0f} px"
    )
    value = f"{len(spots)} annotated joints across {extent:.1f} px with the scale {shown(scale)}"
    remedy = f"correct 'scale' or 'joints'; {SCALE}"
    if USUAL[0] <= extent / (side / UNIT) <= USUAL[1]:
        remedy = f"'scale' looks like pixels: divide it by 200; {SCALE}"
    yield Fault("person too small", where, expected, value, remedy)


def astray(
    where: str, centre: NDArray[np.float64], scale: float, spots: NDArray[np.float64]
) -> Iterator[Fault]:
    """Report joints most of which are outside the crop, as `tasks.pose.views` cuts it.

    A single joint is never reported.
    """
    side = UNIT * MARGIN * scale
    middle = centre + [0, LOWERED * scale]
    outside = int((np.abs(spots - middle) > side / 2).any(1).sum())
    if len(spots) < 2 or outside <= len(spots) / 2:
        return
    expected = (
        f"most of the annotated joints in the crop of {side:.0f} px around 'center' "
        f"{shown(centre.tolist())}"
    )
    value = f"{outside} of {len(spots)} outside, such as {shown(spots[0].tolist())}"
    remedy = f"correct 'center', 'scale' or 'joints'; {SCALE}"
    if _is_share(centre):
        remedy = "'center' looks normalised: multiply it by width and height"
    elif float((spots.max(0) - spots.min(0)).max()) > USUAL[1] * side:
        remedy = f"'scale' looks too small: {SCALE}"
    yield Fault(OUTSIDE, where, expected, value, remedy)


def of_the_turned_image(
    where: str, size: Size, orientation: int, spots: NDArray[np.float64]
) -> Iterator[Fault]:
    """Report joints that are inside the image of `size` only as its EXIF turns it.

    Poses are on the pixels as stored.
    """
    turned = size[::-1]
    if orientation < 5 or turned == size:
        return
    out = [k for k, spot in enumerate(spots.tolist()) if (np.array(spot) > size).any()]
    if out and (spots <= turned).all():
        expected = f"joints on the pixels as stored, {size} (width, height)"
        value = (
            f"{shown(spots[out[0]].tolist())}, which is inside only as EXIF orientation "
            f"{orientation} turns it"
        )
        remedy = (
            "EXIF is not followed for poses, as MPII's are on stored pixels: turn the file's "
            "pixels and take the orientation out of it (mogrify -auto-orient), or annotate the "
            "image as it is stored"
        )
        yield Fault("joints of the turned image", where, expected, value, remedy)


def _is_share(values: NDArray[np.float64] | list) -> bool:
    given = np.asarray(values, float)
    return bool(((given >= WITHIN[0]) & (given <= WITHIN[1])).all())
