"""Colour, mark and line of each strategy, which depend on its name only."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Grey, blue, orange, green, purple, ochre and sky, on light and on dark pages. Any two are at least
# 20 apart in CIELAB, also for people who see no red, no green or no blue (Machado et al. 2009), and
# stand out from the page (3:1, WCAG 2.1)
LIGHT = ("#6b7280", "#1d5bde", "#e27617", "#075a26", "#8e1993", "#a59357", "#189ce9")
DARK = ("#a3abb8", "#0580ff", "#f4621d", "#25c56b", "#ba5db8", "#f0f873", "#9cfffc")
GREY, BLUE, ORANGE, GREEN, PURPLE, OCHRE, SKY = range(7)
MARKS = {  # Matplotlib's, and the same as a path in pixels about (0, 0)
    "o": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "s": "M-3.6,-3.6h7.2v7.2h-7.2Z",
    "^": "M0,-4.8L4.6,3.4H-4.6Z",
    "v": "M0,4.8L4.6,-3.4H-4.6Z",
    "D": "M0,-5L5,0L0,5L-5,0Z",
    "P": "M-1.7,-4.8h3.4v3.1h3.1v3.4h-3.1v3.1h-3.4v-3.1h-3.1v-3.4h3.1Z",
    "X": "M-2.4,-4.6L0,-2.2L2.4,-4.6L4.6,-2.4L2.2,0L4.6,2.4"
    "L2.4,4.6L0,2.2L-2.4,4.6L-4.6,2.4L-2.2,0L-4.6,-2.4Z",
    "*": "M0,-5.6L1.5,-1.9L5.4,-1.7L2.4,0.8L3.4,4.6L0,2.4L-3.4,4.6L-2.4,0.8L-5.4,-1.7L-1.5,-1.9Z",
    "<": "M-4.8,0L3.4,4.6V-4.6Z",
    ">": "M4.8,0L-3.4,4.6V-4.6Z",
    "p": "M0,-4.8L4.6,-1.5L2.8,3.9H-2.8L-4.6,-1.5Z",
}
# Strategies that are often compared, such as those of one network, differ in colour and in mark
NAMED = {
    "random": (GREY, "o"),
    "learning_loss": (BLUE, "s"),
    "entropy": (GREEN, "D"),
    "coreset": (ORANGE, "^"),
    "placebo": (OCHRE, "v"),
    "badge": (PURPLE, "P"),
    "oracle_loss": (SKY, "*"),
    "learning_loss_mse": (PURPLE, "o"),
    "learning_loss_kl": (ORANGE, "D"),
    "tidal": (GREY, "p"),
    "tidal_margin": (SKY, "p"),
    "margin": (PURPLE, "^"),
    "least_confident": (SKY, "v"),
    "ensemble_variance": (ORANGE, "s"),
    "ensemble_bald": (SKY, "P"),
    "dropout_entropy": (OCHRE, "D"),
    "dropout_bald": (BLUE, "X"),
    "density": (GREEN, "o"),
    "kmeans": (PURPLE, "X"),
    "typiclust": (SKY, "s"),
    "learning_loss_coreset": (GREEN, "P"),
    "entropy_coreset": (ORANGE, "X"),
    "power_learning_loss": (SKY, "^"),
    "maxherding": (GREY, ">"),
    "uherding": (BLUE, ">"),
    "probcover": (ORANGE, ">"),
    "dcom": (GREEN, ">"),
    "dropquery": (PURPLE, ">"),
    "tod": (OCHRE, ">"),
    "mpe": (SKY, ">"),
    "clasp": (BLUE, "p"),
    "random_stratified": (ORANGE, "p"),
    "random_foreground": (GREEN, "p"),
    "random_matched": (PURPLE, "p"),
    "enms": (GREEN, "<"),
    "divproto": (PURPLE, "<"),
    "ppal": (BLUE, "<"),
    "localisation": (ORANGE, "<"),
    "hua": (SKY, "<"),
}
# lines of control runs
DASHES: dict[str, tuple[int, ...]] = {
    "joint": (7, 3),
    "detached": (7, 3, 2, 3),
    "off": (14, 3),
    "warm": (2, 4),
    "joint-warm": (7, 3, 2, 4),
    "detached-warm": (7, 3, 2, 3, 2, 4),
    "off-warm": (14, 3, 2, 4),
}
# lines of one's own strategies if all marks and colours are taken; control runs of such strategies
# share their lines, and differ in their marks
MORE: tuple[tuple[int, ...], ...] = ((), (4, 2), (3, 2, 1, 2), (10, 2), (1, 2))


@dataclass(frozen=True)
class Style:
    """The look of a leg in pictures.

    Args:
        colour: number in `LIGHT` and `DARK`.
        mark: key of `MARKS`.
        dash: lengths of dashes and gaps in pixels; empty for a solid line.
        hollow: whether marks are outlines, as for control runs.
    """

    colour: int
    mark: str = "o"
    dash: tuple[int, ...] = ()
    hollow: bool = False


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Return the look of each leg: a strategy, or its control run (random-joint, random-warm).

    A strategy that is not in `NAMED` has a look that no named one has: the first free one in an
    order that is drawn from its name.
    """
    names = list(dict.fromkeys(names))
    looks = {name: Style(*look) for name, look in NAMED.items()}
    taken = set[Style]()
    for name in sorted({split(leg)[0] for leg in names} - NAMED.keys()):
        order = _order(name)
        looks[name] = next((look for look in order if look not in taken), order[0])
        taken.add(looks[name])
    return {leg: _of(leg, looks) for leg in names}


def legs() -> list[str]:
    """Return the named strategies, each alone and as each control run."""
    return [leg for name in NAMED for leg in (name, *(f"{name}-{mode}" for mode in DASHES))]


def split(leg: str) -> tuple[str, str]:
    """Return a leg's strategy, and what makes it a control run, empty if it is none.

    That is the module's mode, a warm start, or both.
    """
    for mode in sorted(DASHES, key=len, reverse=True):
        if leg.endswith(f"-{mode}"):
            return leg.removesuffix(f"-{mode}"), mode
    return leg, ""


def _of(leg: str, looks: dict[str, Style]) -> Style:
    name, mode = split(leg)
    look = looks[name]
    if not mode:
        return look
    return Style(look.colour, look.mark, DASHES[mode], hollow=True)


def _order(name: str) -> Sequence[Style]:
    """All looks but those of the named strategies, in an order drawn from the name.

    Looks with solid lines come first.
    """
    free = [
        look
        for look in itertools.product(range(1, len(LIGHT)), MARKS)
        if look not in NAMED.values()
    ]
    free.sort(key=lambda look: hashlib.sha1(f"{name} {look}".encode()).digest())
    return [Style(colour, mark, dash) for dash in MORE for colour, mark in free]
