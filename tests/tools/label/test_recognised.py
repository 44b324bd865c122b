"""Which format an export is of, by its content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tools.label import damagekit as kit
from tools.label.formats import FORMATS, kinds, recognised
from tools.label.formats.sources import Damaged


def test_each_name_has_a_module_that_holds_what_it_says():
    assert list(FORMATS) == ["label-studio", "cvat", "coco", "yolo", "voc", "csv"]
    for known in FORMATS.values():
        module = known.load()
        assert known.kinds == module.KINDS  # type: ignore[attr-defined]
        assert callable(module.write) and callable(module.read)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"[]", "label-studio"),
        (b'\xef\xbb\xbf [{"data": {}, "annotations": []}]', "label-studio"),
        ('[{"data": {}}]'.encode("utf-16"), "label-studio"),
        (b'{"id": 1, "data": {}, "annotations": []}', "label-studio"),
        (b'{"images": [], "annotations": []}', "coco"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><annotations/>", "cvat"),
        (b"\n<annotation></annotation>", "voc"),
        (b"File;Class\n", "csv"),
        (b'"class","file"\r\n', "csv"),
        ("file\tclass\n".encode("utf-16"), "csv"),
    ],
)  # fmt: skip
def test_files(content: bytes, name: str, tmp_path: Path):
    path = tmp_path / "export.download"  # the suffix says nothing
    path.write_bytes(content)
    assert recognised(path) == name


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", kinds.UNKNOWN_FORMAT, "give Label Studio's JSON"),
        (b"\x89PNG\r\n", kinds.UNKNOWN_FORMAT, "give Label Studio's JSON"),
        (b"<html></html>", kinds.UNKNOWN_FORMAT, "<html>"),
        (b"<annotations>", kinds.BROKEN_XML, "XML that parses"),
        (b"[{", kinds.BROKEN_JSON, "json that parses"),
        (b"{}", kinds.UNKNOWN_FORMAT, "an object with"),
        (b'[{"image_id": 1, "category_id": 2}]', kinds.UNKNOWN_FORMAT, "COCO's results"),
        (b"0 0.5 0.5 0.1 0.1\n", kinds.UNKNOWN_FORMAT, "give the folder that has it"),
        (b"PK\3\4", kinds.UNREADABLE, "a zip that can be read"),
    ],
)  # fmt: skip
def test_what_is_none_of_them(content: bytes, kind: str, words: str, tmp_path: Path):
    path = tmp_path / "export.txt"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=words) as error:
        recognised(path)
    assert error.value.fault.kind == kind


def test_folders(tmp_path: Path):
    for name in ("yolo", "voc"):
        assert recognised(kit.sound(tmp_path / name, name, "boxes")) == name
    with pytest.raises(Damaged, match="one format, but got coco .* and voc") as error:
        both = tmp_path / "voc"
        (both / "x.json").write_text(json.dumps(kit.coco("boxes")), encoding="utf-8")
        recognised(both)
    assert error.value.fault.kind == kinds.SEVERAL_FORMATS
    (tmp_path / "empty").mkdir()
    with pytest.raises(Damaged, match="0 files"):
        recognised(tmp_path / "empty")
    with pytest.raises(Damaged, match="nothing at this path") as error:
        recognised(tmp_path / "no")
    assert error.value.fault.kind == kinds.MISSING


def test_files_that_systems_leave_are_none_of_the_export(tmp_path: Path):
    folder = kit.sound(tmp_path / "voc", "voc", "boxes")
    for name in ("__MACOSX/Annotations/x.xml", ".DS_Store", "Annotations/a/._1.xml"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0\5\x16\7")
    assert recognised(folder) == "voc"
    from tests.tools.label.labelkit import BOXES

    assert len(FORMATS["voc"].load().read(folder, BOXES, kit.IMAGES)) == 2
