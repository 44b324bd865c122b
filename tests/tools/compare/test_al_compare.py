"""The command line: what it writes, what it refuses, and that its page needs nothing else
and believes no name.
"""

from __future__ import annotations

import csv
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest
from markupsafe import Markup

from tests.comparekit import config, made, write
from tests.conftest import REPOSITORY
from tools import al_compare, al_train
from tools.compare import session
from tools.compare.curves import Estimate
from tools.compare.page.files import write as write_files
from tools.compare.page.html import breakable, environment
from tools.compare.page.sentences import labels_saved, listed, significance, verdicts
from tools.compare.page.style import chance, duration, interval, number, spread
from tools.compare.page.svg import HEIGHT, Line, line_chart
from tools.compare.statistics import compare_areas
from tools.display.looks import LIGHT, Style, styles
from tools.record.reading import ComparisonError

VALUES = {
    "random": ([0.1, 0.2, 0.3], [0.1, 0.3, 0.4], [0.2, 0.25, 0.3]),
    "entropy": ([0.1, 0.4, 0.5],) * 3,
}


def folders(root: Path, values=VALUES, **settings) -> Path:
    for leg, seeds in values.items():
        for seed, scores in enumerate(seeds):
            write(root / f"{leg}/seed{seed}", config(leg, seed, **settings), scores)
    return root


class Page(HTMLParser):
    """What a page would load, run or show."""

    VOID = {"meta", "link", "img", "input", "br", "wbr"}

    def __init__(self, content: str) -> None:
        super().__init__()
        self.links, self.tags, self.open, self.said = [], [], [], ""
        self.feed(content)
        self.close()

    def handle_starttag(self, name, attrs):
        self.tags.append(name)
        if name not in self.VOID:
            self.open.append(name)
        for key, value in attrs:
            assert not key.startswith("on"), (name, key)
            if key in ("src", "href", "srcset", "xlink:href", "action", "data", "poster"):
                self.links.append(value)

    def handle_startendtag(self, name, attrs):
        self.handle_starttag(name, attrs)
        self.open.pop() if name not in self.VOID else None

    def handle_endtag(self, name):
        assert self.open and self.open.pop() == name, (name, self.getpos())

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.said += data


def report(root: Path, *arguments: str) -> tuple[Page, str]:
    assert (
        al_compare.main(
            [str(root), "--out", str(root.parent / "out"), "--trust", str(REPOSITORY), *arguments]
        )
        == 0
    )
    content = (root.parent / "out/report.html").read_text()
    return Page(content), content


@pytest.mark.slow
def test_the_page_needs_nothing_else(tmp_path: Path, monkeypatch):
    """On runs of al_train itself, with pictures."""
    monkeypatch.chdir(tmp_path)
    for leg in ("random", "learning_loss"):
        assert (
            al_train.main(
                [
                    str(REPOSITORY / "tests/examples/toy_config.py"),
                    "--strategy",
                    leg,
                    "--wandb",
                    "disabled",
                ]
            )
            == 0
        )
    page, content = report(tmp_path / "work_dirs")
    pictures = [link for link in page.links if link.startswith("data:image/jpeg;base64,")]
    assert len(pictures) == 2 * 2 * 3  # legs, queries, choices
    outside = [link for link in page.links if not link.startswith(("data:", "#"))]
    assert outside == ["summary.csv", "summary.json", "curves.png"]
    assert not {"iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert not re.search(r"url\(|@import", content)
    assert {*re.findall(r"https?://[^\"%]+", content)} == {"http://www.w3.org/2000/svg"}  # a name
    assert "default-src 'none'" in content and "prefers-color-scheme: dark" in content
    assert page.open == []  # every element is closed
    assert "one seed (" in page.said and "no claim" in page.said


def test_the_charts_are_whole(tmp_path: Path):
    page, content = report(folders(tmp_path / "runs"))
    charts = re.findall(r"<svg viewBox.*?</svg>", content, re.DOTALL)
    assert len(charts) == 2 and content.count('name="axis0"') == 3  # these rows hold no seconds
    assert "No value along this axis." in page.said
    for chart in charts:
        ElementTree.fromstring(chart)
    assert (
        charts[0].count('class="point ') == 8
    )  # two strategies at three sizes, and at their names
    (read,) = re.findall(r"<span>15 labeled images</span>.*?</label>", content)
    assert "<strong>0.4</strong> [0.4, 0.4] entropy" in read


def test_the_numbers_are_in_every_form(tmp_path: Path, capsys):
    page, _ = report(folders(tmp_path / "runs"))
    (row,) = json.loads((tmp_path / "out/summary.json").read_text())
    random, entropy = row["legs"]
    # areas of random by hand: .2, .275, .25; of entropy .35 in each seed
    assert random["area"]["mean"] == pytest.approx(0.7250 / 3) and entropy["area"][
        "mean"
    ] == pytest.approx(0.35)
    assert random["final"]["mean"] == pytest.approx(1 / 3)
    assert (row["metric"], row["config"], random["seeds"], row["unfinished"]) == (
        "score",
        "runs",
        [0, 1, 2],
        [],
    )
    # random's final .333 lies between .1 at 10 and .4 at 15 labels: 10 + 5 * .2333 / .3
    assert entropy["saving"]["needed"] == pytest.approx(10 + 5 * (1 / 3 - 0.1) / 0.3)
    assert row["pairs"][0]["verdict"].startswith("entropy has a larger area than random") == (
        row["pairs"][0]["p"] < 0.05
    )
    first, second = csv.DictReader((tmp_path / "out/summary.csv").open())
    assert (first["strategy"], second["strategy"], first["seeds"]) == ("random", "entropy", "3")
    assert float(first["area_mean"]) == pytest.approx(random["area"]["mean"])
    assert (
        float(second["labels_needed"]) == pytest.approx(entropy["saving"]["needed"])
        and first["labels_needed"] == ""
    )
    assert matplotlib.image.imread(tmp_path / "out/curves.png").std() > 0.05
    said = capsys.readouterr().out
    for told in (page.said, said):
        assert (
            "0.333 ± 0.058" in told and "0.242 ± 0.038" in told and "saving 31% of labels" in told
        )
    assert row["pairs"][0]["verdict"] in said


def intervals(value, where=""):
    """Every interval of a summary, by its place."""
    if isinstance(value, dict):
        if {"low", "high"} <= value.keys() and value["low"] is not None:
            yield where, value["low"], value["high"]
        for key, inner in value.items():
            yield from intervals(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from intervals(inner, where)


def test_no_interval_of_a_count_or_a_share_leaves_its_bounds(tmp_path: Path):
    """Two seeds whose annotations differ much."""
    for leg in ("random", "entropy"):
        for seed in range(2):
            folder = write(tmp_path / f"runs/{leg}/seed{seed}", config(leg, seed), [0.1, 0.2, 0.3])
            rows = [
                json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
            ]
            ranking = {"pairs": 0.6 + 0.3 * seed, "spearman": 0.2 + 0.7 * seed, "n": 20}
            for row in rows:
                row |= {"effort": row["effort"] * (1 + 9 * seed), "seconds/train": 1.0 + 99 * seed}
                row |= {f"ranking/control/{key}": value for key, value in ranking.items()}
            (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report(tmp_path / "runs")
    found = list(intervals(json.loads((tmp_path / "out/summary.json").read_text())))
    ends = (".legs.effort", ".legs.seconds", ".effort.random", ".effort.entropy")
    counts = [(low, high) for place, low, high in found if place.endswith(ends)]
    shares = [(low, high) for place, low, high in found if place.endswith((".pairs", ".spearman"))]
    assert len(counts) == 6 and all(0 <= low <= high for low, high in counts)
    assert len(shares) == 2 * 3 * 2 and all(-1 <= low <= high <= 1 for low, high in shares)


def test_two_seeds_make_no_claim_anywhere(tmp_path: Path, capsys):
    values = {
        "random": ([0.1, 0.2, 0.3], [0.1, 0.2, 0.31]),
        "entropy": ([0.5, 0.6, 0.7], [0.5, 0.6, 0.75]),
    }
    page, _ = report(folders(tmp_path / "runs", values))
    (row,) = json.loads((tmp_path / "out/summary.json").read_text())
    (pair,) = row["pairs"]
    assert (pair["claim"], pair["p"], pair["test"]["p"], pair["test"]["effect"]) == (
        "none",
        None,
        None,
        None,
    )
    assert pair["test"]["difference"]["low"] is None and row["penalties"]["matrix"] == [
        [None, None],
        [None, None],
    ]
    first, second = csv.DictReader((tmp_path / "out/summary.csv").open())
    assert (first["claim"], second["seeds_with_random"], second["claim"]) == ("", "2", "none")
    told = (
        "random and entropy: 2 seeds (mean -0.405) cannot tell a difference from chance; no claim."
    )
    for said in (page.said, capsys.readouterr().out):
        assert told in said and not re.search("larger area|p = |takes about", said)
    assert "2: no claim" in page.said and "(no claim: 2 paired seeds)" in page.said


@pytest.mark.parametrize(("seeds", "early"), [(3, True), (4, True), (5, False)])
def test_three_and_four_seeds_are_called_preliminary(seeds, early, tmp_path: Path, capsys):
    values = {"random": [[0.1, 0.2, 0.3 + s / 100] for s in range(seeds)],
              "entropy": [[0.5, 0.6, 0.7 + s / 50] for s in range(seeds)]}  # fmt: skip
    page, _ = report(folders(tmp_path / "runs", values))
    (row,) = json.loads((tmp_path / "out/summary.json").read_text())
    assert (
        row["pairs"][0]["claim"] == ("preliminary" if early else "tested")
        and row["pairs"][0]["p"] < 0.05
    )
    second = list(csv.DictReader((tmp_path / "out/summary.csv").open()))[1]
    assert second["claim"] == row["pairs"][0]["claim"]
    for said in (page.said, capsys.readouterr().out):
        assert (
            "entropy has a larger area than random" in said and ("so preliminary" in said) == early
        )
    assert (f"{seeds}: preliminary" in page.said) == early and (
        "This is preliminary" in page.said
    ) == early


def test_unfinished_runs_are_shown_and_counted_nowhere(tmp_path: Path, capsys):
    root = folders(tmp_path / "runs")
    before = report(root)[0]
    write(root / "margin/seed0", config("margin", 0), [0.2, 0.9])
    write(root / "entropy/seed3", config("entropy", 3), [])
    (write(root / "random/seed7", config("random", 7)) / "done").unlink()
    page, content = report(root)
    row = json.loads((tmp_path / "out/summary.json").read_text())[0]
    assert row["unfinished"] == [
        "random, seed 7: 3 of 3 cycles, but not marked as done (run its command once more), score "
        "0.300 at 20 labels",
        "entropy, seed 3: 0 of 3 cycles",
        "margin, seed 0: 2 of 3 cycles, score 0.900 at 15 labels",
    ]
    assert [leg["name"] for leg in row["legs"]] == ["random", "entropy"]
    assert (
        all(line in page.said for line in row["unfinished"])
        and f'class="thin c{styles(["margin"])["margin"].colour}"' in content
    )
    assert "Not finished" not in before.said and "Not finished" in page.said
    assert "not finished, not counted: margin, seed 0" in capsys.readouterr().out


def test_nothing_finished_is_a_page_too(tmp_path: Path):
    write(tmp_path / "runs/random/seed0", config("random", 0), [0.2, 0.9])
    page, _ = report(tmp_path / "runs")
    assert "random, seed 0: 2 of 3 cycles" in page.said and "In short" not in page.said


def test_scores_that_are_null_and_one_cycle(tmp_path: Path, capsys):
    folders(tmp_path / "runs", {"random": ([None], [0.2]), "entropy": ([None], [None])}, cycles=1)
    page, _ = report(tmp_path / "runs")
    row = json.loads((tmp_path / "out/summary.json").read_text())[0]
    assert [leg["area"]["mean"] for leg in row["legs"]] == [0.2, None]
    assert "no seed in common" in page.said
    lines = ["random, seed 0: no score at 10 labels", "entropy, seed 1: no score at 10 labels"]
    assert row["gaps"][::2] == lines and all(line in page.said for line in row["gaps"])
    assert f"without an area: {lines[0]}" in capsys.readouterr().out


def test_names_are_not_markup(tmp_path: Path):
    evil = "<img src=x onerror=alert(1)>&\"'"
    names = [f"{evil} {i}" for i in range(60)]
    for seed in range(2):
        for leg in ("random", "entropy"):
            write(
                tmp_path / evil.replace("/", "") / f"{leg}/seed{seed}",
                config(leg, seed),
                names=names,
            )
    page, content = report(tmp_path)
    assert "<img" not in content and evil in page.said


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("<b>", "&lt;b&gt;"), ('"', "&#34;"), ("'", "&#39;"), ("&amp;", "&amp;amp;"), (3, "3")],
)
def test_text_is_escaped_once(value, escaped):
    template = environment().from_string("<p>{{ value }}{{ markup }}</p>")
    rendered = template.render(value=value, markup=Markup("<i></i>"))
    assert rendered == f"<p>{escaped}<i></i></p>"
    assert breakable(str(value)) == escaped


def other_epochs(root: Path) -> Path:
    return write(root / "runs/entropy/seed9", config("entropy", 9, training__epochs=5))


def half_a_state(root: Path) -> Path:
    (root / "runs/random/seed0/state.json").write_text("{")
    return root / "runs/random/seed0"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda root: root / "nothing", "nothing is no folder; expected one such as"),
        (other_epochs, "training.epochs: 4 and 5"),
        (half_a_state, "state.json is damaged"),
    ],
)
def test_what_must_not_be_put_together_is_refused_and_nothing_is_written(
    make, match, tmp_path: Path, capsys
):
    folders(tmp_path / "runs")
    extra = make(tmp_path)
    assert (
        al_compare.main([str(tmp_path / "runs"), str(extra), "--out", str(tmp_path / "out")]) == 2
    )
    said = capsys.readouterr().out
    assert said.startswith("error: ") and match in said
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path, capsys):
    (tmp_path / "out").write_text("a file")
    assert al_compare.main([str(folders(tmp_path / "runs")), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().out
    assert (
        said.startswith(f"error: Could not write the report to {tmp_path}/out: ")
        and "give another --out" in said
    )


@pytest.mark.parametrize("fault", ["a folder", "a full disk"])
def test_all_files_are_written_or_none(fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, files = tmp_path / "out", {"a.txt": b"new", "b.txt": b"new", "c.txt": b"new"}
    out.mkdir()
    (out / "a.txt").write_text("old")
    if fault == "a folder":
        (out / "b.txt").mkdir()
    else:
        whole, full = Path.write_bytes, Path("/dev/full")
        monkeypatch.setattr(
            Path,
            "write_bytes",
            lambda path, new: whole(full if "c.tmp" in path.name else path, new),
        )
    with pytest.raises(
        ComparisonError, match="b.txt is a folder there" if fault == "a folder" else "No space left"
    ):
        write_files(out, files)
    left = {path.name: path.read_text() for path in out.iterdir() if path.is_file()}
    assert left == {"a.txt": "old"}


def test_ctrl_c_is_said_in_a_line(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "findings", stop)
    assert al_compare.main([str(folders(tmp_path / "runs")), "--out", str(tmp_path / "out")]) == 130
    assert (
        capsys.readouterr().out == "stopped; nothing was written\n"
        and not (tmp_path / "out").exists()
    )


def test_queries_that_cannot_be_read_are_named_everywhere(tmp_path: Path, capsys):
    page, _ = report(folders(tmp_path / "runs"))  # which hold no queries/NN.npz
    fault = (
        "random, seed 0, the query after 10 labels: "
        f"{tmp_path}/runs/random/seed0/queries/00.npz is missing"
    )
    assert fault in page.said and f"no pictures: {fault}" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "out/summary.json").read_text())
    assert len(row["chosen"]["faults"]) == 2 * 2 and row["chosen"]["faults"][0].startswith(fault)


def test_an_axis_ends_where_values_do():
    line = Line("a", Style(1), [10, 20], [0.0, 1.0], [-2.0, -2.0], [3.0, 3.0])
    texts = [
        t.text
        for t in ElementTree.fromstring(line_chart([line], "t", "x", "y", 0.5, (0, 1))).iter("text")
    ]
    marks = [float(t) for t in texts if re.fullmatch(r"[\d.]+", t) and float(t) < 5]
    assert max(marks) == 1 and not [t for t in texts if t.startswith("−")]


def test_a_leg_without_a_test_has_no_share_of_defeats(tmp_path: Path):
    values = {
        "random": ([0.1, 0.2, 0.3], [0.1, 0.3, 0.4], [0.2, 0.25, 0.3]),
        "entropy": ([0.1, 0.4, 0.5],) * 3,
    }
    folders(tmp_path / "runs", values)
    write(tmp_path / "runs/badge/seed9", config("badge", 9))
    said = " ".join(report(tmp_path / "runs")[0].said.split())
    assert re.search(
        r"how often it is beaten: (entropy|random) 0\.\d\d, (entropy|random) 0\.\d\d\.", said
    )
    assert "nan" not in said


def test_two_configs_are_two_sections(tmp_path: Path):
    folders(tmp_path / "all/one")
    folders(tmp_path / "all/two", training__epochs=7)
    page, _ = report(tmp_path / "all")
    assert page.tags.count("section") == 3  # one is the ranking
    assert {"#one-ranking-over-all-configs", "#one", "#two-curves"} <= set(page.links)


def test_one_look_a_strategy_in_page_and_picture_and_random_is_grey(tmp_path: Path):
    """Beside another strategy, too; before, looks went by the order in which names came."""
    names = ["random", "coreset", "random-joint", "learning_loss"]
    found = styles([*names, *(f"s{i}" for i in range(8))])
    assert found["random"] == Style(0) and len(set(found.values())) == 12
    assert max(look.colour for look in found.values()) < len(LIGHT)
    drawn = []
    for legs in (["random", "coreset"], ["random", "badge", "learning_loss", "coreset"]):
        root = folders(
            tmp_path / f"{len(legs)}/runs", {leg: ([0.1, 0.2, 0.3],) * 3 for leg in legs}
        )
        _, content = report(root)
        drawn.append(
            re.findall(r'class="(point[^"]+)" d="([^"]+)"[^>]*></svg><span>coreset<', content)
        )
    assert len(set(drawn[0] + drawn[1])) == 1 and len(drawn[0]) > 1


def test_numbers_as_people_read_them():
    assert [number(v) for v in (0.12345, -0.5, 12.34, 1234.5, math.nan, math.inf)] == [
        "0.123", "−0.500", "12.3", "1,234", "–", "∞",
    ]  # fmt: skip
    assert spread(Estimate(0.5, math.nan, math.nan, math.nan, 1)) == "0.500"
    assert spread(Estimate(0.5, 0.01, 0.4, 0.6, 3)) == "0.500 ± 0.010"
    assert (interval(math.nan, math.nan), interval(-1, 2)) == ("–", "[−1.000, 2.000]")
    assert [duration(s) for s in (1.25, 300, 9000, math.nan)] == ["1.2 s", "5.0 min", "2.5 h", "–"]
    assert [chance(p) for p in (0.0001, 0.0421, 1.0, math.nan)] == ["< .001", ".042", "1", "–"]


def test_a_band_is_cut_at_the_edge_and_left_out_without_an_interval():
    wide = Line("a", Style(1), [10, 20], [0.4, 0.5], [-9, -9], [9, 9])
    chart = ElementTree.fromstring(line_chart([wide], "t", "x", "y"))
    heights = [float(p.split(",")[1]) for p in chart.find(".//polygon").get("points").split()]
    assert min(heights) >= 0 and max(heights) <= HEIGHT
    alone = Line("a", Style(1), [10, 20], [0.4, 0.5], [math.nan] * 2, [math.nan] * 2)
    assert "polygon" not in line_chart([alone], "t", "x", "y")
    assert line_chart([], "t", "x", "y") == ""
    assert line_chart([Line("a", Style(1), [1.0], [math.nan])], "t", "x", "y") == ""


def test_points_lie_where_their_values_are():
    chart = ElementTree.fromstring(
        line_chart([Line("a", Style(1), [0, 5, 10], [0, 1, 0.5])], "t", "x", "y", chance=0.5)
    )
    spots = [tuple(map(float, p.get("transform")[10:-1].split())) for p in chart.findall(".//path")]
    (x0, y0), (x1, y1), (x2, y2) = spots
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11) and y2 == pytest.approx(
        (y0 + y1) / 2, abs=0.11
    )
    assert y1 < y0  # upward
    coin = next(part for part in chart.iter("line") if part.get("class") == "chance")
    assert float(coin.get("y1")) == pytest.approx(y2, abs=0.11)


def test_strategies_that_are_not_told_apart_share_a_sentence():
    legs = {leg: [made(leg, s, v) for s, v in enumerate(values)] for leg, values in {
        "random": ([0.1, 0.2], [0.2, 0.3], [0.3, 0.4]), "a": ([0.1, 0.3], [0.2, 0.2], [0.3, 0.5]),
        "b": ([0.1, 0.1], [0.2, 0.5], [0.3, 0.4]), "far": ([0.9, 0.8], [0.9, 0.91], [0.9, 1.0]),
    }.items()}  # fmt: skip
    pairs = compare_areas(legs)
    far, line = verdicts(pairs)
    assert far.startswith("far has a larger area than random")
    assert line.startswith(
        "No significant difference from random with 3 paired seeds, so preliminary: a and b. "
    )
    assert (
        "(a) and" in line
        and "each with 80% power at .05 / 6, which Holm asks of 6 pairs, takes" in line
    )
    assert significance(pairs).startswith("3 of 6 differences in area are significant")
    assert significance(pairs).endswith(
        "correction). This is preliminary, as there are 3 paired seeds and not 5."
    )
    two = compare_areas({leg: runs[:2] for leg, runs in legs.items()})
    assert verdicts(two) == [
        "No claim about a, b and far against random: 2 paired seeds, and a test takes 3."
    ]
    assert significance(two) == significance([])
    assert len(verdicts(pairs[:1])) == 1 and verdicts(pairs[:1])[0].startswith(
        "random and a: no significant difference"
    )
    assert (
        significance([])
        == "There is no test: it takes 3 seeds that both strategies of a pair have."
    )
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
    assert labels_saved([]) == []


def test_without_random_each_pair_is_told_and_random_is_missed(tmp_path: Path, capsys):
    values = dict.fromkeys(("entropy", "margin"), VALUES["random"])
    page, _ = report(folders(tmp_path / "runs", values))
    for told in (page.said, capsys.readouterr().out):
        assert "entropy and margin: the same area in each of 3 seeds." in told
        assert "No run of random is finished" in told and "more pairs" not in told


def test_one_strategy_has_nothing_to_compare_with(tmp_path: Path):
    page, _ = report(folders(tmp_path / "runs", {"random": VALUES["random"]}))
    assert "nothing to compare" in page.said and "Which differences" not in page.said
