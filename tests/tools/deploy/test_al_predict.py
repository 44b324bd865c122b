"""Predictions on files are those of the run's evaluation, and nothing is left out in silence."""

from __future__ import annotations

import csv
import json
import os
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.training.inference import inference
from tasks.detection.coco import read_coco
from tasks.pose.people import MARGIN
from tests import deploykit
from tests.deploykit import json_of
from tools import al_predict
from tools.deploy.trained import trained
from tools.record import plans

pytestmark = pytest.mark.slow


def predicted(run: Path, images: Path, out: Path, *more: object) -> int:
    """The exit status of a call in this process."""
    given = [run, "--images", images, "--out", out, "--workers", 0, *more]
    return al_predict.main([str(word) for word in given])


def last_row(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def of_the_task(run: Path) -> tuple[Any, list]:
    """A run's task, and its own predictions on its test set, one by one."""
    task = plans.task(run)
    network, test = trained(run).network, task.dataset("test")
    move = BaseDataPreprocessor()
    with inference([network]):
        found = [task.predict(network, move(task.collate([test[i]])))[0] for i in range(len(test))]
    return task, found


def as_coco(data: Path, names: list[str]) -> dict[str, Any]:
    """The boxes of the drawn scenes as COCO's json, read by mmdet's own reader of VOC."""
    from tasks.detection import Detection

    task = Detection(
        str(data),
        train=["VOC2007/trainval"],
        test=["VOC2007/test"],
        classes=names,
        network="small_ssd",
        pretrained=None,
    )
    found: dict[str, dict[str, Any]] = {}
    for split, part in (("train", task._train), ("test", task._whole_test)):
        images, annotations = [], []
        for k in range(len(part)):
            info = part.get_data_info(k)
            name = Path(info["img_path"]).name
            size = {"width": info["width"], "height": info["height"]}
            images.append({"id": k + 1, "file_name": name, **size})
            for box in info["instances"]:
                x1, y1, x2, y2 = map(float, box["bbox"])
                place = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                one = {"id": len(annotations) + 1, "image_id": k + 1, "iscrowd": 0, **place}
                annotations.append({**one, "category_id": box["bbox_label"] + 1})
        categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
        content = {"info": {}, "images": images, "annotations": annotations}
        found[split] = {**content, "categories": categories}
    return found


@pytest.fixture(scope="module")
def coco_run(tmp_path_factory) -> tuple[Path, Path]:
    """A run on COCO's json that learned something, and its data: images/ and test.json."""
    root = tmp_path_factory.mktemp("coco")
    data = deploykit.sandbox(root / "drawn", "det", pool=60, test=20)
    jsons = as_coco(data, ["circle", "square", "triangle"])
    home = root / "data"
    for split, content in jsons.items():
        (home / split).mkdir(parents=True)
        for image in content["images"]:
            shutil.copy(data / "VOC2007/JPEGImages" / image["file_name"], home / split)
        (home / f"{split}.json").write_text(json.dumps(content))
    options = {
        "task.format": "coco",
        "task.train": ["train:train.json"],
        "task.test": ["test:test.json"],
        "budget.initial": 50,
        "training.epochs": 12,
    }
    return deploykit.run(root / "run", "det", home, **options), home


def test_boxes_are_those_of_the_evaluation_and_give_its_map(coco_run, tmp_path: Path):
    run, home = coco_run
    out = tmp_path / "out"
    assert predicted(run, home / "test", out) == 0
    found = json_of(out / "predictions.json")
    row = last_row(run)
    assert row["mAP"] > 0.01
    with redirect_stdout(StringIO()):
        truth = COCO(str(home / "test.json"))
        ids = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
        names = {image["id"]: image["file_name"] for image in found["images"]}
        results = [{**one, "image_id": ids[names[one["image_id"]]]} for one in found["annotations"]]
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate(), judge.accumulate(), judge.summarize()
    assert judge.stats[0] == pytest.approx(row["mAP"], abs=6e-4)  # the row has three digits
    assert judge.stats[1] == pytest.approx(row["mAP_50"], abs=6e-4)
    _, own = of_the_task(run)
    by_name = {Path(sample.img_path).name: sample.pred_instances for sample in own}
    assert set(by_name) == set(names.values())
    for number, name in names.items():
        here = [one for one in found["annotations"] if one["image_id"] == number]
        boxes = torch.tensor([one["bbox"] for one in here])
        boxes[:, 2:] += boxes[:, :2]
        assert torch.allclose(boxes, by_name[name].bboxes, atol=1e-2)
        assert [one["category_id"] - 1 for one in here] == by_name[name].labels.tolist()


def test_the_json_is_read_by_pycocotools_and_back_as_labels(coco_run, tmp_path: Path):
    run, home = coco_run
    assert predicted(run, home / "test", tmp_path / "out", "--no-pictures") == 0
    assert not (tmp_path / "out/pictures").exists()
    with redirect_stdout(StringIO()):
        read = COCO(str(tmp_path / "out/predictions.json"))
    assert len(read.imgs) == 20 and len(read.anns) > 20
    assert [c["name"] for c in read.dataset["categories"]] == ["circle", "square", "triangle"]
    shutil.copytree(home / "test", tmp_path / "out/images")
    reading = read_coco(
        tmp_path / "out", ["images:predictions.json"], ["circle", "square", "triangle"]
    )
    with pytest.raises(StopIteration) as end:
        next(reading)
    labels = end.value.value
    assert len(labels.images) == 20 and len(labels.annotations) == len(read.anns)


def test_classes_are_those_of_the_evaluation_and_give_its_accuracy(runs, tmp_path: Path):
    run = runs["cls"]
    task, own = of_the_task(run)
    assert predicted(run, task.root / "test", tmp_path / "out") == 0
    with open(tmp_path / "out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(own) == 20
    right = [row["class"] == Path(row["file"]).parent.name for row in rows]
    assert np.mean(right) == pytest.approx(last_row(run)["accuracy"])
    assert [row["class"] for row in rows] == [task.classes[one.predicted] for one in own]
    for row in rows:
        shares = [float(row[f"p_{name}"]) for name in task.classes]
        assert sum(shares) == pytest.approx(1) and row["class"] == task.classes[np.argmax(shares)]


def test_classes_of_an_earlier_cycle_are_other_ones(runs, tmp_path: Path):
    images = plans.task(runs["cls"]).root / "test"
    for cycle in (0, 1):
        assert predicted(runs["cls"], images, tmp_path / str(cycle), "--cycle", cycle) == 0
    texts = [(tmp_path / str(cycle) / "predictions.csv").read_text() for cycle in (0, 1)]
    assert texts[0].splitlines()[0] == texts[1].splitlines()[0] and texts[0] != texts[1]


def boxes_file(path: Path, task) -> Path:
    """The test persons' crops as boxes around which the same crops are cut."""
    people = task._test_people
    images, annotations = {}, []
    for k, file in enumerate(people.paths):
        number = images.setdefault(file.name, len(images) + 1)
        side = people.sides[k] / MARGIN
        left, top = people.centres[k] - side / 2
        box = {"bbox": [float(left), float(top), float(side), float(side)]}
        annotations.append({"id": k + 1, "image_id": number, "category_id": 1, **box})
    listed = [{"id": number, "file_name": name} for name, number in images.items()]
    content = {"images": listed, "annotations": annotations}
    path.write_text(json.dumps({**content, "categories": [{"id": 1, "name": "person"}]}))
    return path


def test_joints_are_those_of_the_evaluation_and_give_its_pckh(runs, tmp_path: Path, capsys):
    run = runs["pose"]
    task, own = of_the_task(run)
    boxes = boxes_file(tmp_path / "boxes.json", task)
    out = tmp_path / "out"
    assert predicted(run, task.root / "images", out, "--boxes", boxes) == 0
    assert "images have no box, and no prediction then" in capsys.readouterr().out
    found = json_of(out / "predictions.json")
    names = {image["id"]: image["file_name"] for image in found["images"]}
    people = task._test_people
    joints = {
        (names[one["image_id"]], tuple(np.round(one["bbox"], 3))): one
        for one in found["annotations"]
    }
    assert len(joints) == len(own) == len(people)
    ordered = []
    for k, file in enumerate(people.paths):
        side = people.sides[k] / MARGIN
        box = [*(people.centres[k] - side / 2), side, side]
        ordered.append(joints[file.name, tuple(np.round(box, 3))])
    spots = [np.array(one["keypoints"]).reshape(-1, 3)[:, :2] for one in ordered]
    for prediction, spot in zip(own, spots, strict=True):
        assert np.allclose(prediction.joints, spot, atol=1e-2)
    truth, annotated, sizes = task._truth
    scored = [k for k, name in enumerate(task.joints) if name not in task.unscored]
    distance = np.linalg.norm(np.stack(spots) - truth, axis=2) / sizes[:, None]
    known = annotated[:, scored]
    right = ((distance[:, scored] <= 0.5) & known).sum() / known.sum()
    assert right == pytest.approx(last_row(run)["PCKh"])
    one = ordered[0]
    assert one["score"] == pytest.approx(np.mean(one["keypoint_scores"]))
    assert one["num_keypoints"] == 16 and set(one["keypoints"][2::3]) == {2}
    assert [len(c["keypoints"]) for c in found["categories"]] == [16]


def test_without_boxes_an_image_is_one_person_and_that_is_said(runs, tmp_path: Path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    assert cv2.imwrite(str(images / "a.png"), np.full((40, 60, 3), 90, np.uint8))
    assert predicted(runs["pose"], images, tmp_path / "out") == 0
    assert "note: each image is taken as one person" in capsys.readouterr().out
    [one] = json_of(tmp_path / "out/predictions.json")["annotations"]
    assert one["bbox"] == [0, 0, 60, 40] and len(one["keypoints"]) == 48


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Images of every kind, nested, with files that are none and some that are broken."""
    root = tmp_path / "mixed"
    rng = np.random.default_rng(0)
    for folder in ("a", "b/c", "b/__MACOSX"):
        (root / folder).mkdir(parents=True)
    noise = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    assert cv2.imwrite(str(root / "a/one.png"), noise)
    assert cv2.imwrite(str(root / "b/c/one.png"), noise[:, ::-1])
    assert cv2.imwrite(str(root / "b/grey.png"), noise[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise[..., ::-1].copy()).save(root / "turned.png", exif=exif)
    (root / "broken.jpg").write_bytes(b"no image")
    whole = (root / "a/one.png").read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "notes.txt").write_text("none")
    (root / "b/__MACOSX/one.png").write_bytes(whole)
    (root / ".DS_Store").write_bytes(b"")
    return root


def test_nested_grey_and_turned_images_and_those_that_cannot_be_read(
    coco_run, mixed: Path, tmp_path: Path, capsys
):
    out = tmp_path / "out"
    assert predicted(coco_run[0], mixed, out, "--score-threshold", 0.05) == 1
    said = capsys.readouterr()
    assert f"left out: {mixed / 'broken.jpg'}: " in said.err
    assert f"left out: {mixed / 'cut.png'}" in said.err and said.err.count("left out: ") == 2
    assert f"{mixed}: 1 files are no images: 1 '.txt'" in said.out
    assert "2 files and folders without data are skipped" in said.out
    found = json_of(out / "predictions.json")
    sizes = {i["file_name"]: (i["width"], i["height"]) for i in found["images"]}
    assert sizes == {
        "a/one.png": (128, 96),
        "b/c/one.png": (128, 96),
        "b/grey.png": (128, 96),
        "turned.png": (96, 128),
    }
    pictures = {str(p.relative_to(out / "pictures")) for p in (out / "pictures").rglob("*.jpg")}
    assert pictures == {f"{name}.jpg" for name in sizes}
    with Image.open(out / "pictures/turned.png.jpg") as picture:
        assert picture.size == (192, 256)
    for one in found["annotations"]:
        x, y, w, h = one["bbox"]
        width, height = sizes[found["images"][one["image_id"] - 1]["file_name"]]
        assert -1 <= x <= x + w <= width + 1 and -1 <= y <= y + h <= height + 1


def test_a_turned_image_has_the_boxes_of_its_turned_pixels(coco_run, mixed: Path, tmp_path: Path):
    """The reference is the same image with its pixels turned by NumPy, and no EXIF."""
    pixels = np.array(Image.open(mixed / "turned.png"))
    plain = tmp_path / "plain"
    plain.mkdir()
    Image.fromarray(np.rot90(pixels, -1).copy()).save(plain / "turned.png")
    boxes = []
    for name, folder in (("exif", mixed), ("plain", plain)):
        out = tmp_path / f"out-{name}"
        predicted(coco_run[0], folder, out, "--no-pictures")
        found = json_of(out / "predictions.json")
        [number] = [i["id"] for i in found["images"] if i["file_name"] == "turned.png"]
        own = [one for one in found["annotations"] if one["image_id"] == number]
        boxes.append([[*one["bbox"], one["score"]] for one in own])
    assert len(boxes[0]) > 0 and np.allclose(boxes[0], boxes[1], atol=1e-2)


def test_pictures_show_what_is_above_the_threshold(coco_run, tmp_path: Path):
    run, home = coco_run
    for name, threshold in (("none", 1.1), ("some", 0.0)):
        more = ("--limit", 1, "--score-threshold", threshold)
        assert predicted(run, home / "test", tmp_path / name, *more) == 0
    texts = [(tmp_path / name / "predictions.json").read_text() for name in ("none", "some")]
    assert texts[0] == texts[1] and len(json.loads(texts[0])["images"]) == 1
    [plain], [drawn] = ([*(tmp_path / n / "pictures").iterdir()] for n in ("none", "some"))
    lime = [(np.array(Image.open(p)).astype(int) - [0, 255, 0]) for p in (plain, drawn)]
    close = [(np.abs(pixels).sum(2) < 60).mean() for pixels in lime]
    assert close[0] < 0.01 < close[1]


def test_images_of_another_size_than_the_network_takes_are_named(
    runs, mixed: Path, tmp_path: Path, capsys
):
    assert cv2.imwrite(str(mixed / "fits.png"), np.full((32, 32, 3), 90, np.uint8))
    assert predicted(runs["cls"], mixed, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "a/one.png: expected 32 x 32 pixels" in said and "but got 128 x 96; resize it" in said
    rows = (tmp_path / "out/predictions.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["file", "fits.png"]


def refused(capsys, run: Path, images: Path, out: Path, *more: object) -> str:
    assert predicted(run, images, out, *more) == 2
    return capsys.readouterr().err


def test_folders_that_cannot_be_used_are_refused(runs, mixed: Path, tmp_path: Path, capsys):
    run, out = runs["cls"], tmp_path / "out"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty}: expected images, but got none" in refused(capsys, run, empty, out)
    (empty / "broken.png").write_bytes(b"nothing")
    assert f"got none\n  {empty / 'broken.png'}" in refused(capsys, run, empty, out)
    assert "--images: expected a folder" in refused(capsys, run, tmp_path / "gone", out)
    assert "outside of --images" in refused(capsys, run, mixed, mixed / "out")
    assert "no such folder" in refused(capsys, tmp_path / "gone", mixed, out)
    out.mkdir()
    (out / "predictions.csv").write_text("")
    said = refused(capsys, run, mixed, out)
    assert "holds predictions.csv of an earlier call" in said
    assert [path.name for path in out.iterdir()] == ["predictions.csv"]


def test_boxes_that_are_none_are_refused_and_others_are_counted(
    runs, mixed: Path, tmp_path: Path, capsys
):
    path, out = tmp_path / "boxes.json", tmp_path / "out"
    images = [{"id": 1, "file_name": "a/one.png"}, {"id": 2, "file_name": "gone.png"}]

    def given(*boxes: dict) -> Path:
        categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
        content = {"images": images, "annotations": list(boxes), "categories": categories}
        path.write_text(json.dumps(content))
        return path

    assert "takes whole images" in refused(capsys, runs["cls"], mixed, out, "--boxes", given())
    one = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 40]}
    for box in ([1, 2, 3], [0, 0, 0, 5], [0, 0, float("nan"), 5], None):
        said = refused(
            capsys, runs["pose"], mixed, out, "--boxes", given(one, {**one, "bbox": box})
        )
        assert "annotations[1]: expected a 'bbox' [x, y, width, height]" in said
    path.write_text("[]")
    assert "expected an object at the top" in refused(
        capsys, runs["pose"], mixed, out, "--boxes", path
    )
    boxes = [
        one,
        {**one, "bbox": [50, 20, 30, 40], "score": 0.31},
        {**one, "score": 0.29},
        {**one, "category_id": 2},
        {**one, "image_id": 2},
    ]
    assert predicted(runs["pose"], mixed, out, "--boxes", given(*boxes)) == 1
    texts = capsys.readouterr()
    assert f"left out: {mixed / 'cut.png'} is no image" in texts.err
    said = texts.out
    for words in (
        "1 boxes are of other categories than 'person'",
        "1 boxes have a score below 0.3",
        "1 boxes are of images that are not among those of --images",
    ):
        assert words in said
    found = json_of(out / "predictions.json")
    assert [one["bbox"] for one in found["annotations"]] == [[10, 10, 30, 40], [50, 20, 30, 40]]


def test_ctrl_c_leaves_whole_files(runs, tmp_path: Path, monkeypatch, capsys):
    from tools.deploy import writing

    images = plans.task(runs["cls"]).root / "test"
    out = tmp_path / "out"
    whole, written = Image.Image.save, []

    def save(self, path, **options):
        if len(written) == 2:
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path)
        whole(self, path, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    assert predicted(runs["cls"], images, out) == 130
    assert "is whole" in capsys.readouterr().out
    monkeypatch.undo()
    assert (out / writing.TABLE).read_text().count("\n") == 21
    files = [path for path in (out / "pictures").rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        Image.open(path).load()


def test_names_that_are_no_utf8_come_out_as_they_are(runs, tmp_path: Path):
    images = tmp_path / "images"
    images.mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(images / name)
    assert predicted(runs["cls"], images, tmp_path / "out") == 0
    rows = (tmp_path / "out/predictions.csv").read_bytes().splitlines()
    assert rows[1].partition(b",")[0] == b"caf\xe9.png"
