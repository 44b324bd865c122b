"""Performance profiles (Dolan and More 2002): in which share of cases is a strategy near the best?

A case is a config at a labeled size. Benchmarks of active learning measure nearness by a
difference; Dolan and More by a factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tools.compare.ranking.scores import Scores, Setting

Nearness = Literal["difference", "factor"]


@dataclass(frozen=True)
class Profile:
    """How far each strategy is from the best one, case by case.

    Args:
        legs: L names.
        by: "difference" of shares in [0, 1] (.01 is a percentage point), or "factor", 1 at the
            best.
        cases: N names, the config and the labeled size.
        distances: (N, L), 0 (a difference) or 1 (a factor) for the best.
        left_out: a sentence for each case that does not count.
    """

    legs: tuple[str, ...]
    by: Nearness
    cases: tuple[str, ...] = field(repr=False)
    distances: np.ndarray = field(repr=False)
    left_out: tuple[str, ...] = ()

    def share(self, within: float) -> np.ndarray:
        """(L,) share of the cases in which each strategy is at most this far from the best."""
        return (self.distances <= within + 1e-12).mean(axis=0)

    @property
    def least(self) -> float:
        """The distance of the best."""
        return 0.0 if self.by == "difference" else 1.0


def profile(of: Scores) -> Profile:
    """Compute the distances at every labeled size but each config's first.

    There strategies share their labels, and nothing was chosen yet. Scores are means over the seeds
    that count in the ranking. They are compared by differences where every metric is a share, in
    percent or not; else by factors, and then a case whose best score is not above 0 has none.
    """
    scales = [_scale(setting) for setting in of.settings]
    by: Nearness = "difference" if all(map(math.isfinite, scales)) else "factor"
    cases: list[str] = []
    rows: list[np.ndarray] = []
    left_out: list[str] = []
    for setting, scale in zip(of.settings, scales, strict=True):
        for size, values in list(zip(setting.sizes, setting.means, strict=True))[1:]:
            case = f"{setting.name} at {size:,}"
            if np.isnan(values).any():
                left_out.append(f"{case}: some strategies have no score there")
            elif by == "factor" and values.min() <= 0:
                left_out.append(f"{case}: no factor of a score of {values.min():.3g}")
            else:
                cases.append(case)
                rows.append(_distances(values, setting.lower, by, scale))
    distances = np.array(rows).reshape(len(cases), len(of.legs))
    return Profile(of.legs, by, tuple(cases), distances, tuple(left_out))


def _scale(setting: Setting) -> float:
    """What a metric's whole range is; infinite where it is no share."""
    low, high = setting.ends
    return high if low == 0 else math.inf


def _distances(values: np.ndarray, lower: bool, by: Nearness, scale: float) -> np.ndarray:
    if by == "difference":
        return (values - values.min() if lower else values.max() - values) / scale
    return values / values.min() if lower else values.max() / values
