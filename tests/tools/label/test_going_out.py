"""A batch on its way: what is refused before anything is written, and how images go along."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.label.labelkit import BOXES, CLASSES, POSES, batch, pool
from tools.label.formats import FORMATS
from tools.label.formats.label_studio import configuration
from tools.label.formats.writing import distinct, number
from tools.label.formats.yolo import _label_name
from tools.label.labels import Joint, LabelError, Outgoing, Pick, PoolImage, Shape


def outgoing(root: Path, keys: list[str], labeling=BOXES, drafts=()) -> Outgoing:
    picks = []
    for rank, key in enumerate(keys, 1):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key.encode())
        picks.append(Pick(PoolImage(key, path, (40, 30), ""), rank, "", {}, drafts))
    return Outgoing(0, labeling, tuple(picks), root)


@pytest.mark.parametrize("name", ["cvat", "yolo", "voc"])
def test_images_that_a_tool_takes_for_one_are_refused(name: str, tmp_path: Path):
    twins = outgoing(tmp_path / "pool", ["a/1.jpg", "b/1.jpg", "a/1.png"])
    with pytest.raises(LabelError, match="cannot tell 'a/1.jpg' from 'a/1.png'; rename one"):
        FORMATS[name].load().write(twins, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["label-studio", "coco"])
def test_others_tell_them_apart(name: str, tmp_path: Path):
    twins = outgoing(tmp_path / "pool", ["a/1.jpg", "a/1.png"])
    assert FORMATS[name].load().write(twins, tmp_path / "out")


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_folder_with_files_is_refused(name: str, tmp_path: Path):
    kind = sorted(FORMATS[name].kinds)[0]
    root = tmp_path / "pool"
    with pytest.raises(LabelError, match="has files already"):
        FORMATS[name].load().write(batch(pool(root), root, kind, None), root)


@pytest.mark.parametrize("name", ["coco", "yolo", "voc"])
def test_kinds_that_a_format_cannot_hold_are_refused(name: str, tmp_path: Path):
    with pytest.raises(LabelError, match="it cannot hold classes"):
        FORMATS[name].load().write(outgoing(tmp_path / "pool", ["1.jpg"], CLASSES), tmp_path / "o")


def test_a_class_with_the_name_of_a_tag_is_refused(tmp_path: Path):
    labeling = replace(BOXES, classes=("cat", "image: done"))
    with pytest.raises(LabelError, match="'image: done' is the tag"):
        FORMATS["cvat"].load().write(outgoing(tmp_path, ["1.jpg"], labeling), tmp_path / "out")


@pytest.mark.parametrize("name", ["label-studio", "coco", "yolo"])
def test_persons_without_a_box_get_the_one_around_their_joints(name: str, tmp_path: Path):
    joints = (Joint(5.0, 6.0, 2), Joint(25.0, 5.0, 1), Joint(0.0, 0.0, 0))
    persons = outgoing(tmp_path / "pool", ["1.jpg"], POSES, (Shape("person", None, joints),))
    FORMATS[name].load().write(persons, tmp_path / "out")
    if name == "label-studio":
        (task,) = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
        value = task["predictions"][0]["result"][0]["value"]
        box = [value[side] for side in ("x", "y", "width", "height")]
        assert box == pytest.approx([12.5, 100 * 5 / 30, 50, 100 / 30])
        return
    (entry,) = FORMATS[name].load().read(tmp_path / "out", POSES, {p.image.key: p.image for p in persons.picks})  # fmt: skip
    assert entry.shapes[0].box == pytest.approx((5, 5, 20, 1))


def test_a_person_without_box_and_joints_cannot_be_drawn(tmp_path: Path):
    nobody = (Shape("person", None, (Joint(0.0, 0.0, 0),) * 3),)
    with pytest.raises(LabelError, match="neither a box nor a joint"):
        FORMATS["coco"].load().write(outgoing(tmp_path, ["1.jpg"], POSES, nobody), tmp_path / "o")


@pytest.mark.parametrize("name", ["cvat", "coco", "yolo", "voc", "csv"])
def test_a_tool_that_writes_into_what_went_out_leaves_the_pool_alone(name: str, tmp_path: Path):
    labeling = CLASSES if name == "csv" else BOXES
    sent = outgoing(tmp_path / "pool", ["a/1.jpg"], labeling)
    os.symlink(tmp_path / "pool/a/1.jpg", tmp_path / "pool/link.jpg")
    link = replace(sent.picks[0], image=PoolImage("b.jpg", tmp_path / "pool/link.jpg", (4, 4), ""))
    FORMATS[name].load().write(replace(sent, picks=(*sent.picks, link)), tmp_path / "out")
    placed = sorted((tmp_path / "out").rglob("*.jpg"))
    assert [path.name for path in placed] == ["1.jpg", "b.jpg"]
    for path in placed:
        assert path.read_bytes() == b"a/1.jpg" and not path.is_symlink()
        with path.open("r+b") as file:
            file.write(b"turned!")
    assert (tmp_path / "pool/a/1.jpg").read_bytes() == b"a/1.jpg"


@pytest.mark.parametrize(
    ("key", "name"),
    [("1.jpg", "labels/1.txt"), ("a/b.c.png", "labels/a/b.c.txt"), ("images/1.jpg", "images/labels/1.txt"), ("x/images/y/1.jpg", "images/x/labels/y/1.txt")],
)  # fmt: skip
def test_yolos_readers_replace_the_last_images_of_a_path(key: str, name: str, tmp_path: Path):
    assert _label_name(key) == name
    sent = outgoing(tmp_path / "pool", [key], drafts=(Shape("cat", (1.0, 2.0, 3.0, 4.0)),))
    FORMATS["yolo"].load().write(sent, tmp_path / "out")
    image = str(tmp_path / "out/images" / key)  # as ultralytics looks for it
    before, _, after = image.rpartition("/images/")
    assert Path(f"{before}/labels/{after}").with_suffix(".txt").is_file()
    (entry,) = FORMATS["yolo"].load().read(tmp_path / "out", BOXES, {key: sent.picks[0].image})
    assert entry.name == key and entry.shapes[0].box == pytest.approx((1, 2, 3, 4))


def test_label_studios_ids_differ_and_signals_do_not_hide_the_image(tmp_path: Path):
    box = (1.0, 2.0, 3.0, 4.0)
    drafts = tuple(Shape("cat", box, id=name) for name in ("x", "x", "", "b0r1s1", "y#7"))
    sent = outgoing(tmp_path / "pool", ["1.jpg"], drafts=drafts)
    signals = {"image": 1.0, "entropy": float("nan")}
    sent = replace(sent, picks=(replace(sent.picks[0], signals=signals),))
    FORMATS["label-studio"].load().write(sent, tmp_path / "out")
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
    ids = [region["id"] for region in task["predictions"][0]["result"]]
    assert len(set(ids)) == 5 and ids[0] == "x" and ids[3] == "b0r1s1"
    assert not any("#" in one for one in ids)
    assert task["data"]["signal_image"] == 1.0 and task["data"]["entropy"] == "nan"
    assert task["data"]["image"] == "/data/local-files/?d=pool/1.jpg"


def test_ids_and_numbers_of_texts():
    assert distinct(["", "a", "a", ""], lambda place: f"n{place}") == ["n0", "a", "n2", "n3"]
    assert distinct(["n1", ""], lambda place: f"n{place}") == ["n1", "n1x"]
    assert [number(value) for value in (2.0, 0.1, 1e-9, 3)] == ["2", "0.1", "1e-09", "3"]


def test_names_that_xml_has_to_escape():
    labeling = replace(BOXES, classes=('a & "b" <c>', "größe"))
    text = configuration(labeling)
    assert "a &amp; &quot;b&quot; &lt;c&gt;" in text and "größe" in text


def test_cvats_ids_are_the_places_in_its_own_order(tmp_path: Path):
    sent = outgoing(tmp_path / "pool", ["b/2.jpg", "a/10.jpg", "a/9.jpg"])
    FORMATS["cvat"].load().write(sent, tmp_path / "out")
    images = ET.parse(tmp_path / "out/annotations.xml").getroot().findall("image")
    found = [(image.get("id"), image.get("name")) for image in images]
    assert found == [("0", "a/10.jpg"), ("1", "a/9.jpg"), ("2", "b/2.jpg")]
