"""The section `seeds` of a config: which parts of a run draw from a seed of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["set", "model", "query"]


@dataclass(frozen=True)
class Seeds:
    """Seeds of the parts of a run; None is the run's `seed`.

    With one of them varied and the others fixed, a sweep over seeds tells the parts' shares of the
    variance apart.

    Args:
        set: of the first labeled set.
        model: of weights, augmentation and the order of training.
        query: of what the strategy draws, dropout's masks and the control group.
    """

    set: int | None = None
    model: int | None = None
    query: int | None = None

    def of(self, part: Part, seed: int) -> int:
        """The seed of a part in a run of this seed."""
        own: int | None = getattr(self, part)
        return seed if own is None else own
