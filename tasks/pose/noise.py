"""Joints as people place them: moved, with left and right exchanged, and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.noise import Annotator
from tasks.pose.people import People

MEANT = ("jitter", "swapped", "dropped")  # what a rate means something for


def placed(
    annotator: Annotator, people: People, mirrored: Sequence[int]
) -> tuple[People, NDArray[np.bool_]]:
    """The persons with the joints that somebody gives.

    Args:
        annotator: who does.
        people: N, as they are.
        mirrored: for each joint the one it becomes in a mirrored image.

    Returns:
        The persons, and (N,) whether one's joints are swapped or dropped.
    """
    joints, annotated = people.joints.copy(), people.annotated.copy()
    altered = np.zeros(len(people), dtype=bool)
    for index, name in enumerate(people.names):
        order, kept, moves = _mistakes(annotator, name, mirrored)
        known = people.annotated[index][order]
        joints[index] = people.joints[index][order] + people.heights[index] * moves
        annotated[index] = known & kept
        moved = order != np.arange(len(order))
        altered[index] = (moved & (known | people.annotated[index])).any() or (known & ~kept).any()
    return replace(people, joints=joints, annotated=annotated), altered


def _mistakes(
    annotator: Annotator, name: str, mirrored: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Which joint each one is taken from (J,), whether it is kept (J,), and its move (J, 2)."""
    rng, rates, count = annotator.stream(name), annotator.rates, len(mirrored)
    swapped, dropped = rng.random((2, count))
    moves = rng.standard_normal((count, 2))
    order = np.arange(count)
    for joint, twin in enumerate(mirrored):
        # a pair's number is its first joint's
        if joint < twin and swapped[joint] < rates.swapped:
            order[[joint, twin]] = twin, joint
    return order, dropped >= rates.dropped, rates.jitter * moves
