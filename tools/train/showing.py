"""What a person looks at: a line a cycle, pictures of what was queried, a table and a curve in the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from PIL.Image import Image
from rich.console import Console

from acquisition.query import Query
from models.process.files import replacing
from tasks.base import Task
from tools.display.looks import LIGHT, Style, styles
from tools.display.sheet import Column, Sheet

Row = Mapping[str, Any]
STEPS = {"train": "train", "evaluate": "eval", "committee": "members", "score": "score"}
NOTHING = 0.0005  # seconds: the clock's own, around a step that is not there
SHOWN = 4  # thumbnails of the first and of the last queried samples


class Clock:
    """Seconds of each step, as ``seconds/<step>``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a block."""
        began = time.perf_counter()
        yield
        self.seconds[f"seconds/{step}"] = time.perf_counter() - began


def column(rows: Sequence[Row], key: str) -> list[float]:
    """A key of the rows; not-a-number where it is null or missing."""
    return [math.nan if row.get(key) is None else float(row[key]) for row in rows]


def area_under_curve(sizes: Sequence[float], scores: Sequence[float]) -> float:
    """Area under the metric over labeled samples by the trapezoid rule, divided by the range of the sizes.

    So it is the mean score over the budget, in the metric's unit; with one size it is the score.
    """
    if len(sizes) != len(scores) or not sizes:
        raise ValueError(f"Expected as many scores as sizes, at least one, but got {len(scores)} and {len(sizes)}")
    if len(sizes) == 1:
        return float(scores[0])
    return float(np.trapezoid(scores, sizes) / (sizes[-1] - sizes[0]))


def measured(metric: str, lower: bool) -> str:
    """A metric as people read it, with the direction where that is not the usual one."""
    return f"{metric} (lower is better)" if lower else metric


def line(row: Row, metric: str, cycles: int) -> str:
    """One cycle in one line."""
    seconds = sum(row.get(f"seconds/{step}") or 0 for step in STEPS)
    ranking = row.get("ranking/control/pairs")
    ordered = "" if ranking is None else f"  ordered pairs {ranking:.2f}"
    score = _number(row[metric]) + " (not a number)" * (row[metric] is None)
    return (
        f"cycle {row['cycle'] + 1}/{cycles}  labeled {row['labeled']:,}  effort {row['effort']:,}  "
        f"{metric} {score}{ordered}  {seconds:.0f} s"
    )


def thumbnails(task: Task, query: Query | None) -> list[tuple[Image, str]]:
    """Pictures of the first and the last queried samples with their annotations, and captions with their scores."""
    if query is None:
        return []
    picked = query.picked.tolist()
    places = [p for p in range(len(picked)) if p < SHOWN or p >= len(picked) - SHOWN]
    position = {int(i): p for p, i in enumerate(query.candidates)}
    found = []
    for place in places:
        rows = {name: values[position[picked[place]]] for name, values in query.signals.items() if values.ndim == 1}
        scores = "".join(f"  {name} {value:.3g}" for name, value in rows.items())
        found.append((task.thumbnail(picked[place]), f"choice {place + 1}: {task.name(picked[place])}{scores}"))
    return found


def show(rows: Sequence[Row], metric: str, console: Console, lower: bool = False) -> None:
    """The run as a table; columns without a value are left out. `lower`: less of the metric is better."""
    columns = {"labeled": Column("labeled"), "effort": Column("effort", 8), metric: Column(measured(metric, lower), 9)}
    for group in ("queried", "control"):
        columns[f"ranking/{group}/pairs"] = Column(f"ordered pairs\n{group}", 7)
    columns |= {f"seconds/{step}": Column(f"{name}\ns", 6) for step, name in STEPS.items()}
    known = [key for key in columns if any(_told(key, row.get(key)) not in ("", "-") for row in rows)]
    sheet = Sheet(*[columns[key] for key in known])
    for row in rows:
        sheet.add(*[_told(key, row.get(key)) for key in known])
    sheet.print(console)


def canvas(figsize: tuple[float, float]) -> Figure:
    """An empty figure of so many inches that needs no window, whatever Matplotlib was told to draw with."""
    figure = Figure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def look_of(style: Style) -> dict[str, Any]:
    """How Matplotlib draws a strategy's line and marks on a white page."""
    colour = LIGHT[style.colour]
    dashes = (0, tuple(length / 2 for length in style.dash)) if style.dash else "-"
    inside = "white" if style.hollow else colour
    size = 9 if style.mark == "*" else 7 if style.mark in "PX" else 5.5
    return {"color": colour, "linestyle": dashes, "linewidth": 1.8, "marker": style.mark, "markersize": size,
            "markerfacecolor": inside, "markeredgecolor": colour if style.hollow else "white",
            "markeredgewidth": 1.2 if style.hollow else 0.5}  # fmt: skip


def tick_well(axes: Axes) -> None:
    """Four ticks or more on each axis, numbers of thousands with commas."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4))
    low, high = axes.get_xlim()
    if max(abs(low), abs(high)) >= 1000:
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def draw(rows: Sequence[Row], metric: str, title: str, path: Path, lower: bool = False, leg: str = "random") -> None:
    """`curve.png`: the metric over labeled images, as `leg` looks. `lower`: less of the metric is better."""
    figure = canvas(figsize=(6, 4))
    axes = figure.subplots()
    points = [(row["labeled"], row[metric]) for row in rows if row[metric] is not None]
    axes.plot(*zip(*points, strict=True), **look_of(styles([leg])[leg])) if points else None
    axes.set(xlabel="labeled images", ylabel=measured(metric, lower), title=title)
    axes.text(0.99, 0.02, "one seed, so no band", ha="right", transform=axes.transAxes, fontsize=8, color="#60646c")
    axes.grid(alpha=0.3)
    tick_well(axes)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120)


def _told(key: str, value: Any) -> str:
    """A cell; empty for a step of which nothing was done."""
    nothing = key.startswith("seconds/") and value is not None and value < NOTHING
    return "" if nothing else _number(value)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
