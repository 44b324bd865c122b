"""The classification adapter: contract, data as it is on disk, views, losses and accuracy
against torch and sklearn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, recall_score
from torch.nn import functional as F
from torchvision.transforms import v2

from models.process.seeding import seeded
from tasks.base import DataError
from tasks.classification import Classification, sources, views
from tasks.classification.metrics import Accuracy
from tasks.drawing import caption_height
from tests import contract, imagekit
from tests.conftest import REPOSITORY
from tests.imagekit import CLASSES, classification, pixels, write_image
from tools import al_train
from tools.data.sandbox.classification import make_classification
from tools.experiment.config import load
from tools.experiment.options import ConfigError

LOSS, BOTH = frozenset({"loss"}), frozenset({"loss", "probs"})


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return imagekit.make_folder(tmp_path_factory.mktemp("large"), width=90, height=70)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch) -> Path:
    return imagekit.make_cifar10(tmp_path, monkeypatch)


@pytest.fixture(params=["folder", "cifar10", "resnet18 on large images"])
def task(request, image_folder: Path, large: Path) -> Classification:
    if request.param == "folder":
        return classification(image_folder)
    if request.param == "cifar10":
        return classification(request.getfixturevalue("cifar"), format="cifar10")
    return classification(large, network="resnet18", input_size=64, augmentation="resized_crop")


# ---------------------------------------------------------------- the contract


def test_the_adapter_keeps_the_contract(task: Classification):
    contract.check_all(task)
    assert contract.evaluated(task).keys() == {"accuracy"} | {
        f"accuracy/{name}" for name in task.classes
    }


def test_loss_is_torchs_cross_entropy_and_probs_are_its_softmax(image_folder: Path):
    task = classification(image_folder)
    with seeded(1):
        network = task.build().eval()
    batch = contract.a_batch(task, "pool", list(range(8)))
    with torch.no_grad():
        output = task.forward(network, batch, BOTH)
        _, logits = network(
            v2.functional.normalize(batch["images"] / 255, list(task.mean), list(task.std))
        )
    by_hand = [
        F.cross_entropy(logits[i : i + 1], batch["labels"][i : i + 1]).item() for i in range(8)
    ]
    assert output.loss.tolist() == pytest.approx(by_hand, rel=1e-5)
    assert output.probs.shape == (8, 1, 3)
    torch.testing.assert_close(
        output.probs[:, 0], torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
    )


# ---------------------------------------------------------------- data


def test_a_folder_is_read_in_the_order_of_its_names(image_folder: Path):
    task = classification(image_folder)
    pool = task.dataset("pool")
    paths = sorted((image_folder / "train").glob("*/*.png"))
    assert (
        task.classes == CLASSES
        and len(pool) == len(task.dataset("train")) == 12
        and len(task.dataset("test")) == 6
    )
    for (image, label), path in zip((pool[i] for i in range(12)), paths, strict=True):
        # RGB; PIL as the reference
        assert np.array_equal(image.permute(1, 2, 0), np.asarray(Image.open(path)))
        assert CLASSES[label] == path.parent.name
    assert image.dtype == torch.uint8 and image.shape == (3, 32, 32)


def test_given_classes_set_the_labels_and_leave_the_order(image_folder: Path):
    task = classification(image_folder, classes=["dog", "bird", "cat"])
    assert task.check() == []
    plain = classification(image_folder).dataset("pool")
    for i in range(12):
        (image, label), (other, by_name) = task.dataset("pool")[i], plain[i]
        assert torch.equal(image, other) and task.classes[label] == CLASSES[by_name]


def test_few_images_are_held_and_many_are_read(image_folder: Path, monkeypatch):
    held = classification(image_folder)
    assert len(held.pictures.pool.held) == 12
    monkeypatch.setattr(sources, "HELD_BYTES", 12 * 3072 - 1)
    read = classification(image_folder)
    assert len(read.pictures.pool.held) == 0
    for i in range(12):
        assert torch.equal(read.dataset("pool")[i][0], held.dataset("pool")[i][0])


def test_that_many_are_too_many_is_known_early(tmp_path: Path, monkeypatch):
    path = tmp_path / "one.png"
    write_image(path, pixels(0))
    monkeypatch.setattr(sources, "HELD_BYTES", 999 * 3072)
    seen = []
    monkeypatch.setattr(sources, "track", lambda paths, what: (seen.append(p) or p for p in paths))
    assert sources._held([path] * 1000) == [] and len(seen) == sources.FIRST
    assert len(sources._held([path] * 999)) == 999


def test_an_image_that_goes_bad_after_the_check_is_named(
    image_folder: Path, tmp_path: Path, monkeypatch
):
    home = imagekit.make_folder(tmp_path)
    monkeypatch.setattr(sources, "HELD_BYTES", 0)
    pool = classification(home).dataset("pool")
    bad = home / "train/bird/001.png"
    bad.write_bytes(b"no image")
    with pytest.raises(DataError, match=str(bad)):
        pool[1]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16"])
def test_images_of_every_kind_become_rgb_bytes(tmp_path: Path, mode: str):
    grey = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    image = (
        Image.fromarray(grey) if mode != "I;16" else Image.fromarray(grey.astype(np.uint16) * 257)
    )
    (image if mode in ("L", "I;16") else image.convert(mode)).save(tmp_path / "x.png")
    found = sources.read_image(tmp_path / "x.png")
    assert found.shape == (32, 32, 3) and found.dtype == np.uint8
    if mode != "1":
        assert np.abs(found.astype(int) - grey[..., None]).max() <= (4 if mode == "P" else 0)


def test_cifar_is_read_in_the_order_of_its_files(cifar: Path):
    task = classification(cifar, format="cifar10")
    assert task.check() == [] and task.classes == tuple(f"class{k}" for k in range(10))
    assert (len(task.dataset("pool")), len(task.dataset("test"))) == (20, 4)
    raw = np.random.default_rng(2).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)  # data_batch_3
    image, label = task.dataset("pool")[9]
    assert np.array_equal(image, raw[1]) and label == (2 + 3) % 10
    assert task.dataset("test")[3][1] == (5 + 9) % 10


def test_cifar100_has_its_fine_labels(tmp_path: Path, monkeypatch):
    task = classification(imagekit.make_cifar100(tmp_path, monkeypatch), format="cifar100")
    assert task.check() == [] and len(task.classes) == 100 and task.classes[17] == "fine17"
    assert [task.dataset("pool")[k][1] for k in range(6)] == [0, 17, 34, 51, 68, 85]
    assert task.build().fc.out_features == 100


def test_the_test_limit_takes_images_of_all_classes(image_folder: Path):
    test = classification(image_folder, test_limit=3).dataset("test")
    assert [test[i][1] for i in range(len(test))] == [0, 1, 2]
    assert len(classification(image_folder, test_limit=99).dataset("test")) == 6


def test_thumbnails_show_the_image_and_its_class(image_folder: Path, large: Path):
    small, wide = classification(image_folder).thumbnail(0), classification(large).thumbnail(3)
    line = caption_height()
    assert small.size == (192, 192 + line) and wide.size == (192, 149 + line) and line < 64
    original = np.asarray(Image.open(image_folder / "train/bird/000.png"))
    assert np.array_equal(np.asarray(small)[3:192:6, 3:192:6], original)
    assert np.asarray(small)[192:].max() > 200  # something is written there
    assert not np.array_equal(
        np.asarray(small)[192:], np.asarray(classification(image_folder).thumbnail(3))[192:]
    )


# ---------------------------------------------------------------- views


def crops(image: torch.Tensor, padding: int) -> dict[bytes, tuple[int, int, bool]]:
    """Every crop of the image with zeros around it, mirrored or not -> its place; in NumPy."""
    side = image.shape[1]
    padded = np.pad(image.numpy(), ((0, 0), (padding, padding), (padding, padding)))
    places = {}
    for y in range(2 * padding + 1):
        for x in range(2 * padding + 1):
            crop = padded[:, y : y + side, x : x + side]
            places[crop.tobytes()] = (y, x, False)
            places[crop[..., ::-1].tobytes()] = (y, x, True)
    return places


def test_training_views_are_crops_of_the_image_among_zeros(image_folder: Path):
    task = classification(image_folder)
    image, _ = task.dataset("pool")[5]
    possible, seen = crops(image, 4), []
    for seed in range(400):
        with seeded(seed):
            view, _ = task.dataset("train")[5]
        # KeyError: another view than these
        seen.append(possible[view.contiguous().numpy().tobytes()])
    ys, xs, flips = zip(*seen, strict=True)
    assert set(ys) == set(xs) == set(range(9))
    assert 0.4 < np.mean(flips) < 0.6 and len(set(seen)) > 120  # of 162


@pytest.mark.parametrize(
    ("settings", "count"),
    [(dict(padding=0), 2), (dict(padding=0, flip=0.0), 1), (dict(flip=1.0), 81)],
)
def test_crop_and_flip_are_settings(image_folder: Path, settings: dict, count: int):
    task = classification(image_folder, **settings)
    image, _ = task.dataset("pool")[0]
    seen = set()
    for seed in range(600):
        with seeded(seed):
            seen.add(task.dataset("train")[0][0].contiguous().numpy().tobytes())
    assert len(seen) == count and seen <= crops(image, task.padding).keys()


def test_pool_and_test_views_are_the_image_itself(image_folder: Path):
    task = classification(image_folder)
    for split, path in (("pool", "train/cat/002.png"), ("test", "test/dog/001.png")):
        home = sorted((image_folder / path.split("/")[0]).glob("*/*.png"))
        index = home.index(image_folder / path)
        views_seen = [task.dataset(split)[index][0] for _ in range(5)]
        assert all(
            np.array_equal(view.permute(1, 2, 0), np.asarray(Image.open(image_folder / path)))
            for view in views_seen
        )


def test_large_images_are_resized_and_cut(large: Path):
    task = classification(large, augmentation="resized_crop", input_size=28)
    image = torch.from_numpy(np.array(Image.open(large / "train/bird/000.png"))).permute(2, 0, 1)
    # the shorter side to 28 / 0.875
    resized = v2.functional.resize(image, [32, 41], antialias=True)
    torch.testing.assert_close(task.dataset("pool")[0][0], resized[:, 2:30, 6:34], rtol=0, atol=1)
    seen = set()
    for seed in range(5):
        with seeded(seed):
            view = task.dataset("train")[0][0]
        assert view.shape == (3, 28, 28) and view.dtype == torch.uint8
        seen.add(view.contiguous().numpy().tobytes())
    assert len(seen) == 5


def test_images_are_normalised_by_the_settings(image_folder: Path):
    task = classification(image_folder, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    batch = contract.a_batch(task, "pool", [0, 7])
    raw = batch["images"].numpy() / 255.0
    by_hand = (raw - np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1)) / np.array(
        [0.5, 0.25, 0.125]
    ).reshape(3, 1, 1)
    np.testing.assert_allclose(
        task.pictures.normalised(batch["images"]).numpy(), by_hand, rtol=1e-5, atol=1e-6
    )


def test_the_transforms_leave_held_images_as_they_are(image_folder: Path):
    task = classification(image_folder)
    before = [image.copy() for image in task.pictures.pool.held]
    for i in range(12):
        task.dataset("train")[i]
    assert all(np.array_equal(a, b) for a, b in zip(before, task.pictures.pool.held, strict=True))


def test_a_view_is_made_by_its_transform():
    images = sources.Images((4,), held=[pixels(0)])
    image, label = views.View(images, lambda x: x.flip(0))[0]
    assert label == 4 and np.array_equal(image.permute(1, 2, 0), pixels(0)[..., ::-1])


# ---------------------------------------------------------------- accuracy


def judged(pairs: list[tuple[int, int]], names=CLASSES) -> dict[str, float]:
    metric = Accuracy(names)
    for start in range(0, len(pairs), 3):  # in batches
        metric.process({}, [{"label": t, "predicted": p} for t, p in pairs[start : start + 3]])
    return metric.evaluate(len(pairs))


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_is_sklearns(seed: int):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 3, (2, 40))
    result = judged(list(zip(truth.tolist(), found.tolist(), strict=True)))
    assert result["accuracy"] == pytest.approx(accuracy_score(truth, found))
    each = recall_score(truth, found, labels=[0, 1, 2], average=None)
    assert [result[f"accuracy/{name}"] for name in CLASSES] == pytest.approx(each)


def test_a_class_without_test_images_has_no_accuracy():
    result = judged([(0, 0), (0, 1), (2, 1)])
    assert np.isnan(result["accuracy/cat"])
    assert (result["accuracy"], result["accuracy/bird"], result["accuracy/dog"]) == (
        pytest.approx(1 / 3),
        0.5,
        0.0,
    )


def test_one_sample_is_judged():
    assert judged([(1, 1)])["accuracy"] == 1.0


def test_of_equal_probabilities_the_first_class_counts(image_folder: Path):
    task = classification(image_folder)
    batch = contract.a_batch(task, "test", [0, 5])

    def undecided(images: torch.Tensor):
        return (), torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])

    found = task.predict(undecided, batch)
    assert [(p.label, p.predicted) for p in found] == [(0, 0), (2, 1)]


def test_the_evaluation_of_a_network_is_sklearns(image_folder: Path):
    task = classification(image_folder)
    with seeded(2):
        network = task.build().eval()
    batch = contract.a_batch(task, "test", list(range(6)))
    with torch.no_grad():
        predictions = task.predict(network, batch)
        probs = task.forward(network, batch, frozenset({"probs"})).probs
    metric = task.evaluator()
    metric.process(batch, [p.to_dict() for p in predictions])
    expected = accuracy_score(batch["labels"], probs[:, 0].argmax(1))
    assert metric.evaluate(6)["accuracy"] == pytest.approx(expected)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(classes=["cat"]), r"classes: expected at least 2 different names, but got \['cat'\]"),
        (dict(classes=["cat", "dog", "cat"]), "different names, but got"),
        (dict(classes=["cat", "dog"], format="cifar10"), "classes: expected None for 'cifar10'"),
        (dict(network="resnet5O"), "network: 'resnet5O' is unknown; did you mean 'resnet50'"),
        (dict(network="alexnet"), "input_size: expected one that 'alexnet' can take, but got 32"),
    ],
)
def test_settings_that_make_no_sense(image_folder: Path, settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        classification(image_folder, **settings)


def test_settings_of_a_config_are_reported():
    path = REPOSITORY / "configs/cls_sandbox.py"
    with pytest.raises(
        ConfigError, match=r"1 problem\(s\)\n  task: network: 'resnet10_cifar_w9' is unknown"
    ):
        load(path, options={"task.network": "resnet10_cifar_w9"})
    wrong = {
        "task.padding": -1,
        "task.std": [0.2, 0.0, 0.2],
        "task.flip": 1.5,
        "task.format": "cifar",
    }
    with pytest.raises(ConfigError, match=r"4 problem\(s\)") as error:
        load(path, options=wrong)
    found = {line.partition(":")[0] for line in error.value.problems}
    assert found == {"task.format", "task.padding", "task.flip", "task.std[1]"}


# ---------------------------------------------------------------- whole runs


def run(config: str, folder: Path, *options: str) -> list[dict]:
    arguments = [
        str(REPOSITORY / "configs" / config),
        "--smoke",
        "--wandb",
        "disabled",
        "--work-dir",
        str(folder),
    ]
    assert al_train.main([*arguments, "--cfg-options", *options]) == 0
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_sandbox_runs_through_the_whole_loop(tmp_path: Path, capsys):
    shapes = make_classification(tmp_path / "data", 120, 45, 0, 0.3)
    rows = run("cls_sandbox.py", tmp_path / "run", f"task.data_root={shapes}")
    assert [(row["labeled"], row["effort"]) for row in rows] == [(20, 20), (30, 30)]
    assert all(0 <= row["accuracy"] <= 1 and row["ranking/control/n"] == 20 for row in rows)
    assert sum(key.startswith("accuracy/") for key in rows[0]) == 9
    with np.load(tmp_path / "run/queries/00.npz") as query:
        assert len(set(query["picked"].tolist())) == 10 and len(query["candidates"]) == 60
    assert "area under the curve" in capsys.readouterr().out


@pytest.fixture(scope="module")
def real_cifar(tmp_path_factory) -> Path:
    """20 real images a class and split, unpacked by the data's own script."""
    data = os.environ.get("AL_DATA", "")
    script = Path(data) / "unpack_cifar10.py"
    if not data or not script.is_file():
        pytest.skip(
            f"AL_DATA is {data!r}: set it to a folder with unpack_cifar10.py to run the tests on "
            "real images"
        )
    target = tmp_path_factory.mktemp("cifar") / "cifar10"
    subprocess.run([sys.executable, str(script), str(target), "--per-class", "20"], check=True)
    return target


@pytest.mark.slow
def test_real_cifar_images_go_through(real_cifar: Path):
    task = Classification(str(real_cifar))
    assert task.check(full=True) == []
    assert task.classes == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    assert len(task.dataset("pool")) == len(task.dataset("test")) == 200
    batch = contract.a_batch(task, "pool", list(range(200)))
    mean = (batch["images"].float() / 255).mean(dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.tensor(task.mean), rtol=0, atol=0.03)
    with torch.no_grad():
        output = task.forward(task.build().eval(), contract.a_batch(task, "pool", [0, 199]), BOTH)
    assert (output.loss > 0).all() and [t.shape[1:] for t in output.taps] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_small_config_runs_on_real_images(real_cifar: Path, tmp_path: Path):
    rows = run("cls_cifar10_small.py", tmp_path / "run", f"task.data_root={real_cifar}")
    assert [row["labeled"] for row in rows] == [40, 60]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    assert cv2.imread(str(tmp_path / "run/curve.png")) is not None


def test_what_is_counted_is_the_likeliest_class(image_folder: Path):
    task = classification(image_folder)
    with seeded(1):
        network = task.build().eval()
    batch = contract.a_batch(task, "pool", list(range(8)))
    with torch.no_grad():
        output = task.forward(network, batch, frozenset({"probs", "counts"}))
    assert output.counts.sum(dim=1).tolist() == [1] * 8
    assert output.counts.argmax(dim=1).tolist() == output.probs[:, 0].argmax(dim=1).tolist()
