"""Rounds in all circumstances: strategies, starts, counts, and pools with little in them."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from models.training.checkpoint import CHECKPOINT
from tests import annotator
from tests.tools.label import projectkit
from tests.tools.label.projectkit import CLASSES, Bench, started
from tools.label import batches
from tools.label.curve import curve
from tools.label.labels import Shape
from tools.record.folder import RunFolder

pytestmark = pytest.mark.slow
FAST = ("training.epochs=1", "module.detach_epoch=1", "label.first=random")


def once(root: Path, *options: str, kind: str = "classes", count: int = 7) -> Bench:
    """A project whose first batch came back: 2 images of the slice and others."""
    made = started(root, kind, *FAST, *options)
    made.next(count)
    made.back("csv" if kind == "classes" else "coco")
    return made


def choices(made: Bench, by: str = "strategy") -> list[str]:
    return [one.key for one in annotator.newest(made.run).choices if one.by == by]


# ------------------------------------------------------------------ strategies


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["strategy=coreset"], "farthest from all labeled samples"),
        (["strategy=random"], "rank 1 of 7: "),
        (["strategy=entropy"], "entropy above "),
        (["strategy=badge"], "rank 1 of 7: "),
        (["strategy=kmeans"], "rank 1 of 7: keeps the sample nearest to each of as many centroids"),
        (["strategy=learning_loss_coreset"], "predicted loss above "),
        (["strategy=ensemble_bald"], "bald above "),
        (["strategy=dropout_bald", "committee.dropout_at=['layer*']"], "bald above "),
        (["strategy=entropy", "scoring.batch_size=auto"], "entropy above "),
    ],
)
def test_strategies_choose_and_say_why(tmp_path: Path, options: list[str], words: str):
    made = once(tmp_path, *options)
    said = made.next(4)
    assert "round 1: trained on 5 labeled samples" in said
    first = annotator.newest(made.run).choices[0]
    assert first.by == "strategy" and words in first.reason, first.reason
    assert first.reason.startswith("rank 1 of 7: ") and not first.reason.endswith(": ")
    assert len(choices(made)) == 3 and len(choices(made, "random")) == 1


def test_a_temperature_is_fitted_on_the_validation_slice(tmp_path: Path):
    made = once(tmp_path, "strategy=uherding")
    made.next(4)
    (row,) = RunFolder(made.project.round(1)).rows(1)
    assert 0.05 <= row["query/temperature"] <= 20 and row["query/temperature"] != 1
    first = annotator.newest(made.run).choices[0]
    assert "calibrated_margin" in first.signals


@pytest.mark.parametrize("first", ["cover", "typiclust", "random"])
def test_first_batches(tmp_path: Path, first: str):
    made = started(tmp_path, "classes", f"label.first={first}")
    said = made.next(8)
    assert "trained" not in said
    batch = annotator.newest(made.run)
    assert not batch.trained and batch.model == ""
    assert [one.by for one in batch.choices] == ["validation"] * 2 + ["strategy"] * 4 + [
        "random"
    ] * 2
    assert len({one.sha256 for one in batch.choices}) == 8
    assert all(one.drafts == () and one.blind for one in batch.choices)


def test_a_cover_is_one(tmp_path: Path):
    """Of a pool with three kinds of pictures each kind is asked for."""
    names = [f"{k}.png" for k in range(15)]
    made = projectkit.bench(tmp_path, "classes", names)
    for k, name in enumerate(names):
        colour = [(255, 0, 0), (0, 255, 0), (0, 0, 255)][0 if k < 11 else k % 3]
        Image.new("RGB", (32, 32), tuple(max(0, c - k) for c in colour)).save(made.photos / name)
    made.init("--cfg-options", "label.random=0", "label.validation=1")
    made.next(4)
    kinds = {0 if int(key[:-4]) < 11 else int(key[:-4]) % 3 for key in choices(made)}
    slice = [one.key for one in annotator.newest(made.run).choices if one.by == "validation"]
    expected = {0 if int(n[:-4]) < 11 else int(n[:-4]) % 3 for n in names if n not in slice}
    assert len(choices(made)) == 3 and kinds == expected


def test_a_warm_start_begins_with_the_weights_of_the_round_before(tmp_path: Path):
    made = once(tmp_path, "training.start=warm", "training.optimizer.lr=0.0")
    made.next(2)
    made.back("csv")
    made.next(2)
    weights = [
        torch.load(
            RunFolder(made.run / f"rounds/0{k}").training_folder(0) / CHECKPOINT, weights_only=True
        )["state_dict"]
        for k in (1, 2)
    ]
    names = [name for name in weights[0] if name.endswith("conv1.weight")]
    assert names and all(torch.equal(weights[0][name], weights[1][name]) for name in names)
    # of the weights before the last round nothing is left: it is said
    made.back("csv")
    shutil.rmtree(made.run / "rounds/02")
    status, said = made.call("next", made.run, "--count", 1)
    assert status == 2 and "expected the weights to start from" in said


# ------------------------------------------------------------------ counts


def test_more_than_is_left_and_then_nothing(tmp_path: Path):
    made = once(tmp_path)
    made.next(500)
    assert len(annotator.newest(made.run).choices) == 7
    status, said = made.call("next", made.run)
    assert status == 2
    assert "expected images that nobody labeled or has, but all 14 are labeled, skipped or" in said
    assert len(batches.read(made.run)) == 2
    made.back("csv")
    said = made.next(5)  # everything is labeled: it trains for the curve
    assert "round 2: trained on 12 labeled samples" in said
    assert len(batches.read(made.run)) == 3
    assert "0 open" in made.good("status", made.run)


@pytest.mark.parametrize(("random", "own"), [("0.0", 3), ("1.0", 0), ("0.5", 1), ("0.1", 3)])
def test_as_many_as_are_asked_for_whatever_the_random_share(tmp_path: Path, random: str, own: int):
    made = once(tmp_path, f"label.random={random}")
    assert len(annotator.newest(made.run).choices) == 7
    made.next(3)
    batch = annotator.newest(made.run)
    assert len({one.sha256 for one in batch.choices}) == 3
    assert len(choices(made)) == own and batch.trained
    made.next(1)
    assert len(annotator.newest(made.run).choices) == 1


def test_a_zero_trains_alone(tmp_path: Path):
    made = once(tmp_path)
    said = made.next(0)
    assert "round 1: trained" in said and annotator.newest(made.run).choices == ()
    status, said = made.call("next", made.run, "--count", 0)
    assert status == 2 and "--count 0: expected labels" in said and "got none; add some" in said


# ------------------------------------------------------------------ little is labeled


def test_one_label_is_too_few_to_train_on(tmp_path: Path):
    made = started(tmp_path, "classes", *FAST)
    made.next(3)
    made.back("csv")
    said = made.next(2)
    assert "note: expected at least 2 labeled samples" in said and "but got 1, 1 of them" in said
    assert not annotator.newest(made.run).trained and len(annotator.newest(made.run).choices) == 2
    status, said = made.call("next", made.run, "--count", 0)
    assert status == 2 and "label more" in said
    made.back("csv")
    assert "round 2: trained on 3 labeled samples" in made.next(2)


def test_a_last_batch_of_one_sample_does_not_stop_a_project(tmp_path: Path):
    made = once(tmp_path, kind="classes", count=7)
    said = made.next(2)
    assert "note: training.batch_size was 5 in this round" in said
    config = json.loads((made.run / "rounds/01/config.json").read_text())
    assert config["training"]["batch_size"] == 5


@pytest.mark.parametrize("kind", ["boxes", "poses"])
def test_only_empty_images(tmp_path: Path, kind: str):
    """There is nothing to learn yet: the next batch is chosen as the first one was."""
    made = started(tmp_path, kind, *FAST)
    made.next(6)
    keys = frozenset(one.key for one in annotator.newest(made.run).choices)
    made.back("coco", made.person(empty=keys))
    said = made.next(4)
    assert "one of them with something to learn, but got " in said and " 0 of them" in said
    assert not annotator.newest(made.run).trained
    made.back("coco")
    # the validation slice has nothing in it
    if kind == "poses":
        status, said = made.call("next", made.run)
        assert status == 2 and "there is nothing in its 2 labeled images; correct" in said
        return
    said = made.next(2)
    assert "round 2: trained on" in said and "not a number on the validation slice" in said
    said = made.good("status", made.run)
    assert "│" in said and "nan" not in said


def test_a_class_that_nobody_ever_saw(tmp_path: Path):
    made = started(tmp_path, "classes", *FAST)
    made.next(7)
    truth = {sha256: [Shape(CLASSES[0])] for sha256 in made.truth()}
    made.back("csv", annotator.Person(truth))
    said = made.next(3)
    assert "none of 2 of 3 classes: 'nut', 'screw'" in said
    assert annotator.newest(made.run).choices[0].drafts[0].label in CLASSES


def test_a_slice_of_which_all_is_skipped(tmp_path: Path):
    made = started(tmp_path, "classes", *FAST)
    made.next(7)
    slice = [one.key for one in annotator.newest(made.run).choices if one.by == "validation"]
    made.back("csv", made.person(skipped=frozenset(slice)))
    status, said = made.call("next", made.run)
    assert status == 2 and "all its images are skipped or gone" in said
    table = made.root / "one.csv"
    table.write_text(f"file,class\n{slice[0]},nut\n")
    made.good("add", made.run, table)
    assert "round 1: trained" in made.next(2)
    (point,) = curve(made.project)
    assert point.halves is not None and math.isnan(point.halves.error), "one sample has no spread"
    assert "± s.e." in made.good("status", made.run)


def test_a_slice_that_is_still_with_people(tmp_path: Path):
    made = started(tmp_path, "classes", *FAST)
    made.next(7)
    slice = frozenset(one.key for one in annotator.newest(made.run).choices[:2])
    keys = frozenset(one.key for one in annotator.newest(made.run).choices)
    made.back("csv", made.person(only=keys - slice))
    status, said = made.call("next", made.run)
    assert status == 2 and "none came back yet; add them first" in said
    assert len(batches.read(made.run)) == 1


# ------------------------------------------------------------------ what changes around it


def test_images_that_join_and_a_folder_that_may_only_be_read(tmp_path: Path):
    made = once(tmp_path)
    Image.new("RGB", (48, 48), (9, 8, 7)).save(made.photos / "new.png")
    before = annotator.hashes(made.photos)
    for folder in (made.photos, *(p for p in made.photos.rglob("*") if p.is_dir())):
        folder.chmod(0o555)
    said = made.next(20, "--export", "csv")
    assert "1 new images join the pool: new.png" in said
    assert "new.png" in {one.key for one in annotator.newest(made.run).choices}
    assert annotator.hashes(made.photos) == before


def test_pixels_that_cannot_be_read_are_named(tmp_path: Path):
    made = projectkit.bench(tmp_path, "classes")
    path = made.photos / "cut.jpg"
    Image.effect_noise((64, 64), 90).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:900])
    made.init("--cfg-options", "label.validation=1")
    if "cut.jpg" in {made.project.images[sha].key for sha in made.project.slice}:
        pytest.fail("choose another seed")
    status, said = made.call("next", made.run, "--count", 8)
    assert status == 2 and "cut.jpg" in said and "Traceback" not in said


def test_a_removed_folder_of_images_is_named(tmp_path: Path):
    made = once(tmp_path)
    made.photos.rename(tmp_path / "away")
    for part in (["next"], ["status"], ["labels", "--as", "csv", "--out", tmp_path / "o"]):
        status, said = made.call(part[0], made.run, *part[1:])
        assert status == 2 and "expected the folder of images, but there is none" in said
    (tmp_path / "away").rename(made.photos)
    made.good("status", made.run)


def test_a_round_that_was_begun_with_something_else_is_begun_anew(tmp_path: Path, monkeypatch):
    made = once(tmp_path)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(batches, "write", stopped)
    assert made.call("next", made.run, "--count", 3)[0] == 130
    monkeypatch.undo()
    assert "begun anew" not in made.call("status", made.run)[1]
    run = made.root / "moved"
    shutil.copytree(made.run, run)
    said = made.good("next", run, "--count", 3)
    assert "or in another place, and is begun anew" in said
    said = made.next(3)
    assert "begun anew" not in said and "round 1: trained" in said
    assert [one.key for one in batches.read(run)[1].choices] == [
        one.key for one in batches.read(made.run)[1].choices
    ]


def test_near_duplicates_are_marked_or_left_out(tmp_path: Path):
    for how in ("mark", "leave out"):
        made = projectkit.bench(tmp_path / how, "classes")
        for name in ("a.png", "b.png", "c.png"):
            shutil.copy(made.photos / projectkit.NAMES[0], made.photos / name)
            with Image.open(made.photos / name) as image:
                image.save(made.photos / name.replace(".png", ".jpg"), quality=60)
            (made.photos / name).unlink()
        made.init("--cfg-options", f"label.twins={how}", "label.validation=1", "seed=1")
        said = made.next(20)
        batch = annotator.newest(made.run)
        if how == "mark":
            marked = [one for one in batch.choices if one.twin]
            assert len(marked) >= 1 and "picks look almost like an earlier one" in said
            assert "looks almost like" in (made.run / "batches/00/page.html").read_text()
        else:
            assert "are left for later" in said
            assert not any(one.twin for one in batch.choices)
            made.next(20)


# ------------------------------------------------------------------ exports


def test_a_tool_that_cannot_hold_the_labels_is_refused_before_anything_is_trained(tmp_path: Path):
    made = once(tmp_path)
    status, said = made.call("next", made.run, "--export", "csv", "--export", "yolo")
    assert status == 2
    assert "--export: expected one of ['label-studio', 'cvat', 'csv'] for classes" in said
    assert not (made.run / "rounds/01").exists()


def test_a_batch_that_no_tool_got_has_not_gone_out(tmp_path: Path):
    made = projectkit.bench(tmp_path, "boxes", [*projectkit.NAMES, "day/00.jpg"])
    made.init("--cfg-options", *FAST)
    status, said = made.call("next", made.run, "--count", 15, "--export", "yolo")
    assert status == 2 and "cannot tell" in said
    assert not batches.read(made.run) and not made.project.waiting
    made.next(15, "--export", "coco")
    assert len(annotator.newest(made.run).choices) == 15


def test_work_in_an_exported_folder_is_kept(tmp_path: Path):
    made = once(tmp_path)
    made.next(3, "--export", "csv")
    table = made.run / "batches/01/csv/labels.csv"
    table.write_text(table.read_text().replace(",,", ",nut,"))
    (made.run / "batches/01/.csv-left").mkdir()
    said = made.good("next", made.run, "--again", "--export", "csv")
    kept = made.run / "batches/01/csv-before-1/labels.csv"
    assert f"which are kept in {kept.parent}" in said and "nut" in kept.read_text()
    assert "nut" not in table.read_text().partition("\n")[2].partition(",")[2][:5]
    assert not (made.run / "batches/01/.csv-left").exists()
    said = made.good("next", made.run, "--again", "--export", "csv")
    assert "kept in" not in said


def test_names_are_escaped_on_the_page(tmp_path: Path):
    odd = ["<script>alert(1)</script>.png".replace("/", "_"), "a&b'\".png"]
    made = projectkit.bench(tmp_path, "classes", [*projectkit.NAMES[:4], *odd])
    made.init("--cfg-options", "label.first=random")
    made.next(9)
    page = (made.run / "batches/00/page.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page and "a&amp;b&#39;&#34;.png" in page
