"""Small drawn data sets, one a task, in the layouts of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Control = Literal["positive", "negative"]

SIZES = {"det": (800, 400), "cls": (2000, 1000), "pose": (1000, 400)}  # of pool and test set
CONTROL_SIZES = (240, 120)  # likewise
# shares of a control's other kind in pool and test set: at night, or with false labels
SHARES: dict[Control, tuple[float, float]] = {"positive": (0.125, 0.5), "negative": (0.5, 0.0)}
HARD = 0.3  # share of hard samples where nothing else is said
# the configs on them, and the folders of their data
CONFIGS = {"cls_sandbox": "shapes", "det_sandbox": "VOCdevkit", "pose_sandbox": "figures"}


def draw(
    task: str,
    root: Path,
    pool: int | None = None,
    test: int | None = None,
    seed: int = 0,
    hard: float | None = None,
    control: Control | None = None,
) -> None:
    """Draw a task's data set below `root`; one that exists already is left as it is.

    Args:
        task: key of `SIZES`.
        root: folder that gets the data set's own folder.
        pool: number of samples in the pool, by default that of `SIZES` or `CONTROL_SIZES`.
        test: number of samples in the test set, likewise.
        seed: of the drawing.
        hard: share of hard samples, from 0 to 1; by default `HARD` or that of `SHARES`.
        control: a set on which it is known beforehand what active learning must do; see
            `tools.data.sandbox.controls`.

    Raises:
        ValueError: if a setting is wrong, or the folder holds something else.
        OSError: if the folder cannot be written to.
    """
    from tools.data.sandbox.classification import make_classification
    from tools.data.sandbox.detection import make_detection
    from tools.data.sandbox.pose import make_pose

    make = {"det": make_detection, "cls": make_classification, "pose": make_pose}[task]
    default_pool, default_test = SIZES[task] if control is None else CONTROL_SIZES
    if pool is None:
        pool = default_pool
    if test is None:
        test = default_test
    if hard is None:
        hard = HARD if control is None else SHARES[control][0]
    make(root=root, pool=pool, test=test, seed=seed, hard=hard, control=control)
