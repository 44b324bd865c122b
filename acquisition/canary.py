"""Canaries: checks that a sample's score does not depend on the rest of its batch.

A few samples of every scoring pass are scored again, one by one and in another order. Both scores
must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.process.seeding import stream

CANARIES = 8  # samples of each process's share
# A row may be so far off: of its own size, and of the spread over the pass. On the sandboxes, under
# all strategies, the rounding of a CPU's float32 reached 0.02% of that, and TF32 in all
# convolutions of one of the two sides 41%.
RELATIVE = 1e-3
OF_SPREAD = 1e-2
# times as far in bfloat16: against float32 it moved signals of classification by up to 8.5 times
# that
BFLOAT16 = 10.0
# float32's rounding of values around 1, for passes without spread: smaller differences do not count
NOISE = 1e-5
SAMPLED = 10_000  # rows that the spread is measured on

Rows = Mapping[str, np.ndarray]
# id -> its row of each signal, and whether its distributions have weights
Alone = Callable[[int], tuple[Rows, bool]]

CAUSES = (
    "What may cause it: a layer that is not in evaluation mode or looks at the other samples of a "
    'batch; a dataset whose "pool" view is random; a `collate` that pads by the batch; rows that '
    "came to wrong ids. Nothing of this cycle is committed; `python tools/check_task.py CONFIG` "
    "looks for such faults of a task."
)


class CanaryError(Exception):
    """A sample's score in its batch differs from its score alone.

    The message gives ids, signals, both values, and likely causes.
    """


def chosen(ids: Sequence[int] | np.ndarray, count: int | None = None) -> list[int]:
    """Draw `count` ids to score again; the draw is the same for the same ids."""
    return (
        stream("canaries", len(ids)).permutation(np.asarray(ids, dtype=np.int64))[:count].tolist()
    )


def check(
    ids: Sequence[int] | np.ndarray,
    rows: Rows,
    share: Sequence[int] | np.ndarray,
    alone: Alone,
    title: str,
    rounded: bool = False,
) -> None:
    """Score `CANARIES` samples of this process's share alone, and compare.

    Every process must call it, because the processes exchange their results.

    Where distributions have weights (boxes above a threshold), rounding can move one over it, and
    bfloat16 exchanges classes that are nearly as probable: the score jumps without a fault. There,
    if a single sample disagrees, as many others are compared, and it counts only if one of them
    disagrees too.

    Args:
        ids: of the pass (N,).
        rows: signal -> (N,), (N, D) or (N, M, D), as the pass returns them.
        share: ids that this process scored.
        alone: computes one sample.
        title: of the pass.
        rounded: whether the networks ran in bfloat16.

    Raises:
        CanaryError: if one does not agree.
    """
    order = chosen(share, 2 * CANARIES)
    ids = np.asarray(ids)
    rows = {name: comparable(values) for name, values in rows.items()}
    spreads = {name: spread(values) for name, values in rows.items()}

    def compare(some: Sequence[int]) -> tuple[list[str], bool]:
        """Lines on samples that disagree, and whether distributions have weights."""
        lines = []
        weighted = False
        for i in some:
            try:
                again, weighted = alone(i)
            # as of batch norm in training mode, which cannot take one sample
            except ValueError as error:
                lines.append(f"sample {i}: cannot be computed alone ({error})")
                continue
            again = {name: comparable(values[None])[0] for name, values in again.items()}
            position = int(np.flatnonzero(ids == i)[0])
            passed = {name: values[position] for name, values in rows.items()}
            lines += _disagreement(i, passed, again, spreads, rounded)
        return lines, weighted

    lines, weighted = compare(order[:CANARIES])
    if (weighted or rounded) and len(lines) == 1:
        others, _ = compare(order[CANARIES:])
        if not others:
            lines = []
        lines += others
    _raise_everywhere(title, lines)


def _raise_everywhere(title: str, lines: list[str]) -> None:
    """Raise `CanaryError` in all processes if one of them has lines."""
    from mmengine.dist import all_gather_object

    everyone = [line for part in all_gather_object(lines) for line in part]
    if everyone:
        raise CanaryError(
            "\n  ".join([f"{title}: samples do not agree with themselves alone", *everyone, CAUSES])
        )


def spread(values: np.ndarray) -> float:
    """Root mean squared distance of the rows (N,) or (N, D) from their mean.

    For numbers (N,) this is the standard deviation.

    Of every k-th row if there are more than `SAMPLED`; rows that are not finite are left out.
    """
    some = values[:: len(values) // SAMPLED + 1].astype(np.float64)
    some = some[np.isfinite(some).reshape(len(some), -1).all(axis=1)]
    if not len(some):
        return 0.0
    return float(np.sqrt(some.var(axis=0).sum()))


def comparable(values: np.ndarray) -> np.ndarray:
    """Rows of bags (N, M, D) as vectors (N, D) in which the order of the M boxes has no part.

    Rounding exchanges boxes that are nearly as sure: they are summed, weighted by their scores,
    which are the first of a box's numbers. Other rows stay as they are.
    """
    if values.ndim < 3:
        return values
    wide = values.astype(np.float64)
    return (wide * wide[..., :1]).sum(axis=1)


def agree(passed: np.ndarray, alone: np.ndarray, spread: float, rounded: bool = False) -> bool:
    """Whether two rows, numbers () or vectors (D,), are the same but for rounding.

    Not-a-number equals itself.
    """
    if passed.shape == alone.shape and np.array_equal(passed, alone, equal_nan=True):
        return True
    if passed.shape != alone.shape or not (np.isfinite(passed).all() and np.isfinite(alone).all()):
        return False
    distance = np.linalg.norm(passed.astype(np.float64) - alone.astype(np.float64))
    allowed = RELATIVE * np.linalg.norm(alone) + OF_SPREAD * spread + NOISE
    if rounded:
        allowed *= BFLOAT16
    return bool(distance <= allowed)


def _disagreement(
    i: int, passed: Rows, alone: Rows, spreads: Mapping[str, float], rounded: bool
) -> list[str]:
    """A line for a sample that does not agree."""
    parts = [
        f"{name} is {_shown(passed[name])} in the pass, but {_shown(alone[name])} alone (spread "
        f"{spreads[name]:.3g})"
        for name in passed
        if not agree(passed[name], alone[name], spreads[name], rounded)
    ]
    if not parts:
        return []
    return [f"sample {i}: " + "; ".join(parts)]


def _shown(row: np.ndarray) -> str:
    if row.ndim == 0:
        return f"{row:.6g}"
    return f"a vector of norm {np.linalg.norm(row):.6g}"
