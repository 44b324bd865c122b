"""Progress bars with the time left, alike for every pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from mmengine.dist import get_rank
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")


def bar(of_bytes: bool = False) -> Progress:
    """A bar that shows how far it is and the time left, and is gone when done; silent where nobody watches."""
    console = Console()
    done = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn())
    hidden = get_rank() != 0 or not console.is_terminal
    return Progress(
        *columns,
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden,
        speed_estimate_period=600,  # seconds; by default 30, in which a slow network does no two iterations
    )


def track(items: Iterable[Item], what: str) -> Iterator[Item]:
    """Yield `items` under a bar; their number is known where they have a length."""
    total = len(items) if isinstance(items, Sized) else None
    with bar() as progress:
        yield from progress.track(items, total=total, description=what)
