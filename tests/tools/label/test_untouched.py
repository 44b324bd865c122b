"""Drafts of the network do not become people's labels because a tool rewrote the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests import annotator
from tests.tools.label.projectkit import Bench, started
from tools.label import batches
from tools.label.formats import FORMATS
from tools.label.labels import Joint, Shape
from tools.label.untouched import state_beside

BOLT = Shape("bolt", (10.26, 10.0, 20.0, 20.4), score=0.5, id="draft1")
EDGE = Shape("nut", (60.0, 30.0, 36.0, 34.0), score=0.4, id="draft2")  # ends in the corner


def rewritten_coco(folder: Path) -> None:
    (path,) = folder.rglob("*.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    for one in data["annotations"]:
        del one["score"], one["draft"]
        one["bbox"] = [int(value) for value in one["bbox"]]
    path.write_text(json.dumps(data), encoding="utf-8")


def rewritten_yolo(folder: Path) -> None:
    for path in (folder / "labels").rglob("*.txt"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.6f}", text))


def rewritten_voc(folder: Path) -> None:
    for path in (folder / "Annotations").rglob("*.xml"):
        text = re.sub("<score>.*?</score>", "", path.read_text(encoding="utf-8"))
        path.write_text(re.sub(r">(\d+)\.\d+<", r">\1<", text), encoding="utf-8")


REWRITTEN = {"coco": rewritten_coco, "yolo": rewritten_yolo, "voc": rewritten_voc}


def out(root: Path, form: str) -> tuple[Bench, list[str], Path]:
    """A project that asks for three images with two drafts each, and the files that go out."""
    made = started(root, "boxes", "label.first=random", "label.validation=2")
    made.next(3)
    batch = made.project.batches[-1]
    keys = [one.key for one in batch.choices]
    choices = tuple(replace(one, drafts=(BOLT, EDGE), blind=False) for one in batch.choices)
    batches.write(made.run, replace(batch, choices=choices))
    project = made.project
    sent = project.batches[-1].outgoing(project.labeling, project.index.root, project.images)
    FORMATS[form].load().write(sent, root / "out")
    return made, keys, root / "out"


@pytest.mark.parametrize(("form", "change"), REWRITTEN.items(), ids=list(REWRITTEN))
def test_drafts_of_a_rewritten_file_wait_for_a_word(
    form: str, change: Callable[[Path], None], tmp_path: Path
):
    made, keys, folder = out(tmp_path, form)
    change(folder)
    said = made.good("add", made.run, folder)
    assert "3 images have no shape, or drafts as they went out, and the file does not" in said
    assert "0 images are new" in said and not annotator.kept(made.run)
    done = made.root / "done.txt"
    done.write_text(keys[1], encoding="utf-8")
    said = made.good("add", made.run, folder, "--done", done)
    assert "1 images are new" in said and "2 images have no shape, or drafts" in said
    assert [shape.label for shape in annotator.kept(made.run)[keys[1]].answer.shapes] == ["bolt", "nut"]  # fmt: skip


def test_what_a_person_changed_and_what_was_blind_is_taken(tmp_path: Path):
    made, keys, folder = out(tmp_path, "coco")
    rewritten_coco(folder)
    (path,) = folder.rglob("*.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    first, second = data["annotations"][:2]
    first["bbox"][0] += 3  # of keys[0]
    data["annotations"].remove(data["annotations"][3])  # of keys[1]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert (first["image_id"], second["image_id"]) == (1, 1)
    said = made.good("add", made.run, path)
    assert "2 images are new" in said and f"finished: {keys[2]};" in said
    assert set(annotator.kept(made.run)) == {keys[0], keys[1]}

    made, keys, folder = out(tmp_path / "blind", "coco")
    rewritten_coco(folder)
    batch = made.project.batches[-1]
    unseen = (replace(batch.choices[0], blind=True), *batch.choices[1:])
    batches.write(made.run, replace(batch, choices=unseen))
    assert "1 images are new" in made.good("add", made.run, folder)
    assert set(annotator.kept(made.run)) == {keys[0]}


def test_a_draft_of_cvat_that_was_renamed_is_a_persons(tmp_path: Path):
    made, keys, folder = out(tmp_path, "cvat")  # CVAT leaves its source as it was
    path = folder / "annotations.xml"
    text = path.read_text(encoding="utf-8")
    image = f'name="{keys[0]}"'
    before, after = text.split(image)
    path.write_text(before + image + after.replace('"bolt"', '"screw"', 1), encoding="utf-8")
    said = made.good("add", made.run, path)
    assert "1 images are new" in said and "2 images have no shape, or drafts" in said
    (one,) = annotator.kept(made.run).values()
    assert one.answer.key == keys[0] and (one.cost.renamed, one.cost.kept) == (1, 1)


CAT, DOG = Shape("cat", (10.0, 10.0, 20.0, 20.0)), Shape("dog", (10.5, 10.0, 20.0, 20.0))
FAR = Shape("cat", (12.0, 10.0, 20.0, 20.0))
ONE = Shape("person", (10.0, 10.0, 20.0, 20.0), (Joint(11.0, 12.0, 2), Joint(20.0, 20.0, 2)))
HIDDEN = replace(ONE, joints=(ONE.joints[0], Joint(20.0, 20.0, 1)))
MOVED = replace(ONE, joints=(Joint(12.5, 12.0, 2), ONE.joints[1]))


@pytest.mark.parametrize(
    ("state", "drawn", "drafts", "told", "expected"),
    [
        ("labeled", (CAT,), (CAT,), False, None),
        ("labeled", (CAT,), (CAT,), True, "labeled"),
        ("labeled", (CAT,), (), False, "labeled"),
        ("empty", (), (CAT,), False, "empty"),
        ("skipped", (CAT,), (CAT,), False, "skipped"),
        ("labeled", (FAR,), (CAT,), False, "labeled"),
        ("labeled", (DOG,), (CAT,), False, "labeled"),
        ("labeled", (DOG, CAT), (CAT, DOG), False, None),  # in another order
        ("labeled", (CAT, CAT), (CAT, DOG), False, "labeled"),  # one to one
        ("labeled", (CAT,), (CAT, DOG), False, "labeled"),  # one was deleted
        ("labeled", (ONE,), (ONE,), False, None),
        ("labeled", (HIDDEN,), (ONE,), False, "labeled"),
        ("labeled", (MOVED,), (ONE,), False, "labeled"),
        (None, (CAT,), (CAT, DOG), True, None),
        (None, (CAT, CAT), (CAT, DOG), True, "labeled"),
        (None, (FAR,), (CAT,), True, None),  # another model's, in the tool
        (None, (replace(ONE, box=None),), (ONE,), True, None),
        (None, (Shape("dog"),), (Shape("cat"),), True, "labeled"),
        (None, (), (CAT,), False, None),
    ],
)  # fmt: skip
def test_states(state, drawn, drafts, told, expected):
    assert state_beside(state, drawn, drafts, told) == expected
