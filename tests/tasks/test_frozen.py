"""Frozen networks of timm: features are what the whole network computes, computed once, and a
linear layer on them is what scikit-learn's is.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from models.loss_prediction import LossPrediction
from models.output import Tap
from models.process.seeding import derive_seed, seeded
from models.training.joint import JointModel
from models.training.loading import train_loader
from models.training.settings import ModuleSettings
from tasks.classification import Classification, frozen
from tasks.classification.frozen import Head
from tests import contract, imagekit
from tests.imagekit import classification

FROZEN = dict(network="timm:test_convnext", input_size=32, frozen=True)
ALL = frozenset({"loss", "probs", "gradient", "counts", "truth"})


def head_of(root: Path, **settings) -> Classification:
    """The adapter on features of a tiny network; they lie beside the data."""
    return classification(root, **(FROZEN | {"cache": str(root.parent / "features")} | settings))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagekit.make_folder(tmp_path / "images")


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """The tables that are computed, not read."""
    seen, fill = [], frozen.Frozen._fill

    def noted(self, rows, table, view):
        seen.append(table if view is None else f"{table} {view}")
        fill(self, rows, table, view)

    monkeypatch.setattr(frozen.Frozen, "_fill", noted)
    return seen


def whole(task: Classification) -> nn.Module:
    return task._frozen._backbone


# ---------------------------------------------------------------- the contract


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, dict(views=3), dict(network="timm:test_vit", augmentation="resized_crop", views=2)],
)
def test_the_adapter_keeps_the_contract(folder: Path, settings: dict):
    """On images of a colour each: views of noise look like each other's to a random network."""
    for seed, path in enumerate(sorted(folder.rglob("*.png"))):
        colour = np.random.default_rng(seed).integers(0, 192, 3, dtype=np.uint8)
        imagekit.write_image(path, imagekit.pixels(seed) // 4 + colour)
    assert contract.failures(head_of(folder, **settings)) == {}


def test_taps_are_tokens_of_the_networks_stages(folder: Path):
    task, plain = head_of(folder), classification(folder, network="timm:test_convnext")
    assert task.taps == tuple(Tap(tap.name, tap.channels, tokens=True) for tap in plain.taps)
    assert task.fields == ALL
    assert list(task.build().state_dict()) == ["fc.weight", "fc.bias"]


# ---------------------------------------------------------------- features


def test_features_are_what_the_whole_network_computes(folder: Path):
    """What goes into the classifier, and the mean of each map, one image at a time."""
    task, plain = head_of(folder), classification(folder, network="timm:test_convnext")
    network = whole(task)
    ids = [7, 0, 11]
    rows = task._frozen.rows(task.collate(task.dataset("pool").__getitems__(ids)))
    for row, i in zip(rows, ids, strict=True):
        image, _ = plain.dataset("pool")[i]
        with torch.no_grad():
            taps, _ = network(task.pictures.normalised(image[None]))
            last = network.forward_head(
                network.forward_features(task.pictures.normalised(image[None])), pre_logits=True
            )
        expected = torch.cat([last[0], *(tap[0].mean(dim=(1, 2)) for tap in taps)])
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_on_features_gives_the_whole_networks_logits(folder: Path):
    """The backbone's own classifier, of which the standardisation is taken off."""
    task = head_of(folder)
    network, head = whole(task), Head(task._frozen.width, 2)
    mean, std = task._frozen.statistics
    with torch.no_grad():
        head.fc.weight.copy_(network.head.fc.weight * std)
        head.fc.bias.copy_(network.head.fc.bias + network.head.fc.weight @ mean)
        images = torch.stack([task.pictures.dataset("test")[i][0] for i in range(6)])
        _, expected = network(task.pictures.normalised(images))
        batch = task.collate([task.dataset("test")[i] for i in range(6)])
        _, logits, _ = task._computed(head, batch)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_the_whole_network_with_a_trained_layer_is_timms_and_predicts_the_same(folder: Path):
    task = head_of(folder)
    with seeded(4):
        head = task.build()
    network = task._frozen.whole(head)
    plain = timm.create_model("test_convnext", num_classes=3).eval()
    plain.load_state_dict(network.state_dict(), strict=True)
    images = torch.stack([task.pictures.dataset("test")[i][0] for i in range(6)])
    with torch.no_grad():
        _, logits, _ = task._computed(
            head, task.collate([task.dataset("test")[i] for i in range(6)])
        )
        torch.testing.assert_close(
            plain(task.pictures.normalised(images)), logits, rtol=1e-4, atol=1e-5
        )


def test_the_module_sees_what_it_sees_behind_the_whole_network(folder: Path):
    task = head_of(folder)
    module = LossPrediction([tap.channels for tap in task.taps], width=8)
    images = torch.stack([task.pictures.dataset("pool")[i][0] for i in range(5)])
    batch = task.collate([task.dataset("pool")[i] for i in range(5)])
    with torch.no_grad():
        maps, _ = whole(task)(task.pictures.normalised(images))
        output = task.forward(task.build(), batch, frozenset())
        torch.testing.assert_close(module(output.taps), module(maps), rtol=1e-4, atol=1e-5)


def test_the_layers_input_is_standardised_by_the_pool(folder: Path):
    task = head_of(folder)
    raw = task._frozen._table("pool", None)[:, : task._frozen.width]
    scaler = StandardScaler().fit(raw.astype(np.float64))
    for split in ("pool", "test"):
        batch = task.collate([task.dataset(split)[i] for i in range(6)])
        rows, _ = task._frozen.read(batch)
        expected = scaler.transform(batch["features"][:, : task._frozen.width].double())
        np.testing.assert_allclose(rows.numpy(), expected, rtol=1e-3, atol=1e-3)


def test_features_that_are_constant_are_not_divided_by_zero(folder: Path, monkeypatch):
    task = head_of(folder)
    task._frozen._table("pool", None)[:, 0] = 3.0
    mean, std = task._frozen.statistics
    assert (mean[0].item(), std[0].item()) == (3.0, 1.0) and bool((std > 0).all())


def test_read_at_once_and_one_by_one_are_the_same(folder: Path):
    task = head_of(folder, views=2)
    for split in ("pool", "train"):
        data, ids = task.dataset(split), [4, 1, 1, 9]
        with seeded(5):
            one_by_one = task.collate([data[i] for i in ids])
        with seeded(5):
            at_once = task.collate(data.__getitems__(ids))
        assert torch.equal(one_by_one["features"], task._frozen.rows(at_once))
        assert torch.equal(one_by_one["labels"], at_once["labels"])


def test_a_data_set_is_sent_without_its_numbers(folder: Path):
    task = head_of(folder)
    before = task.dataset("pool")[3][0]
    sent = pickle.dumps(task.dataset("pool"))
    assert len(sent) < 200_000
    assert torch.equal(pickle.loads(sent)[3][0], before)


# ---------------------------------------------------------------- views


def test_training_views_are_augmented_images(folder: Path):
    """View k of sample i is what the transform draws from the seed of both."""
    task = head_of(folder, views=2)
    network, seed = whole(task), derive_seed(frozen.SEED, "views")
    for view in range(2):
        table = task._frozen._table("pool", view)
        for i in (0, 5):
            with seeded(derive_seed(seed, view, i)):
                image, _ = task.pictures.dataset("train")[i]
            with torch.no_grad():
                _, logits = network(task.pictures.normalised(image[None]))
                row = torch.from_numpy(table[i, : task._frozen.width])
                torch.testing.assert_close(network.head.fc(row), logits[0], rtol=1e-4, atol=1e-5)


def test_samples_draw_among_their_views_and_the_test_time_view_is_none(folder: Path):
    task = head_of(folder, views=3)
    data, tables = task.dataset("train"), [task._frozen._table("pool", k) for k in range(3)]
    assert data.draws and not head_of(folder).dataset("train").draws
    seen = []
    for seed in range(40):
        with seeded(seed):
            row = data[4][0].numpy()
        seen.append(next(k for k in range(3) if np.array_equal(row, tables[k][4])))
    assert set(seen) == {0, 1, 2}
    pool = task._frozen._table("pool", None)
    assert np.array_equal(task.dataset("pool")[4][0], pool[4])


def test_without_views_training_reads_what_the_pool_reads(folder: Path):
    task = head_of(folder)
    batches = list(train_loader(task.dataset("train"), range(12), 5, 0, task.collate, seed=1))
    ids = torch.cat([batch["ids"] for batch in batches])
    assert sorted(ids.tolist()) == list(range(12)) and [len(b["ids"]) for b in batches] == [5, 5, 2]
    rows = torch.cat([task._frozen.rows(batch) for batch in batches])
    assert np.array_equal(rows, task._frozen._table("pool", None)[ids])


# ---------------------------------------------------------------- kept


def test_features_are_computed_once_for_all_processes(folder: Path, computed: list[str]):
    for _ in range(2):  # another one is another process's
        task = head_of(folder)
        first = [task.dataset(split)[0][0] for split in ("pool", "test", "train")]
    assert computed == ["pool", "test"] and torch.equal(first[0], first[2])


CHANGES = {
    "weights": dict(pretrained="{other}"),
    "input size": dict(input_size=40, augmentation="resized_crop"),
    "mean": dict(mean=(0.1, 0.2, 0.3)),
    "network": dict(network="timm:test_convnext2"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_weights_and_transforms_have_other_features(
    folder: Path, computed: list[str], what: str
):
    head_of(folder).dataset("pool")[0]
    with seeded(9):
        torch.save(timm.create_model("test_convnext").state_dict(), folder.parent / "other.pth")
    settings = {
        key: str(folder.parent / "other.pth") if value == "{other}" else value
        for key, value in CHANGES[what].items()
    }
    head_of(folder, **settings).dataset("pool")[0]
    assert computed == ["pool", "pool"]


def test_other_images_have_other_features_and_classes_have_not(folder: Path, computed: list[str]):
    head_of(folder).dataset("pool")[0]
    head_of(folder, classes=["dog", "cat", "bird"]).dataset("pool")[0]
    assert computed == ["pool"]
    imagekit.write_image(folder / "train/cat/001.png", imagekit.pixels(99))
    head_of(folder).dataset("pool")[0]
    assert computed == ["pool", "pool"]


def frames(root: Path) -> Path:
    """Two videos whose frames have the same names, sizes and times, and a csv of each."""
    for seed, video in enumerate(("one", "two")):
        for k in range(2):
            path = root / video / "frames" / f"{k}.bmp"
            imagekit.write_image(path, imagekit.pixels(2 * seed + k))
            os.utime(path, (1e9, 1e9))
        rows = "".join(f"{video}/frames/{k}.bmp,{'cat' if k else 'dog'}\n" for k in range(2))
        (root / f"{video}.csv").write_text(f"file,class\n{rows}")
    return root


def of_video(root: Path, name: str) -> Classification:
    table = dict(format="csv", train=f"{name}.csv", test=f"{name}.csv", classes=["cat", "dog"])
    return head_of(root, **table)


def test_files_of_one_name_in_other_folders_have_features_of_their_own(
    tmp_path: Path, computed: list[str]
):
    root = frames(tmp_path / "videos")
    (root / "mixed.csv").write_text("file,class\none/frames/0.bmp,cat\ntwo/frames/0.bmp,dog\n")
    (root / "swapped.csv").write_text("file,class\ntwo/frames/0.bmp,dog\none/frames/0.bmp,cat\n")
    names = ("one", "two", "mixed", "swapped")
    one, two, mixed, swapped = (of_video(root, name)._frozen._table("pool", None) for name in names)
    assert computed == ["pool"] * 4
    assert not np.allclose(one, two)
    for found in (mixed, swapped[::-1]):
        np.testing.assert_allclose(found, [one[0], two[0]], rtol=1e-4, atol=1e-5)


def test_a_data_set_that_is_moved_keeps_its_features_and_another_in_its_place_does_not(
    tmp_path: Path, computed: list[str]
):
    root = frames(tmp_path / "videos")
    of_video(root, "one").dataset("pool")[0]
    root = root.rename(tmp_path / "moved")
    of_video(root, "one").dataset("pool")[0]
    assert computed == ["pool"]
    for path in (root / "one/frames").iterdir():
        imagekit.write_image(path, imagekit.pixels(50))
        os.utime(path, (1e9, 1e9))
    of_video(root, "one").dataset("pool")[0]
    assert computed == ["pool", "pool"]


def test_pixels_of_cifar_are_in_the_key(tmp_path: Path, monkeypatch, computed: list[str]):
    imagekit.make_cifar10(tmp_path, monkeypatch)
    tasks = [head_of(tmp_path, format="cifar10") for _ in range(2)]
    tasks[1].pictures.pool.held[3, 0, 0, 0] ^= 1
    for task in tasks:
        task.dataset("pool")[0]
    assert computed == ["pool", "pool"]


def test_a_test_set_that_is_limited_has_features_of_those_alone(folder: Path):
    task, limited = head_of(folder), head_of(folder, test_limit=3)
    assert limited._frozen._table("test", None).shape[0] == 3
    for k, i in enumerate((0, 2, 4)):  # evenly spread
        torch.testing.assert_close(limited.dataset("test")[k][0], task.dataset("test")[i][0])
        assert limited.dataset("test")[k][1] == task.dataset("test")[i][1]


def test_a_disk_without_room_is_a_fault(folder: Path, monkeypatch):
    monkeypatch.setattr(frozen.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    (fault,) = head_of(folder, views=4).check()
    rows, columns = 12 * 5 + 6, 64 + 24 + 32 + 48 + 64
    assert fault.startswith(f"task.cache: expected {rows * columns * 4 / 1e6:,.0f} MB of free disk")


# ---------------------------------------------------------------- learning


def test_gradient_embeddings_are_autograds(folder: Path):
    task = head_of(folder)
    with seeded(1):
        network = task.build()
    batch = task.collate([task.dataset("pool")[i] for i in range(6)])
    residual, feature = task.forward(network, batch, frozenset({"gradient"})).gradient
    rows, _ = task._frozen.read(batch)
    for i in range(6):
        network.zero_grad()
        logits = network(rows[i : i + 1])
        nn.functional.cross_entropy(logits, logits.argmax(dim=1)).backward()
        torch.testing.assert_close(torch.outer(residual[i], feature[i]), network.fc.weight.grad)


def test_scores_are_the_same_in_any_batch(folder: Path):
    task = head_of(folder)
    with seeded(1):
        settings = ModuleSettings(width=8)
        model = JointModel(task.build(), task.forward, task.predict, task.taps, settings, "joint")
    samples, names = (
        Samples(task.dataset("pool"), task.collate, range(12)),
        ["entropy", "embedding"],
    )
    few, many = (score(model, samples, names, ScoringSettings(size, workers=0)) for size in (5, 12))
    for name in names:
        np.testing.assert_allclose(few[name], many[name], rtol=1e-5, atol=1e-6)
    last = task.taps[-1].channels
    assert np.array_equal(many["embedding"], task._frozen._table("pool", None)[:, -last:])


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(network="resnet10_cifar_w8"), "frozen: expected False for 'resnet10_cifar_w8'"),
        (dict(network="timm:dla34", input_size=64), "frozen: expected a network that ends in one"),
        (dict(frozen=False, views=2), "views: expected 0 unless task.frozen=True, but got 2"),
    ],
)
def test_settings_that_make_no_sense(folder: Path, settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        head_of(folder, **settings)


def test_a_module_that_convolves_is_refused_before_training(folder: Path):
    task, settings = head_of(folder), ModuleSettings(width=8, pooling="conv_gap")
    with pytest.raises(ValueError, match="Expected taps that are maps .* set module.pooling to 'g"):
        JointModel(task.build(), task.forward, task.predict, task.taps, settings, "joint")
    JointModel(task.build(), task.forward, task.predict, task.taps, settings, "off")
