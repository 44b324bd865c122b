"""Drafts that came back as they went out, or under another class alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from tools.label.labels import Shape, State

NEAR = 1.0 + 1e-6  # pixels by which a tool may round or cut a side or a joint


def state_beside(
    state: State | None, drawn: Sequence[Shape], drafts: Sequence[Shape], tells: bool
) -> State | None:
    """What is known of an image, with the drafts that people saw on it.

    Args:
        state: as the file has it.
        drawn: its shapes, in pixels.
        drafts: that went out with it; none of a blind image.
        tells: whether the file still tells drafts from labels when a tool has rewritten it.

    Returns:
        None where it has its drafts alone and nobody says that they are right; "labeled" where a
        file has them as drafts, but one got another class.

    Examples:
        >>> cat, dog = Shape("cat", (0, 0, 10, 10)), Shape("dog", (0, 0, 10, 10))
        >>> print(state_beside("labeled", [cat], [cat], False))
        None
        >>> state_beside("labeled", [cat], [cat], True), state_beside(None, [dog], [cat], True)
        ('labeled', 'labeled')
    """
    if not drawn or not drafts:
        return state
    as_sent = _lie_on(drawn, drafts, classes=True)
    if state == "labeled" and not tells and as_sent and len(drawn) == len(drafts):
        return None
    if state is None and not as_sent and _lie_on(drawn, drafts, classes=False):
        return "labeled"
    return state


def _lie_on(drawn: Sequence[Shape], drafts: Sequence[Shape], classes: bool) -> bool:
    """Whether each shape lies on a draft of its own, of its class if `classes`."""
    fits = np.array([[_fits(one, draft, classes) for draft in drafts] for one in drawn])
    pairs = linear_sum_assignment(fits, maximize=True)
    return int(fits[pairs].sum()) == len(drawn)


def _fits(one: Shape, draft: Shape, classes: bool) -> bool:
    if classes and one.label != draft.label:
        return False
    if one.box is not None and draft.box is not None and not _near(one.box, draft.box):
        return False  # CVAT's skeletons have no box
    if len(one.joints) != len(draft.joints):
        return False
    return all(
        joint.visibility == other.visibility and _near((joint.x, joint.y), (other.x, other.y))
        for joint, other in zip(one.joints, draft.joints, strict=True)
    )


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) <= NEAR for a, b in zip(one, other, strict=True))
