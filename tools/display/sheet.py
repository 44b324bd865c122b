"""Tables for terminals and files, and the texts of numbers in them.

A narrow terminal shows fewer columns, but all digits.
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

DIGITS = 6  # most digits after the point, for a small spread
NARROW = 20  # least characters of a column of text


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: its heading; lines are separated by newlines.
        worth: in a narrow terminal the columns of the least worth are left out first, and of
            equal ones the last.
        text: whether it holds words, which may be broken into lines; numbers are aligned to the
            right and in one line.
    """

    name: str
    worth: int = 0
    text: bool = False


class Sheet:
    """A table whose first column, which names the rows, is always shown.

    Args:
        columns: from left to right.
        title: text above the table.
        caption: text below the table.
    """

    def __init__(self, *columns: Column, title: str = "", caption: str = "") -> None:
        self.columns = columns
        self.title = title
        self.caption = caption
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: Any) -> None:
        """Add a row."""
        self.rows.append(tuple(printable(str(cell), keep="\n") for cell in cells))

    def print(self, console: Console) -> None:
        """Print the table.

        A narrow terminal shows the columns that fit, and the names of the others. If not even two
        columns fit, the terminal breaks their lines.
        """
        kept = list(range(len(self.columns)))
        hidden = []
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
        for i in kept:
            column = self.columns[i]
            table.add_column(
                self._cell(column.name, console),
                justify="left" if column.text or i == 0 else "right",
                no_wrap=not column.text,
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*[self._cell(row[i], console) for i in kept])
        return table

    def _cell(self, text: str, console: Console) -> Text:
        """The text in signs of the terminal's encoding, so that it is as wide as measured."""
        return Text(text.encode(console.encoding, INSTEAD).decode(console.encoding))

    def _most(self, kept: Sequence[int], console: Console) -> int:
        """The table's width in characters if every cell is in one line."""
        options = console.options.update(width=10**6)
        return console.measure(self._table(kept, console), options=options).maximum

    def _least(self, kept: Sequence[int], console: Console) -> int:
        """The table's width in characters if text is broken into lines."""
        width = self._most(kept, console)
        for i in kept:
            if not self.columns[i].text:
                continue
            cells = [self.columns[i].name, *(row[i] for row in self.rows)]
            longest = max(len(line) for cell in cells for line in cell.split("\n"))
            width -= max(0, longest - NARROW)
        return width


def decimals(value: float) -> int:
    """Return the digits after the point of a number: at least three significant ones."""
    size = abs(value)
    if size < 10:
        return 3
    if size < 1000:
        return 1
    return 0


def number(value: float, places: int | None = None) -> str:
    """Return the text of a metric or an area; an en dash for not-a-number."""
    if math.isnan(value):
        return "–"
    if places is None:
        places = decimals(value)
    return f"{value:,.{places}f}".replace("-", "−").replace("inf", "∞")


def plus_minus(mean: float, deviation: float) -> str:
    """Return mean ± standard deviation, with enough digits that the deviation is not 0.

    Without a deviation, return the mean alone.
    """
    if not math.isfinite(deviation):
        return number(mean)
    places = decimals(mean)
    if deviation > 10.0**-DIGITS:
        places = max(places, math.ceil(-math.log10(deviation)))
    return f"{number(mean, places)} ± {number(deviation, places)}"


def interval(low: float, high: float) -> str:
    """Return an interval in brackets, both ends with the same digits; an en dash without one."""
    if math.isnan(low):
        return "–"
    places = min((decimals(end) for end in (low, high) if math.isfinite(end)), default=0)
    return f"[{number(low, places)}, {number(high, places)}]"
