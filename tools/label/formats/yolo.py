"""YOLO's texts: a line an object, as shares of the image's width and height."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import yaml

from models.process.text import shown
from tasks.labelable import Kind, Labeling
from tools.label.formats import kinds
from tools.label.formats.beside import unlabeled
from tools.label.formats.geometry import person_box
from tools.label.formats.names import Names, stem
from tools.label.formats.sources import Damaged, Source, damaged, json_of, suits, text_in
from tools.label.formats.writing import begin, number, put_images, put_json, put_text
from tools.label.formats.yolo_lines import Layout, read_lines
from tools.label.labels import Entry, Outgoing, Pick, PoolImage, State

KINDS: frozenset[Kind] = frozenset(("boxes", "poses"))
DATA = "data.yaml"
DRAFTS = "drafts.json"  # the hash of each text as it went out
NAMES = ("classes.txt", "obj.names", "_darknet.labels")
NOT_LABELS = frozenset((*NAMES, "train.txt", "val.txt", "test.txt", "readme.txt", "notes.txt"))
AS_YOLO = "give the folder or the zip of the export, with data.yaml or classes.txt"


def write(batch: Outgoing, folder: Path) -> list[str]:
    """Write the images, a text each, and data.yaml; a blind pick has an empty text."""
    begin(batch, folder, "YOLO", KINDS, stems=True)
    texts = {
        _label_name(pick.image.key): _lines(pick, batch.labeling).encode("ascii")
        for pick in batch.picks
    }
    put_images(batch, folder / "images")
    for name, content in texts.items():
        put_text(folder / name, content.decode("ascii"))
    drafted = [
        _label_name(pick.image.key)
        for pick in batch.picks
        if any(shape.score is not None for shape in pick.drafts or ())
    ]
    put_json(folder / DRAFTS, {name: hashlib.sha256(texts[name]).hexdigest() for name in drafted})
    put_text(folder / DATA, _data(batch.labeling))
    return [
        f"Open {folder / 'images'} with the labels in {folder / 'labels'} in a tool that reads "
        f"YOLO ({DATA} has the names). YOLO's labels have no scores, so the drafts have none",
        f"A text that is still as it went out ({DRAFTS} has its hash), or has its boxes where the "
        "drafts were, counts as not labeled yet, and so does an empty one: list the finished "
        "images with --done, or all",
        "Add the folder or a zip of it",
    ]


def _label_name(key: str) -> str:
    """Where YOLO's readers look for an image's text: the last "images" of its path replaced."""
    before, _, after = f"/images/{key}".rpartition("/images/")
    return stem(f"{before}/labels/{after}".lstrip("/")) + ".txt"


def _lines(pick: Pick, labeling: Labeling) -> str:
    width, height = pick.image.size
    lines = []
    for shape in pick.drafts or ():
        x, y, w, h = person_box(shape)
        values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
        for joint in shape.joints:
            values += [joint.x / width, joint.y / height, joint.visibility]
        place = labeling.classes.index(shape.label)
        lines.append(" ".join([str(place), *map(number, values)]))
    return "".join(f"{line}\n" for line in lines)


def _data(labeling: Labeling) -> str:
    data: dict[str, object] = {
        "train": "images",
        "val": "images",
        "names": dict(enumerate(labeling.classes)),
    }
    if labeling.kind == "poses":
        data["kpt_shape"] = [len(labeling.joints), 3]
        if labeling.mirrored:
            data["flip_idx"] = list(labeling.mirrored)
        data["kpt_names"] = {place: list(labeling.joints) for place in range(len(labeling.classes))}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def read(path: Path, labeling: Labeling, images: Mapping[str, PoolImage]) -> list[Entry]:
    """Read the texts of a folder or zip: an image's own size gives the pixels."""
    suits(path, "YOLO", KINDS, labeling)
    known = Names(images)
    with Source(path) as source:
        layout = _layout(source, labeling)
        drafts = _drafts(source)
        entries = []
        for name in _label_texts(source):
            found = known.find(_image_name(name))
            image = images[found[0]] if len(found) == 1 else None
            called = found[0] if image is not None else _image_name(name)
            entries.append(_entry(source, name, called, layout, image, drafts))
        return [*entries, *unlabeled(source, known, entries, "")]


def _label_texts(source: Source) -> list[str]:
    texts = source.ending(".txt")
    inside = [
        name
        for name in texts
        if any(
            part == "labels" or (part.startswith("obj_") and part.endswith("_data"))
            for part in PurePosixPath(name).parts[:-1]
        )
    ]
    if inside:
        return inside
    return [name for name in texts if name.rpartition("/")[2].lower() not in NOT_LABELS]


def _image_name(name: str) -> str:
    """A text's name as its image's, without suffix."""
    whole = stem(name.rpartition(".")[0])
    before, labels, after = f"/{whole}".rpartition("/labels/")
    if not labels:
        return whole
    return f"{before}/images/{after}".lstrip("/")


def _entry(
    source: Source,
    name: str,
    called: str,
    layout: Layout,
    image: PoolImage | None,
    drafts: Mapping[str, str],
) -> Entry:
    where = source.where(name)
    try:
        content = source.read(name)
        text = text_in(content, where, kinds.UNREADABLE)
    except Damaged as error:
        return Entry(called, where, None, faults=(error.fault,))
    if image is None:  # without its size there are no pixels
        return Entry(called, where, None)
    shapes, faults = read_lines(text, layout, image, where)
    state: State | None = "labeled" if shapes or faults else None
    if drafts.get(name) == hashlib.sha256(content).hexdigest():
        state = None
    return Entry(called, where, state, tuple(shapes), faults=tuple(faults))


def _drafts(source: Source) -> dict[str, str]:
    """The hashes of the drafts that went out, by the texts' names in the export."""
    hashes: dict[str, str] = {}
    for name in source.names:
        folder, _, last = name.rpartition("/")
        if last != DRAFTS:
            continue
        data = json_of(source.read(name), source.where(name))
        if not isinstance(data, dict):
            came = shown(data)
            expected = "an object at the top"
            raise damaged(kinds.WRONG_FORM, source.where(name), expected, came, "delete it")
        prefix = f"{folder}/" if folder else ""
        hashes |= {f"{prefix}{key}": str(value) for key, value in data.items()}
    return hashes


def _layout(source: Source, labeling: Labeling) -> Layout:
    """What the numbers of the lines mean.

    Raises:
        Damaged: if no file names the classes.
    """
    yamls = sorted(source.ending(".yaml", ".yml"), key=lambda name: (name.count("/"), name))
    for name in yamls:
        data = _yaml(source, name)
        if "names" in data:
            return Layout.of_yaml(data, source.where(name), labeling)
    for name in source.names:
        if name.rpartition("/")[2] in NAMES:
            text = text_in(source.read(name), source.where(name), kinds.UNREADABLE)
            classes = [line.strip() for line in text.splitlines()]
            if any(classes):
                return Layout.of_names(classes, labeling)
    raise damaged(
        kinds.NO_NAMES, str(source.path), "the names of the classes", "no file of them", AS_YOLO
    )


def _yaml(source: Source, name: str) -> dict[object, object]:
    where = source.where(name)
    text = text_in(source.read(name, 1 << 22), where, kinds.BROKEN_YAML)
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:
        came = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise damaged(kinds.BROKEN_YAML, where, "yaml that parses", came, AS_YOLO) from None
    if not isinstance(data, dict):
        raise damaged(kinds.BROKEN_YAML, where, "names of classes", shown(data), AS_YOLO)
    return data
