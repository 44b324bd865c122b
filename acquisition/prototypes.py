"""DivProto: uncertain samples whose classes look unlike those of earlier picks.

Source: Wu et al., "Entropy-based Active Learning for Object Detection with Progressive Diversity
Constraint", CVPR 2022. Nothing here knows of networks or ids; all chance comes from `rng`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from acquisition.diversity import check_budget


@dataclass(frozen=True)
class Limits:
    """The thresholds of DivProto; docs/strategies.md says which are sure to be the paper's.

    Args:
        alike: a sample is rejected if each of its classes is more alike to an earlier pick's.
        sure: a sample has a minority class if its surest box of it has more than this score.
        minority: share of the classes, those labeled least, that are a minority.
        reserved: share of the budget that is reserved for them.
    """

    alike: float = 0.7
    sure: float = 0.3
    minority: float = 0.5
    reserved: float = 0.75


def diverse(
    scores: np.ndarray,
    prototypes: np.ndarray,
    labeled: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    limits: Limits | None = None,
) -> np.ndarray:
    """Pick samples in the order of their scores, but for those that earlier picks are like.

    Args:
        scores: (N,), high is wanted; `rng` orders equal ones.
        prototypes: (N, C, 1 + D) the best score of each class, 0 where there is none, and its
            prototype.
        labeled: (C,) annotated boxes of each class so far; of equal classes the first is the
            smaller minority.
        budget: number of picks, at most N.
        rng: the query's random stream.
        limits: thresholds; `Limits()` by default.

    Returns:
        Positions (budget,), first pick first; where too few are accepted, the highest of the
        rejected scores are last.

    Raises:
        ValueError: if there are fewer candidates than the budget.
    """
    limits = limits or Limits()
    check_budget(budget, len(scores))
    order = rng.permutation(len(scores))
    order = order[np.argsort(-scores[order], kind="stable")]
    places = _Places.of(labeled, budget, limits)
    earlier: list[list[np.ndarray]] = [[] for _ in labeled]
    picked: list[int] = []
    rejected: list[int] = []
    for position in order:
        if len(picked) == budget:
            break
        best, units = prototypes[position, :, 0], _units(prototypes[position, :, 1:])
        present = np.flatnonzero(best > 0)
        if _alike(units, present, earlier) > limits.alike or not places.take(best, limits.sure):
            rejected.append(position)
            continue
        picked.append(position)
        for c in present:
            earlier[c].append(units[c])
    return np.array([*picked, *rejected][:budget], dtype=np.int64)


@dataclass
class _Places:
    """The places of a budget that are left: for each minority class, and for any sample."""

    minority: dict[int, int]
    free: int

    @classmethod
    def of(cls, labeled: np.ndarray, budget: int, limits: Limits) -> _Places:
        """Reserve a share of the budget evenly for the classes labeled least."""
        few = np.argsort(labeled, kind="stable")[: math.ceil(limits.minority * len(labeled))]
        each = int(limits.reserved * budget / len(few))
        return cls(dict.fromkeys(few.tolist(), each), budget - each * len(few))

    def take(self, best: np.ndarray, sure: float) -> bool:
        """Take a place for a sample, of its surest minority class first; False if none is left."""
        own = [c for c, left in self.minority.items() if left and best[c] > sure]
        if own:
            self.minority[max(own, key=lambda c: best[c])] -= 1
            return True
        if self.free:
            self.free -= 1
            return True
        return False


def _units(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


def _alike(units: np.ndarray, present: np.ndarray, earlier: list[list[np.ndarray]]) -> float:
    """The least, over a sample's classes, of the largest cosine to earlier picks' prototypes.

    It is -1 where a class has none, or the sample has no class.
    """
    if not len(present) or any(not earlier[c] for c in present):
        return -1.0
    return min(float((np.stack(earlier[c]) @ units[c]).max()) for c in present)
