"""The page of a comparison as people use it: links, tables as csv, curves that can be read off and
told apart, names that nobody should believe, and the script's own functions.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import matplotlib.image
import numpy as np
import pytest
from scipy.optimize import minimize

from tests.comparekit import made
from tools.compare.chosen import Chosen
from tools.compare.findings import Findings, findings
from tools.compare.grouping import Comparison
from tools.compare.page.ends import apart
from tools.compare.page.figure import png
from tools.compare.page.files import as_json
from tools.compare.page.html import FOLDER, page
from tools.compare.page.outline import Outline
from tools.compare.page.svg import FEW, ROW, Line, line_chart, multiples
from tools.display.looks import Style, styles

EVIL = "<b onclick=alert(1)>&\"'</script>{{ 7 * 7 }}"
TWELVE = ["random", "entropy", "coreset", "badge", "margin", "placebo", EVIL,
          "kmeans", "density", "typiclust", "probcover", "learning_loss"]  # fmt: skip
SCRIPT = 1200  # bytes, at most


class Read(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def values(self, key: str) -> list[str]:
        return [about[key] for _, about in self.found if key in about]


def compared(legs: list[str], seeds: int = 3, cycles: int = 3) -> list[Findings]:
    """The results of made runs, of a config with a name that is markup."""
    rng = np.random.default_rng(0)
    runs = []
    for leg in legs:
        for seed in range(seeds):
            scores = (0.1 + 0.1 * np.arange(cycles) + 0.02 * rng.random(cycles)).tolist()
            told = {"training.epochs": 4, "seed": seed}
            runs.append(replace(made(leg, seed, scores), config=EVIL, settings=told))
    with pytest.MonkeyPatch.context() as patch:  # no folders, so nothing that was chosen
        patch.setattr("tools.compare.findings.chosen", lambda *_: Chosen(None, {}))
        return [findings(Comparison(EVIL, "tests.toy.Toy", "score", tuple(runs)))]


def content_of(found: list[Findings]) -> str:
    return page(found, styles(leg.name for one in found for leg in one.legs))


@pytest.fixture(scope="module")
def whole() -> tuple[list[Findings], str]:
    """The results of twelve strategies, and their page."""
    found = compared(TWELVE)
    return found, content_of(found)


def drawn(content: str, part: str) -> list[ElementTree.Element]:
    """The charts along labeled images that have a name."""
    charts = re.findall(r"<div class=\"plot\".*?</label></div></div>", content, re.DOTALL)
    parsed = [ElementTree.fromstring(chart) for chart in charts]
    return [chart for chart in parsed if part in chart.find("svg").get("aria-label")]


def points(chart: ElementTree.Element) -> dict[str, list[list[float]]]:
    """What is read off a chart at each place, by strategy: place, value, and ends of the band."""
    found: dict[str, list[list[float]]] = {}
    for label in chart.iter("label"):
        first, *rows = label.find("span[@class='tip']")
        x = float(first.text.split(" ")[0].replace(",", ""))
        for row in rows:
            ends = re.match(r" \[(\S+), (\S+)\]", row.find("strong").tail)
            values = [row.find("strong").text, *(ends.groups() if ends else ())]
            found.setdefault(row.get("data-leg"), []).append([x, *map(float, values)])
    return found


def test_names_of_configs_and_strategies_are_text_wherever_they_stand(whole):
    _, content = whole
    page = Read(content)
    assert not {"b", "img", "iframe"} & {tag for tag, _ in page.found}
    assert not [key for _, about in page.found for key in about if key.startswith("on")]
    assert [tag for tag, _ in page.found].count("script") == 1
    assert "<b onclick" not in content and "49" not in re.findall(r"<h2.*?</h2>", content)[0]
    assert EVIL in page.values("data-leg")
    assert points(drawn(content, "over labeled images")[0]).keys() == set(TWELVE)


def test_the_page_asks_nobody_and_runs_its_own_script_alone(whole):
    _, content = whole
    page = Read(content)
    ways = ("src", "href", "srcset", "xlink:href", "action", "data", "poster", "ping")
    links = [link for key in ways for link in page.values(key)]
    outside = {link for link in links if not link.startswith(("#", "data:"))}
    assert outside == {"summary.csv", "summary.json", "curves.png"}
    assert not re.search(r"url\(|@import", content)
    (policy,) = (
        about["content"] for tag, about in page.found if tag == "meta" and "http-equiv" in about
    )
    (script,) = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data:", "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    assert not re.search(r"fetch|XMLHttp|import|WebSocket|Beacon|eval|innerHTML|outerHTML", script)
    assert "http" not in script
    assert script == (FOLDER / "script.js").read_text(encoding="utf-8")
    assert len(script.encode()) < SCRIPT


def test_every_link_leads_somewhere_and_every_id_is_one(whole):
    page = Read(whole[1])
    ids = page.values("id")
    assert len(ids) == len(set(ids)) > 15
    inner = [link[1:] for link in page.values("href") if link.startswith("#")]
    assert set(inner) <= set(ids) and len(inner) > 8
    named = [
        about.get("id") for tag, about in page.found if re.fullmatch("h[2-5]|table|figure", tag)
    ]
    assert None not in named and len(named) > 10
    assert all(about.get("aria-label") for tag, about in page.found if tag == "table")
    assert all("alt" in about for tag, about in page.found if tag == "img")


def test_sections_have_headings_tables_and_figures_by_the_ways_that_name_them():
    templates = [*FOLDER.glob("*.j2")]
    assert len(templates) >= 8
    for template in templates:
        raw = re.findall("<h[2-5]|<table|<figure", template.read_text(encoding="utf-8"))
        allowed = {
            "macros.html.j2": ["<table", "<figure", "<figure"],
            "chosen.html.j2": ["<figure"],  # of a thumbnail
        }
        assert raw == allowed.get(template.name, []), template.name


def test_a_heading_twice_has_two_names():
    outline = Outline()
    made = [
        outline.heading(text, level)
        for text, level in (
            ("A", 2),
            ("B", 3),
            ("B", 3),
            ("A", 2),
            ("B-2", 3),
            ("<i>", 3),
            ("…", 3),
        )
    ]
    assert [Read(one).values("id")[0] for one in made] == [
        "a",
        "a-b",
        "a-b-2",
        "a-2",
        "a-2-b-2",
        "a-2-i",
        "a-2-part",
    ]
    assert "&lt;i&gt;" in made[5] and outline.parts[1][:2] == ("a-2", "A")
    assert [outline.anchor("b"), outline.anchor("b")] == ["a-2-b", "a-2-b-2-2"]


def test_each_csv_is_what_its_table_shows(whole):
    _, content = whole
    tables = re.findall(r"<table id=\"([^\"]+)\".*?</table>", content, re.DOTALL)
    bodies = re.findall(r"<table.*?</table>", content, re.DOTALL)
    files = dict(
        re.findall(
            r'<a download="([^"]+)\.csv" href="data:text/csv;charset=utf-8,([^"]*)"', content
        )
    )
    assert list(files) == [unescape(name) for name in tables] and len(tables) >= 4
    signs = str.maketrans({"−": "-", "±": "+-", "×": "x", "∞": "inf", "–": "", "·": ""})
    for (name, file), body in zip(files.items(), bodies, strict=True):
        shown = []
        for row in ElementTree.fromstring(body.replace("<wbr>", "")).iter("tr"):
            for drawing in [*row.iter("svg")]:
                drawing.clear()
            cells = [(cell.tag, " ".join("".join(cell.itertext()).split())) for cell in row]
            shown.append(
                [
                    text if tag == "th" else " ".join(text.translate(signs).split())
                    for tag, text in cells
                ]
            )
        assert [*csv.reader(io.StringIO(unquote(file)))] == shown, name
    assert EVIL in unquote(
        files[next(name for name in files if name.endswith("strategies"))]
    ).replace('""', '"')


def test_what_is_read_off_a_curve_is_the_number_of_the_summary_with_four_digits(whole):
    found, content = whole
    (row,) = json.loads(as_json(found))
    read = points(drawn(content, "over labeled images")[0])
    for leg in row["legs"]:
        curve = leg["curves"]["labeled"]
        numbers = [
            [x, *(float(f"{e[key]:.4g}") for key in ("mean", "low", "high"))]
            for x, e in zip(curve["x"], curve["estimates"], strict=True)
        ]
        assert read[leg["name"]] == numbers


def test_more_than_four_strategies_have_a_chart_each_and_names_that_do_not_overlap(whole):
    found, content = whole
    first, *each = drawn(content, "over labeled images")
    assert first.find("svg").get("class") == "many" and len(each) == len(TWELVE)
    assert [chart.get("data-leg") for chart in each] == TWELVE
    assert points(first).keys() == set(TWELVE)
    for chart in each:
        assert list(points(chart)) == [chart.get("data-leg")]
        assert len(chart.findall(".//polygon")) == 1
        uses = [(use.get("class").split()[0], use.get("href")) for use in chart.iter("use")]
        (own,) = (p for p in chart.iter("polyline") if p.get("id"))
        assert [href for kind, href in uses if kind == "curve"] == [f"#{own.get('id')}"]
        assert len({href for kind, href in uses if kind == "behind"}) == len(TWELVE) - 1
    groups = [one.find(".//input").get("name") for one in (first, *each)]
    assert len(set(groups)) == len(groups)
    ends = [g.find("text") for g in first.iter("g") if g.get("class") == "end"]
    heights = sorted(float(text.get("y")) for text in ends)
    assert len(ends) == len(TWELVE) and all(b - a >= ROW - 0.11 for a, b in pairwise(heights))
    drawing = png(found, styles(TWELVE))
    size = matplotlib.image.imread(io.BytesIO(drawing)).shape
    assert size[0] > 150 * (3 + 3 * 1.6)  # three rows of small panels below the curves


def test_a_name_that_looks_like_a_formula_is_drawn_as_it_is():
    found = compared(["random", "$\\frac$", "a$b", "_hidden", "s1", "s2"])
    drawing = png(found, styles(leg.name for leg in found[0].legs))
    assert matplotlib.image.imread(io.BytesIO(drawing)).std() > 0.05


@pytest.mark.parametrize(("legs", "cycles"), [(1, 3), (FEW, 3), (2, 1)])
def test_a_few_strategies_or_one_cycle_are_one_chart_with_bands(legs, cycles):
    content = content_of(compared(TWELVE[:legs], cycles=cycles))
    (chart,) = drawn(content, "over labeled images")
    assert chart.find("svg").get("class") is None and len(points(chart)) == legs
    assert len(chart.findall(".//polygon")) == (legs if cycles > 1 else 0)
    assert "one by one" not in content


def test_folders_settings_versions_and_date_are_on_the_page(whole):
    (one,), content = whole
    text = unescape(re.sub("<[^>]*>", "", content))
    runs = one.comparison.runs
    assert len(runs) == 3 * len(TWELVE) and all(str(run.folder) in text for run in runs)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", text) and f"numpy {np.__version__}" in text
    assert re.search(r"training\.epochs\s*4", text) and re.search(r"seed\s*0 \| 1 \| 2", text)


@pytest.mark.parametrize("seed", range(4))
def test_places_of_names_are_the_nearest_that_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    wanted = np.sort(rng.uniform(0, 100, 6))
    rules = [{"type": "ineq", "fun": lambda p: np.diff(p) - 12}, {"type": "ineq", "fun": lambda p: p - 5},
             {"type": "ineq", "fun": lambda p: 95 - p}]  # fmt: skip
    best = minimize(
        lambda p: ((p - wanted) ** 2).sum(), np.linspace(5, 95, 6), constraints=rules, tol=1e-12
    )
    order = rng.permutation(6)
    found = apart(wanted[order], 12, 5, 95)
    assert found == pytest.approx(best.x[order], abs=1e-3)


def test_places_without_room_none_and_ties():
    assert apart([], 10, 0, 100) == []
    assert apart([50.0], 10, 0, 100) == [50] and apart([500.0], 10, 0, 100) == [100]
    assert apart([1, 1, 1], 80, 0, 100) == pytest.approx([0, 50, 100])
    assert apart([50, 50], 10, 0, 100) == pytest.approx([45, 55])


def chart_of(*lines: Line) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(lines, "t", "x", "y"))


def test_values_are_read_between_points_only_where_these_are_interpolated():
    """Interpolation against NumPy's over 17 places from the first point to the last."""
    line = Line("a", Style(1), [1, 2, 5], [0.1, 0.2, 0.8], [0, 0.1, math.nan], [0.2, 0.3, math.nan])
    assert points(chart_of(line)) == {"a": [[1, 0.1, 0, 0.2], [2, 0.2, 0.1, 0.3], [5, 0.8]]}
    read = points(chart_of(replace(line, every=7)))["a"]
    places = np.linspace(1, 5, 17)
    assert [row[:2] for row in read] == [
        [x, float(f"{np.interp(x, line.x, line.y):.4g}")] for x in places
    ]
    assert read[1] == [1.25, 0.125, 0.025, 0.225] and [len(row) for row in read[4:]] == [4] + 12 * [
        2
    ]


def test_a_place_has_the_curves_that_were_measured_there_the_highest_first():
    low = Line("low", Style(1), [1, 2], [math.nan, 0.2])
    high = Line("high", Style(2), [2, 3], [0.5, 0.6])
    rest = Line("high", Style(2), [3], [0.1], every=0, thin=True)
    tips = ["".join(tip.itertext()) for tip in chart_of(low, high, rest).iter("label")]
    assert tips == ["2 x0.5 high0.2 low", "3 x0.6 high0.1 high, not finished"]


def test_strips_are_one_group_without_gaps_or_overlap_about_their_places():
    chart = chart_of(Line("a", Style(1), [1, 2, 5], [0.1, 0.2, 0.8]))
    styles = [dict(re.findall(r"--(\w):([\d.]+)", one.get("style"))) for one in chart.iter("label")]
    x, start, width = (np.array([float(one[key]) for one in styles]) for key in "xaw")
    assert start[1:] == pytest.approx((start + width)[:-1], abs=0.011)
    assert start[1:] == pytest.approx((x[1:] + x[:-1]) / 2, abs=0.011)
    marks = [p for p in chart.iter("path") if p.get("transform")]
    at = [float(re.search(r"\(([\d.]+)", mark.get("transform"))[1]) / 6.40 for mark in marks]
    assert x == pytest.approx(at, abs=0.02)
    inputs = [*chart.iter("input")]
    assert len(inputs) == 3 and {one.get("type") for one in inputs} == {"radio"}
    assert len({one.get("name") for one in inputs}) == 1


def test_each_figure_is_a_file_that_needs_no_style_sheet(whole):
    _, content = whole
    files = re.findall(r'<a download="([^"]+)\.svg" href="data:image/svg\+xml,([^"]*)"', content)
    assert [name for name, _ in files] == re.findall(r'<figure class="chart" id="([^"]+)"', content)
    svg = "{http://www.w3.org/2000/svg}"
    for name, file in files:
        text = unquote(file)
        assert "var(" not in text and "data:" not in text
        drawing = ElementTree.fromstring(text)
        charts = drawing.findall(f"{svg}svg")
        assert len(charts) == (len(TWELVE) if name.endswith("one-by-one") else 1)
        boxes = [[float(one.get(key)) for key in ("x", "y", "width", "height")] for one in charts]
        sides = [float(drawing.get(key)) for key in ("width", "height")]
        assert all(x + w <= sides[0] and y + h <= sides[1] for x, y, w, h in boxes)
        assert len({(x, y) for x, y, *_ in boxes}) == len(boxes)
        ids = {one.get("id") for one in drawing.iter()}
        assert {use.get("href")[1:] for use in drawing.iter(f"{svg}use")} <= ids


def test_each_strategy_has_a_box_that_shows_it_alone_and_a_rule_for_that(whole):
    _, content = whole
    boxes = [about for tag, about in Read(content).found if about.get("class") == "only"]
    assert [box["value"] for box in boxes] == TWELVE and {box["type"] for box in boxes} == {
        "checkbox"
    }
    assert {box["id"] for box in boxes} <= set(Read(content).values("for"))
    rules = re.findall(r'\.only\[value="(.*?)"\]:checked\)\) \[data-leg="(.*?)"\]', content)
    read = [re.sub(r"\\([0-9a-f]+) ", lambda code: chr(int(code[1], 16)), one) for one, _ in rules]
    assert read == TWELVE and all(one == other for one, other in rules)


def test_an_unfinished_run_is_in_the_chart_of_its_strategy():
    lines = [Line(f"s{i}", Style(i), [1, 2], [0.1, 0.2]) for i in range(FEW + 1)]
    more = [
        Line("s1", Style(1), [1], [0.5], every=0, thin=True),
        Line("new", Style(2), [1], [0.4], thin=True),
    ]
    charts = [
        ElementTree.fromstring(one)
        for one in re.findall("<svg.*?</svg>", multiples([*lines, *more], "t", "x"))
    ]
    assert [len([g for g in one.iter("g") if g.get("class") == "one"]) for one in charts] == [
        1,
        2,
        1,
        1,
        1,
        1,
    ]
    assert multiples(lines[:FEW], "t", "x") == ""


HARNESS = """
let click;
globalThis.addEventListener = (_, act) => click = act;
const order = (texts, column = 1) => {
  const rows = texts.map(text => ({ cells: [...Array(column).fill({}), { dataset: {}, ...typeof text == "string" ? { textContent: text } : text }] }));
  const body = { rows, append(...now) { this.rows = now; } };
  const head = { cellIndex: column, parentNode: { cells: [] }, closest: () => ({ tBodies: [body] }) };
  const press = () => {
    click({ target: { closest: () => head } });
    return [head.ariaSort, ...body.rows.map(row => row.cells[column].textContent)];
  };
  return [press(), press()];
};
"""
CASES = """
console.log(JSON.stringify([
  order(["1,234", "–", "−0.084", "0.697 ± 0.017", "< .001", "12 (saves 3%)", "not reached", "[−1, 2]"]),
  order(["b2", "a", "B1", "3d"], 0),
  order([{ textContent: "2.0 min", dataset: { v: "120" } }, { textContent: "3.0 s", dataset: { v: "3" } }]),
]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which runs the page's script")
def test_the_script_sorts():
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    done = subprocess.run(["node", "-"], input=HARNESS + script + CASES,
                          capture_output=True, text=True, check=True)  # fmt: skip
    numbers = ["[−1, 2]", "−0.084", "< .001", "0.697 ± 0.017", "12 (saves 3%)", "1,234"]
    assert json.loads(done.stdout) == [
        [
            ["ascending", *numbers, "–", "not reached"],
            ["descending", *numbers[::-1], "not reached", "–"],
        ],
        [["ascending", "3d", "a", "B1", "b2"], ["descending", "b2", "B1", "a", "3d"]],
        [["ascending", "3.0 s", "2.0 min"], ["descending", "2.0 min", "3.0 s"]],
    ]
