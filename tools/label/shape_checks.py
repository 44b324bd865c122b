"""The shapes of one image against its size, the classes and the joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.process.text import nearest, shown
from tasks.faults import Fault
from tasks.images import orientations
from tasks.labelable import Labeling
from tools.label.formats import kinds
from tools.label.formats.geometry import all_finite
from tools.label.labels import Box, Entry, Joint, PoolImage, Shape

OUTSIDE = 1.0  # pixels that a label may leave the image: tools round to whole ones
ROUNDED = 1e-3  # pixels that no note mentions
SHORT = 0.01  # pixels that a side of one pixel may lack: CVAT writes two decimals
ROOM = 0.5  # of the box's longer side: how far outside of it joints may lie, as the tasks read them
AGAIN = "draw it anew"


@dataclass(frozen=True)
class Shapes:
    """An image's shapes, checked.

    Args:
        shapes: the good ones, inside the image.
        faults: of the others.
        notes: what was moved.
    """

    shapes: tuple[Shape, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def size_fault(entry: Entry, image: PoolImage) -> Fault | None:
    """The fault of an entry that declares another size than the image has."""
    if entry.size is None:
        return None
    width, height = entry.size
    if abs(width - image.size[0]) < 0.5 and abs(height - image.size[1]) < 0.5:
        return None
    expected = f"the image's size {image.size[0]} x {image.size[1]}"
    remedy = f"look whether {image.path} is the image that was labeled"
    if abs(width - image.size[1]) < 0.5 and abs(height - image.size[0]) < 0.5:
        remedy = "the sides are swapped: label the image as it is now"
        if image.turned:
            turn = orientations(image.path)[0]
            expected += f" as its EXIF orientation {turn} turns it"
            remedy = (
                "the labels lie on the pixels as stored: let the tool follow EXIF, or take the "
                "orientation out of the file, and label it anew"
            )
    came = f"{width:g} x {height:g}"
    return Fault(kinds.WRONG_SIZE, entry.where, expected, came, remedy)


def checked_shapes(entry: Entry, image: PoolImage, labeling: Labeling) -> Shapes:
    """The good shapes of an entry, and what is wrong with the others."""
    if labeling.kind == "classes":
        return _checked_class(entry, labeling)
    good: list[Shape] = []
    faults: list[Fault] = []
    notes: list[str] = []
    for place, shape in enumerate(entry.shapes):
        where = f"{entry.where}, {shown(shape.label)} {place}"
        found = _class_faults(shape, where, labeling) or [
            *_box_faults(shape, where, image.size, labeling),
            *_joint_faults(shape, where, image.size, labeling),
        ]
        if not found:
            inside, moved = _inside(shape, image.size)
            whole, added = _widened(inside, image.size)
            found = _astray(whole, where)
        faults += found
        if found:
            continue
        good.append(whole)
        if moved > ROUNDED:
            notes.append(
                f"{shape.label!r} {place} left the image by {moved:.3g} pixels, as rounding "
                "does: it ends at the edge now"
            )
        if added > ROUNDED:
            notes.append(
                f"{shape.label!r} {place} has a side of {1 - added:.3g} pixels, as rounding makes "
                "it: it is one pixel now"
            )
    return Shapes(tuple(good), tuple(faults), tuple(notes))


def _checked_class(entry: Entry, labeling: Labeling) -> Shapes:
    faults: list[Fault] = []
    for shape in entry.shapes:
        faults += _class_faults(shape, entry.where, labeling)
        if shape.box is not None or shape.joints:
            came = "a shape with coordinates"
            faults.append(Fault(kinds.SHAPE, entry.where, "a class of the image", came, AGAIN))
    if len(entry.shapes) > 1:
        came = shown([shape.label for shape in entry.shapes])
        faults.append(
            Fault(kinds.SEVERAL_CLASSES, entry.where, "one class an image", came, "choose one")
        )
    return Shapes(entry.shapes, tuple(faults), ())


def _class_faults(shape: Shape, where: str, labeling: Labeling) -> list[Fault]:
    if shape.label in labeling.classes:
        return []
    remedy = nearest(shape.label, labeling.classes)
    return [Fault(kinds.WRONG_CLASS, where, "a class of the config", shown(shape.label), remedy)]


def _box_faults(shape: Shape, where: str, size: tuple[int, int], labeling: Labeling) -> list[Fault]:
    box = shape.box
    if box is None:
        if labeling.kind == "poses":
            return []
        return [Fault(kinds.SHAPE, where, "a box", "a shape without one", AGAIN)]
    if not all_finite(box):
        return [Fault(kinds.COORDINATE, where, "finite numbers", shown(box), AGAIN)]
    came = f"{_rounded(box)} (x, y, width, height)"
    past = max(-box[0], -box[1], box[0] + box[2] - size[0], box[1] + box[3] - size[1])
    if past > OUTSIDE:
        expected = f"a box inside the image of {size[0]} x {size[1]}"
        return [Fault(kinds.BOX_OUTSIDE, where, expected, came, "move it into the image")]
    inside = _clipped(box, size)
    if min(box[2], box[3], inside[2], inside[3]) < 1 - SHORT:
        expected = "a box of a pixel a side at least"
        return [Fault(kinds.SMALL_BOX, where, expected, came, "delete it, or draw it larger")]
    return []


def _joint_faults(
    shape: Shape, where: str, size: tuple[int, int], labeling: Labeling
) -> list[Fault]:
    if labeling.kind != "poses":
        if not shape.joints:
            return []
        return [Fault(kinds.SHAPE, where, "a box without joints", "joints", AGAIN)]
    if len(shape.joints) != len(labeling.joints):
        expected = f"{len(labeling.joints)} joints"
        return [Fault(kinds.JOINT_COUNT, where, expected, str(len(shape.joints)), AGAIN)]
    if shape.box is None and not any(joint.visibility for joint in shape.joints):
        came, remedy = "neither", "draw a joint, or delete the person"
        return [Fault(kinds.SHAPE, where, "a box or an annotated joint", came, remedy)]
    faults = []
    for name, joint in zip(labeling.joints, shape.joints, strict=True):
        if joint.visibility not in (0, 1, 2):
            came = shown(joint.visibility)
            faults.append(Fault(kinds.VISIBILITY, where, "a visibility 0, 1 or 2", came, AGAIN))
        elif joint.visibility and not all_finite((joint.x, joint.y)):
            came = shown((joint.x, joint.y))
            faults.append(Fault(kinds.COORDINATE, where, f"finite {name}", came, AGAIN))
        elif joint.visibility and _past(joint, size) > OUTSIDE:
            expected = f"{name} inside the image of {size[0]} x {size[1]}"
            came = _rounded((joint.x, joint.y))
            faults.append(
                Fault(kinds.JOINT_OUTSIDE, where, expected, came, "move it, or mark it as absent")
            )
    return faults


def _astray(shape: Shape, where: str) -> list[Fault]:
    """Joints most of which are far from the person's box: the tasks' readers refuse them, too."""
    known = [(joint.x, joint.y) for joint in shape.joints if joint.visibility]
    if shape.box is None:
        return []
    x, y, width, height = shape.box
    room = ROOM * max(width, height)
    out = [
        spot
        for spot in known
        if not (
            x - room <= spot[0] <= x + width + room and y - room <= spot[1] <= y + height + room
        )
    ]
    if len(out) <= len(known) / 2:
        return []
    expected = f"most of its joints at the box {_rounded(shape.box)} (x, y, width, height)"
    came = f"{len(out)} of {len(known)} elsewhere, such as {_rounded(out[0])}"
    return [Fault(kinds.JOINTS_ASTRAY, where, expected, came, "do they belong to another person?")]


def _past(joint: Joint, size: tuple[int, int]) -> float:
    return max(-joint.x, -joint.y, joint.x - size[0], joint.y - size[1])


def _rounded(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    width = min(box[2], box[0] + box[2] - left, size[0] - left)
    height = min(box[3], box[1] + box[3] - top, size[1] - top)
    return left, top, width, height


def _inside(shape: Shape, size: tuple[int, int]) -> tuple[Shape, float]:
    """A shape cut at the edges of the image, which it leaves by a pixel at most; by how much."""
    moved = 0.0
    box = shape.box
    if box is not None:
        box = _clipped(box, size)
        moved = max(abs(old - new) for old, new in zip(shape.box or (), box, strict=True))
    joints = []
    for joint in shape.joints:
        if joint.visibility:
            moved = max(moved, _past(joint, size))
            x = min(max(joint.x, 0.0), float(size[0]))
            y = min(max(joint.y, 0.0), float(size[1]))
            joint = replace(joint, x=x, y=y)
        joints.append(joint)
    return replace(shape, box=box, joints=tuple(joints)), moved


def _widened(shape: Shape, size: tuple[int, int]) -> tuple[Shape, float]:
    """A shape in the image whose box is a pixel a side at least; what the shorter side lacked."""
    if shape.box is None:
        return shape, 0.0
    x, y, width, height = shape.box
    lacked = max(1 - width, 1 - height, 0.0)
    if not lacked:
        return shape, 0.0
    width, height = max(width, 1.0), max(height, 1.0)
    box = min(x, size[0] - width), min(y, size[1] - height), width, height
    return replace(shape, box=box), lacked
