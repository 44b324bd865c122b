"""Looks: a strategy's own in every picture, no two alike, told apart by people who see
fewer colours; words drawn.
"""

from __future__ import annotations

import itertools
import random
import re

import numpy as np
import pytest
from matplotlib.markers import MarkerStyle
from PIL import Image

from acquisition.strategies import named_strategies
from tasks.drawing import caption_height, write
from tools.compare.page.svg import Line, chip, line_chart
from tools.display.canvas import look_of
from tools.display.looks import DARK, DASHES, LIGHT, MARKS, NAMED, legs, split, styles

PAGES = {"light": (LIGHT, "#ffffff"), "dark": (DARK, "#14161a")}  # as in report.html.j2
# what linear RGB becomes to who lacks red, green or blue cones (Machado, Oliveira and Fernandes
# 2009, severity 1)
SEEN = {
    "all": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> np.ndarray:
    """Linear RGB (3,) of #rrggbb (IEC 61966-2-1)."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (3,) of linear RGB under D65."""
    xyz = (
        np.array(
            [
                [0.4124564, 0.3575761, 0.1804375],
                [0.2126729, 0.7151522, 0.0721750],
                [0.0193339, 0.1191920, 0.9503041],
            ]
        )
        @ np.clip(rgb, 0, 1)
        / [0.95047, 1.0, 1.08883]
    )
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def test_colours_are_cielabs():
    # as tables have it
    np.testing.assert_allclose(lab(linear("#ff0000")), [53.24, 80.09, 67.20], atol=0.02)
    assert luminance("#ffffff") == pytest.approx(1)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("seen", SEEN)
def test_any_two_colours_can_be_told_apart(page, seen):
    colours = [lab(np.array(SEEN[seen]) @ linear(colour)) for colour in PAGES[page][0]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)) > 20


@pytest.mark.parametrize("page", PAGES)
def test_every_colour_stands_out_from_the_page(page):
    colours, ground = PAGES[page]
    for colour in colours:
        high, low = sorted([luminance(colour), luminance(ground)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.1, 1.4.11


def test_every_named_strategy_has_a_look_and_no_two_are_alike():
    assert NAMED.keys() == named_strategies().keys()
    assert len(set(NAMED.values())) == len(NAMED) == 39, "colour and mark, whatever the line"
    found = styles(legs())
    assert len(found) == len(NAMED) * (1 + len(DASHES)) == len(set(found.values()))
    assert {split(leg)[1] for leg in found} == {"", *DASHES}


def test_control_runs_have_their_strategys_colour_and_mark():
    found = styles(["random", "random-joint", "entropy_coreset-off", "entropy_coreset"])
    for leg in ("random-joint", "entropy_coreset-off"):
        look, own = found[leg], found[split(leg)[0]]
        assert (look.colour, look.mark) == (own.colour, own.mark)
        assert look.hollow and look.dash and not own.hollow and not own.dash


def test_a_look_follows_from_the_name_whatever_else_is_there():
    whole = styles([*legs(), "Mine", "Other-joint"])
    for seed in range(20):
        some = random.Random(seed).sample([*legs(), "Mine"], 5)
        assert styles(some) == {leg: whole[leg] for leg in some}


def test_strategies_of_ones_own_differ_from_all_others_in_the_picture():
    names = [f"Mine{i}" for i in range(40)]
    found = styles([*legs(), *names])
    assert len(set(found.values())) == len(legs()) + 40
    assert not {(found[n].colour, found[n].mark) for n in names} & set(NAMED.values()), (
        "not even one's that is not here"
    )
    assert styles(reversed([*legs(), *names])) == found
    # lines, once colours and marks are taken
    assert len(set(styles(f"Mine{i}" for i in range(150)).values())) == 150
    assert styles(["Mine3"])["Mine3"] == styles(["Mine3", "random"])["Mine3"]
    assert len({styles([n])[n] for n in names}) > 15, "drawn by the name"


def test_a_dash_in_a_name_is_no_mode():
    assert split("my-strategy") == ("my-strategy", "") and split("my-joint") == ("my", "joint")
    assert split("-joint") == ("", "joint") and split("random-jointly") == ("random-jointly", "")


def test_marks_are_matplotlibs_and_paths_stay_within_their_box():
    for mark, path in MARKS.items():
        assert MarkerStyle(mark).is_filled(), mark
        assert re.fullmatch(r"M[-\d.,\sLHVZhvaz]+", path), mark
    for look in styles(legs()).values():
        assert f'd="{MARKS[look.mark]}"' in chip(look)
        assert (
            (" hollow" in chip(look))
            == look.hollow
            == (look_of(look)["markerfacecolor"] == "white")
        )


@pytest.mark.parametrize(
    "x", [[10, 15], [10, 20, 50], [1000, 2000, 10000], [0.1, 0.11], [7, 7], [0, 123456]]
)
@pytest.mark.parametrize(
    "y", [[0.1, 0.9], [0.61, 0.62], [-3.0, -2.9], [0.5, 0.5], [0, 100], [1e-4, 2e-4]]
)
def test_an_axis_of_a_chart_has_four_ticks(x, y):
    values = [y[0]] * (len(x) - 1) + [y[-1]]
    drawn = line_chart(
        [Line("a", styles(["a"])["a"], x, values)], "t", "labeled images", "score", note="one seed"
    )
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)</text>', drawn)
    below = [
        text
        for _, at, text in texts
        if float(at) == max(float(y) for _, y, t in texts if t not in ("labeled images",))
    ]
    beside = [text for at, _, text in texts if float(at) == min(float(x) for x, *_ in texts)]
    assert len(set(beside)) >= 4 and len(set(below)) >= 4
    assert "one seed" in drawn


def test_words_on_a_picture_lie_within_it_and_differ():
    found = {}
    for word in ("cat", "a class with a name that is longer than a picture is wide", "Straßenbahn"):
        image = Image.new("RGB", (256, 200), "red")
        write(image, (250, -40), word, "white")
        pixels = np.asarray(image)
        rows, columns = np.nonzero((pixels != [255, 0, 0]).any(axis=2))
        assert (rows.min(), columns.max()) == (0, 255) and rows.max() + 1 == caption_height()
        inner = pixels[1 : caption_height() - 1, columns.min() + 2 : 254].mean(axis=2)
        letters = np.nonzero(inner.max(axis=0) > 150)[0]
        assert letters.min() > 0 and letters.max() < inner.shape[1] - 1, "no letter is cut"
        found[word] = pixels.tobytes()
    assert len(set(found.values())) == 3


def test_a_word_is_so_large_that_it_can_be_read_at_half_its_size():
    image = Image.new("RGB", (256, 64))
    write(image, (0, 20), "Hxg", "white")
    rows = np.nonzero(np.asarray(image).max(axis=(1, 2)) > 200)[0]
    assert rows.max() - rows.min() + 1 >= 18  # 9 pixels where the report is 390 wide
