"""What a run shows: a line for each cycle, and a table and a curve at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from models.process.files import replacing
from tools.display.looks import styles
from tools.display.sheet import Column, Sheet
from tools.record.rows import STEPS, Row, measured

NOTHING = 0.0005  # seconds: the clock's own, around a step that is not there


def line(row: Row, metric: str, cycles: int) -> str:
    """One cycle in one line."""
    seconds = sum(row.get(f"seconds/{step}") or 0 for step in STEPS)
    ranking = row.get("ranking/control/pairs")
    ordered = ""
    if ranking is not None:
        ordered = f"  ordered pairs {ranking:.2f}"
    score = _number(row[metric])
    if row[metric] is None:
        score += " (not a number)"
    return (
        f"cycle {row['cycle'] + 1}/{cycles}  labeled {row['labeled']:,}  effort {row['effort']:,}  "
        f"{metric} {score}{ordered}  {seconds:.0f} s"
    )


def show(rows: Sequence[Row], metric: str, console: Console, lower: bool = False) -> None:
    """The run as a table; columns without a value are left out.

    `lower`: less of the metric is better.
    """
    columns = {
        "labeled": Column("labeled"),
        "effort": Column("effort", 8),
        metric: Column(measured(metric, lower), 9),
    }
    for group in ("queried", "control"):
        columns[f"ranking/{group}/pairs"] = Column(f"ordered pairs\n{group}", 7)
    columns |= {f"seconds/{step}": Column(f"{name}\ns", 6) for step, name in STEPS.items()}
    known = [
        key for key in columns if any(_cell(key, row.get(key)) not in ("", "-") for row in rows)
    ]
    sheet = Sheet(*[columns[key] for key in known])
    for row in rows:
        sheet.add(*[_cell(key, row.get(key)) for key in known])
    sheet.print(console)


def draw(
    rows: Sequence[Row],
    metric: str,
    title: str,
    path: Path,
    lower: bool = False,
    leg: str = "random",
) -> None:
    """`curve.png`: the metric over labeled images, as `leg` looks.

    `lower`: less of the metric is better.
    """
    from tools.display.canvas import canvas, look_of, tick_well  # Matplotlib takes a second

    figure = canvas(figsize=(6, 4))
    axes = figure.subplots()
    points = [(row["labeled"], row[metric]) for row in rows if row[metric] is not None]
    if points:
        axes.plot(*zip(*points, strict=True), **look_of(styles([leg])[leg]))
    axes.set(xlabel="labeled images", ylabel=measured(metric, lower), title=title)
    axes.text(
        0.99,
        0.02,
        "one seed, so no band",
        ha="right",
        transform=axes.transAxes,
        fontsize=8,
        color="#60646c",
    )
    axes.grid(alpha=0.3)
    tick_well(axes)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120)


def _cell(key: str, value: Any) -> str:
    """The text of a cell; empty for the seconds of a step that the cycle did not have."""
    if key.startswith("seconds/") and value is not None and value < NOTHING:
        return ""
    return _number(value)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:,.1f}"
