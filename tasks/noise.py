"""Simulated people who label with mistakes, so that strategies can be compared under their noise.

Reading configs needs these names, so nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from annotated_types import Ge, Le

from models.process.seeding import stream

Rate = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """How often people are wrong; the section `oracle` of a config.

    Each rate is the chance of one mistake, independent of all others. What a rate is of depends on
    what is labeled; those without a meaning for a task do nothing there, which a note says.

    Args:
        missed: of boxes: a box is not drawn.
        doubled: of boxes: a box that is drawn is drawn twice, each with its own jitter.
        jitter: how far what is drawn is from the truth, as a normal number's standard deviation. Of
            boxes each of the four sides moves, by this share of the box's width or height, and the
            box stays in the image, a pixel wide and high at least; of poses each joint moves, in x
            and in y, by this share of the person's height.
        flipped: of boxes and of images: the class is another one, each as likely.
        swapped: of poses: a pair of a left and a right joint change places.
        dropped: of poses: an annotated joint is left out.
    """

    missed: Rate = 0.0
    doubled: Rate = 0.0
    jitter: Annotated[float, Ge(0), Le(1)] = 0.0
    flipped: Rate = 0.0
    swapped: Rate = 0.0
    dropped: Rate = 0.0

    def idle(self, meant: Collection[str]) -> list[str]:
        """Say in a note which rates above 0 are not among those that mean something.

        Examples:
            >>> Noisy(missed=0.1, flipped=0.2).idle({"flipped"})
            ['oracle.missed: means nothing for this task, whose people may differ in: flipped']
        """
        lacking = [
            field.name
            for field in fields(self)
            if getattr(self, field.name) > 0 and field.name not in meant
        ]
        known = ", ".join(sorted(meant))
        return [
            f"oracle.{name}: means nothing for this task, whose people may differ in: {known}"
            for name in lacking
        ]


@dataclass(frozen=True)
class Annotator:
    """Somebody who labels with mistakes; the same for the same seed, in whatever order.

    Args:
        rates: of the mistakes.
        seed: the experiment's.
    """

    rates: Noisy
    seed: int

    def stream(self, name: str) -> np.random.Generator:
        """The random numbers of the sample of this name, and of no other."""
        return stream(self.seed, "oracle", name)

    def classes(self, names: Sequence[str], labels: Sequence[int], count: int) -> list[int]:
        """The class of each sample as it is given; one below 0, which is none, stays.

        Args:
            names: of the samples.
            labels: the true ones.
            count: of the classes.
        """
        pairs = zip(names, labels, strict=True)
        return [self._class(name, label, count) for name, label in pairs]

    def _class(self, name: str, label: int, count: int) -> int:
        if label < 0:
            return label
        chance, which = self.stream(name).random(2)
        return other(label, which, count) if chance < self.rates.flipped else label


def other(label: int, which: float, count: int) -> int:
    """Another class than `label`, each as likely for `which` drawn evenly from [0, 1).

    Where there is but one class, it is that.

    Examples:
        >>> [other(1, which, 3) for which in (0.2, 0.7)]
        [0, 2]
    """
    if count < 2:
        return label
    place = int(which * (count - 1))
    return place + (place >= label)


@runtime_checkable
class Fallible(Protocol):
    """An optional part of a task: it can learn from labels with the mistakes of people.

    After `noisy` the view "train" and `effort` are of what people gave. All else is the truth: the
    test set and the metric, the view "pool" (by which the module's ranking is measured), `traits`,
    `thumbnail` and `sources`.
    """

    def noisy(self, oracle: Noisy, seed: int) -> None:
        """Learn from noisy labels; called at most once, before any data are read.

        The mistakes in a sample must depend on the seed and the sample's name alone.
        """
        ...

    def altered(self, index: int) -> bool:
        """Whether the label of sample `index` of the pool has a mistake; jitter alone is none."""
        ...
