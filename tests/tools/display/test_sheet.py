"""Tables: whole where nobody watches, columns left out where a terminal is narrow, digits never.

Numbers in cells.
"""

from __future__ import annotations

import io
import math
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from models.process.progress import bar
from tests.conftest import REPOSITORY
from tests.screenkit import seen, terminal, written
from tools.display.sheet import Column, Sheet, decimals, interval, number, plus_minus

LONG = "learning_loss_coreset-detached"
NUMBERS = ["0.512", "0.613", "12,345", "0.600 ± 0.141"]


def sheet() -> Sheet:
    found = Sheet(
        Column("strategy"),
        Column("seed 0"),
        Column("seed 1"),
        Column("effort", 1),
        Column("final mAP", 2),
        title="a title that is longer than the table " * 3,
        caption="a caption",
    )
    for name in ("random", LONG):
        found.add(name, *NUMBERS)
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("│┃").split("│" if "│" in line else "┃")]


@pytest.mark.parametrize("width", [10, 40, 80, 300])
def test_in_a_file_nothing_is_cut(width):
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    sheet().print(console)
    lines = console.file.getvalue().splitlines()
    rows = [cells(line) for line in lines if line.startswith("│")]
    assert rows == [["random", *NUMBERS], [LONG, *NUMBERS]]
    assert len({len(line) for line in lines[1:-1]}) == 1, "one table, not broken into lines"
    assert (lines[0].rstrip(), lines[-1]) == (sheet().title.rstrip(), "a caption")


def test_on_a_wide_terminal_it_is_whole_and_says_no_more():
    console = terminal(120)
    sheet().print(console)
    text = written(console)
    assert [cells(line) for line in text.splitlines() if line.startswith("│")][1] == [
        LONG,
        *NUMBERS,
    ]
    assert "not shown" not in text


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (76, ["seed 0", "effort", "final mAP"], "seed 1"),
        (67, ["effort", "final mAP"], "seed 0, seed 1"),
        (58, ["final mAP"], "seed 0, seed 1, effort"),
        # the terminal breaks lines; nothing more can be left out
        (40, ["final mAP"], "seed 0, seed 1, effort"),
    ],
)
def test_on_a_narrow_terminal_the_least_columns_go_and_are_named(width, shown, hidden):
    console = terminal(width)
    sheet().print(console)
    lines = written(console).splitlines()
    (head,) = [cells(line) for line in lines if line.startswith("┃")]
    assert head == ["strategy", *shown]
    (row,) = [cells(line) for line in lines if line.startswith(f"│ {LONG}")]
    by_name = dict(zip(["seed 0", "seed 1", "effort", "final mAP"], NUMBERS, strict=True))
    assert row == [LONG, *[by_name[name] for name in shown]]
    assert lines[-1] == f"not shown, as the terminal has {width} columns: {hidden}"
    if width > 50:
        assert max(len(line) for line in lines[1:-2] if line[0] in "│┃") <= width


def test_words_are_broken_into_lines_and_numbers_are_not():
    reasons = Sheet(Column("task"), Column("", 1, text=True), Column("s", 2))
    reasons.add(
        "pose_sandbox", "needs the loss-prediction module, but module.mode is 'off'", "12.5"
    )
    console = terminal(50)
    reasons.print(console)
    rows = [cells(line) for line in written(console).splitlines() if line.startswith("│")]
    assert len(rows) > 1 and rows[0][0] == "pose_sandbox" and rows[0][2] == "12.5"
    assert (
        " ".join(row[1] for row in rows)
        == "needs the loss-prediction module, but module.mode is 'off'"
    )
    assert "not shown" not in written(console)


def test_signs_that_the_encoding_lacks_leave_the_columns_straight():
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, "ascii"), width=80, soft_wrap=True)
    sheet().print(console)
    console.file.flush()
    lines = raw.getvalue().decode("ascii").splitlines()[1:-1]
    assert "0.600 +- 0.141 |" in lines[-2] and len({len(line) for line in lines}) == 1


@pytest.mark.slow
def test_a_table_in_a_narrow_pty_and_in_a_pipe():
    code = "from rich.console import Console\nfrom tests.tools.display.test_sheet import sheet\n"
    code += "sheet().print(Console(soft_wrap=True))"
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "58"}
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stdout=theirs, env=variables, check=True)
    os.close(theirs)
    text = re.sub(r"\x1b\[[\d;]*m", "", os.read(ours, 10**5).decode())
    os.close(ours)
    assert (
        "not shown, as the terminal has 58 columns: seed 0, seed 1, effort" in text
        and "…" not in text
    )
    piped = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=True
    )
    assert f"│ {LONG} │  0.512 │  0.613 │ 12,345 │ 0.600 ± 0.141 │" in piped.stdout


@pytest.mark.parametrize(
    ("mean", "deviation", "told"),
    [
        (13.8, 4.206, "13.8 ± 4.2"),
        (0.6, 0.141, "0.600 ± 0.141"),
        (0.71234, 0.0042, "0.712 ± 0.004"),
        (0.71234, 0.00042, "0.7123 ± 0.0004"),
        (62.53, 0.04, "62.53 ± 0.04"),
        (-9.996, 12.0, "−9.996 ± 12.000"),
        (1384.2, 42.0, "1,384 ± 42"),
        (0.5, 0.0, "0.500 ± 0.000"),
        (0.5, 1e-12, "0.500 ± 0.000"),
        (0.5, 0.1, "0.500 ± 0.100"),
        (0.5, math.nan, "0.500"),
        (math.nan, math.nan, "–"),
    ],
)
def test_both_sides_of_a_cell_have_the_same_digits(mean, deviation, told):
    assert plus_minus(mean, deviation) == told


def test_a_spread_that_is_there_is_never_told_as_none():
    rng = np.random.default_rng(0)
    for mean, deviation in zip(
        rng.normal(0, 50, 300), 10 ** rng.uniform(-5.9, 2, 300), strict=True
    ):
        first, second = plus_minus(mean, deviation).split(" ± ")
        assert len(first.partition(".")[2]) == len(second.partition(".")[2])
        # one digit at least
        assert float(second.replace(",", "")) == pytest.approx(deviation, rel=0.51)


def test_numbers_and_intervals():
    assert [number(v) for v in (0.1234, -12.34, 1234.5, math.inf, -math.inf)] == [
        "0.123",
        "−12.3",
        "1,234",
        "∞",
        "−∞",
    ]
    assert [decimals(v) for v in (9.99, 10, -999, 1000)] == [3, 1, 1, 0]
    assert interval(9.123, 13.8) == "[9.1, 13.8]" and interval(-0.1, 0.25) == "[−0.100, 0.250]"
    assert interval(1.5, math.inf) == "[1.500, ∞]" and interval(math.nan, math.nan) == "–"


@pytest.mark.parametrize(("width", "lines"), [(80, 1), (60, 1), (40, 2)])
def test_the_numbers_of_a_bar_are_whole(width, lines):
    console = terminal(width)
    with bar(console=console) as progress:
        progress.add_task("8 of 9 runs, 1 running, cycles", total=1800, completed=1700)
        progress.refresh()
        drawn = seen(written(console), width)
    assert len(drawn) == lines and "1700/1800" in drawn[0] and drawn[0].endswith("left -:--:--")
    assert "".join(drawn).count("…") == 0 and ("━" in drawn[0]) == (width == 80)


def test_cells_hold_no_codes_for_the_terminal():
    found = io.StringIO()
    table = Sheet(Column("run"), title="a\x1b[2Jb")
    table.add("c\x1b]0;owned\x07d")
    table.print(Console(file=found, width=60))
    assert "\x1b" not in found.getvalue() and "\x07" not in found.getvalue()
    assert r"a\x1b[2Jb" in found.getvalue() and r"c\x1b]0;owned\x07d" in found.getvalue()
