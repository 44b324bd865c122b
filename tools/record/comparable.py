"""The settings that may differ between runs that are compared, in reports and in checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MISSING = "(missing)"
# what changes the load of a machine, and nothing else
LOAD = (
    "training.workers",
    "training.checkpoint_every",
    "training.deterministic",
    "scoring.workers",
)
# between any two runs: the load, the seed, and what changes rounding, or what is kept
ANYWHERE = (
    "seed",
    *LOAD,
    "scoring.batch_size",
    "scoring.channels_last",
    "scoring.keep_vectors",
    "scoring.save",
    "training.keep_weights",
)
# between strategies, though not between two runs of one: settings of strategies, and those that a
# strategy sets itself
BETWEEN_LEGS = (
    "strategy",
    "subset",
    "keep",
    "committee",
    "module.mode",
    "module.objective",
    "scoring.aggregate",
    "scoring.embedding",
    "scoring.control",
)
# where only the first training and its test are compared: all that comes after them
AFTER_THE_FIRST = (
    *ANYWHERE,
    *BETWEEN_LEGS,
    "scoring",
    "seeds.query",
    "budget.query",
    "budget.cycles",
)


def free(key: str, may: Sequence[str]) -> bool:
    """Whether a dotted key is one of those that may differ, or below one."""
    return any(key == name or key.startswith(f"{name}.") for name in may)


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], may: Sequence[str] = ()
) -> list[str]:
    """Return the dotted keys, sorted, in which two flat configs differ and must not."""
    keys = sorted(one.keys() | other.keys())
    return [
        key
        for key in keys
        if one.get(key, MISSING) != other.get(key, MISSING) and not free(key, may)
    ]
