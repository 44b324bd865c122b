"""The check of a detection data set: each fault alone, several at once, none on good data,
and nothing ever raised.
"""

from __future__ import annotations

import json
import os
import struct
import time
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.networks import mmcv_ops
from tasks.data import first_fault_raised
from tasks.detection import views
from tasks.detection.coco import coco_faults, read_coco
from tasks.detection.metrics import CocoMap
from tasks.detection.voc_faults import voc_faults
from tasks.detection.voc_xml import XML_BYTES
from tasks.faults import Fault
from tasks.images import ImageCheck
from tests.fuzzkit import VALUES, fuzz, mutated

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
CLASSES = ("cat", "dog", "person")
SIZES = {"000001": (48, 36), "000002": (40, 30), "000003": (33, 47), "000004": (50, 20)}
BOXES = {  # 1-based corners; the first fills its image, the last image has none
    "000001": [("dog", 1, 1, 48, 36), ("cat", 5, 6, 20, 21)],
    "000002": [("person", 0, 0, 12, 30)],
    "000003": [("cat", 3, 4, 33, 40)],
    "000004": [],
}
LIST = "VOC2007/ImageSets/Main/trainval.txt"
XML = "VOC2007/Annotations/000001.xml"
JPG = "VOC2007/JPEGImages/000001.jpg"
JSON = "annotations/train.json"
COCO_JPG = "images/000001.jpg"


def draw(path: Path, size: tuple[int, int], seed: int, **options: Any) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)


def make_voc(root: Path) -> Path:
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / "VOC2007" / folder).mkdir(parents=True)
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        draw(root / f"VOC2007/JPEGImages/{name}.jpg", (width, height), seed)
        objects = "".join(
            f"<object><name>{label}</name><difficult>{i}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
            f"<xmax>{x2}.9</xmax><ymax>{y2}</ymax></bndbox><part><name>head</name><bndbox/></part></object>\n"
            for i, (label, x1, y1, x2, y2) in enumerate(BOXES[name])
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.jpg</filename>{size}\n{objects}</annotation>"
        (root / f"VOC2007/Annotations/{name}.xml").write_text(text)
    (root / LIST).write_text("".join(f"{name}\n" for name in SIZES))
    return root


def make_coco(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    images: list[dict] = []
    annotations: list[dict] = []
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        draw(root / f"images/{name}.jpg", (width, height), seed)
        images.append({"id": seed, "file_name": f"{name}.jpg", "width": width, "height": height})
        for label, x1, y1, x2, y2 in BOXES[name]:
            record = {
                "id": len(annotations) + 1,
                "image_id": seed,
                "category_id": 10 + CLASSES.index(label),
            }
            box = [max(x1 - 1, 0), max(y1 - 1, 0), x2 - x1 + 0.5, y2 - y1]
            annotations.append({**record, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": 10 + i, "name": name} for i, name in enumerate(CLASSES)]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (root / JSON).write_text(json.dumps(data, indent=1))
    return root


def voc(root: Path, *lists: str, full: bool = False) -> list[Fault]:
    return voc_faults(root, lists or ("VOC2007/trainval",), CLASSES, look=ImageCheck(full))


def coco(root: Path, *lists: str, full: bool = False) -> list[Fault]:
    return coco_faults(root, lists or (f"images:{JSON}",), CLASSES, look=ImageCheck(full))


class Progress:
    """Counts as tqdm does."""

    total = seen = 0

    def __call__(self, items: Iterable) -> Iterator:
        self.total = len(list(items))
        for item in items:
            self.seen += 1
            yield item


# What a case does to the clean data
# ------------------------------------------------------------------------------


Damage = Callable[[Path], object]


def swap(file: str, old: str, new: str) -> Damage:
    def damage(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new, 1))

    return damage


def write(file: str, content: bytes | str) -> Damage:
    return lambda root: (root / file).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def delete(file: str) -> Damage:
    return lambda root: (root / file).unlink()


def instead(file: str, make: Callable[[Path], object]) -> Damage:
    def damage(root: Path) -> None:
        (root / file).unlink()
        make(root / file)

    return damage


def folder(file: str) -> Damage:
    return instead(file, Path.mkdir)


def loop(file: str) -> Damage:
    return instead(file, lambda path: path.symlink_to(path))


def fifo(file: str) -> Damage:
    return instead(file, os.mkfifo)


def rename(tag: str, start: str, end: str) -> Damage:
    """Writes other tags in the XML, all of them."""

    def damage(root: Path) -> None:
        text = (root / XML).read_text()
        (root / XML).write_text(
            text.replace(f"<{tag}>", f"<{start}>").replace(f"</{tag}>", f"</{end}>")
        )

    return damage


def cut(file: str) -> Damage:
    return lambda root: (root / file).write_bytes((root / file).read_bytes()[:-20])


def record(key: str, index: int, **changes: object) -> Damage:
    """Changes fields of one record of the json; a field that becomes ... is deleted."""

    def damage(root: Path) -> None:
        data = json.loads((root / JSON).read_text())
        data[key][index].update(changes)
        data[key][index] = {k: v for k, v in data[key][index].items() if v is not ...}
        (root / JSON).write_text(json.dumps(data))

    return damage


def whole(key: str, change: Callable[[list], object]) -> Damage:
    """Replaces a list of the json by `change` of it; ... deletes it."""

    def damage(root: Path) -> None:
        data = json.loads((root / JSON).read_text())
        data[key] = change(data[key])
        (root / JSON).write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))

    return damage


def bomb_png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (
        struct.pack(">I", 13),
        header,
        struct.pack(">I", zlib.crc32(header)),
        struct.pack(">I", 9),
        b"IDAT",
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


ENTITIES = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 31))
LAUGHS = f'<!DOCTYPE a [<!ENTITY l0 "ha">{ENTITIES}]><a>&l30;</a>'
DOG = "<name>dog</name>"
DOG_BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>48.9</xmax><ymax>36</ymax></bndbox>"

VOC_CASES: list[tuple[str, Damage, str, str, tuple[str, ...]]] = [
    # name, what is done, kind, file, what the text must hold
    (
        "list missing",
        delete(LIST),
        "missing list",
        LIST,
        ("'VOC2007/trainval'", "holds VOC2007 and VOC2012"),
    ),
    ("list empty", write(LIST, " \n\n"), "empty list", LIST, ("3 bytes",)),
    ("list binary", write(LIST, b"\xff\xfe0\0"), "unreadable list", LIST, ("UTF-8",)),
    ("list a folder", folder(LIST), "unreadable list", LIST, ("not a file",)),
    ("blank line", swap(LIST, "2\n", "2\n\n"), "list line", LIST, ("line 3", "blank line ''")),
    (
        "class list",
        swap(LIST, "000002", "000002  1"),
        "list line",
        LIST,
        ("line 2", "'000002  1'", "first column"),
    ),
    ("trailing blank", swap(LIST, "000002", "000002 "), "list line", LIST, ("line 2", "'000002 '")),
    (
        "id twice",
        swap(LIST, "000002", "000001"),
        "id twice",
        LIST,
        ("line 2", "'000001'", "line 1"),
    ),
    (
        "id twice by another path",
        swap(LIST, "000002", "./000001"),
        "id twice",
        LIST,
        ("line 2", "'./000001'", "line 1"),
    ),
    (
        "id of two lines",
        swap(LIST, "000002", "000002\u2028"),
        "list line",
        LIST,
        ("one-line", r"'000002\u2028'"),
    ),
    ("id with ..", swap(LIST, "000002", "../000002"), "list line", LIST, ("'../000002'",)),
    ("id absolute", swap(LIST, "000002", "/etc/x"), "list line", LIST, ("'/etc/x'",)),
    ("image missing", delete(JPG), "missing image", JPG, ("take it off the list",)),
    (
        "image no image",
        write(JPG, b"no image"),
        "unreadable image",
        JPG,
        ("Unidentified", "'JPEG'"),
    ),
    ("image empty", write(JPG, b""), "unreadable image", JPG, ("Unidentified",)),
    ("image a folder", folder(JPG), "unreadable image", JPG, ("not a file",)),
    ("image a loop", loop(JPG), "unreadable image", JPG, ("symbolic links",)),
    ("image a pipe", fifo(JPG), "unreadable image", JPG, ("not a file",)),
    (
        "image a bomb",
        write(JPG, bomb_png(60_000, 60_000)),
        "large image",
        JPG,
        ("67,108,864 pixels", "3600000000"),
    ),
    ("xml missing", delete(XML), "missing XML", XML, ("take the id off the list",)),
    ("xml a loop", loop(XML), "unreadable XML", XML, ("symbolic links",)),
    ("xml a folder", folder(XML), "unreadable XML", XML, ("not a file",)),
    ("xml empty", write(XML, ""), "broken XML", XML, ("no element found",)),
    ("xml cut", cut(XML), "broken XML", XML, ("ParseError",)),
    (
        "xml encoding",
        write(XML, '<?xml version="1.0" encoding="klingon"?><a/>'),
        "broken XML",
        XML,
        ("klingon",),
    ),
    (
        "xml long",
        write(XML, b" " * (XML_BYTES + 1)),
        "unreadable XML",
        XML,
        (str(XML_BYTES), str(XML_BYTES + 1)),
    ),
    (
        "xml as long as may be",
        write(XML, b" " * XML_BYTES),
        "broken XML",
        XML,
        ("no element found",),
    ),
    (
        "xml with DOCTYPE",
        write(XML, "<!DOCTYPE annotation><annotation/>"),
        "refused XML",
        XML,
        ("DOCTYPE",),
    ),
    ("xml laughs", write(XML, LAUGHS), "refused XML", XML, ("DOCTYPE",)),
    ("xml laughs in UTF-16", write(XML, LAUGHS.encode("utf-16")), "refused XML", XML, ("DOCTYPE",)),
    (
        "xml laughs in EBCDIC",
        write(
            XML,
            b'<?xml version="1.0" encoding="cp037"?>'.decode().encode("cp037")
            + LAUGHS.encode("cp037"),
        ),
        "broken XML",
        XML,
        ("not well-formed",),
    ),
    ("no size", swap(XML, "size>", "siz>"), "broken XML", XML, ("mismatched tag",)),
    (
        "size elsewhere",
        swap(XML, "<size>", "<a/><source><size>"),
        "broken XML",
        XML,
        ("mismatched",),
    ),
    ("width missing", swap(XML, "<width>48</width>", ""), "<width>", XML, ("none",)),
    (
        "width twice",
        swap(XML, "<width>48</width>", "<width>48</width>" * 2),
        "<width>",
        XML,
        ("got 2",),
    ),
    ("width text", swap(XML, "<width>48<", "<width>wide<"), "<width>", XML, ("'wide'",)),
    ("height fraction", swap(XML, "<height>36<", "<height>36.5<"), "<height>", XML, ("'36.5'",)),
    ("height empty", swap(XML, "<height>36<", "<height><"), "<height>", XML, ("None",)),
    (
        "size wrong",
        swap(XML, "<width>48<", "<width>49<"),
        "wrong size",
        XML,
        ("(48, 36)", "(49, 36)", JPG),
    ),
    ("name missing", swap(XML, DOG, ""), "<name>", XML, ("object 1", "none")),
    (
        "class unknown",
        swap(XML, DOG, "<name>dogg</name>"),
        "unknown class",
        XML,
        ("'dogg'", "did you mean 'dog'?"),
    ),
    (
        "class far off",
        swap(XML, DOG, "<name>xyz</name>"),
        "unknown class",
        XML,
        ("'xyz'", "cat, dog, person"),
    ),
    ("class empty", swap(XML, DOG, "<name/>"), "unknown class", XML, ("None",)),
    ("box missing", swap(XML, DOG_BOX, ""), "<bndbox>", XML, ("object 1", "none")),
    ("box twice", swap(XML, DOG_BOX, DOG_BOX * 2), "<bndbox>", XML, ("object 1", "got 2")),
    ("corner missing", swap(XML, "<ymin>1</ymin>", ""), "<ymin>", XML, ("object 1", "none")),
    ("corner text", swap(XML, "<xmin>1<", "<xmin>one<"), "coordinate", XML, ("<xmin>", "'one'")),
    ("corner nan", swap(XML, "<xmin>1<", "<xmin>nan<"), "coordinate", XML, ("'nan'",)),
    ("corner infinite", swap(XML, "<xmax>48.9<", "<xmax>1e999<"), "coordinate", XML, ("'1e999'",)),
    ("corner empty", swap(XML, "<xmax>48.9<", "<xmax><"), "coordinate", XML, ("None",)),
    (
        "box inverted",
        swap(XML, "<xmin>5<", "<xmin>25<"),
        "inverted box",
        XML,
        ("object 2", "(25, 6, 20, 21)"),
    ),
    (
        "box no area",
        swap(XML, "<ymin>6<", "<ymin>21.7<"),
        "box of no area",
        XML,
        ("object 2", "(5, 21, 20, 21)"),
    ),
    (
        "box no width",
        swap(XML, "<xmin>5<", "<xmin>20<"),
        "box of no area",
        XML,
        ("object 2", "(20, 6, 20, 21)"),
    ),
    (
        "box right",
        swap(XML, "<xmax>48.9", "<xmax>49"),
        "box outside the image",
        XML,
        ("(1, 1, 49, 36)", "(48, 36)"),
    ),
    (
        "box below",
        swap(XML, "<ymax>36<", "<ymax>37<"),
        "box outside the image",
        XML,
        ("(1, 1, 48, 37)", "(48, 36)"),
    ),
    (
        "box left",
        swap(XML, "<xmin>1<", "<xmin>-1<"),
        "box outside the image",
        XML,
        ("(-1, 1, 48, 36)",),
    ),
    (
        "difficult",
        swap(XML, "<difficult>0<", "<difficult>2<"),
        "<difficult>",
        XML,
        ("object 1", "'2'"),
    ),
    ("difficult empty", swap(XML, "<difficult>0<", "<difficult><"), "<difficult>", XML, ("None",)),
    (
        "object misspelt",
        rename("object", "Object", "Object"),
        "stray box",
        XML,
        ("<bndbox>", "4 elsewhere"),
    ),
    (
        "object inside",
        rename("object", "g><object", "object></g"),
        "stray box",
        XML,
        ("<object>", "2 elsewhere"),
    ),
]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("make, find", [(make_voc, voc), (make_coco, coco)])
def test_clean_data_has_no_fault(
    tmp_path: Path, make: Callable, find: Callable, full: bool
) -> None:
    assert find(make(tmp_path), full=full) == []


def alone(faults: list[Fault], kind: str, file: Path, texts: tuple[str, ...]) -> None:
    assert [fault.kind for fault in faults] == [kind], [str(f) for f in faults]
    assert str(faults[0]).startswith(str(file))
    for text in texts:
        assert text in str(faults[0])


@pytest.mark.parametrize(
    "damage, kind, file, texts", [pytest.param(*case[1:], id=case[0]) for case in VOC_CASES]
)
def test_voc_fault_is_found_alone(
    tmp_path: Path, damage: Damage, kind: str, file: str, texts: tuple
) -> None:
    damage(make_voc(tmp_path))
    alone(voc(tmp_path), kind, tmp_path / file, texts)


def twice_in_use(root: Path) -> None:
    """Two categories of one name, both with annotations."""
    whole("categories", lambda v: [*v, {**v[0], "id": 9}])(root)
    record("annotations", 1, category_id=9)(root)


COCO_CASES: list[tuple[str, Damage, str, str, tuple[str, ...]]] = [
    ("json missing", delete(JSON), "missing json", JSON, ("relative to data_root",)),
    ("json a folder", folder(JSON), "unreadable json", JSON, ("not a file",)),
    ("json cut", cut(JSON), "broken json", JSON, ("JSONDecodeError",)),
    ("json empty", write(JSON, ""), "broken json", JSON, ("Expecting value",)),
    ("json in Latin-1", write(JSON, '{"é": 1}'.encode("latin-1")), "broken json", JSON, ("codec",)),
    ("json deep", write(JSON, "[" * 100_000), "broken json", JSON, ("RecursionError",)),
    ("json long number", write(JSON, "9" * 10_000), "broken json", JSON, ("ValueError",)),
    ("json a list", write(JSON, "[3]"), "broken json", JSON, ("[3]", "an object")),
    ("images lacking", whole("images", lambda v: ...), "broken json", JSON, ("'images'", "None")),
    (
        "annotations lacking",
        whole("annotations", lambda v: ...),
        "broken json",
        JSON,
        ("'annotations'", "None"),
    ),
    (
        "categories no list",
        whole("categories", lambda v: 7),
        "broken json",
        JSON,
        ("'categories'", "7"),
    ),
    (
        "image no object",
        whole("images", lambda v: [*v, 5]),
        "broken image record",
        JSON,
        ("images[4]", "5"),
    ),
    ("image without id", record("images", 3, id=...), "image id", JSON, ("images[3]", "None")),
    ("image id a bool", record("images", 3, id=True), "image id", JSON, ("images[3]", "True")),
    ("image id a list", record("images", 3, id=[1]), "image id", JSON, ("images[3]", "[1]")),
    (
        "image id twice",
        record("images", 3, id=0),
        "image id",
        JSON,
        ("images[3]", "0 again", "images[0]"),
    ),
    (
        "image without name",
        record("images", 3, file_name=...),
        "file_name",
        JSON,
        ("images[3]", "None"),
    ),
    (
        "image name a number",
        record("images", 3, file_name=4),
        "file_name",
        JSON,
        ("images[3]", "4"),
    ),
    (
        "image name with ..",
        record("images", 3, file_name="../a.jpg"),
        "file_name",
        JSON,
        ("'../a.jpg'",),
    ),
    (
        "image name absolute",
        record("images", 3, file_name="/a.jpg"),
        "file_name",
        JSON,
        ("'/a.jpg'",),
    ),
    (
        "image name long",
        record("images", 3, file_name="a" * 5000),
        "unreadable image",
        "images",
        ("too long",),
    ),
    (
        "image name with NUL",
        record("images", 3, file_name="a\0"),
        "unreadable image",
        "images",
        ("null", r"a\x00"),
    ),
    (
        "image name of two lines",
        record("images", 3, file_name="a\nb"),
        "file_name",
        JSON,
        ("one-line", r"'a\nb'"),
    ),
    (
        "image name a surrogate",
        record("images", 3, file_name="\ud800"),
        "file_name",
        JSON,
        (r"\ud800",),
    ),
    (
        "file twice",
        record("images", 3, file_name="000001.jpg", width=48, height=36),
        "file twice",
        JSON,
        ("s[0]",),
    ),
    (
        "size wrong",
        record("images", 3, width=51),
        "wrong size",
        JSON,
        ("images[3]", "(50, 20)", "(51, 20)"),
    ),
    ("image missing", delete(COCO_JPG), "missing image", COCO_JPG, ("take it off the list",)),
    ("image a loop", loop(COCO_JPG), "unreadable image", COCO_JPG, ("symbolic links",)),
    ("image no image", write(COCO_JPG, b"BM"), "unreadable image", COCO_JPG, ("Unidentified",)),
    (
        "annotation no object",
        whole("annotations", lambda v: [*v, "x"]),
        "broken annotation",
        JSON,
        ("s[4]", "'x'"),
    ),
    (
        "image unknown",
        record("annotations", 1, image_id=9),
        "unknown image",
        JSON,
        ("annotations[1]", "9"),
    ),
    (
        "image not named",
        record("annotations", 1, image_id=...),
        "unknown image",
        JSON,
        ("annotations[1]", "None"),
    ),
    (
        "category unknown",
        record("annotations", 1, category_id=9),
        "unknown category",
        JSON,
        ("annotations[1]", "9"),
    ),
    (
        "category a list",
        record("annotations", 1, category_id=[1]),
        "unknown category",
        JSON,
        ("[1]",),
    ),
    (
        "annotation twice",
        whole("annotations", lambda v: [*v, v[1]]),
        "annotation twice",
        JSON,
        ("s[4]", "s[1]"),
    ),
    ("bbox missing", record("annotations", 1, bbox=...), "bbox", JSON, ("annotations[1]", "None")),
    ("bbox of three", record("annotations", 1, bbox=[1, 2, 3]), "bbox", JSON, ("[1, 2, 3]",)),
    (
        "bbox with text",
        record("annotations", 1, bbox=[1, 2, 3, "4"]),
        "bbox",
        JSON,
        ("[1, 2, 3, '4']",),
    ),
    (
        "bbox with nan",
        record("annotations", 1, bbox=[1, 2, 3, float("nan")]),
        "bbox",
        JSON,
        ("[1, 2, 3, nan]",),
    ),
    (
        "bbox past floats",
        record("annotations", 1, bbox=[1, 2, 3, 10**400]),
        "bbox",
        JSON,
        ("[1, 2, 3, 1000",),
    ),
    (
        "bbox thin",
        record("annotations", 1, bbox=[1, 2, 0.9, 5]),
        "box of no area",
        JSON,
        ("[1, 2, 0.9, 5]",),
    ),
    (
        "bbox inverted",
        record("annotations", 1, bbox=[9, 9, 5, -5]),
        "box of no area",
        JSON,
        ("[9, 9, 5, -5]",),
    ),
    (
        "bbox right",
        record("annotations", 1, bbox=[9, 9, 41, 5]),
        "box outside the image",
        JSON,
        ("41", "(48, 36)"),
    ),
    (
        "bbox below",
        record("annotations", 1, bbox=[9, 9, 4, 29]),
        "box outside the image",
        JSON,
        ("29", "(48, 36)"),
    ),
    (
        "bbox left",
        record("annotations", 1, bbox=[-2, 0, 9, 9]),
        "box outside the image",
        JSON,
        ("[-2, 0, 9, 9]",),
    ),
    ("iscrowd 2", record("annotations", 1, iscrowd=2), "iscrowd", JSON, ("annotations[1]", "2")),
    (
        "iscrowd text",
        record("annotations", 1, iscrowd="yes"),
        "iscrowd",
        JSON,
        ("annotations[1]", "'yes'"),
    ),
    ("ignore 2", record("annotations", 1, ignore=2), "ignore", JSON, ("annotations[1]", "2")),
    (
        "category of no class",
        record("categories", 1, name="dogs"),
        "missing category",
        JSON,
        ("'dog'", "'dogs'?"),
    ),
    (
        "category twice",
        whole("categories", lambda v: [*v, v[0]]),
        "category",
        JSON,
        ("categories[3]", "'cat'"),
    ),
    ("category name twice", twice_in_use, "category", JSON, ("categories[3]", "'cat'")),
    (
        "category id twice",
        whole("categories", lambda v: [*v, {**v[0], "name": "x"}]),
        "category",
        JSON,
        ("'x'",),
    ),
    (
        "category without id",
        whole("categories", lambda v: [*v, {"name": "x"}]),
        "category",
        JSON,
        ("'x'",),
    ),
    (
        "category without name",
        whole("categories", lambda v: [*v, {"id": 9}]),
        "category",
        JSON,
        ("9",),
    ),
    (
        "category no object",
        whole("categories", lambda v: [*v, None]),
        "category",
        JSON,
        ("categories[3]", "None"),
    ),
]


@pytest.mark.parametrize(
    "damage, kind, file, texts", [pytest.param(*case[1:], id=case[0]) for case in COCO_CASES]
)
def test_coco_fault_is_found_alone(
    tmp_path: Path, damage: Damage, kind: str, file: str, texts: tuple
) -> None:
    damage(make_coco(tmp_path))
    faults = coco(tmp_path)
    # its annotations then are of a category that is no class: a fault of its own
    if kind == "missing category":
        assert faults[0].kind == "category not in classes"
        assert "1 of 'dogs'" in str(faults[0])
        faults = faults[1:]
    alone(faults, kind, tmp_path / file, texts)


def test_coco_category_in_use_must_be_a_class(tmp_path: Path) -> None:
    faults = coco_faults(make_coco(tmp_path), [f"images:{JSON}"], ["cat", "person"])
    alone(faults, "category not in classes", tmp_path / JSON, ("1 of 'dog'", "add it to `classes`"))


def test_coco_no_images(tmp_path: Path) -> None:
    data = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    write(JSON, json.dumps(data))(make_coco(tmp_path))
    alone(coco_faults(tmp_path, [f"images:{JSON}"], ["cat"]), "no images", tmp_path / JSON, ())


@pytest.mark.parametrize(
    "find, example", [(voc_faults, "VOC2007"), (coco_faults, "images' folder")]
)
def test_root_missing(tmp_path: Path, find: Callable, example: str) -> None:
    alone(
        find(tmp_path / "no", ["a/b:c"], CLASSES), "missing data_root", tmp_path / "no", (example,)
    )
    (tmp_path / "file").write_text("")
    alone(
        find(tmp_path / "file", ["a/b:c"], CLASSES),
        "unreadable data_root",
        tmp_path / "file",
        ("not a folder",),
    )


@pytest.mark.parametrize(
    "name", ["trainval", "", "a:", "a:b:c:d", "../VOC2007/trainval", "/VOC2007/trainval"]
)
def test_voc_list_name(tmp_path: Path, name: str) -> None:
    alone(voc(make_voc(tmp_path), name), "list name", tmp_path, (repr(name), "'VOC2007/trainval'"))


@pytest.mark.parametrize("name", ["a.json", "images:", "../images:a.json", "images:../a.json", ""])
def test_coco_list_name(tmp_path: Path, name: str) -> None:
    alone(
        coco(make_coco(tmp_path), name),
        "list name",
        tmp_path,
        (repr(name), "<image folder>:<json>"),
    )


@pytest.mark.parametrize("find", [voc_faults, coco_faults])
def test_no_list_at_all(tmp_path: Path, find: Callable) -> None:
    alone(find(tmp_path, [], CLASSES), "list name", tmp_path, ("[]",))


def test_voc_id_in_two_lists(tmp_path: Path) -> None:
    path = make_voc(tmp_path) / "VOC2007/ImageSets/Main/more.txt"
    path.write_text("000003\n")
    assert voc(tmp_path, "VOC2007/more") == []
    faults = voc(tmp_path, "VOC2007/trainval", "VOC2007/more")
    alone(faults, "id twice", path, ("line 1", "'000003'", f"{tmp_path / LIST}, line 3"))


def test_coco_image_in_two_jsons(tmp_path: Path) -> None:
    text = (make_coco(tmp_path) / JSON).read_text()
    (tmp_path / "more.json").write_text(text)
    faults = coco(tmp_path, f"images:{JSON}", "images:more.json")
    assert [fault.kind for fault in faults] == ["file twice"] * 4
    assert str(tmp_path / JSON) in str(faults[0])


def test_coco_without_image_folder(tmp_path: Path) -> None:
    data = json.loads((make_coco(tmp_path) / JSON).read_text())
    for image in data["images"]:
        image["file_name"] = f"images/{image['file_name']}"
    write(JSON, json.dumps(data))(tmp_path)
    assert coco(tmp_path, f":{JSON}") == []
    assert len(coco(tmp_path)) == 4


def test_text_ids_of_images_are_good(tmp_path: Path) -> None:
    data = json.loads((make_coco(tmp_path) / JSON).read_text())
    for item in data["images"]:
        item["id"] = f"a{item['id']}"
    for item in data["annotations"]:
        item["image_id"] = f"a{item['image_id']}"
    write(JSON, json.dumps(data))(tmp_path)
    assert coco(tmp_path) == []


def test_tolerated_in_voc(tmp_path: Path) -> None:
    """No <difficult>, fractions that are cut off, CRLF, no last newline, a name with a
    blank, a sub-folder.
    """
    make_voc(tmp_path)
    swap(XML, "<difficult>0</difficult>", "")(tmp_path)
    swap(XML, "<ymin>1<", "<ymin> -0.9 <")(tmp_path)
    swap(XML, DOG, "<name>\n  dog </name>")(tmp_path)
    swap(XML, "<height>36<", "<height>36.0<")(tmp_path)
    (tmp_path / "VOC2007/Annotations/sub").mkdir()
    (tmp_path / "VOC2007/JPEGImages/sub").mkdir()
    for old, new in (("000003", "my photo 1"), ("000004", "sub/000004")):
        (tmp_path / f"VOC2007/Annotations/{old}.xml").rename(
            tmp_path / f"VOC2007/Annotations/{new}.xml"
        )
        (tmp_path / f"VOC2007/JPEGImages/{old}.jpg").rename(
            tmp_path / f"VOC2007/JPEGImages/{new}.jpg"
        )
    write(LIST, "000001\r\n000002\r\nmy photo 1\r\nsub/000004")(tmp_path)
    assert voc(tmp_path) == []


def test_tolerated_in_coco(tmp_path: Path) -> None:
    """Boxes of one pixel, and boxes that leave the image by one."""
    record("annotations", 0, bbox=[-1, -1, 50, 38])(make_coco(tmp_path))
    record("annotations", 1, bbox=[4, 4, 1, 1])(tmp_path)
    assert coco(tmp_path) == []


def test_boxes_are_held_against_the_image_else_against_the_annotation(tmp_path: Path) -> None:
    make_voc(tmp_path / "voc")
    swap(XML, "<width>48<", "<width>60<")(tmp_path / "voc")
    swap(XML, "<xmax>48.9<", "<xmax>55<")(tmp_path / "voc")
    make_coco(tmp_path / "coco")
    record("images", 0, width=60)(tmp_path / "coco")
    record("annotations", 0, bbox=[0, 0, 55, 20])(tmp_path / "coco")
    for find, image in ((voc, JPG), (coco, COCO_JPG)):
        root = tmp_path / find.__name__
        assert [fault.kind for fault in find(root)] == ["wrong size", "box outside the image"]
        (root / image).unlink()
        assert [fault.kind for fault in find(root)] == ["missing image"]
    swap(XML, "<xmax>55<", "<xmax>61<")(tmp_path / "voc")
    record("annotations", 0, bbox=[0, 0, 62, 20])(tmp_path / "coco")
    for find in (voc, coco):
        faults = find(tmp_path / find.__name__)
        assert [fault.kind for fault in faults] == ["missing image", "box outside the image"]
        assert "(60, 36)" in str(faults[1])


def test_full_decodes_every_image(tmp_path: Path) -> None:
    for make, find, file in ((make_voc, voc, JPG), (make_coco, coco, COCO_JPG)):
        root = make(tmp_path / find.__name__)
        (root / file).write_bytes((root / file).read_bytes()[:-300])
        assert find(root) == []
        alone(
            find(root, full=True),
            "undecodable image",
            root / file,
            ("cannot decode", "bytes", "take it off"),
        )


def test_full_reports_what_opencv_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise cv2.error("too many pixels")

    make_voc(tmp_path)
    monkeypatch.setattr(cv2, "imdecode", refuse)
    faults = voc(tmp_path, full=True)
    assert [fault.kind for fault in faults] == ["undecodable image"] * 4
    assert "too many pixels" in str(faults[0])


@pytest.mark.parametrize("full", [False, True])
def test_size_is_that_after_exif_rotation(tmp_path: Path, full: bool) -> None:
    """OpenCV, and so training, turns the image; <size> has to be that of the turned one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(make_voc(tmp_path) / JPG, (36, 48), 0, exif=exif)
    assert voc(tmp_path, full=full) == []
    draw(tmp_path / JPG, (48, 36), 0, exif=exif)
    assert voc(tmp_path, full=full)[0].kind == "wrong size"
    draw(tmp_path / JPG, (48, 36), 0, exif=b"Exif\0\0broken")
    assert voc(tmp_path, full=full) == []


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000"])
def test_other_image_formats(tmp_path: Path, form: str) -> None:
    draw(make_coco(tmp_path) / COCO_JPG, SIZES["000001"], 0, format=form)
    assert coco(tmp_path, full=True) == []


def test_permission_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_voc(tmp_path)
    read, look = Path.read_bytes, os.stat

    def refuse(real: Callable, file: str) -> Callable:
        def call(path: Path, *args: object, **options: object) -> object:
            if str(path).endswith(file):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *args, **options)

        return call

    monkeypatch.setattr(Path, "read_bytes", refuse(read, "000001.xml"))
    alone(voc(tmp_path), "unreadable XML", tmp_path / XML, ("Permission denied",))
    monkeypatch.undo()
    monkeypatch.setattr(os, "stat", refuse(look, "000001.jpg"))
    alone(voc(tmp_path), "unreadable image", tmp_path / JPG, ("Permission denied",))


def test_all_faults_are_listed(tmp_path: Path) -> None:
    make_voc(tmp_path)
    for damage in (
        swap(LIST, "000002", "000002\n\n000009"),
        swap(XML, DOG, "<name>wolf</name>"),
        swap(XML, "<difficult>0<", "<difficult>no<"),
        swap(XML, "<xmin>1<", "<xmin>60<"),
        swap(XML, "<name>cat</name>", ""),
        swap(XML, "<width>48<", "<width>50<"),
        delete("VOC2007/JPEGImages/000003.jpg"),
        cut("VOC2007/Annotations/000004.xml"),
    ):
        damage(tmp_path)
    kinds = [
        "list line",
        "wrong size",
        "unknown class",
        "<difficult>",
        "inverted box",
        "box outside the image",
    ]
    kinds += ["<name>", "missing image", "missing XML", "missing image", "broken XML"]
    assert [fault.kind for fault in voc(tmp_path)] == kinds


@pytest.mark.parametrize("make, find", [(make_voc, voc_faults), (make_coco, coco_faults)])
def test_progress_sees_every_image(tmp_path: Path, make: Callable, find: Callable) -> None:
    progress = Progress()
    name = "VOC2007/trainval" if find is voc_faults else f"images:{JSON}"
    find(make(tmp_path), [name], CLASSES, progress=progress)
    assert (progress.total, progress.seen) == (len(SIZES), len(SIZES))


def test_laughs_are_refused_at_once(tmp_path: Path) -> None:
    write(XML, LAUGHS)(make_voc(tmp_path))
    start = time.perf_counter()
    assert len(voc(tmp_path)) == 1
    assert time.perf_counter() - start < 1


EXTERNAL = '<!ENTITY x SYSTEM "{}"><!ENTITY % y SYSTEM "{}"> %y;'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("declared", [True, False])
def test_no_other_file_is_read_for_an_entity(tmp_path: Path, encoding: str, declared: bool) -> None:
    """Neither by the check nor, as it stops the run, by mmdet's own parser.

    A pipe would block whoever opens it.
    """
    os.mkfifo(tmp_path / "secret")
    head = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>' if declared else ""
    text = (
        f"{head}<!DOCTYPE a "
        f"[{EXTERNAL.format(*[(tmp_path / 'secret').as_uri()] * 2)}]><annotation>&x;</annotation>"
    )
    write(XML, text.encode(encoding))(make_voc(tmp_path))
    alone(
        voc(tmp_path), "refused XML", tmp_path / XML, ("without DOCTYPE and ENTITY", "delete them")
    )


def test_deep_elements_of_the_longest_file_are_gone_through(tmp_path: Path) -> None:
    """Half a million levels: a parser or a walk that recurses would end the process.

    No <size> is good.
    """
    deep = (XML_BYTES - 100) // 7
    write(XML, b"<annotation>" + b"<a>" * deep + b"</a>" * deep + b"</annotation>")(
        make_voc(tmp_path)
    )
    assert voc(tmp_path) == []


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"images": [], "images": []}', "the key 'images' twice in one object"),
        ('{"images": [{"id": 1, "id": 2}]}', "the key 'id' twice in one object"),
        ("[" * 100_000, "RecursionError"),
        ('{"a":' * 100_000, "RecursionError"),
        ("9" * 5000, "ValueError"),
        ("NaN", "nan"), ("null", "None"), ("[{}]", "[{}]"), ("\0{}", "JSONDecodeError"), ("{}\0", "JSONDecodeError"),
        ('{"a": "\ud800"', "JSONDecodeError"),
    ],
)  # fmt: skip
def test_json_that_is_broken_or_says_two_things(tmp_path: Path, text: str, said: str) -> None:
    write(JSON, text.encode("utf-8", "surrogatepass"))(make_coco(tmp_path))
    if "ud800" in ascii(text):
        said = "can't decode byte"
    alone(coco(tmp_path), "broken json", tmp_path / JSON, (said,))


@pytest.mark.skipif(
    "AL_DATA" not in os.environ, reason="AL_DATA, the folder that holds VOCdevkit, is not set"
)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name, count", [("VOC2007/trainval", 1200), ("VOC2007/test", 400)])
def test_real_voc_has_no_fault(name: str, count: int, full: bool) -> None:
    progress = Progress()
    root = Path(os.environ["AL_DATA"]) / "VOCdevkit"
    start = time.process_time()
    faults = voc_faults(root, [name], VOC_CLASSES, look=ImageCheck(full), progress=progress)
    assert faults == [], [str(f) for f in faults]
    assert progress.seen == count
    assert full or time.process_time() - start < count / 1000  # 4,000 in 4 s


# Anything at all in the files
# ------------------------------------------------------------------------------------


FUZZ = fuzz(120)
PIECES = (
    b"",
    b"<",
    b"</object>",
    b"<object>",
    b"<!--",
    b"0",
    b"-1",
    b"nan",
    b"1e9",
    b"\0",
    b"\xff",
    b"]",
    b"{}",
)


@pytest.fixture(scope="module")
def voc_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mmcv_ops.install()
    assert mmdet_sees(make_voc(tmp_path_factory.mktemp("seen")), XML) == (4, 4)
    return make_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="module")
def coco_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mmcv_ops.install()
    assert mmdet_sees(make_coco(tmp_path_factory.mktemp("seen")), JSON) == (4, 4)
    return make_coco(tmp_path_factory.mktemp("coco"))


def mmdet_sees(root: Path, name: str) -> tuple[int, int]:
    """Boxes that the data set hands out, boxes that stand in the file."""
    if name == JSON:
        return coco_hands_out(root), len(json.loads((root / JSON).read_text())["annotations"])
    dataset = views.read_voc(root, ["VOC2007/trainval"], CLASSES, [], train=False)
    trees = [ET.parse(path) for path in root.glob("VOC2007/Annotations/*")]
    # those of parts are empty
    there = sum(len(box) > 0 for tree in trees for box in tree.iter("bndbox"))
    boxes = [
        box["bbox"] for i in range(len(dataset)) for box in dataset.get_data_info(i)["instances"]
    ]
    assert np.isfinite(np.array(boxes, float)).all()
    return len(boxes), there


def coco_hands_out(root: Path) -> int:
    """Boxes, none of them of no number; as many as the evaluation judges by."""
    found = first_fault_raised(read_coco(root, [f"images:{JSON}"], CLASSES))
    dataset = views.read_coco(found, root, [], train=False)
    boxes = [
        box["bbox"] for i in range(len(dataset)) for box in dataset.get_data_info(i)["instances"]
    ]
    assert np.isfinite(np.array(boxes, float)).all()
    CocoMap(found)
    assert len(found.annotations) == len(boxes)
    return len(boxes)


def check_fuzzed(root: Path, name: str, content: bytes, find: Callable) -> bool:
    """Nothing is raised; where nothing is reported, mmdet reads every box of the file.

    Returns whether it was asked.
    """
    original = (root / name).read_bytes()
    (root / name).write_bytes(content)
    try:
        faults = find(root, full=name.endswith("jpg"))
        "\n".join(str(f) for f in faults).encode()
        asked = not faults and content != original and name in (XML, JSON)
        if asked:
            handed, there = mmdet_sees(root, name)
            assert handed == there
        return asked
    finally:
        (root / name).write_bytes(original)


def check_fuzzed_values(
    root: Path, name: str, change: Callable[[st.DataObject, bytes], bytes], find: Callable
) -> None:
    original, asked = (root / name).read_bytes(), []

    @FUZZ
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        asked.append(check_fuzzed(root, name, change(data, original), find))

    fuzz()
    assert 5 < sum(asked) < len(asked) - 20  # both verdicts were put to the test


@FUZZ
@given(st.data())
def test_fuzzed_xml(voc_root: Path, data: st.DataObject) -> None:
    check_fuzzed(voc_root, XML, data.draw(mutated((voc_root / XML).read_bytes(), PIECES)), voc)


@FUZZ
@given(st.data())
def test_fuzzed_list(voc_root: Path, data: st.DataObject) -> None:
    check_fuzzed(voc_root, LIST, data.draw(mutated((voc_root / LIST).read_bytes(), PIECES)), voc)


@FUZZ
@given(st.data())
def test_fuzzed_image(voc_root: Path, data: st.DataObject) -> None:
    check_fuzzed(
        voc_root, JPG, data.draw(mutated((voc_root / JPG).read_bytes()[:700], PIECES)), voc
    )


@FUZZ
@given(st.data())
def test_fuzzed_json_bytes(coco_root: Path, data: st.DataObject) -> None:
    check_fuzzed(coco_root, JSON, data.draw(mutated((coco_root / JSON).read_bytes(), PIECES)), coco)


def change_json(data: st.DataObject, original: bytes) -> bytes:
    content = json.loads(original)
    item = data.draw(
        st.sampled_from([*content["annotations"], *content["images"], content["categories"][0]])
    )
    key = data.draw(st.sampled_from(sorted(item)))
    near = (
        st.lists(st.integers(0, 25), min_size=4, max_size=4)
        if key == "bbox"
        else st.integers(0, 60)
    )
    item[key] = data.draw(near | VALUES)
    return json.dumps(content).encode()


def change_xml(data: st.DataObject, original: bytes) -> bytes:
    """Another text or tag in one element, or one of its children doubled or deleted."""
    root = ET.fromstring(original)
    element = data.draw(st.sampled_from(list(root.iter())))
    action = data.draw(st.sampled_from(["text", "text", "tag", "double", "delete"]))
    if action == "text":
        number = st.integers(-3, 60) | st.floats(-3, 60) | st.floats()
        element.text = data.draw(number.map(str) | st.sampled_from(["", "dog", "cat", "Dog", "1"]))
    elif action == "tag":
        element.tag = data.draw(
            st.sampled_from(["object", "bndbox", "xmin", "xmax", "name", "part", "other"])
        )
    elif len(element):
        child = data.draw(st.sampled_from(list(element)))
        element.append(child) if action == "double" else element.remove(child)
    return ET.tostring(root)


def test_fuzzed_json_values(coco_root: Path) -> None:
    check_fuzzed_values(coco_root, JSON, change_json, coco)


def test_fuzzed_xml_values(voc_root: Path) -> None:
    check_fuzzed_values(voc_root, XML, change_xml, voc)


@FUZZ
@given(st.binary(max_size=200), st.sampled_from([XML, LIST, JPG]))
def test_random_bytes_are_a_fault(voc_root: Path, content: bytes, name: str) -> None:
    original = (voc_root / name).read_bytes()
    (voc_root / name).write_bytes(content)
    try:
        assert voc(voc_root, full=True)
    finally:
        (voc_root / name).write_bytes(original)
