"""The grid of a sweep: every combination of some settings' values, each a cell of its own.

A cell is compared as a config of its own: its runs lie in a folder that is called after its
settings, and reports call it so, too.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tools.experiment.options import literal

OPEN, CLOSED = "([{", ")]}"
LONGEST = 40  # characters of a value in a folder's name
# what a sweep has an option for, which names the run's folder
OPTIONS = {"seed": "--seeds", "strategy": "--strategies", "module.mode": "--module"}


@dataclass(frozen=True)
class Axis:
    """A setting, with its dotted key, and the values that it takes."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """One combination.

    Args:
        name: such as "initial=50,query=25"; empty for a sweep without a grid.
        settings: dotted key and value of each axis.
    """

    name: str
    settings: tuple[tuple[str, Any], ...]


def axis(text: str) -> Axis:
    """`key=value,value`, an argument's type; values as those of `--cfg-options`.

    Commas inside of brackets and quotes are a value's own.

    Examples:
        >>> axis("task.size=[64,32],None,big")
        Axis(key='task.size', values=([64, 32], None, 'big'))
    """
    key, equals, rest = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"expected key=value,value, but got {text!r}")
    parts = list(_parts(rest))
    if not all(parts):
        raise argparse.ArgumentTypeError(
            f"{key}: expected values with commas between them, but got {rest!r}"
        )
    try:
        values = tuple(literal(part) for part in parts)
    except RecursionError as error:
        raise argparse.ArgumentTypeError(
            f"{key}: expected values, but got too many brackets in brackets"
        ) from error
    twice = [v for place, v in enumerate(values) if any(_same(v, w) for w in values[:place])]
    if twice:
        raise argparse.ArgumentTypeError(f"{key}: expected each value once, but got {twice[0]!r}")
    return Axis(key, values)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one setting, as 5 and 5.0 are; 1 and True are two."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _parts(text: str) -> Iterator[str]:
    """Yield what stands between the commas that are in no brackets and no quotes."""
    depth, quote, start = 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in OPEN or sign in CLOSED:
            depth += 1 if sign in OPEN else -1
        elif sign == "," and depth <= 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def problems(axes: Sequence[Axis], options: Sequence[tuple[str, Any]]) -> list[str]:
    """Return what is wrong with the keys of a grid; whether they are known a config's check says.

    Args:
        axes: of the grid.
        options: other settings over the config's.
    """
    counts = Counter(one.key for one in axes)
    lines = [
        f"--grid: expected each key once, but got {key} twice" for key in counts if counts[key] > 1
    ]
    lines += [f"--grid: expected {OPTIONS[key]} for {key}" for key in counts if key in OPTIONS]
    both = sorted(counts.keys() & {key for key, _ in options})
    return lines + [f"--grid: {key} is in --cfg-options, too; leave one out" for key in both]


def cells(axes: Sequence[Axis]) -> list[Cell]:
    """Return all combinations, the last axis fastest; one without a name where there is no axis."""
    short = [one.key.rpartition(".")[2] for one in axes]
    names = [
        key if short.count(key) == 1 else one.key for key, one in zip(short, axes, strict=True)
    ]
    combined = itertools.product(*(one.values for one in axes))
    return [
        Cell(
            ",".join(f"{name}={word(v)}" for name, v in zip(names, values, strict=True)),
            tuple((one.key, value) for one, value in zip(axes, values, strict=True)),
        )
        for values in combined
    ]


def word(value: Any) -> str:
    """Return a value as a part of a folder's name, another one for each value.

    What a name cannot hold, or is long, is cut and followed by a hash of the whole.

    Examples:
        >>> word(0.1), word("warm"), word(None), word("50")
        ('0.1', 'warm', 'None', '50-c2f42f')
    """
    whole = repr(value)
    if isinstance(value, str) and literal(value) == value:
        whole = value
    kept = re.sub(r"[^\w.+-]+", "_", whole, flags=re.ASCII).strip("_")[:LONGEST]
    if kept == whole:
        return kept
    return f"{kept}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"
