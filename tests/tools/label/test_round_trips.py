"""Each format: what is written reads back, in every kind of labels that it holds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.label.labelkit import DRAWN, LABELINGS, batch, by_name, pool, submitted
from tools.label.checking import check
from tools.label.formats import FORMATS, recognised
from tools.label.labels import Entry, Shape

HELD = [(name, kind) for name, known in FORMATS.items() for kind in sorted(known.kinds)]


def written(folder: Path, root: Path, name: str, kind: str, score: float | None) -> Path:
    FORMATS[name].load().write(batch(pool(root), root, kind, score), folder)
    return folder


def returned(folder: Path, root: Path, name: str, kind: str) -> dict[str, Entry]:
    """What comes back if people agree with every draft and declare it."""
    path = folder
    if name == "label-studio":
        path = folder / "export.json"
        tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
        path.write_text(json.dumps(submitted(tasks)), encoding="utf-8")
    assert recognised(path) == name
    return by_name(list(FORMATS[name].load().read(path, LABELINGS[kind], pool(root))))


def alike(found: Shape, drawn: Shape, name: str, size: tuple[int, int]) -> None:
    assert found.label == drawn.label
    if drawn.box is not None and not (name == "cvat" and drawn.joints):  # skeletons have no box
        assert found.box is not None
        right, bottom = size
        for place, (one, other) in enumerate(zip(found.box, drawn.box, strict=True)):
            lost = 0.0
            end = drawn.box[place % 2] + drawn.box[place % 2 + 2]
            if name == "voc" and place > 1:  # the last pixel at the right and lower edge
                lost = max(0.0, end + 1 - (right, bottom)[place % 2])
            assert one == pytest.approx(other - lost, abs=1e-6)
    assert [joint.visibility for joint in found.joints] == [j.visibility for j in drawn.joints]
    for one, other in zip(found.joints, drawn.joints, strict=True):
        assert (one.x, one.y) == pytest.approx((other.x, other.y), abs=1e-6)


@pytest.mark.parametrize(("name", "kind"), HELD)
def test_what_people_drew_reads_back(name: str, kind: str, tmp_path: Path):
    root = tmp_path / "pool"
    folder = written(tmp_path / "out", root, name, kind, None)
    found = returned(folder, root, name, kind)
    images = pool(root)
    assert found.keys() == images.keys()
    for key, drawn in DRAWN[kind].items():
        entry = found[key]
        assert entry.faults == () and len(entry.shapes) == len(drawn)
        if drawn:
            assert entry.state == "labeled"
        else:  # only Label Studio knows that somebody looked
            assert entry.state == ("empty" if name == "label-studio" else None)
        for one, other in zip(entry.shapes, drawn, strict=True):
            alike(one, other, name, images[key].size)
            if name in ("label-studio", "cvat", "coco"):
                assert one.id == other.id
        if name not in ("yolo", "csv") and (drawn or name != "label-studio"):
            assert entry.size == images[key].size
    checked = check(list(found.values()), images, LABELINGS[kind], "all")
    answered = {answer.key: answer for answer in checked.answers}
    empty = "sub/größe 1 #2.png"
    if kind == "classes":  # an image without a class is not an empty one
        assert [fault.kind for fault in checked.faults[empty]] == ["no class"]
        assert answered.keys() == images.keys() - {empty}
    else:
        assert not checked.faults and answered.keys() == images.keys()
        assert answered[empty].state == "empty" and answered[empty].shapes == ()
    assert answered["a.jpg"].state == "labeled"
    assert len(answered["a.jpg"].shapes) == len(DRAWN[kind]["a.jpg"])


@pytest.mark.parametrize(("name", "kind"), [one for one in HELD if one[0] != "label-studio"])
def test_drafts_as_they_went_out_are_not_labels(name: str, kind: str, tmp_path: Path):
    root = tmp_path / "pool"
    folder = written(tmp_path / "out", root, name, kind, 0.75)
    found = returned(folder, root, name, kind)
    assert {entry.state for entry in found.values()} == {None}
    checked = check(list(found.values()), pool(root), LABELINGS[kind])
    assert checked.answers == () and not checked.faults
    assert sorted(checked.unclear) == sorted(found)
    if name == "csv":
        return
    assert len(found["a.jpg"].shapes) == len(DRAWN[kind]["a.jpg"])
    if name != "yolo":  # which has no scores
        assert {shape.score for shape in found["a.jpg"].shapes} == {0.75}
    confirmed = check(list(found.values()), pool(root), LABELINGS[kind], ["a.jpg"])
    assert [(answer.key, answer.state) for answer in confirmed.answers] == [("a.jpg", "labeled")]
    assert {shape.score for shape in confirmed.answers[0].shapes} == {None}


@pytest.mark.parametrize("kind", ["boxes", "poses", "classes"])
def test_label_studios_predictions_are_not_labels(kind: str, tmp_path: Path):
    root = tmp_path / "pool"
    folder = written(tmp_path / "out", root, "label-studio", kind, 0.75)
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    opened = [task | {"annotations": [], "drafts": [{"result": []}]} for task in tasks]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(opened), encoding="utf-8")
    assert recognised(path) == "label-studio"
    assert FORMATS["label-studio"].load().read(path, LABELINGS[kind], pool(root)) == []


@pytest.mark.parametrize("name", ["cvat", "coco", "yolo", "voc"])
def test_a_zip_with_a_folder_in_it_reads_like_the_folder(name: str, tmp_path: Path):
    root = tmp_path / "pool"
    folder = written(tmp_path / "out" / "batch", root, name, "boxes", 0.5)
    archive = Path(shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "out"))
    assert recognised(archive) == name
    read = FORMATS[name].load().read
    images = pool(root)
    one = by_name(list(read(folder, LABELINGS["boxes"], images)))
    other = by_name(list(read(archive, LABELINGS["boxes"], images)))
    assert {key: replace(entry, where="") for key, entry in one.items()} == {
        key: replace(entry, where="") for key, entry in other.items()
    }


@pytest.mark.parametrize(("name", "kind"), HELD)
def test_blind_picks_have_no_draft(name: str, kind: str, tmp_path: Path):
    root = tmp_path / "pool"
    whole = batch(pool(root), root, kind, 0.5)
    blind = replace(whole, picks=tuple(replace(pick, drafts=None) for pick in whole.picks))
    FORMATS[name].load().write(blind, tmp_path / "out")
    texts = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    texts = [path for path in texts if path.suffix not in (".jpg", ".png")]
    assert texts
    if name == "label-studio":
        tasks = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
        assert [task.get("predictions") for task in tasks] == [None] * 3
        return
    entries = FORMATS[name].load().read(tmp_path / "out", LABELINGS[kind], pool(root))
    assert [(entry.state, entry.shapes) for entry in entries] == [(None, ())] * 3


@pytest.mark.parametrize("name", ["cvat", "coco", "yolo", "voc", "csv"])
def test_the_images_go_along_by_their_paths(name: str, tmp_path: Path):
    root = tmp_path / "pool"
    kind = "classes" if name == "csv" else "boxes"
    folder = written(tmp_path / "out", root, name, kind, 0.5)
    home = folder / ("JPEGImages" if name == "voc" else "images")
    for key, image in pool(root).items():
        assert (home / key).read_bytes() == image.path.read_bytes()
