"""What stands on a terminal in the end, from what was written to it: the codes that Rich
uses for its bars.
"""

from __future__ import annotations

import io
import re

from rich.console import Console

CODE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def terminal(width: int) -> Console:
    """A console of so many characters that believes to be a terminal.

    `seen` tells what it showed.
    """
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        force_interactive=True,
        color_system=None,
        legacy_windows=False,
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def written(console: Console) -> str:
    """All that was written to it, codes and all."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def seen(text: str, width: int) -> list[str]:
    """The lines on the screen after `text`, without those that were erased and empty ones."""
    lines, row, column = [""], 0, 0
    for private, given, letter, control, plain in CODE.findall(text):
        count = int(given) if given.isdecimal() else 1
        if letter == "A":
            row = max(0, row - count)
        elif letter == "K" and not private:
            lines[row] = ""
        elif control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
        for sign in plain:
            if column == width:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row].ljust(column)[:column] + sign + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines if line.strip()]
