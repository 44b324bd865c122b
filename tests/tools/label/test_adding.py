"""`al_label.py add`: what came back is taken once, whole, and for the right picture."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests import annotator, labelkit
from tests.tools.label import projectkit
from tests.tools.label.projectkit import Bench, started
from tools.label import adding, versions

EVERY = {
    "boxes": ("label-studio", "cvat", "coco", "yolo", "voc"),
    "poses": ("label-studio", "cvat", "coco", "yolo"),
    "classes": ("label-studio", "cvat", "csv"),
}


def out(root: Path, kind: str = "classes", count: int = 8, form: str = "csv") -> Bench:
    """A project of which a batch is with people."""
    made = started(root, kind, "label.first=random", "label.validation=2")
    made.next(count, "--export", form)
    return made


def table(made: Bench, rows: dict[str, str], name: str = "table.csv", **more: str) -> Path:
    """A table of classes, with more columns that are the same in each row."""
    path = made.root / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", *more])
        writer.writerows([key, label, *more.values()] for key, label in rows.items())
    return path


def asked(made: Bench) -> list[str]:
    return [one.key for one in annotator.newest(made.run).choices]


def labels(made: Bench) -> dict[str, str]:
    """The class of each labeled image by its key."""
    return {
        key: one.answer.shapes[0].label if one.answer.shapes else one.answer.state
        for key, one in annotator.kept(made.run).items()
    }


@pytest.mark.parametrize(
    ("kind", "form"), [(kind, form) for kind, forms in EVERY.items() for form in forms]
)
def test_what_people_drew_is_taken_whichever_the_tool(tmp_path: Path, kind: str, form: str):
    made = out(tmp_path, kind, 8, form)
    keys = asked(made)
    empty = frozenset() if kind == "classes" else frozenset(keys[2:4])
    person = made.person(skipped=frozenset(keys[:2]), empty=empty)
    made.back(form, person)
    found = annotator.kept(made.run)
    silent = form in ("coco", "yolo", "voc")  # cannot say that an image was skipped
    assert set(found) == set(keys[2:] if silent else keys)
    for key, one in found.items():
        (image,) = [i for i in made.project.index.present if i.key == key]
        expected = person.drawn(image.sha256, key, ())
        state = person.state(key)
        assert one.answer.state == state and one.batch == 0
        assert [shape.label for shape in one.answer.shapes] == [shape.label for shape in expected]
        for shape, truth in zip(one.answer.shapes, expected, strict=True):
            if truth.box is not None and (kind, form) != ("poses", "cvat"):
                assert shape.box == pytest.approx(truth.box, abs=0.01)
            for joint, true in zip(shape.joints, truth.joints, strict=True):
                assert (joint.x, joint.y) == pytest.approx((true.x, true.y), abs=0.01)
                assert joint.visibility == true.visibility
        added = len(expected)
        assert (one.cost.added, one.cost.deleted, one.cost.kept) == (added, 0, 0)
        assert one.cost.joints == sum(joint.visibility > 0 for s in expected for joint in s.joints)


def test_the_same_export_twice_changes_nothing(tmp_path: Path):
    made = out(tmp_path, "boxes", form="label-studio")
    path = made.export("label-studio")[0]
    made.good("add", made.run, path)
    before = annotator.hashes(made.run / "labels")
    said = made.good("add", made.run, path)
    assert "0 images are new, 0 changed, 8 were known; nothing was taken of 0" in said
    assert annotator.hashes(made.run / "labels") == before and list(before) == ["00.json"]
    key = asked(made)[0]
    (made.photos / key).rename(made.photos / "renamed.png")
    assert "0 changed, 8 were known" in made.good("add", made.run, path)
    assert annotator.hashes(made.run / "labels") == before
    assert "40 s of people for 8 images" in said


def test_parts_come_back_one_after_the_other(tmp_path: Path):
    made = out(tmp_path)
    keys = asked(made)
    said = made.back("csv", made.person(only=frozenset(keys[:3])))
    assert "3 images are new" in said and "5 images of batch 0 did not come back yet" in said
    said = made.back("csv", made.person(only=frozenset(keys[2:6])))
    assert "3 images are new, 0 changed, 1 were known" in said
    said = made.back("csv", made.person())
    assert "2 images are new, 0 changed, 6 were known" in said and "come back" not in said
    assert versions.read(made.run, 0).labels.keys() < versions.read(made.run, 1).labels.keys()
    assert len(made.project.labels.labels) == 8 and not made.project.waiting


def test_a_correction_is_a_new_version_and_the_earlier_one_stays(tmp_path: Path):
    made = out(tmp_path)
    made.back("csv")
    key = asked(made)[3]
    before = labels(made)
    other = next(name for name in projectkit.CLASSES if name != before[key])
    said = made.good("add", made.run, table(made, {key: other}))
    assert "0 images are new, 1 changed, 0 were known" in said
    assert "1 labels were changed, and version 0 keeps what they were" in said
    assert f"{key} (corrected)" in said
    assert labels(made) == {**before, key: other}
    first = versions.read(made.run, 0)
    assert {one.answer.key: one.answer.shapes[0].label for one in first.labels.values()} == before
    assert "40 s of people for 8 images" in said, "the correction's table has no seconds"


def test_skipped_then_labeled_and_labeled_then_skipped(tmp_path: Path):
    made = out(tmp_path)
    keys = asked(made)
    made.back("csv", made.person(skipped=frozenset(keys[:2])))
    assert labels(made)[keys[0]] == "skipped"
    assert not {keys[0], keys[1]} & {image.key for image in made.project.open}
    said = made.good("add", made.run, table(made, {keys[0]: "nut"}))
    assert f"{keys[0]} (skipped, now labeled)" in said and labels(made)[keys[0]] == "nut"
    said = made.good("add", made.run, table(made, {keys[4]: ""}, state="skipped"))
    assert f"{keys[4]} (labeled, now skipped)" in said
    known = {image.key for image in (*made.project.learnt(), *made.project.judged())}
    assert keys[0] in known and keys[4] not in known


def test_labels_that_nobody_asked_for_are_taken(tmp_path: Path):
    made = out(tmp_path)
    (other,) = [image.key for image in made.project.open][:1]
    said = made.good("add", made.run, table(made, {other: "bolt"}))
    assert "1 images are new" in said and "8 images of batch 0 did not come back yet" in said
    assert annotator.kept(made.run)[other].batch is None


def test_labels_of_the_validation_slice_can_be_corrected(tmp_path: Path):
    made = out(tmp_path)
    made.back("csv")
    (image, *_) = made.project.judged()
    other = next(name for name in projectkit.CLASSES if name != labels(made)[image.key])
    made.good("add", made.run, table(made, {image.key: other}))
    assert image in made.project.judged() and image not in made.project.learnt()


# ------------------------------------------------------------------ for the right picture


def test_an_image_that_was_moved_while_it_was_out_is_found(tmp_path: Path):
    for form in EVERY["classes"]:
        made = out(tmp_path / form, form=form)
        first, second, third = asked(made)[:3]
        path = made.export(form)[0]
        (made.photos / first).rename(made.photos / "renamed.png")
        (made.photos / "far/away").mkdir(parents=True)
        (made.photos / second).rename(made.photos / "far/away" / Path(second).name)
        if form == "csv":  # many tools leave the folders out
            path.write_text(path.read_text().replace(second, Path(second).name))
        said = made.good("add", made.run, path)
        assert "8 images are new" in said and "2 images were moved" in said
        assert {"renamed.png", f"far/away/{Path(second).name}", third} < set(labels(made))


def test_names_that_were_swapped_while_they_were_out(tmp_path: Path):
    for form in EVERY["classes"]:
        made = out(tmp_path / form, form=form)
        first, second = asked(made)[:2]
        before = {image.key: image.sha256 for image in made.project.index.present}
        truth = made.truth()
        path = made.export(form)[0]
        (made.photos / first).rename(made.photos / "aside")
        (made.photos / second).rename(made.photos / first)
        (made.photos / "aside").rename(made.photos / second)
        made.good("add", made.run, path)
        found = made.project.labels.labels
        for key in (first, second):
            assert found[before[key]].answer.shapes[0].label == truth[before[key]][0].label


def test_folders_that_were_swapped_while_they_were_out(tmp_path: Path):
    """The files' own names are the same, and tools that leave out the folder are asked for it."""
    names = [f"{folder}/{k}.png" for folder in ("x", "y") for k in range(4)]
    made = started(tmp_path, "classes", "label.first=random", names=names)
    made.next(8)
    before = {image.key: image.sha256 for image in made.project.index.present}
    path = made.export("csv")[0]
    for old, new in (("x", "aside"), ("y", "x"), ("aside", "y")):
        (made.photos / old).rename(made.photos / new)
    status, said = made.call("add", made.run, table(made, {"0.png": "nut"}))
    assert status == 1 and "could be any of" in said
    made.good("add", made.run, path)
    found = made.project.labels.labels
    assert len(found) == 8
    for sha256 in before.values():
        assert found[sha256].answer.shapes[0].label == made.truth()[sha256][0].label


def test_labels_by_the_name_of_a_copy_are_those_of_the_image(tmp_path: Path):
    """A name alone means the image of that name first; an image by two names is refused."""
    names = ["a.png", "far/b.png", "c.png", *(f"{k}.png" for k in range(5))]
    made = started(tmp_path, "classes", names=names)
    (made.photos / "z").mkdir()
    for name, copy in (("a.png", "z/copy.png"), ("a.png", "z/c.png"), ("far/b.png", "b.png")):
        shutil.copy(made.photos / name, made.photos / copy)
    made.good("add", made.run, table(made, {"copy.png": "nut", "c.png": "bolt", "b.png": "screw"}))
    assert labels(made) == {"a.png": "nut", "c.png": "bolt", "far/b.png": "screw"}
    made.good("add", made.run, table(made, {"photos/z/c.png": "screw"}))
    assert labels(made)["a.png"] == "screw" and labels(made)["c.png"] == "bolt"
    status, said = made.call("add", made.run, table(made, {"a.png": "nut", "z/copy.png": "nut"}))
    assert status == 1 and "expected each image once, but got it by 2 names" in said
    assert labels(made)["a.png"] == "screw"


def test_a_new_picture_by_the_name_of_one_that_was_moved(tmp_path: Path):
    for labeled in (False, True):
        made = out(tmp_path / str(labeled), count=2)
        key = asked(made)[0]
        (image,) = [one for one in made.project.index.present if one.key == key]
        path = made.export("csv")[0]
        other = made.project.open[0]
        if labeled:  # it is known by another name
            made.good("add", made.run, table(made, {other.key: "screw"}))
        (made.photos / key).rename(made.photos / "moved.png")
        (made.photos / other.key).rename(made.photos / key)
        said = made.good("add", made.run, path)
        assert "2 images are new" in said
        assert made.project.labels.labels[image.sha256].answer.key == "moved.png"
        assert (other.sha256 in made.project.labels.labels) == labeled
        if labeled:
            assert made.project.labels.labels[other.sha256].answer.shapes[0].label == "screw"


def test_an_answer_for_the_old_picture_is_not_taken_for_the_new_one(tmp_path: Path):
    for form in EVERY["classes"]:
        made = out(tmp_path / form, count=2, form=form)
        key = asked(made)[0]
        path = made.export(form)[0]
        Image.new("RGB", labelkit.SIZE, (1, 2, 3)).save(made.photos / key)
        status, said = made.call("add", made.run, path)
        assert status == 1 and "1 images are new" in said and "nothing was taken of 1" in said
        assert key in said and key not in labels(made)
        # nor is the new one asked for by that name
        said = made.next(20)
        assert "1 images have the name of another one that went out to people" in said
        assert key not in asked(made)
        status, _ = made.call("add", made.run, path)
        assert status == 1 and key not in labels(made)
        (made.photos / key).rename(made.photos / "new name.png")
        made.next(20)
        assert asked(made) == ["new name.png"]


def test_an_image_by_two_names_is_not_taken(tmp_path: Path):
    made = out(tmp_path)
    key = asked(made)[0]
    (made.photos / key).rename(made.photos / "renamed.png")
    status, said = made.call("add", made.run, table(made, {key: "nut", "renamed.png": "bolt"}))
    assert status == 1 and "expected each image once, but got it by 2 names" in said
    assert not labels(made)
    made.good("add", made.run, table(made, {"renamed.png": "bolt"}))
    assert labels(made) == {"renamed.png": "bolt"}


def test_labels_of_images_that_are_gone_are_kept_and_not_learned(tmp_path: Path):
    made = out(tmp_path)
    made.back("csv")
    key = asked(made)[0]
    (made.photos / key).rename(tmp_path / "kept.png")
    said = made.good("status", made.run)
    assert "13 images; 7 labeled, 0 empty, 0 skipped, 0 waiting, 6 open; 1 gone" in said
    assert "images are gone: their labels are kept, and not trained on" in said
    assert len(made.project.learnt()) + len(made.project.judged()) == 7
    (tmp_path / "kept.png").rename(made.photos / "back again.png")
    assert "14 images; 8 labeled" in made.good("status", made.run)
    assert len(made.project.learnt()) + len(made.project.judged()) == 8


def test_odd_names_go_out_and_come_back(tmp_path: Path):
    odd = ["with space.png", "#1 50%20off.png", 'a, "b".png', "it's.png", "gr\u00fc\u00df.png"]
    for kind in ("boxes", "classes"):
        made = projectkit.started(tmp_path / kind, kind, "label.first=random", names=odd)
        for form in EVERY[kind]:
            made.good("next", made.run, "--count", 9, "--export", form, *again(made))
            path, *more = made.export(form)
            status, said = made.call("add", made.run, path, *more)
            assert status == 0, said
            assert set(annotator.kept(made.run)) == set(odd)
            for version in (made.run / "labels").iterdir():
                version.unlink()


def again(made: Bench) -> list[str]:
    return ["--again"] if made.project.batches else []


# ------------------------------------------------------------------ what is not taken, and why


def test_faults_are_named_one_by_one_and_the_rest_is_taken(tmp_path: Path):
    made = out(tmp_path)
    keys = asked(made)
    rows = {keys[0]: "nut", keys[1]: "knut", "who.png": "nut", keys[2]: ""}
    status, said = made.call("add", made.run, table(made, rows))
    assert status == 1
    assert "1 images are new, 0 changed, 0 were known; nothing was taken of 2" in said
    assert "did you mean 'nut'" in said and "who.png" in said
    assert "1 images have no shape" in said and "--done" in said and keys[2] in said
    assert labels(made) == {keys[0]: "nut"}


def test_nothing_at_all_is_no_version(tmp_path: Path):
    made = out(tmp_path)
    status, said = made.call("add", made.run, table(made, {"who.png": "nut"}))
    assert status == 1 and versions.newest(made.run) == -1 and "labels version" not in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "expected an export of a labeling tool, but there is nothing"),
        (b"", "expected a labeling tool's export"),
        (b"\x00\x01\x02", "expected a labeling tool's export"),
        (b"[{", "expected json that parses"),
        (b"<annotations>", "expected XML that parses"),
        (b"file,klass\na,b\n", "did you mean"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_all_as_it_was(tmp_path: Path, content, expected: str):
    made = out(tmp_path)
    made.back("csv")
    before = annotator.hashes(made.run)
    path = made.root / "export"
    if content is not None:
        path.write_bytes(content)
    status, said = made.call("add", made.run, path)
    if content == b"file,klass\na,b\n":
        status, said = made.call("add", made.run, path, "--format", "csv")
        expected = "expected one column 'class'"
    assert status == 2 and expected in said and "Traceback" not in said, said
    assert annotator.hashes(made.run) == before


def test_done_tells_empty_images_from_those_that_nobody_saw(tmp_path: Path):
    made = out(tmp_path, "boxes", 6, "coco")
    keys = asked(made)
    person = made.person(empty=frozenset(keys[:3]))
    path = made.export("coco", person)[0]
    said = made.good("add", made.run, path)
    assert "3 images are new" in said and "3 images have no shape" in said
    listed = made.root / "done.txt"
    listed.write_text(f"\ufeff{keys[0]}\r\n\r\n{keys[3]}\n", encoding="utf-8")
    said = made.good("add", made.run, path, "--done", listed)
    assert "1 images are new" in said and "2 images have no shape" in said
    assert annotator.kept(made.run)[keys[0]].answer.state == "empty"
    listed.write_text("who.png\n", encoding="utf-8")
    status, said = made.call("add", made.run, path, "--done", listed)
    assert status == 1 and "who.png" in said
    said = made.good("add", made.run, path, "--done", "all")
    assert "2 images are new" in said and not made.project.waiting
    status, said = made.call("add", made.run, path, "--done", made.root)
    assert status == 2 and "--done: expected `all` or a file of paths" in said


def test_good_shapes_of_faulty_images_are_taken_if_asked_for(tmp_path: Path):
    made = out(tmp_path, "boxes", 6, "coco")
    path = made.export("coco")[0]
    content = json.loads(path.read_text())
    extra = {**content["annotations"][0], "id": 999, "bbox": [90, 60, 50, 50]}
    content["annotations"].append(extra)
    path.write_text(json.dumps(content))
    status, said = made.call("add", made.run, path)
    assert status == 1 and "5 images are new" in said and "nothing was taken of 1" in said
    status, said = made.call("add", made.run, path, "--take-good")
    assert status == 0 and "1 images are new" in said and "taken in part" in said


def test_another_process_in_the_project_is_waited_for(tmp_path: Path):
    import subprocess
    import sys

    made = out(tmp_path)
    code = (
        "import sys, pathlib; from models.process.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(made.run / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"
        for part in (["next"], ["add", "x.csv"], ["status"]):
            status, said = made.call(part[0], made.run, *part[1:])
            assert status == 2 and f"is in use by process {other.pid}" in said
        assert other.stdin is not None
        other.stdin.close()
    made.good("status", made.run)


def test_ctrl_c_is_130(tmp_path: Path, monkeypatch):
    made = out(tmp_path)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(adding.versions, "write", stopped)
    status, said = made.tried("csv")
    assert status == 130 and "the same command goes on" in said
    assert os.listdir(made.run / "batches") == ["00"] and versions.newest(made.run) == -1
