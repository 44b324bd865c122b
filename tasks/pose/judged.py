"""Whether the joints of a data set, each valid alone, are enough to train on and to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.data import few
from tasks.faults import Fault
from tasks.pose.metrics import PoseMetric

MOST = 0.5  # share of the pool's persons that may have no joint before a note reports it


def judging_faults(
    path: Path, metric: PoseMetric, persons: Sequence[int], limit: int | None
) -> list[Fault]:
    """Report a test set without any joint that counts.

    Each is unannotated, left out of the mean, or of a person of no size.

    Args:
        path: the test set's json.
        persons: those of the json that are judged; `limit` is what left them.
    """
    if metric.counted[list(persons)][:, metric.scored].any():
        return []
    expected = f"a person with a size and a joint that counts for {metric.key}"
    remedy = "annotate some (a size takes a head box for PCKh, two joints for PCK)"
    if limit is not None:
        remedy += f", or raise task.test_limit ({limit})"
    value = f"none among {len(persons):,}"
    return [Fault("nothing to judge by", str(path), expected, value, remedy)]


def joint_notes(
    joints: Sequence[str], annotated: NDArray, metric: PoseMetric, persons: Sequence[int]
) -> list[str]:
    """Notes on joints that no person has, and on a pool of persons that mostly have none.

    Args:
        joints: their names.
        annotated: (N, J) bool, of the pool.
        persons: the test persons that are judged.
    """
    notes = []
    bare = int((~annotated.any(axis=1)).sum())
    if bare > MOST * len(annotated):
        notes.append(f"pool: {bare:,} of {len(annotated):,} persons have no annotated joint")
    notes += _lacking("pool", joints, annotated, "nothing of them can be learned")
    judged = metric.counted[list(persons)]
    return notes + _lacking("test", joints, judged, metric.lacking)


def _lacking(split: str, joints: Sequence[str], annotated: NDArray, what: str) -> list[str]:
    anywhere = np.any(annotated, axis=0).tolist()
    lacking = [name for name, some in zip(joints, anywhere, strict=True) if not some]
    if not lacking:
        return []
    which = f"{len(lacking)} of {len(joints)} joints: {few(lacking)}"
    return [f"{split}: no person has {which}; {what}"]
