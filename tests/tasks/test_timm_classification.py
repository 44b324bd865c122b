"""Classification on networks of timm: the contract, the network's own data config, weights to begin
with, and every strategy on frozen features.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from timm.data import create_transform, resolve_data_config
from torch import nn

from acquisition.strategies import named_strategies
from models.networks.preparation import CIFAR
from models.process.seeding import seeded
from models.training.committee import add_dropout, passes
from models.training.joint import JointModel
from models.training.settings import CommitteeSettings, ModuleSettings
from tests import contract, imagekit
from tests.conftest import REPOSITORY
from tests.imagekit import classification
from tools import al_train
from tools.experiment.config import load

TINY = dict(network="timm:test_convnext", input_size=32)
CONFIG = REPOSITORY / "configs" / "cls_timm_folder.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return imagekit.make_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return imagekit.make_folder(tmp_path_factory.mktemp("large"), width=90, height=70)


# ---------------------------------------------------------------- the contract


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm:test_convnext", "timm:test_vit"])
def test_the_adapter_keeps_the_contract(folder: Path, name: str):
    contract.check_all(classification(folder, network=name, input_size=32))


def test_gradient_embeddings_are_autograds(folder: Path):
    task = classification(folder, **TINY)
    with seeded(1):
        network = task.build().eval()
    batch = contract.a_batch(task, "pool", [0, 5, 9])
    with torch.no_grad():
        residual, feature = task.forward(network, batch, frozenset({"gradient"})).gradient
    for i in range(3):
        network.zero_grad()
        _, logits = network(task.pictures.normalised(batch["images"][i : i + 1]))
        nn.functional.cross_entropy(logits, logits.argmax(dim=1)).backward()
        expected = network.head.fc.weight.grad
        torch.testing.assert_close(
            torch.outer(residual[i], feature[i]), expected, rtol=1e-3, atol=1e-6
        )


def test_a_network_without_a_single_layer_at_its_end_gives_no_gradients(folder: Path):
    task = classification(folder, network="timm:dla34", input_size=64)
    assert task.fields == {"loss", "probs", "counts", "truth"}
    assert classification(folder).fields == {"loss", "probs", "gradient", "counts", "truth"}


def test_passes_with_dropout_after_the_stages_differ(folder: Path):
    task = classification(folder, **TINY)
    with seeded(1):
        network = task.build()
    names = add_dropout(network, CommitteeSettings(dropout=0.5, dropout_at=("stages.*",)))
    assert names == [f"stages.{k}" for k in range(4)]
    settings = ModuleSettings(width=8)
    model = JointModel(network, task.forward, task.predict, task.taps, settings, "off")
    batch = contract.a_batch(task, "pool", [0, 5, 9])
    with torch.no_grad():
        first, second, again = (
            passes(model, 2, seed=3)[k](batch, frozenset({"probs"})).probs for k in (0, 1, 0)
        )
    assert torch.equal(first, again) and not torch.equal(first, second)


# ---------------------------------------------------------------- preparation


def test_settings_that_are_not_given_are_the_networks_own(folder: Path):
    task = classification(folder, network="timm:vit_tiny_patch16_224", augmentation="resized_crop")
    assert (task.input_size, task.mean, task.std) == (224, (0.5,) * 3, (0.5,) * 3)
    wanted = task.pictures.preparation
    assert (wanted.interpolation, wanted.crop, wanted.squash) == ("bicubic", 0.9, False)


def test_settings_that_are_given_count(folder: Path):
    given = dict(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6], interpolation="bilinear", crop=0.5)
    wanted = classification(folder, **TINY, **given).pictures.preparation
    assert wanted == (32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bilinear", 0.5, False, True)


def test_the_suites_own_networks_keep_theirs(folder: Path):
    assert classification(folder).pictures.preparation == CIFAR
    resnet = classification(folder, network="resnet18", input_size=64)
    assert resnet.pictures.preparation == CIFAR._replace(input_size=64)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnextv2_nano"])
def test_images_at_test_time_are_those_of_timms_transform(large: Path, name: str):
    """timm resizes by PIL; a level of 255 in the mean is rounding."""
    task = classification(large, network=f"timm:{name}", augmentation="resized_crop")
    config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    transform = create_transform(**config, is_training=False)
    image = Image.open(large / "train/bird/000.png")
    ours = task.pictures.normalised(task.dataset("pool")[0][0][None])[0]
    difference = (ours - transform(image)).abs() * torch.tensor(config["std"]).view(3, 1, 1) * 255
    assert ours.shape == transform(image).shape and difference.mean() < 1


def test_a_network_that_squashes_sees_the_whole_image(large: Path):
    task = classification(
        large, network="timm:resnet18", input_size=28, augmentation="resized_crop"
    )
    wanted = task.pictures.preparation._replace(squash=True, crop=1.0)
    task.pictures.preparation = wanted
    image = Image.open(large / "train/bird/000.png")
    seen = task.dataset("pool")[0][0].permute(1, 2, 0).numpy().astype(int)
    expected = np.asarray(image.resize((28, 28), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(seen - expected).mean() < 1


# ---------------------------------------------------------------- weights


def saved(folder: Path, name: str, classes: int) -> str:
    with seeded(7):
        network = timm.create_model(name, num_classes=classes)
    torch.save({"state_dict": network.state_dict()}, folder / "weights.pth")
    return str(folder / "weights.pth")


def test_every_network_begins_from_the_weights_and_a_classifier_of_its_own(
    folder: Path, tmp_path: Path
):
    path = saved(tmp_path, "test_convnext", 9)
    task = classification(folder, **TINY, pretrained=path)
    assert task.check() == []
    expected = torch.load(path, weights_only=True)["state_dict"]["stem.0.weight"]
    Path(path).unlink()  # read once
    networks = []
    for seed in (0, 1):
        with seeded(seed):
            networks.append(task.build())
    assert all(torch.equal(network.stem[0].weight, expected) for network in networks)
    assert not torch.equal(networks[0].head.fc.weight, networks[1].head.fc.weight)


def test_that_the_classifier_begins_at_random_is_said(folder: Path, tmp_path: Path):
    other = classification(folder, **TINY, pretrained=saved(tmp_path, "test_convnext", 9))
    assert other.notes() == [
        f"task.pretrained: {tmp_path}/weights.pth tell another number of classes apart than the 3 "
        "of this task, so the classifier begins at random"
    ]
    alike = classification(folder, **TINY, pretrained=saved(tmp_path, "test_convnext", 3))
    assert alike.notes() == classification(folder, **TINY).notes() == []


def test_wrong_weights_are_faults(folder: Path, tmp_path: Path):
    other = classification(folder, **TINY, pretrained=saved(tmp_path, "test_resnet", 3))
    (fault,) = other.check()
    assert fault.startswith("task.pretrained: Expected weights of timm's 'test_convnext' in ")
    (fault,) = classification(folder, **TINY, pretrained="none.pth").check()
    assert "none.pth, but there is no such file. Put the file on this machine" in fault


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(network="timm:resnet19"), "network: timm has no 'resnet19'; did you mean 'resnet18'"),
        (dict(pretrained=True), "pretrained: expected None for 'resnet10_cifar_w8', which begins"),
        (dict(pretrained="x.pth"), "from random weights, but got 'x.pth'; networks of timm"),
    ],
)
def test_settings_that_make_no_sense(folder: Path, settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        classification(folder, **settings)


# ---------------------------------------------------------------- runs


def run(folder: Path, into: Path, strategy: str, *more: str, smoke: bool = True) -> list[dict]:
    options = [f"task.data_root={folder}", f"task.cache={into}/features", *more]
    arguments = [str(CONFIG), "--strategy", strategy, "--work-dir", str(into / "run")]
    arguments += ["--wandb", "disabled", *["--smoke"] * smoke, "--cfg-options", *options]
    assert al_train.main(arguments) == 0
    return [json.loads(line) for line in (into / "run/metrics.jsonl").read_text().splitlines()]


OF_OTHERS = {"hua", "enms", "divproto", "ppal", "localisation", "mpe"}
FEW = ["budget.initial=4", "budget.query=3", "scoring.control=5", "task.augmentation=crop"]
FEW += ["training.batch_size=4", "committee.members=2", "committee.passes=2", "subset=None"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", sorted(named_strategies().keys() - OF_OTHERS))
def test_every_strategy_works_on_frozen_features(folder: Path, tmp_path: Path, strategy: str):
    rows = run(folder, tmp_path, strategy, *FEW)
    assert [row["labeled"] for row in rows] == [4, 7]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["badge", "dropout_bald", "ensemble_variance"])
def test_strategies_that_ask_more_work_on_whole_networks(
    folder: Path, tmp_path: Path, strategy: str
):
    more = ["task.frozen=False", "committee.dropout_at=[stages.*]", "training.epochs=1"]
    rows = run(folder, tmp_path, strategy, *FEW, *more)
    assert [row["labeled"] for row in rows] == [4, 7]


@pytest.fixture(scope="module")
def real_cifar(tmp_path_factory) -> Path:
    """200 real images a class and split, unpacked by the data's own script."""
    data = os.environ.get("AL_DATA", "")
    script = Path(data) / "unpack_cifar10.py"
    if not data or not script.is_file():
        pytest.skip(
            f"AL_DATA is {data!r}: set it to a folder with unpack_cifar10.py to run the tests on "
            "real images"
        )
    target = tmp_path_factory.mktemp("cifar") / "cifar10"
    subprocess.run([sys.executable, str(script), str(target), "--per-class", "200"], check=True)
    return target


@pytest.mark.slow
def test_a_layer_on_frozen_features_learns_what_logistic_regression_does(
    tmp_path: Path, real_cifar: Path
):
    """Real CIFAR-10, a network from random weights, the penalty of the config's weight decay:
    accuracies within two standard errors of their difference.
    """
    settings = {
        "task.data_root": str(real_cifar),
        "task.cache": str(tmp_path / "features"),
        "task.network": "timm:test_resnet",
        "task.pretrained": None,
        "task.input_size": 64,
        "budget.initial": 1000,
        "budget.cycles": 1,
    }
    more = [f"{key}={value}" for key, value in settings.items()]
    (row,) = run(real_cifar, tmp_path, "random", *more, smoke=False)
    experiment = load(CONFIG, options=settings)
    task, count = experiment.task, experiment.budget.initial
    labeled = json.loads((tmp_path / "run/state.json").read_text())["labeled"]
    train = task.collate([task.dataset("pool")[i] for i in labeled])
    test = task.collate([task.dataset("test")[i] for i in range(2000)])
    decay = experiment.training.optimizer["weight_decay"]
    reference = LogisticRegression(C=1 / (decay * count), max_iter=5000)
    reference.fit(task._frozen.read(train)[0], train["labels"])
    expected = reference.score(task._frozen.read(test)[0], test["labels"])
    noise = (2 * expected * (1 - expected) / len(test["labels"])) ** 0.5
    assert expected > 0.2  # of ten classes
    assert row["accuracy"] == pytest.approx(expected, abs=2 * noise)
