"""The page of a comparison as people use it: links, tables as csv, curves that can be read off and
told apart, names that nobody should believe, and the script's own functions.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
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
SCRIPT = 9000  # bytes, at most


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
    charts = re.findall(r"<svg viewBox[^>]*data-axis.*?</svg>", content, re.DOTALL)
    parsed = [ElementTree.fromstring(chart) for chart in charts]
    return [chart for chart in parsed if part in chart.get("aria-label", "")]


def points(chart: ElementTree.Element) -> dict[str, list[list[float]]]:
    """The points that the script reads off a chart, by strategy."""
    groups = [g for g in chart.iter("g") if g.get("data-d")]
    return {g.get("data-leg"): json.loads(g.get("data-d")) for g in groups}


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
    assert set(re.findall(r"https?://[^\s\"]+", script)) == {"http://www.w3.org/2000/svg"}
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


def test_what_is_read_off_a_curve_is_the_number_of_the_summary(whole):
    found, content = whole
    (row,) = json.loads(as_json(found))
    read = points(drawn(content, "over labeled images")[0])
    for leg in row["legs"]:
        curve = leg["curves"]["labeled"]
        numbers = [
            [x, e["mean"], e["low"], e["high"]]
            for x, e in zip(curve["x"], curve["estimates"], strict=True)
        ]
        assert np.asarray(read[leg["name"]]) == pytest.approx(np.asarray(numbers), rel=1e-4)


def test_more_than_four_strategies_have_a_chart_each_and_names_that_do_not_overlap(whole):
    found, content = whole
    first, *each = drawn(content, "over labeled images")
    assert first.get("class") == "many" and len(each) == len(TWELVE)
    assert [chart.get("data-leg") for chart in each] == list(points(first))
    for chart in each:
        assert list(points(chart)) == [chart.get("data-leg")]
        assert len(chart.findall(".//polygon")) == 1
        assert sum(p.get("class") == "behind" for p in chart.iter("polyline")) == len(TWELVE) - 1
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
    assert chart.get("class") is None and len(points(chart)) == legs
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


def test_a_chart_tells_whether_values_lie_between_its_points():
    look = styles(["a"])["a"]
    measured, between = (
        ElementTree.fromstring(
            line_chart([Line("a", look, [1, 2], [0.1, 0.2], every=n)], "t", "x", "y")
        )
        for n in (1, 7)
    )
    assert measured.get("data-snap") == "1" and between.get("data-snap") is None
    low, high, start, end, top, bottom = json.loads(measured.get("data-x"))
    assert low < 1 < 2 < high and start < end and top < bottom
    gap = line_chart([Line("a", look, [1, 2], [float("nan"), 0.2])], "t", "x", "y")
    assert points(ElementTree.fromstring(gap)) == {"a": [[1, None], [2, 0.2]]}


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
    assert [len([g for g in one.iter("g") if g.get("data-d")]) for one in charts] == [
        1,
        2,
        1,
        1,
        1,
        1,
    ]
    assert multiples(lines[:FEW], "t", "x") == ""


HARNESS = """
const nothing = { append() {}, appendChild: one => one };
globalThis.document = { querySelectorAll: () => [], createElement: () => ({}), body: nothing };
globalThis.addEventListener = () => {};
const td = textContent => ({ tagName: "TD", dataset: {}, textContent });
const th = textContent => ({ tagName: "TH", dataset: {}, textContent });
const order = (texts, way, cell = td) => sorted(texts.map(text => ({ cells: [cell(text)] })), 0, way).map(row => row.cells[0].textContent);
"""
CASES = """
console.log(JSON.stringify([
  order(["1,234", "–", "−0.084", "0.697 ± 0.017", "< .001", "12 (saves 3%)", "not reached"], 1),
  order(["1,234", "–", "−0.084", "0.697 ± 0.017", "not reached"], -1),
  order(["b2", "a", "B1", "3d"], 1, th),
  sorted([{ cells: [{ ...td("2.0 min"), dataset: { v: "120" } }] }, { cells: [{ ...td("3.0 s"), dataset: { v: "3" } }] }], 0, 1).map(row => row.cells[0].textContent),
  at([[10, 0.25, 0.2, null], [20, 0.5, 0.25, null]], 15, false),
  at([[10, 0.25], [20, 0.5]], 15, true) ?? null,
  at([[10, 0.25], [20, 0.5]], 20, true),
  at([[10, 0.25], [20, 0.5]], 10, false),
  at([[10, 0.25], [20, 0.5]], 9, false) ?? null,
  at([[10, 0.25], [20, 0.5]], 21, false) ?? null,
]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which runs the page's script")
def test_the_script_sorts_and_reads_values():
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    done = subprocess.run(["node", "-"], input=HARNESS + script.replace('"use strict";', "") + CASES,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert json.loads(done.stdout) == [
        ["−0.084", "< .001", "0.697 ± 0.017", "12 (saves 3%)", "1,234", "–", "not reached"],
        ["1,234", "0.697 ± 0.017", "−0.084", "not reached", "–"],
        ["3d", "a", "B1", "b2"],
        ["3.0 s", "2.0 min"],
        [15, 0.375, 0.225, None],
        None,
        [20, 0.5],
        [10, 0.25],
        None,
        None,
    ]
