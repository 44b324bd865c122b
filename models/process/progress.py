"""Progress bars with the time left, the same for every pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from models.process.ranks import get_rank

Item = TypeVar("Item")
WORDS = 66  # characters of a terminal that words and numbers need
SHORT = 6  # characters of the bar itself, which is left out where there is no room for so many
LONG = 40


def bar(of_bytes: bool = False, console: Console | None = None) -> Progress:
    """A progress bar with the time left, which disappears at the end.

    Nothing is shown if the output is not a terminal. Other output must go to its `console` while
    the bar is shown, or the two mix on one line.
    """
    console = console or Console()
    # where there is no room, words break, not numbers
    whole = Column(no_wrap=True)
    may_break = Column(no_wrap=False)
    done: ProgressColumn = MofNCompleteColumn(table_column=whole)
    if of_bytes:
        done = DownloadColumn(table_column=whole)
    columns: list[ProgressColumn] = [TextColumn("{task.description}", table_column=may_break)]
    room = console.width - WORDS
    if room < SHORT:
        columns += [done]
    else:
        columns += [BarColumn(min(room, LONG)), done, TimeElapsedColumn(table_column=whole)]
    left = TextColumn("left", table_column=whole), TimeRemainingColumn(table_column=whole)
    hidden = get_rank() != 0 or not console.is_terminal
    return Progress(
        *columns,
        *left,
        console=console,
        transient=True,
        disable=hidden,
        # seconds; by default 30, in which a slow network does no two iterations
        speed_estimate_period=600,
    )


def track(items: Iterable[Item], what: str) -> Iterator[Item]:
    """Yield `items` under a bar; their number is known where they have a length."""
    total = len(items) if isinstance(items, Sized) else None
    with bar() as progress:
        yield from progress.track(items, total=total, description=what)
