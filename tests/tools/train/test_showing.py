"""What a person looks at: the area against sklearn's, and the row's own numbers in line,
table and picture.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.metrics import auc

from tools.display import canvas as canvases
from tools.display.canvas import canvas
from tools.record.rows import area_under_curve
from tools.train.showing import draw, line, show

ROWS = [
    {
        "cycle": 0,
        "labeled": 1000,
        "effort": 12345,
        "mAP": 0.5241,
        "seconds/train": 70.25,
        "seconds/evaluate": 3.5,
        "seconds/score": 1.5,
        "ranking/control/pairs": 0.71,
        "ranking/queried/pairs": 0.64,
    },
    {
        "cycle": 1,
        "labeled": 2000,
        "effort": 23456,
        "mAP": 0.6093,
        "seconds/train": 141.75,
        "seconds/evaluate": 3.0,
        "seconds/score": 0.0,
        "ranking/control/pairs": 0.73,
        "ranking/queried/pairs": None,
    },
]


def printed(rows, metric="mAP") -> str:
    console = Console(file=io.StringIO(), width=200)
    show(rows, metric, console)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "sizes, scores",
    [
        ([10, 20, 30], [0.1, 0.5, 0.6]),
        ([1000, 2000, 10000], [0.524, 0.609, 0.734]),  # uneven steps
        ([10, 20], [-6.0, -2.5]),
        (np.array([5, 7, 11]), np.array([1.0, 0.0, 1.0])),
    ],
)
def test_area_is_sklearns_over_the_range(sizes, scores):
    assert area_under_curve(list(sizes), list(scores)) == pytest.approx(
        auc(sizes, scores) / (sizes[-1] - sizes[0])
    )


def test_area_by_hand():
    assert area_under_curve([0, 1, 3], [0.0, 1.0, 1.0]) == pytest.approx((0.5 + 2) / 3)
    # a constant is its own mean
    assert area_under_curve([10, 20, 40], [0.7, 0.7, 0.7]) == pytest.approx(0.7)


def test_area_of_one_point_is_the_score():
    assert area_under_curve([10], [0.25]) == 0.25


@pytest.mark.parametrize(
    "sizes, scores, shown",
    [([10, 20], [0.1], "1 and 2"), ([], [], "0 and 0"), ([], [1], "1 and 0")],
)
def test_other_lengths_are_refused(sizes, scores, shown):
    with pytest.raises(ValueError, match=f"as many scores as sizes, at least one, but got {shown}"):
        area_under_curve(sizes, scores)


def test_line_holds_the_numbers():
    assert line(ROWS[0], "mAP", 10) == (
        "cycle 1/10  labeled 1,000  effort 12,345  mAP 0.524  ordered pairs 0.71  75 s"
    )


def test_line_without_module_and_with_a_metric_that_is_missing():
    row = {**ROWS[1], "mAP": None}
    del row["ranking/control/pairs"]
    assert (
        line(row, "mAP", 2)
        == "cycle 2/2  labeled 2,000  effort 23,456  mAP - (not a number)  145 s"
    )


def test_table_holds_the_numbers_of_every_cycle():
    text = printed(ROWS)
    numbers = ["1,000", "12,345", "0.524", "0.640", "0.710", "70.2", "3.500", "1.500"]
    (first,) = [t for t in text.splitlines() if "1,000" in t]
    assert [cell.strip() for cell in first.split("│")[1:-1]] == numbers
    (second,) = [t for t in text.splitlines() if "2,000" in t]
    numbers = ["2,000", "23,456", "0.609", "-", "0.730", "141.8", "3.000", ""]
    assert [cell.strip() for cell in second.split("│")[1:-1]] == numbers
    for name in ("labeled", "effort", "mAP", "queried", "control", "train", "eval", "score"):
        assert name in text


def test_table_leaves_out_columns_without_a_value():
    rows = [{k: v for k, v in row.items() if "ranking" not in k} for row in ROWS]
    assert "ordered pairs" not in printed(rows)
    assert "ordered pairs" in printed(ROWS)
    none = [{**row, "ranking/queried/pairs": None} for row in ROWS]
    assert "queried" not in printed(none) and "control" in printed(none)


def test_curve_is_a_picture_that_can_be_read(tmp_path):
    path = tmp_path / "curve.png"
    draw(ROWS, "mAP", "det_ssd_voc, random, seed 0", path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (720, 480))  # 6 x 4 inches of 120 dots
        image.load()
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50  # something is drawn
    assert [p.name for p in tmp_path.iterdir()] == ["curve.png"]  # nothing is left beside it


def test_curve_shows_the_rows(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(canvases, "canvas", lambda **k: drawn.append(canvas(**k)) or drawn[-1])
    draw([*ROWS, {"labeled": 3000, "mAP": None}], "mAP", "a title", tmp_path / "curve.png")
    (axes,) = drawn[0].axes
    # what is not a number is no point
    assert axes.lines[0].get_xydata().tolist() == [[1000, 0.5241], [2000, 0.6093]]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
        "labeled images",
        "mAP",
        "a title",
    )


def test_curve_replaces_an_older_one_and_survives_having_no_point(tmp_path):
    path = tmp_path / "curve.png"
    path.write_bytes(b"old")
    draw([{"labeled": 10, "mAP": None}], "mAP", "t", path)
    with Image.open(path) as image:
        assert image.format == "PNG"
