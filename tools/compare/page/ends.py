"""Places for the names at the ends of curves, which must not overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import isotonic_regression


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places that are at least `gap` apart, as near to the wanted ones as can be.

    They keep the order of the wanted ones, lie from `low` to `high`, and have the least sum of
    squared moves. Where there is no room for all, the gap is smaller.
    """
    count = len(wanted)
    if not count:
        return []
    order = np.argsort(wanted, kind="stable")
    steps = min(gap, (high - low) / max(count - 1, 1)) * np.arange(count)
    # without the steps, places need not be apart, but in order only
    free = isotonic_regression(np.asarray(wanted, dtype=float)[order] - steps).x
    places = np.empty(count)
    places[order] = np.clip(free, low, high - steps[-1]) + steps
    return places.tolist()
