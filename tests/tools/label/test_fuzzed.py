"""Random damage: whatever an export holds, there are entries and faults, or a LabelError."""

from __future__ import annotations

import contextlib
import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzzkit import VALUES, fuzz, mutated
from tests.tools.label import damagekit as kit
from tests.tools.label.labelkit import LABELINGS
from tools.label.checking import Checked, check
from tools.label.formats import FORMATS, recognised
from tools.label.labels import LabelError

HELD = [(name, kind) for name, known in FORMATS.items() for kind in sorted(known.kinds)]
WORDS = st.sampled_from(
    ["", "0", "-1", "1e999", "nan", "inf", "9" * 5000, "\ud7ff", "a/1.jpg", "\x00", "²", "<", "&", '"', ",", ";", "%", "\\", "../../x", "é"]
)  # fmt: skip


def judged(path: Path, name: str, kind: str) -> None:
    """Read an export as a command would, and check what holds of every answer."""
    with contextlib.suppress(LabelError):
        recognised(path)
    try:
        entries = FORMATS[name].load().read(path, LABELINGS[kind], kit.IMAGES)
    except LabelError as error:
        assert str(error)
        return
    for done in (None, "all", ["a/1.jpg"]):
        for lenient in (False, True):
            checked = check(entries, kit.IMAGES, LABELINGS[kind], done, lenient)  # type: ignore[arg-type]
            consistent(checked, kind)


def consistent(checked: Checked, kind: str) -> None:
    keys = [answer.key for answer in checked.answers]
    assert len(set(keys)) == len(keys) and set(keys) <= kit.IMAGES.keys()
    assert not set(keys) & {*checked.faults, *checked.unclear}
    for answer in checked.answers:
        assert (answer.state == "labeled") == bool(answer.shapes)
        assert answer.seconds is None or answer.seconds >= 0
        width, height = kit.IMAGES[answer.key].size
        for shape in answer.shapes:
            assert shape.label in LABELINGS[kind].classes and shape.score is None
            assert len(shape.joints) == len(LABELINGS[kind].joints)
            if shape.box is not None:
                x, y, w, h = shape.box
                assert min(x, y) >= 0 and min(w, h) >= 1
                assert x + w <= width + 1e-9 and y + h <= height + 1e-9
            for joint in shape.joints:
                assert joint.visibility in (0, 1, 2) and math.isfinite(joint.x + joint.y)


def files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())


@pytest.mark.parametrize(("name", "kind"), HELD)
@fuzz(40)
@given(data=st.data())
def test_bytes_changed_anywhere(name: str, kind: str, data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        path = kit.sound(Path(folder) / "export", name, kind)
        target = data.draw(st.sampled_from(files(path)))
        pieces = [b'"', b"<", b">", b"&", b"\0", b"-", b"e9", b",", b"\xff\xfe", b"]", b"}"]
        target.write_bytes(data.draw(mutated(target.read_bytes(), pieces, cut=True)))
        judged(path, name, kind)


@pytest.mark.parametrize(("name", "kind"), [one for one in HELD if one[0] in ("label-studio", "coco")])  # fmt: skip
@fuzz(40)
@given(data=st.data())
def test_any_value_of_a_json(name: str, kind: str, data: st.DataObject):
    whole: Any = kit.label_studio(kind) if name == "label-studio" else kit.coco(kind)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places(whole)))
        holder[key] = data.draw(VALUES | st.floats(-1e308, 1e308) | st.integers(0, 10**400))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.json"
        path.write_text(json.dumps(whole), encoding="utf-8")
        judged(path, name, kind)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each value below `value`: what holds it, and at what key."""
    keys: Any = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        found += places(value[key])
    return found or [([value], 0)]


@pytest.mark.parametrize(("name", "kind"), [one for one in HELD if one[0] not in ("label-studio", "coco")])  # fmt: skip
@fuzz(40)
@given(data=st.data())
def test_any_word_of_a_text(name: str, kind: str, data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        path = kit.sound(Path(folder) / "export", name, kind)
        target = data.draw(st.sampled_from(files(path)))
        text = target.read_text(encoding="utf-8")
        for _ in range(data.draw(st.integers(1, 3))):
            words = list(re.finditer(r"[\w.]+", text))
            if not words:
                break
            word = data.draw(st.sampled_from(words))
            text = text[: word.start()] + data.draw(WORDS) + text[word.end() :]
        target.write_bytes(text.encode("utf-8", "surrogatepass"))
        judged(path, name, kind)


@fuzz(40)
@given(content=st.binary(max_size=200), start=st.sampled_from([b"", b"PK\3\4", b"<annotations>", b"[", b"{", b"file,class\n"]))  # fmt: skip
def test_any_bytes_at_all(content: bytes, start: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export"
        path.write_bytes(start + content)
        for name, kind in HELD:
            judged(path, name, kind)


@fuzz(40)
@given(data=st.data())
def test_bytes_of_a_zip(data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        path = kit.zipped("annotations.xml")(kit.sound(Path(folder) / "export", "cvat", "boxes"))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content))
        judged(path, "cvat", "boxes")
