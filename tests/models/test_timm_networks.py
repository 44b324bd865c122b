"""Networks of timm: taps, logits and weights against timm itself."""

from __future__ import annotations

import re
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from timm.data import resolve_data_config
from timm.utils import CheckpointSaver
from torch import nn

from models.networks import timm_networks, timm_weights
from models.networks.weights import WeightsError
from models.output import Tap
from models.process.seeding import seeded

TINY = "test_convnext"  # 270,000 parameters
ADVICE = r"task\.pretrained=/path/to/weights\.pth.*task\.pretrained=None"
FAMILIES = [
    "resnet50",
    "mobilenetv3_small_100",
    "efficientnet_b0",
    "regnety_004",
    "convnextv2_nano",
    "hrnet_w18_small",
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
    "mixer_s32_224",
    "levit_128s",
    "efficientvit_m0",
]


def made(name: str = TINY, classes: int = 5, size: int = 32, seed: int = 0) -> nn.Module:
    with seeded(seed):
        return timm_networks.build(name, classes, size)


def same_weights(network: nn.Module, other: nn.Module) -> bool:
    first, second = network.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


# ---------------------------------------------------------------- taps


@pytest.mark.parametrize("name", FAMILIES)
def test_declared_taps_equal_returned_ones(name: str):
    """For a network of each of timm's families, on the meta device."""
    declared = timm_networks.declare_taps(name)
    side = timm_networks.preparation(name).input_size
    network = timm_networks.build(name, 5, side).to("meta").eval()
    taps, logits = network(torch.empty(2, 3, side, side, device="meta"))
    assert [tuple(tap.shape[:2]) for tap in taps] == [(2, tap.channels) for tap in declared]
    assert all(tap.dim() == 4 for tap in taps) and 3 <= len(taps) <= 4
    assert logits.shape == (2, 5)
    assert len({tap.name for tap in declared}) == len(declared)


def test_taps_are_the_last_four_stages_or_the_ends_of_four_quarters():
    assert timm_networks.declare_taps("resnet18", 64) == tuple(
        Tap(f"layer{k + 1}", 64 << k) for k in range(4)
    )
    assert timm_networks.declare_taps("vit_tiny_patch16_224", 64) == tuple(
        Tap(f"blocks.{k}", 192) for k in (2, 5, 8, 11)
    )
    assert [tap.name for tap in timm_networks.declare_taps("efficientvit_m0")] == [
        "stages.0",
        "stages.1",
        "stages.2",
    ]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("test_resnet", (1, 2, 3, 4)),
        ("test_convnext", (0, 1, 2, 3)),
        ("test_efficientnet", (1, 2, 3, 4)),
        ("test_vit", (2, 3, 4, 5)),
    ],
)
def test_maps_and_logits_are_those_of_timms_own_networks(name: str, places: tuple[int, ...]):
    """timm's `features_only` and its classifier, two networks with one set of weights."""
    network = made(name, size=160).eval()
    plain = timm.create_model(name, num_classes=5).eval()
    assert network.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(network.state_dict(), strict=True)
    features = timm.create_model(name, features_only=True, out_indices=places).eval()
    images = torch.randn(2, 3, 160, 160)
    taps, logits = network(images)
    torch.testing.assert_close(logits, plain(images))
    if name == "test_vit":  # timm puts it into another module as it is
        features.model.load_state_dict(network.state_dict(), strict=False)
    else:  # and the stages of others under other names
        wanted = features.state_dict()
        flat = {re.sub(r"^(stem|stages|blocks)\.", r"\1_", k): k for k in network.state_dict()}
        known = flat | {key: key for key in network.state_dict()}
        features.load_state_dict({key: network.state_dict()[known[key]] for key in wanted})
    for tap, expected in zip(taps, features(images), strict=True):
        torch.testing.assert_close(tap, expected)
    assert all(tap.requires_grad for tap in taps)


def test_maps_and_logits_come_of_one_pass():
    network, calls = made(), []
    network.stem[0].register_forward_hook(lambda *_: calls.append(1))
    network(torch.randn(2, 3, 32, 32))
    assert calls == [1]


def test_what_goes_into_the_classifier_gives_the_logits():
    for name in (TINY, "test_vit", "mobilenetv3_small_100"):
        network = made(name, size=64).eval()
        layer, seen = timm_networks.classifier(network), []
        layer.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        _, logits = network(torch.randn(2, 3, 64, 64))
        assert seen[0].shape == (2, timm_networks.last_width(name, 64))
        torch.testing.assert_close(nn.functional.linear(seen[0], layer.weight, layer.bias), logits)


def test_a_network_with_two_classifiers_has_no_single_layer_at_its_end():
    assert timm_networks.last_width("deit_tiny_distilled_patch16_224", 224) is None
    assert timm_networks.last_width("dla34", 64) is None  # a convolution


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "tf_efficientnet_b0.in1k"])
def test_preparation_is_timms_data_config(name: str):
    config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    found = timm_networks.preparation(name)
    assert (3, found.input_size, found.input_size) == config["input_size"]
    assert (found.mean, found.std) == (config["mean"], config["std"])
    assert (found.interpolation, found.crop) == (config["interpolation"], config["crop_pct"])
    assert found.squash == (config["crop_mode"] == "squash")


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet19", None, "network: timm has no 'resnet19'; did you mean 'resnet18'"),
        ("qqqq", None, r"timm has no 'qqqq'; `timm.list_models\(\)` names those that are"),
        ("resnet18.mine", None, r"timm cannot make 'resnet18.mine' \(Invalid pretrained tag"),
        (TINY, 3, f"input_size: expected one that '{TINY}' of timm can take, but got 3"),
    ],
)
def test_networks_and_inputs_that_cannot_be_are_refused(name: str, size: int | None, message: str):
    with pytest.raises(ValueError, match=message):
        timm_networks.declare_taps(name, size)


# ---------------------------------------------------------------- weights


def saved_by_training(network: nn.Module, folder: Path) -> Path:
    """What timm's own training script writes."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    saver = CheckpointSaver(
        network, optimizer, args=Namespace(model=TINY), checkpoint_dir=str(folder)
    )
    saver.save_checkpoint(3, metric=0.5)
    return folder / "last.pth.tar"


def saved_as_state(network: nn.Module, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "state.pth")
    return folder / "state.pth"


def saved_for_the_hub(network: nn.Module, folder: Path) -> Path:
    from timm.models import save_for_hf

    save_for_hf(network, str(folder), safe_serialization=True)
    return folder / "model.safetensors"


@pytest.mark.parametrize("save", [saved_by_training, saved_as_state, saved_for_the_hub])
def test_a_checkpoint_that_timm_wrote_is_loaded_whole(tmp_path: Path, save):
    with seeded(7):
        trained = timm.create_model(TINY, num_classes=5)
    state = timm_weights.read(save(trained, tmp_path), TINY, 5, 32)
    network = made()
    assert not same_weights(network, trained)
    timm_weights.load(network, state)
    assert same_weights(network, trained)
    assert not timm_weights.lacks_classifier(TINY, 32, state)


def test_of_other_classes_all_but_the_classifier_is_loaded(tmp_path: Path):
    with seeded(7):
        trained = timm.create_model(TINY, num_classes=9)
    state = timm_weights.read(saved_by_training(trained, tmp_path), TINY, 5, 32)
    assert timm_weights.lacks_classifier(TINY, 32, state)
    assert trained.state_dict().keys() - state.keys() == {"head.fc.weight", "head.fc.bias"}
    network, fresh = made(), made()
    timm_weights.load(network, state)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in state.items())
    assert torch.equal(network.head.fc.weight, fresh.head.fc.weight)


def test_positions_of_patches_are_fitted_as_timm_does(tmp_path: Path):
    with seeded(7):
        trained = timm.create_model("test_vit", num_classes=5)
    path = saved_as_state(trained, tmp_path)
    reference = timm.create_model(
        "test_vit",
        num_classes=5,
        img_size=64,
        pretrained=True,
        pretrained_cfg_overlay=dict(file=str(path), num_classes=5),
    )
    network = made("test_vit", size=64)
    timm_weights.load(network, timm_weights.read(path, "test_vit", 5, 64))
    assert same_weights(network, reference)
    assert network.pos_embed.shape != trained.pos_embed.shape


def wrong_files(folder: Path) -> dict[str, Path]:
    saved_as_state(timm.create_model("test_resnet", num_classes=5), folder)
    (folder / "state.pth").rename(folder / "other.pth")
    less = timm.create_model(TINY, num_classes=5).state_dict()
    less.pop("stem.0.weight")
    torch.save(less, folder / "less.pth")
    (folder / "noise.pth").write_bytes(b"no checkpoint")
    (folder / "empty.pth").write_bytes(b"")
    torch.save([1, 2], folder / "list.pth")
    torch.save({"state_dict": {"stem.0.weight": Path("x")}}, folder / "code.pth")
    return {path.name: path for path in folder.glob("*.pth")}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other.pth", f"Expected weights of timm's '{TINY}' in .*other.pth, but it lacks 'stem.0"),
        ("less.pth", r"but it lacks 'stem\.0\.weight' in their shapes \(1 of \d+ missing, 0 "),
        ("noise.pth", "Expected a checkpoint of timm in .*noise.pth, but it cannot be read"),
        ("empty.pth", "Expected a checkpoint of timm in .*empty.pth, but it cannot be read"),
        ("list.pth", "Expected a checkpoint of timm in .*list.pth, but it cannot be read"),
        ("code.pth", r"code.pth, but it cannot be read \(\w+Error\)"),
        ("none.pth", "Expected weights in the file .*none.pth, but there is no such file"),
    ],
)
def test_wrong_files_are_refused_with_what_to_do(tmp_path: Path, name: str, message: str):
    path = wrong_files(tmp_path).get(name, tmp_path / name)
    with pytest.raises(WeightsError, match=f"{message}.*{ADVICE}"):
        timm_weights.read(path, TINY, 5, 32)


def test_weights_that_cannot_be_reached_say_what_to_do(monkeypatch):
    def unreachable(name: str, **settings):
        raise OSError("no such host")

    monkeypatch.setattr(timm_weights, "create", lambda *_, **__: unreachable(TINY))
    message = rf"Could not get timm's weights of '{TINY}' \(OSError: no such host\).*{ADVICE}"
    with pytest.raises(WeightsError, match=message):
        timm_weights.downloaded(TINY, 5, 32)


@pytest.mark.parametrize("classes", [1000, 5])
def test_downloaded_weights_lack_the_classifier_of_other_classes(
    tmp_path: Path, monkeypatch, classes: int
):
    """timm's own loading, from a file in the place of its hub."""
    with seeded(7):
        trained = timm.create_model(TINY)
    path = saved_as_state(trained, tmp_path)
    here = partial(timm.create_model, pretrained_cfg_overlay=dict(file=str(path)))
    monkeypatch.setattr(timm_networks.timm, "create_model", here)
    state = timm_weights.downloaded(TINY, classes, 32)
    monkeypatch.undo()
    assert timm_weights.lacks_classifier(TINY, 32, state) is (classes == 5)
    network = made(classes=classes)
    timm_weights.load(network, state)
    assert torch.equal(network.stem[0].weight, trained.stem[0].weight)
