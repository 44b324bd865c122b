"""Images of every kind are predicted or named, and files are whole; nothing is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.deploykit import json_of, predicted
from tools.record import plans

pytestmark = pytest.mark.slow


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
