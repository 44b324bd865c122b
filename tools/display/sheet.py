"""Tables for terminals and files, and how numbers are written in them.

In a narrow terminal columns are left out, and never digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.segment import Segments
from rich.table import Table
from rich.text import Text

from models.process.text import printable
from tools.display.streams import INSTEAD

DIGITS = 6  # after the point at most, where a spread is small
NARROW = 20  # characters that text needs beside columns of numbers


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: above it; lines are separated by newlines.
        worth: where a terminal is narrow, columns of the least worth are left out first, of equal
            ones the last.
        text: of words, which may go on in a further line; numbers stand at the right and in one
            line.
    """

    name: str
    worth: int = 0
    text: bool = False


class Sheet:
    """A table whose first column, which names the rows, is always there.

    Args:
        columns: from left to right.
        title: above it.
        caption: below it.
    """

    def __init__(self, *columns: Column, title: str = "", caption: str = "") -> None:
        self.columns, self.title, self.caption = columns, title, caption
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: Any) -> None:
        """A row."""
        self.rows.append(tuple(printable(str(cell), keep="\n") for cell in cells))

    def print(self, console: Console) -> None:
        """Print the table.

        A narrow terminal shows the columns that fit, and the names of the others.

        Where not even two columns fit, the terminal breaks their lines.
        """
        kept, hidden = list(range(len(self.columns))), []
        while console.is_terminal and len(kept) > 2 and self._least(kept, console) > console.width:
            hidden.append(min(kept[1:], key=lambda i: (self.columns[i].worth, -i)))
            kept.remove(hidden[-1])
        width = self._most(kept, console)
        if console.is_terminal:
            width = max(self._least(kept, console), min(width, console.width))
        self._say(self.title, console)
        drawn = console.render(self._table(kept, console), console.options.update(width=width))
        console.print(Segments(drawn), soft_wrap=True, end="")
        self._say(self.caption, console)
        if hidden:
            names = ", ".join(" ".join(self.columns[i].name.split()) for i in sorted(hidden))
            self._say(f"not shown, as the terminal has {console.width} columns: {names}", console)

    def _say(self, text: str, console: Console) -> None:
        if text:
            console.print(Text(printable(text, keep="\n")), highlight=False, soft_wrap=True)

    def _table(self, kept: Sequence[int], console: Console) -> Table:
        table = Table()
        for place, column in ((i, self.columns[i]) for i in kept):
            words = column.text or place == 0
            table.add_column(self._cell(column.name, console), justify="left" if words else "right",
                             no_wrap=not column.text, overflow="fold")  # fmt: skip
        for row in self.rows:
            table.add_row(*[self._cell(row[i], console) for i in kept])
        return table

    def _cell(self, text: str, console: Console) -> Text:
        """With signs that the terminal's encoding has: others would be longer than the
        room that is left for them.
        """
        return Text(text.encode(console.encoding, INSTEAD).decode(console.encoding))

    def _most(self, kept: Sequence[int], console: Console) -> int:
        """Characters across, where every cell is in one line."""
        options = console.options.update(width=10**6)
        return console.measure(self._table(kept, console), options=options).maximum

    def _least(self, kept: Sequence[int], console: Console) -> int:
        """The same, where text is broken into lines."""
        most = self._most(kept, console)
        for i in kept:
            lines = [
                line
                for cell in (self.columns[i].name, *(row[i] for row in self.rows))
                for line in cell.split("\n")
            ]
            longest = max((len(line) for line in lines), default=0)
            most -= max(0, longest - NARROW) if self.columns[i].text else 0
        return most


def decimals(value: float) -> int:
    """Digits after the point with which a number is told: three significant ones at least."""
    size = abs(value)
    if size < 10:
        return 3
    return 1 if size < 1000 else 0


def number(value: float, places: int | None = None) -> str:
    """A metric or an area; an en dash if there is none."""
    if not math.isfinite(value):
        if value == math.inf:
            return "∞"
        return "−∞" if value == -math.inf else "–"
    return f"{value:,.{decimals(value) if places is None else places}f}".replace("-", "−")


def plus_minus(mean: float, deviation: float) -> str:
    """Mean ± standard deviation, with as many digits that the deviation is not 0.

    The mean alone without one.
    """
    if not math.isfinite(deviation):
        return number(mean)
    places = decimals(mean)
    if deviation > 10.0**-DIGITS:
        places = max(places, math.ceil(-math.log10(deviation)))
    return f"{number(mean, places)} ± {number(deviation, places)}"


def interval(low: float, high: float) -> str:
    """In brackets, both ends with the same digits; an en dash if there is none."""
    if math.isnan(low):
        return "–"
    places = min(decimals(end) if math.isfinite(end) else DIGITS for end in (low, high))
    return f"[{number(low, places)}, {number(high, places)}]"
