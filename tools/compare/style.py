"""One colour and one marker a strategy, the same in every picture; and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tools.compare.curves import Estimate
from tools.sheet import interval, number, plus_minus

__all__ = ["DARK", "LIGHT", "MARKERS", "Style", "chance", "count", "duration", "interval", "number", "spread", "styles"]

# Okabe and Ito's colours, which colour-blind people tell apart, without yellow and with grey for what others are
# compared with; and the same hues, lighter, for dark pages
LIGHT = ("#6b7280", "#0072b2", "#d55e00", "#009e73", "#b0578d", "#b97d00", "#3d9bd1")
DARK = ("#a3abb8", "#4fa9e6", "#ff8b4d", "#35c79c", "#e39cc6", "#f0b83a", "#9bd6fa")
DASHES = ((), (6, 3), (2, 3))  # of the lines, once all colours are taken
MARKERS = "os^D"  # Matplotlib's
HOUR = 3600


@dataclass(frozen=True)
class Style:
    """How a strategy is drawn.

    Args:
        colour: number in `LIGHT` and `DARK`.
        dash: lengths of dashes and gaps in pixels; none for a whole line.
    """

    colour: int
    dash: tuple[int, ...] = ()

    @property
    def marker(self) -> str:
        """Of Matplotlib."""
        return MARKERS[self.colour % len(MARKERS)]


def styles(legs: Iterable[str]) -> dict[str, Style]:
    """A style for each name: grey for random, the others in order."""
    others = [leg for leg in dict.fromkeys(legs) if leg != "random"]
    hues = len(LIGHT) - 1
    found = {leg: Style(1 + i % hues, DASHES[i // hues % len(DASHES)]) for i, leg in enumerate(others)}
    return {"random": Style(0), **found}


def count(value: float) -> str:
    """A whole number."""
    return f"{value:,.0f}" if math.isfinite(value) else "–"


def spread(value: Estimate) -> str:
    """Mean ± standard deviation over seeds; the mean alone of one seed."""
    return plus_minus(value.mean, value.std)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if not math.isfinite(seconds):
        return "–"
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 2 * HOUR
        else f"{seconds / HOUR:.1f} h"
    )


def chance(p: float) -> str:
    """A p-value with two digits."""
    return "–" if math.isnan(p) else "< .001" if p < 0.001 else f"{p:.2g}".replace("0.", ".", 1)
