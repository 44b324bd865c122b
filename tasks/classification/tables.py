"""Images and their classes as rows of a csv, as labeling tools export them.

The columns `file` (a path below the data's folder) and `class` are read, by their names in the
first line; others are not looked at. An empty class is an image that nobody has labeled.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from models.process.text import nearest, reason, shown
from tasks.classification.sources import UNLABELED, Others
from tasks.data import few
from tasks.faults import SEPARATORS, Fault, Reading, escapes, misleads, read_file, slashed
from tasks.labelable import Unlabeled

COLUMNS = ("file", "class")
CSV_BYTES = 1 << 30
FORM = "text in UTF-8 or UTF-16, columns separated by commas, and `file,class` in the first line"
DROP = "Or leave out images of such classes: task.others='drop'"
LATER = "write its class, or delete the line"


@dataclass(frozen=True)
class Reader:
    """How the tables of both splits are read.

    Args:
        root: the folder of the images, `data_root`.
        classes: in label order.
        others: rows of classes that `classes` lacks are a fault, or are left out.
        unlabeled: rows without a class are a fault, or are kept.
    """

    root: Path
    classes: tuple[str, ...]
    others: Others
    unlabeled: Unlabeled


@dataclass(frozen=True)
class Rows:
    """What a table holds, in its order.

    Args:
        paths: of the images.
        labels: index of each one's class, or `UNLABELED`.
        notes: what is valid and odd, a line each.
    """

    paths: tuple[Path, ...] = ()
    labels: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def read_table(path: Path, how: Reader) -> Reading[Rows]:
    """Read a table; what is at fault is left out."""
    lines = yield from _lines(path)
    label: dict[str, int] = {name: k for k, name in enumerate(how.classes)}
    label[""] = UNLABELED
    first: dict[Path, str] = {}
    left: Counter[str] = Counter()
    found: list[tuple[Path, int]] = []
    mended = 0
    for number, row in lines:
        where = f"{path}, line {number}"
        written, name = row
        file = slashed(how.root, written)
        mended += file != written
        fault = _file_fault(where, file, how.root, first)
        if name and name not in label:
            left[name] += 1
            if how.others == "drop":
                continue
        fault = fault or _class_fault(where, name, how)
        if fault is not None:
            yield fault
        else:
            found.append((how.root / file, label[name]))
    if lines and not found and not first:
        yield Fault("empty table", str(path), "an image at least", "none", "write a line for each")
    labels = tuple(label for _, label in found)
    return Rows(tuple(file for file, _ in found), labels, tuple(_notes(path, labels, left, mended)))


def _lines(path: Path) -> Reading[list[tuple[int, tuple[str, str]]]]:
    """File and class of each row, with the number of its line."""
    content = yield from read_file(path, "csv", "export it, or correct the path", CSV_BYTES)
    if content is None:
        return []
    try:
        reader = csv.reader(io.StringIO(_text(content), newline=""), strict=True)
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    except (ValueError, csv.Error) as error:
        yield Fault("broken csv", str(path), FORM, reason(error), "export it anew")
        return []
    if any(header.count(name) != 1 for name in COLUMNS):
        yield Fault("columns", str(path), FORM, shown(header), "name each of the two once")
        return []
    places = [header.index(name) for name in COLUMNS]
    found = []
    for number, row in rows:
        if len(row) <= max(places):
            expected = f"{len(header)} columns as in the first line"
            where = f"{path}, line {number}"
            yield Fault("short line", where, expected, shown(row), "write both, or delete it")
        else:
            found.append((number, (row[places[0]], row[places[1]])))
    if not rows:
        yield Fault("empty table", str(path), "an image at least", "none", "write a line for each")
    return found


def _text(content: bytes) -> str:
    """The text of a csv, in the encodings in which spreadsheets write one.

    Raises:
        UnicodeDecodeError: if it is in another one.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def _file_fault(where: str, name: str, root: Path, first: dict[Path, str]) -> Fault | None:
    if not name or misleads(name):
        expected = f"a one-line path below {root} as `file`"
        return Fault("file", where, expected, shown(name), "write the image's path")
    before = first.setdefault(root / name, where)
    if before == where:
        return None
    expected = "every image once in a table"
    return Fault("file twice", where, expected, shown(name), f"see {before}; delete one")


def _class_fault(where: str, name: str, how: Reader) -> Fault | None:
    if not name and how.unlabeled == "fault":
        return Fault("no class", where, "a class", "none", LATER)
    if name and name not in how.classes:
        expected = "a class of the setting task.classes"
        remedy = f"{nearest(name, how.classes)} {DROP}"
        return Fault("unknown class", where, expected, shown(name), remedy)
    return None


def _notes(path: Path, labels: Sequence[int], left: Counter[str], mended: int) -> Iterator[str]:
    if mended:
        yield f"{path}: {SEPARATORS.format(f'{mended:,}')}"
    if left:
        counts = ", ".join(f"{count:,} of {name!r}" for name, count in left.items())
        yield f"{path}: images of classes that `classes` lacks are left out: {counts}"
    bare = labels.count(UNLABELED)
    if bare:
        yield f"{path}: {bare:,} of {len(labels):,} images have no class yet"


def unlearned(classes: Sequence[str], labels: Sequence[int], where: Path) -> Fault | None:
    """The fault of a pool without an image of some classes."""
    lacking = [name for label, name in enumerate(classes) if label not in set(labels)]
    if not lacking:
        return None
    value = f"none of {len(lacking)} of {len(classes)} classes: {few(lacking)}"
    remedy = "label some, or leave these classes out of task.classes"
    return Fault("missing class", str(where), "an image of each class", value, remedy)


def check_tables(
    form: str,
    tables: Mapping[str, str | None],
    classes: Sequence[str] | None,
    unlabeled: Unlabeled,
) -> None:
    """Refuse settings of a csv that are missing, or are of no meaning.

    Raises:
        ValueError: naming the setting.
    """
    for name, path in tables.items():
        if form == "csv" and not path:
            raise ValueError(f"{name}: expected a csv for format='csv', but got {path!r}")
        if form != "csv" and path is not None:
            raise ValueError(f"{name}: expected None for format={form!r}, but got {path!r}")
        if path and escapes(path) and not PurePath(path).is_absolute():
            expected = "a csv below data_root, or an absolute path"
            raise ValueError(f"{name}: expected {expected}, but got {path!r}")
    if form == "csv" and classes is None:
        raise ValueError(
            "classes: expected the names of the classes for format='csv', but got None"
        )
    if form != "csv" and unlabeled != "fault":
        raise ValueError(f"unlabeled: expected 'fault' for format={form!r}, but got {unlabeled!r}")
