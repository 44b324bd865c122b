"""A table of classes: a row an image, in any spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from models.process.text import nearest, reason, shown
from tasks.faults import Fault
from tasks.labelable import Kind, Labeling
from tools.label.formats import kinds
from tools.label.formats.sources import Source, damaged, suits, text_in
from tools.label.formats.writing import begin, number, put_images, put_text
from tools.label.labels import Entry, Outgoing, Pick, PoolImage, Shape, State

KINDS: frozenset[Kind] = frozenset(("classes",))
TABLE = "labels.csv"
COLUMNS = ("file", "class", "seconds", "state", "by")
PREDICTED = "p_"  # and a class: a column of the table that al_predict.py writes
STATES: tuple[State, ...] = ("labeled", "empty", "skipped")


def write(batch: Outgoing, folder: Path) -> list[str]:
    """Write the images and a table to fill in, with the drafts in columns of their own."""
    begin(batch, folder, "csv", KINDS)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*COLUMNS, "rank", "reason", "draft", "score"))
    for pick in batch.picks:
        table.writerow(_row(pick))
    put_images(batch, folder / "images")
    put_text(folder / TABLE, text.getvalue())
    return [
        f"Fill in the column `class` of {folder / TABLE}: one of "
        f"{', '.join(batch.labeling.classes)[:400]}. The images are in {folder / 'images'}",
        "The column `draft` is what the network says, with its score; it is not read back",
        "For an image that cannot be judged write skipped as `state`; rows without a class are "
        "taken as not labeled yet",
        "Save it as csv (UTF-8), and add that file",
    ]


def _row(pick: Pick) -> list[str]:
    known, draft, score = "", "", ""
    for shape in (pick.drafts or ())[:1]:
        if shape.score is None:
            known = shape.label
        else:
            draft, score = shape.label, number(shape.score)
    return [pick.image.key, known, "", "", "", str(pick.rank), pick.reason, draft, score]


def read(path: Path, labeling: Labeling, images: Mapping[str, PoolImage]) -> list[Entry]:
    """Read a table with a header; separated by commas, semicolons or tabs."""
    suits(path, "csv", KINDS, labeling)
    entries: list[Entry] = []
    with Source(path) as source:
        names = source.names if len(source.names) == 1 else source.ending(".csv")
        if not names:
            raise damaged(kinds.WRONG_FORM, str(path), "a csv", "none in it", "give the csv")
        for name in names:
            where = source.where(name)
            text = text_in(source.read(name), where, kinds.BROKEN_TABLE)
            entries += _entries(text, where, labeling)
    return entries


def _entries(text: str, where: str, labeling: Labeling) -> list[Entry]:
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise damaged(
            kinds.BROKEN_TABLE, where, "a csv that parses", reason(error), "save it anew"
        ) from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    for column in ("file", "class"):
        if header.count(column) != 1:
            remedy = (
                f"write the header file,class[,seconds,state,by]; {nearest(column, tuple(header))}"
            )
            expected = f"one column {column!r} in the first line"
            raise damaged(kinds.WRONG_FORM, where, expected, shown(rows[:1]), remedy)
    predicted = [name for name in labeling.classes if f"{PREDICTED}{name}".lower() in header]
    if predicted:
        came = f"a network's predictions, with columns of {PREDICTED} and {shown(predicted[:4])}"
        remedy = "let a person correct the column `class`, and delete those columns"
        raise damaged(kinds.WRONG_FORM, where, "classes that people chose", came, remedy)
    entries = []
    for place, cells in enumerate(rows[1:], 2):
        if any(cell.strip() for cell in cells):
            entries.append(_entry(header, cells, f"{where}, row {place}"))
    return entries


def _entry(header: list[str], cells: list[str], where: str) -> Entry:
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    name, label = row.get("file", ""), row.get("class", "")
    faults = []
    if not name:
        faults.append(Fault(kinds.NO_IMAGE, where, "a file", shown(cells), "fill in the column"))
    if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
        expected = f"{len(header)} cells, as in the first line"
        remedy = "put texts with a separator in quotes"
        faults.append(Fault(kinds.BROKEN_RECORD, where, expected, shown(cells), remedy))
    seconds, fault = _seconds(row.get("seconds", ""), where)
    state, other = _state(row.get("state", "").lower(), label, where)
    faults += [one for one in (fault, other) if one is not None]
    shapes = (Shape(label),) if label and state == "labeled" else ()
    by = row.get("by", "")
    return Entry(name, where, state, shapes, seconds=seconds, by=by, faults=tuple(faults))


def _seconds(text: str, where: str) -> tuple[float | None, Fault | None]:
    if not text:
        return None, None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds, None
    return None, Fault(
        kinds.BAD_SECONDS, where, "a number of seconds, or nothing", shown(text), "correct it"
    )


def _state(text: str, label: str, where: str) -> tuple[State | None, Fault | None]:
    if not text:
        return ("labeled" if label else None), None
    if text not in STATES:
        remedy = nearest(text, STATES)
        return None, Fault(kinds.BAD_STATE, where, f"one of {STATES}", shown(text), remedy)
    state = next(one for one in STATES if one == text)
    if label and state != "labeled":
        came = f"the class {shown(label)} beside it"
        remedy = "delete the class or the state"
        return None, Fault(kinds.BAD_STATE, where, f"no class where it is {state}", came, remedy)
    if state == "labeled" and not label:
        return None, Fault(kinds.NO_CLASS, where, "a class", "none", "fill in the column `class`")
    return state, None
