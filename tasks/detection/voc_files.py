"""Where the images and XML files of VOC's form lie: found alike for the check and the reading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from models.process.text import abridged, reason, shown
from tasks.data import few, first_fault_raised
from tasks.detection.voc_folder import SUFFIXES, XMLS, Folder
from tasks.faults import LIST_BYTES, Fault, Reading, escapes, misleads, path_fault, read_file
from tasks.litter import skipped

FORMS = "'VOC2007/trainval' (a list), 'train' (a folder) or 'images:annotations' (two folders)"
ROOT = "data_root is the folder that holds VOC2007 and VOC2012"
WITHOUT = (
    "take its XML away",
    "take the image away; labelImg, too, writes an XML for an image without objects",
)


@dataclass(frozen=True)
class Pair:
    """A sample: its id, image and XML, whether or not these are there.

    Attributes:
        place: names the sample in faults.
        no_image, no_xml: what to do without the one or the other.
    """

    name: str
    image: Path
    xml: Path
    place: str
    no_image: str = "take it off the list"
    no_xml: str = "take the id off the list"


@dataclass(frozen=True)
class Entry:
    """One entry of `train` or `test`: a folder of images, one of XML, and a list of ids.

    Without a list all files of the folders count.
    """

    images: Path
    xmls: Path
    list: Path | None = None


def pairs(root: Path, text: str, first: dict[Path, str]) -> Reading[list[Pair]]:
    """The samples of one entry of `train` or `test`, in the order of its list or else by path.

    Args:
        root: `data_root`.
        text: the entry: one of `FORMS`, below root.
        first: image -> where it came first; every one is taken once in a split.
    """
    entry = yield from _entry(root, text)
    if entry is None:
        return []
    images = Folder(entry.images, SUFFIXES)
    xmls = Folder(entry.xmls, XMLS)
    named = _matched(images, xmls)
    if entry.list is not None:
        named = _listed(
            entry.list, f"the list {text!r} is this file; {ROOT}, here {root}", images, xmls
        )
    pairs = []
    for pair in (yield from named):
        if pair.image in first:
            value = f"{shown(pair.name)} again"
            remedy = f"see {first[pair.image]}"
            yield Fault("id twice", pair.place, "every image once in a split", value, remedy)
        else:
            first[pair.image] = pair.place
            pairs.append(pair)
    return pairs


def litter_notes(root: Path, lists: Sequence[str], split: str) -> list[str]:
    """Notes on files that are skipped in the folders of a split's entries.

    Entries with a list are passed over, as it names the files. All entries are valid.
    """
    entries = [first_fault_raised(_entry(root, text)) for text in lists]
    kinds: dict[Path, frozenset[str]] = {}
    for entry in entries:
        if entry.list is not None:
            continue
        for home, suffixes in ((entry.images, SUFFIXES), (entry.xmls, XMLS)):
            kinds[home] = kinds.get(home, frozenset()) | suffixes
    folders = [Folder(home, suffixes) for home, suffixes in kinds.items()]
    notes = skipped(dict.fromkeys(path for folder in folders for path in folder.folders()), split)
    names = sorted(name for folder in folders for name in folder.others())
    if names:
        notes.append(
            f"{split}: {len(names):,} files are skipped that are neither images nor XML: "
            f"{few(names)}"
        )
    return notes


def _entry(root: Path, text: str) -> Reading[Entry | None]:
    parts = text.split(":")
    if len(parts) > 3 or not all(parts) or any(escapes(part) for part in parts):
        yield Fault(
            "list name", str(root), FORMS, shown(text), f"write paths below data_root, here {root}"
        )
        return None
    if len(parts) > 1:
        for part in parts[:2]:
            fault = path_fault(
                root / part, "folder", f"the entry {text!r} names it; data_root is {root}"
            )
            if fault is not None:
                yield fault
                return None
        ids = root / parts[2] if len(parts) == 3 else None
        return Entry(root / parts[0], root / parts[1], ids)
    folder, _, name = PurePath(text).as_posix().rpartition("/")
    home = root / folder
    path = home / "ImageSets" / "Main" / f"{name}.txt"
    if not os.path.lexists(path):  # what has the name of a list is one
        if os.path.isdir(root / text):
            return Entry(root / text, root / text)
        if not os.path.isdir(home / "ImageSets"):
            value = f"{shown(text)}, which is neither a list nor a folder"
            yield Fault(
                "list name",
                str(root),
                FORMS,
                value,
                f"{ROOT}, or your folders; it holds {_content(root)}",
            )
            return None
    return Entry(home / "JPEGImages", home / "Annotations", path)


def _content(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return reason(error)
    return abridged([shown(name) for name in names], 8) or "nothing"


# ---------------------------------------------------------------- by a list


def _listed(path: Path, remedy: str, images: Folder, xmls: Folder) -> Reading[list[Pair]]:
    content = yield from read_file(path, "list", remedy, LIST_BYTES)
    pairs = []
    for number, line in enumerate((yield from _lines(path, content)), 1):
        place = f"{path}, line {number}"
        pair = yield from _line_pair(place, line, images, xmls)
        if pair is not None:
            pairs.append(pair)
    return pairs


def _lines(path: Path, content: bytes | None) -> Reading[list[str]]:
    if content is None:
        return []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield Fault(
            "unreadable list",
            str(path),
            "text in UTF-8",
            reason(error),
            "write one image id a line",
        )
        return []
    if not text.strip():
        yield Fault(
            "empty list",
            str(path),
            "one image id a line",
            f"{len(content)} bytes",
            "write the ids into it",
        )
        return []
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def _line_pair(place: str, line: str, images: Folder, xmls: Folder) -> Reading[Pair | None]:
    if not line.strip():
        yield Fault(
            "list line", place, "an image id", f"the blank line {shown(line)}", "delete the line"
        )
        return None
    if "\\" in line and not _exists(images, line, ".jpg"):  # written on Windows
        line = line.replace("\\", "/")
    if misleads(line):
        yield Fault(
            "list line",
            place,
            "a one-line path below the list's folder",
            shown(line),
            "move its files there",
        )
        return None
    stem, suffix = os.path.splitext(line)
    if suffix.lower() not in SUFFIXES | XMLS or _exists(xmls, line, ".xml"):
        stem = line
    if stem != line and suffix.lower() in SUFFIXES and _exists(images, line):
        image = images.home / line
    else:
        image = yield from _image(place, stem, images)
    if line.strip() != line or (len(line.split()) > 1 and not os.path.lexists(image)):
        remedy = "keep the first column alone (lists of one class, 'dog_train.txt', cannot be used)"
        yield Fault("list line", place, "an image id and nothing else", shown(line), remedy)
        return None
    return Pair(stem, image, _xml(stem, xmls), place)


def _exists(folder: Folder, name: str, suffix: str = "") -> bool:
    return os.path.lexists(folder.home / f"{name}{suffix}")


def _image(place: str, stem: str, images: Folder) -> Reading[Path]:
    """The image of an id: VOC's own .jpg, else the one of another suffix."""
    usual = images.home / f"{stem}.jpg"
    if os.path.lexists(usual):
        return usual
    others = images.named(stem)
    if len(others) > 1:
        yield _several(place, stem, others)
    return others[0] if others else usual


def _several(place: str, stem: str, files: list[Path]) -> Fault:
    value = " and ".join(shown(path.name) for path in files)
    return Fault(
        "several images", place, f"one image of the name {stem!r}", value, "take all but one away"
    )


def _xml(stem: str, xmls: Folder) -> Path:
    usual = xmls.home / f"{stem}.xml"
    if os.path.lexists(usual):
        return usual
    return next(iter(xmls.named(stem)), usual)


# ---------------------------------------------------------------- all of a folder


def _matched(images: Folder, xmls: Folder) -> Reading[list[Pair]]:
    """Pair images and XML files of the same name.

    Where one of the two is missing, the check of the sample reports it.
    """
    photos = images.stems()
    notes = xmls.stems()
    if not set(photos) & set(notes):
        expected = f"images in {images.home} and an XML of the same name for each in {xmls.home}"
        value = f"{len(photos):,} images and {len(notes):,} XML files, none of one name"
        yield Fault("no pairs", str(images.home), expected, value, _advice(photos, notes))
        return []
    pairs = []
    for stem in sorted({*photos, *notes}):
        files = images.named(stem)
        image = files[0] if files else images.home / f"{stem}.jpg"
        place = str(image)
        if misleads(stem):
            yield Fault(
                "file name",
                place,
                "a name in one line of UTF-8",
                shown(stem),
                "rename image and XML",
            )
            continue
        if len(files) > 1:
            yield _several(place, stem, files)
        pairs.append(Pair(stem, image, _xml(stem, xmls), place, *WITHOUT))
    return pairs


def _advice(photos: list[str], notes: list[str]) -> str:
    """The remedy where no image has an XML of its name; both may lie in folders of their own."""
    heads = [
        sorted({PurePath(stem).parent.as_posix() for stem in stems}) for stems in (photos, notes)
    ]
    if all(heads) and heads[0] != heads[1]:
        return f"name the two folders, such as '<entry>/{heads[0][0]}:<entry>/{heads[1][0]}'"
    if not notes:
        return (
            "for COCO's json set format='coco'; where the XML files lie in another folder, "
            "'images:annotations'"
        )
    return "give image and XML the same name"
