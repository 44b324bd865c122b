"""What labels cost: what people did with what was predicted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from tools.label.formats.geometry import enclosing
from tools.label.labels import Box, Shape
from tools.label.versions import Cost

OVERLAP = 0.5  # least intersection over union of a box with the one that it came from
STILL = 1.0  # pixels that a joint may be off and count as left alone


def cost(drawn: Sequence[Shape], seen: Sequence[Shape], moved: float) -> Cost:
    """Compare what a person left with what was predicted.

    A box belongs to the prediction with its id, else to one of its class that it overlaps by half,
    else to one of another class; as many as can are matched, with the largest overlap in all. A
    person without a box lies where its joints are, and counts as kept if they alone were changed.

    Args:
        drawn: by a person.
        seen: predictions that the person saw; none of a blind image.
        moved: a box whose overlap with its prediction is less counts as moved.

    Examples:
        >>> seen = [Shape("cat", (0, 0, 10, 10)), Shape("dog", (50, 50, 10, 10))]
        >>> cost([Shape("cat", (1, 0, 10, 10)), Shape("cow", (80, 80, 5, 5))], seen, 0.95)
        Cost(kept=0, moved=1, renamed=0, deleted=1, added=1, joints=0)
    """
    pairs = _pairs(drawn, seen)
    kept = shifted = renamed = joints = 0
    for own, other in pairs:
        before, now = seen[other], drawn[own]
        joints += _joints(now, before)
        if now.label != before.label:
            renamed += 1
        elif now.box is not None and overlap(now.box, before.box) < moved:
            shifted += 1
        else:
            kept += 1
    new = set(range(len(drawn))) - {own for own, _ in pairs}
    joints += sum(_known(drawn[own]) for own in new)
    return Cost(kept, shifted, renamed, len(seen) - len(pairs), len(new), joints)


def _pairs(drawn: Sequence[Shape], seen: Sequence[Shape]) -> list[tuple[int, int]]:
    """Positions of boxes and of the predictions that they came from."""
    ids = {shape.id: place for place, shape in enumerate(seen) if shape.id}
    pairs = []
    for own, shape in enumerate(drawn):
        if shape.id in ids:
            pairs.append((own, ids.pop(shape.id)))
    rest = [own for own in range(len(drawn)) if own not in {one for one, _ in pairs}]
    left = [other for other in range(len(seen)) if other not in {one for _, one in pairs}]
    if not rest or not left:
        return pairs
    worth = np.zeros((len(rest), len(left)))
    for i, own in enumerate(rest):
        for j, other in enumerate(left):
            worth[i, j] = _worth(drawn[own], seen[other])
    for i, j in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
        if worth[i, j] > 0:
            pairs.append((rest[i], left[j]))
    return pairs


def _worth(own: Shape, other: Shape) -> float:
    """How well a prediction fits a box; any of its class fits better than one of another."""
    share = overlap(_place(own), _place(other))
    if share < OVERLAP:
        return 0.0
    return share + (2.0 if own.label == other.label else 0.0)


def _place(shape: Shape) -> Box | None:
    """The box of a shape, or else the one around its joints: some tools have no other."""
    known = [(joint.x, joint.y) for joint in shape.joints if joint.visibility > 0]
    if shape.box is not None or not known:
        return shape.box
    return enclosing(known)


def overlap(one: Box | None, other: Box | None) -> float:
    """The intersection of two boxes over their union; 1 where neither has a box, as of classes."""
    if one is None or other is None:
        return float(one is other)
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def _known(shape: Shape) -> int:
    return sum(joint.visibility > 0 for joint in shape.joints)


def _joints(now: Shape, before: Shape) -> int:
    """The joints that a person moved, marked anew, drew or took away."""
    if len(now.joints) != len(before.joints):
        return _known(now)
    changed = 0
    for one, other in zip(now.joints, before.joints, strict=True):
        off = max(abs(one.x - other.x), abs(one.y - other.y))
        changed += one.visibility != other.visibility or (one.visibility > 0 and off > STILL)
    return changed


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    sums = np.zeros(len(astuple(Cost())), dtype=int)
    for one in costs:
        sums += np.array(astuple(one), dtype=int)
    return Cost(*sums.tolist())
