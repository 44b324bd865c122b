"""Texts of numbers for people."""

from __future__ import annotations

import math

from tools.compare.curves import Estimate
from tools.display.sheet import interval, number, plus_minus

__all__ = ["chance", "count", "duration", "interval", "number", "spread"]
HOUR = 3600


def count(value: float) -> str:
    """Return a rounded number; an en dash if it is not finite."""
    return f"{value:,.0f}" if math.isfinite(value) else "–"


def spread(value: Estimate) -> str:
    """Return mean ± standard deviation over seeds, or the mean alone of one seed."""
    return plus_minus(value.mean, value.std)


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / HOUR:.1f} h"


def chance(p: float) -> str:
    """Return a p-value with two digits."""
    if math.isnan(p):
        return "–"
    if p < 0.001:
        return "< .001"
    return f"{p:.2g}".replace("0.", ".", 1)
