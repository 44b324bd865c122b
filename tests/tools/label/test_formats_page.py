"""The page of formats: each cell of its first table is tried, its last one names every fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tools.label.labelkit import DRAWN, LABELINGS, batch, pool, submitted
from tests.tools.label.test_round_trips import returned, written
from tools.label.checking import check
from tools.label.formats import FORMATS, kinds
from tools.label.formats.cvat_labels import DONE, SKIPPED
from tools.label.labels import Entry

PAGE = (REPOSITORY / "docs/labeling_formats.md").read_text(encoding="utf-8")


def table(title: str) -> list[list[str]]:
    part = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


HEADER, _, *ROWS = table("What survives a round trip")
SAID = {row[0]: row[1:] for row in ROWS}


class Trip:
    """What came back of one format and kind, labels and drafts."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        self.name, self.kind, self.folder, self.root = name, kind, folder, folder / "pool"
        self.labels = self._back("labels", None)
        self.drafts = self._back("drafts", 0.75)

    def _back(self, place: str, score: float | None) -> dict[str, Entry]:
        folder = written(self.folder / place, self.root, self.name, self.kind, score)
        return returned(folder, self.root, self.name, self.kind)

    def tasks(self, change: Callable[[dict], dict]) -> list[Entry]:
        """What Label Studio's drafts become if each task is changed."""
        sent = json.loads((self.folder / "drafts/tasks.json").read_text(encoding="utf-8"))
        path = self.folder / "changed.json"
        path.write_text(json.dumps([change(task) for task in sent]), encoding="utf-8")
        return list(FORMATS[self.name].load().read(path, LABELINGS[self.kind], pool(self.root)))

    def edited(self, old: str, new: str) -> list[Entry]:
        """What comes back if people write something into every file of labels."""
        place = f"edited{len(list(self.folder.iterdir()))}"
        folder = written(self.folder / place, self.root, self.name, self.kind, None)
        for path in folder.rglob("*.*"):
            if path.suffix in (".xml", ".csv"):
                text = path.read_text(encoding="utf-8")
                path.write_text(re.sub(old, new, text), encoding="utf-8")
        return list(FORMATS[self.name].load().read(folder, LABELINGS[self.kind], pool(self.root)))


def kept(trip: Trip, what: str) -> str:
    """What a trip shows of a row of the table, in the table's words."""
    shapes = {key: entry.shapes for key, entry in trip.labels.items()}
    drawn = DRAWN[trip.kind]
    pairs = [(one, other) for key in drawn for one, other in zip(shapes[key], drawn[key], strict=True)]  # fmt: skip
    assert pairs
    if what in ("classes of images", "order of shapes"):
        return _yes(all(one.label == other.label for one, other in pairs))
    if what in ("boxes", "persons: box"):
        if any(one.box is None for one, _ in pairs):
            return "no"
        same = [one.box == pytest.approx(other.box, abs=1e-6) for one, other in pairs]
        return "yes" if all(same) else "last pixel"
    joints = [two for one, other in pairs for two in zip(one.joints, other.joints, strict=True)]
    if what == "persons: joints":
        return _yes(all((one.x, one.y) == pytest.approx((two.x, two.y)) for one, two in joints))
    if what == "persons: visibility of joints":
        return _yes([one.visibility for one, _ in joints] == [two.visibility for _, two in joints])
    if what == "images turned by EXIF":
        size = trip.labels["sub/turned.jpg"].size
        checked = check(list(trip.labels.values()), pool(trip.root), LABELINGS[trip.kind], "all")
        return _yes(size in (None, (48, 64)) and "sub/turned.jpg" not in checked.faults)
    if what == "which draft became which shape":
        return _yes(all(one.id == other.id for one, other in pairs))
    if what == "drafts are told from labels":
        if trip.name == "label-studio":  # predictions are no annotations: nothing comes back
            return _yes(trip.tasks(lambda task: task | {"annotations": []}) == [])
        return _yes({entry.state for entry in trip.drafts.values()} == {None})
    if what == "scores of drafts":
        return _scores(trip)
    return _states(trip, what)


def _yes(held: bool) -> str:
    return "yes" if held else "no"


def _scores(trip: Trip) -> str:
    if {shape.score for shape in trip.drafts["a.jpg"].shapes} == {0.75}:
        return "an attribute" if trip.name == "cvat" else "yes"
    texts = ""
    for path in sorted((trip.folder / "drafts").rglob("*.*")):
        if path.suffix in (".json", ".csv", ".txt"):
            texts += path.read_text(encoding="utf-8")
    if "0.75" not in texts:
        return "no"
    return "a column" if trip.name == "csv" else "shown"


def _states(trip: Trip, what: str) -> str:
    name, empty = trip.name, "sub/größe 1 #2.png"
    if what == "labeled as empty":
        if trip.labels[empty].state == "empty":
            return "yes"
        checked = check(list(trip.labels.values()), pool(trip.root), LABELINGS[trip.kind])
        assert empty in checked.unclear
        if name == "cvat":
            entries = trip.edited(
                "(?s)(<image [^>]*größe[^>]*)/>", rf'\1><tag label="{DONE}"/></image>'
            )
            return "by a tag" if {e.name: e.state for e in entries}[empty] == "empty" else "no"
        return "to be declared"
    if what == "skipped" and name == "cvat":
        entries = trip.edited(
            "(?s)(<image [^>]*größe[^>]*)/>", rf'\1><tag label="{SKIPPED}"/></image>'
        )
        return "by a tag" if {e.name: e.state for e in entries}[empty] == "skipped" else "no"
    if name == "csv":
        entries = trip.edited(r"(?m)^([^,]*2\.png),,,,,", r"\1,,7.5,skipped,ann,")
        (one,) = [entry for entry in entries if entry.name == empty]
        found = {"skipped": one.state == "skipped", "seconds that a person took": one.seconds == 7.5, "who labeled it": one.by == "ann"}  # fmt: skip
        return _yes(found[what])
    first = trip.labels["a.jpg"]
    if what == "skipped" and name == "label-studio":
        entries = trip.tasks(lambda task: submitted([task], was_cancelled=True)[0])
        return _yes([entry.state for entry in entries] == ["skipped"] * 3)
    if what == "skipped":
        return _yes("skipped" in {entry.state for entry in trip.labels.values()})
    return _yes(first.seconds == 12.5 if what.startswith("seconds") else first.by == "1")


KIND = {"classes of images": "classes", "boxes": "boxes"}


def kind_of(what: str, name: str) -> str | None:
    """The kind of labels with which a row is tried; None if the format holds none of them."""
    held = FORMATS[name].kinds
    kind = "poses" if what.startswith("persons") else KIND.get(what)
    if kind is None:
        kind = next(one for one in ("boxes", "classes") if one in held)
    return kind if kind in held else None


def test_the_table_has_each_format_and_enough_rows():
    assert ["what", *FORMATS] == HEADER and len(SAID) == 14


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_survives_a_round_trip(name: str, tmp_path: Path):
    column = HEADER.index(name) - 1
    trips: dict[str, Trip] = {}
    for what, cells in SAID.items():
        kind = kind_of(what, name)
        multiple = what not in ("labeled as empty", "order of shapes", "which draft became which shape")  # fmt: skip
        if kind is None or (name == "csv" and not multiple):
            assert cells[column] == "-", what
            continue
        if kind not in trips:
            trips[kind] = Trip(tmp_path / kind, name, kind)
        assert kept(trips[kind], what) == cells[column], what


def test_every_fault_is_in_the_table_of_damaged_exports():
    _, _, *rows = table("What is said of damaged exports")
    named = {value for key, value in vars(kinds).items() if key.isupper() and isinstance(value, str)}  # fmt: skip
    assert [row[0] for row in rows] and {row[0] for row in rows} == named
    assert len(rows) == len(named) > 40
    lenient = {row[0] for row in rows if row[3] == "yes"}
    assert lenient == kinds.OF_SHAPES
    of_file = {row[0] for row in rows if row[1] == "the file"}
    assert of_file.isdisjoint(kinds.OF_SHAPES)


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_files_that_the_page_names_are_those_that_go_out(name: str, tmp_path: Path):
    _, _, *rows = table("What goes out, and what comes back")
    cells = {row[0]: row for row in rows}[name]
    kind = "classes" if name == "csv" else "boxes"
    root = tmp_path / "pool"
    sent = batch(pool(root), root, kind, 0.5)
    FORMATS[name].load().write(replace(sent, picks=sent.picks[:1]), tmp_path / "out")
    found = {path.name + "/" * path.is_dir() for path in (tmp_path / "out").iterdir()}
    named = {one.partition("/")[0] + "/" * ("/" in one) for one in re.findall("`(.*?)`", cells[1])}
    assert found == named
