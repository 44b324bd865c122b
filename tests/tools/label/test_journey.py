"""The whole journey by the command line, for each kind of labels; people are played."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import annotator
from tests.tools.label import projectkit
from tests.tools.label.projectkit import CLASSES, JOINTS, Bench, started
from tools import al_export, al_predict, al_verify
from tools.label import batches, versions
from tools.label.curve import curve
from tools.label.formats import FORMATS
from tools.record.folder import RunFolder

FORMS = {
    "boxes": ("label-studio", "label-studio", "voc"),
    "poses": ("coco", "cvat", "yolo"),
    "classes": ("csv", "label-studio", "cvat"),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=FORMS)
def journey(request, tmp_path_factory) -> tuple[Bench, list[str]]:
    """Three batches, each labeled in another tool; and what `next` and `add` said."""
    kind = request.param
    made = started(tmp_path_factory.mktemp(kind), kind)
    said = []
    for count, form in zip((5, 4, 4), FORMS[kind], strict=True):
        told = made.next(count, "--export", form)
        keys = [one.key for one in annotator.newest(made.run).choices]
        half = made.person(only=frozenset(keys[: len(keys) // 2]))
        told += made.back(form, half)
        told += made.back(form)
        said.append(told)
    return made, said


def test_the_slice_goes_first_then_a_cover_then_the_strategy(journey):
    made, _ = journey
    sent = batches.read(made.run)
    slice = made.project.slice
    assert [len(batch.choices) for batch in sent] == [5, 4, 4]
    assert [batch.trained for batch in sent] == [False, True, True]
    assert [batch.labels for batch in sent] == [-1, 1, 3]
    first = sent[0].choices
    by = [one.by for one in first]
    assert by[:2] == ["validation"] * 2 and {one.sha256 for one in first[:2]} == slice
    assert by[2:] == ["strategy", "strategy", "random"]
    asked = [one.sha256 for batch in sent for one in batch.choices]
    assert len(set(asked)) == len(asked) == 13
    for batch in sent[1:]:
        assert [one.by for one in batch.choices] == ["strategy"] * 3 + ["random"]
        assert sum(one.blind for one in batch.choices) == 1
        assert all(one.sha256 not in slice for one in batch.choices)


def test_reasons_and_signals_say_why(journey):
    made, _ = journey
    batch = batches.read(made.run)[1]
    count = len(made.project.index.present) - 5
    chosen = [one for one in batch.choices if one.by == "strategy"]
    losses = [one.signals["predicted_loss"] for one in chosen]
    assert losses == sorted(losses, reverse=True)
    for rank, one in enumerate(chosen, 1):
        assert one.reason.startswith(f"rank {rank} of {count}: predicted loss above ")
    assert chosen[0].reason.endswith(f"above {100 * (count - 1) / count:.1f}% of the pool")
    query = RunFolder(made.project.round(1)).query(0)
    assert query is not None and len(query.candidates) == count
    assert sorted(query.signals["predicted_loss"])[-3:][::-1] == pytest.approx(losses)
    assert all(one.signals == {} for one in batch.choices if one.by == "random")
    first = batches.read(made.run)[0].choices[2]
    assert first.reason.startswith("rank 1 of 12: each pick is") and "pool" not in first.reason


def test_drafts_lie_in_the_image_surest_first_with_ids(journey):
    made, _ = journey
    drafted = 0
    for batch in batches.read(made.run)[1:]:
        assert re.search(r" of round \d$", batch.model)
        for one in batch.choices:
            width, height = made.project.images[one.sha256].size
            scores = [shape.score for shape in one.drafts]
            assert scores == sorted(scores, reverse=True)
            assert [shape.id for shape in one.drafts] == [
                f"draft{k}" for k in range(1, len(scores) + 1)
            ]
            drafted += len(scores)
            for shape in one.drafts:
                if shape.box is not None:
                    x, y, w, h = shape.box
                    assert min(x, y, w, h) >= 0 and x + w <= width and y + h <= height
                assert all(0 <= j.x <= width and 0 <= j.y <= height for j in shape.joints)
    assert drafted > 0


def test_what_went_out_shows_no_drafts_on_blind_images(journey):
    made, _ = journey
    batch = batches.read(made.run)[1]
    form = FORMS[made.kind][1]
    folder = made.run / "batches/01" / form
    assert folder.is_dir() and not list(folder.parent.glob(".*"))
    if form == "label-studio":
        tasks = json.loads((folder / "tasks.json").read_text())
        shown = {task["data"]["key"]: "predictions" in task for task in tasks}
        assert shown == {one.key: not one.blind for one in batch.choices}
        assert [task["data"]["rank"] for task in tasks] == [1, 2, 3, 4]
        assert all(task["data"]["reason"] for task in tasks)


def test_what_comes_back_is_counted_once_with_its_cost(journey):
    made, said = journey
    assert "2 images are new, 0 changed, 0 were known" in said[0]
    assert "3 images are new, 0 changed, 2 were known" in said[0]
    assert "3 images of batch 0 did not come back yet" in said[0]
    labels = versions.read(made.run)
    assert labels.number == 5 and len(labels.labels) == 13
    assert sorted(path.name for path in (made.run / "labels").iterdir()) == [
        f"{k:02d}.json" for k in range(6)
    ]
    truth = made.truth()
    for batch in batches.read(made.run):
        for one in batch.choices:
            found = labels.labels[one.sha256]
            assert found.batch == batch.number
            cost, drawn = found.cost, len(truth[one.sha256])
            shown = 0 if one.blind else len(one.drafts)
            assert cost.kept + cost.moved + cost.renamed + cost.added == drawn
            assert cost.kept + cost.moved + cost.renamed + cost.deleted == shown
            assert [shape.label for shape in found.answer.shapes] == [
                shape.label for shape in truth[one.sha256]
            ]


def test_the_round_was_trained_on_what_was_labeled_then(journey):
    made, _ = journey
    points = curve(made.project)
    assert [point.number for point in points] == [1, 2]
    for point, known in zip(points, (5, 9), strict=True):
        slice = made.project.slice
        learnt = [one for sha, one in point.labels.labels.items() if sha not in slice]
        assert len(point.labels.labels) == known
        samples = len(learnt)
        if made.kind == "poses":
            samples = sum(len(one.answer.shapes) for one in learnt)
        assert point.row["labeled"] == samples
        assert point.halves is not None
        assert "ranking/validation/pairs" in point.row
    text = (
        made.run / "rounds/01" / ("pool.csv" if made.kind == "classes" else "pool.json")
    ).read_text()
    assert text.count(".png") == 12, "the validation slice is never trained on"


def test_the_page_has_each_picture_and_its_reason(journey):
    made, _ = journey
    for batch in batches.read(made.run):
        page = (made.run / f"batches/{batch.number:02d}/page.html").read_text(encoding="utf-8")
        assert page.count("data:image/jpeg;base64,") == len(batch.choices)
        for rank, one in enumerate(batch.choices, 1):
            assert f"{rank}. {one.key}" in page
        assert page.count("people see no predictions") == sum(
            one.blind and bool(one.drafts) for one in batch.choices
        )


def test_status_tells_it_all(journey):
    made, _ = journey
    said = made.good("status", made.run)
    assert "14 images; 13 labeled, 0 empty, 0 skipped, 0 waiting, 1 open" in said
    assert "validation slice: 2 images; 2 labeled, 0 skipped, 0 waiting" in said
    assert "worth going on?" in said and "the module orders" in said
    rows = [line.split("│")[1:-1] for line in said.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == ["1", "2"]


def test_next_again_writes_the_same_files(journey):
    made, _ = journey
    before = annotator.hashes(made.run / "batches")
    made.good("next", made.run, "--again", "--export", FORMS[made.kind][2])
    assert annotator.hashes(made.run / "batches") == before


# ------------------------------------------------------------------ labels as a data set

AS = {"boxes": ("coco", "voc", "yolo"), "poses": ("coco", "yolo"), "classes": ("folders", "csv")}


def test_labels_so_far_in_every_form(journey, tmp_path: Path):
    made, _ = journey
    known = {key: one.answer for key, one in annotator.kept(made.run).items()}
    for form in AS[made.kind]:
        said = made.good("labels", made.run, "--as", form, "--out", tmp_path / form)
        assert f"labels of 13 images as {form}" in said
        if form == "folders":
            found = {path.name: path.parent.name for path in (tmp_path / form).glob("*/*")}
            assert found == {Path(key).name: one.shapes[0].label for key, one in known.items()}
            continue
        if form == "csv":
            with (tmp_path / form / "classes.csv").open(newline="") as file:
                rows = {row["file"]: row["class"] for row in csv.DictReader(file)}
            assert rows == {key: one.shapes[0].label for key, one in known.items()}
            continue
        images = {image.key: image for image in made.project.index.present}
        entries = FORMATS[form].load().read(tmp_path / form, made.project.labeling, images)
        assert len(entries) == 13
        for entry in entries:
            (key,) = [key for key in known if Path(key).stem == Path(entry.name).stem]
            for shape, truth in zip(entry.shapes, known[key].shapes, strict=True):
                assert shape.label == truth.label
                if truth.box is not None:
                    assert shape.box == pytest.approx(truth.box, abs=0.01)
                for joint, true in zip(shape.joints, truth.joints, strict=True):
                    assert (joint.x, joint.y, joint.visibility) == pytest.approx(
                        (true.x, true.y, true.visibility), abs=0.01
                    )
    status, said = made.call(
        "labels", made.run, "--as", AS[made.kind][0], "--out", tmp_path / AS[made.kind][0]
    )
    assert status == 2 and "--out: expected a folder that is new or empty" in said
    wrong = "folders" if made.kind != "classes" else "coco"
    status, said = made.call("labels", made.run, "--as", wrong, "--out", tmp_path / "x")
    assert status == 2 and f"for {made.kind}, but got '{wrong}'" in said


# ------------------------------------------------------------------ a round is a run folder


def test_a_round_is_a_run_that_other_commands_take(journey, tmp_path: Path, capsys):
    made, _ = journey
    folder = str(made.run / "rounds/02")
    assert al_verify.main([folder]) == 0, capsys.readouterr()
    arguments = ["--images", str(made.photos), "--out", str(tmp_path / "found")]
    assert al_predict.main([folder, *arguments]) == 0, capsys.readouterr()
    assert any((tmp_path / "found").iterdir())
    if made.kind == "classes":  # of the other kinds tests of al_export have more
        out = tmp_path / "model"
        assert al_export.main([folder, "--out", str(out)]) == 0, capsys.readouterr()
        assert any(out.iterdir())
    capsys.readouterr()


# ------------------------------------------------------------------ next is exact


def test_the_same_answers_lead_to_the_same_choices(journey, tmp_path: Path):
    made, _ = journey
    kind = made.kind
    again = started(tmp_path, kind)
    again.next(5, "--export", FORMS[kind][0])
    assert batches.read(again.run)[0] == batches.read(made.run)[0]
    again.back(FORMS[kind][0])
    again.next(4, "--export", FORMS[kind][1])
    first, second = batches.read(again.run)[1], batches.read(made.run)[1]
    assert [one.key for one in first.choices] == [one.key for one in second.choices]
    assert first.choices == second.choices


def test_other_seeds_choose_others(tmp_path: Path):
    chosen = []
    for seed in (1, 2):
        made = started(tmp_path / str(seed), "classes", f"seed={seed}")
        made.next(6)
        chosen.append([one.key for one in annotator.newest(made.run).choices])
    assert chosen[0] != chosen[1]


def test_kit(tmp_path: Path):
    """The images of these tests are no two alike, and people have something to draw."""
    made = projectkit.bench(tmp_path, "poses")
    truth = made.truth()
    assert len(truth) == 14 and all(1 <= len(shapes) <= 2 for shapes in truth.values())
    assert all(len(s.joints) == len(JOINTS) for shapes in truth.values() for s in shapes)
    pictures = [np.asarray(Image.open(path)) for path in sorted(made.photos.rglob("*.png"))]
    assert len({picture.tobytes() for picture in pictures}) == 14
    assert {
        s.label for t in projectkit.bench(tmp_path / "c", "classes").truth().values() for s in t
    } <= set(CLASSES)
