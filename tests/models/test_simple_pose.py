"""Pose networks on timm's backbones: declared taps, the head by hand, HRNet as timm's, weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from models.networks.simple_pose import SimplePose, build, declare, load
from models.networks.weights import WeightsError
from models.process.seeding import seeded

# a name, the stride of its heatmaps, and its stages' channels as timm's documentation has them
NETWORKS = {
    "simple:resnet10t": (4, [64, 128, 256, 512]),
    "simple:resnet50": (4, [256, 512, 1024, 2048]),
    "simple:convnextv2_atto": (4, [40, 80, 160, 320]),
    "simple:vgg16": (4, [256, 512, 512, 512]),
    "simple:swin_tiny_patch4_window7_224": (4, [96, 192, 384, 768]),  # gives maps (B, H, W, C)
    "simple:vit_tiny_patch16_224": (2, [192, 192, 192, 192]),  # all stages have stride 16
    "hrnet:hrnet_w18_small": (4, [128, 16, 16, 16]),
    "hrnet:hrnet_w32": (4, [256, 32, 32, 32]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_declared_taps_and_stride_are_the_returned_ones(name: str):
    stride, channels = NETWORKS[name]
    declared = declare(name, (64, 96))
    assert (declared.stride, [tap.channels for tap in declared.taps]) == (stride, channels)
    assert [tap.name for tap in declared.taps] == ["stage1", "stage2", "stage3", "stage4"]
    if name in ("simple:resnet50", "hrnet:hrnet_w32", "simple:vgg16"):
        return  # seconds to draw their weights
    with seeded(0):
        network = build(name, 5, (64, 96)).eval()
    with torch.no_grad():
        taps, (heatmaps,) = network(torch.randn(2, 3, 96, 64))
    assert [tap.shape[:2] for tap in taps] == [(2, count) for count in channels]
    assert heatmaps.shape == (2, 5, 96 // stride, 64 // stride)
    assert torch.isfinite(heatmaps).all()


def test_parameters_are_as_many_as_published():
    """34.0 M (Xiao et al. 2018, table 2) and 28.5 M (Sun et al. 2019, table 1)."""
    with torch.device("meta"):
        networks = [build(n, 17, (192, 256)) for n in ("simple:resnet50", "hrnet:hrnet_w32")]
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert [round(count / 1e6, 1) for count in counts] == [34.0, 28.5]


def test_the_head_is_three_deconvolutions_and_a_convolution():
    with seeded(1):
        network = build("simple:resnet10t", 3, (32, 64)).eval()
    state = network.state_dict()
    for name in ("deconvolutions.0.1", "deconvolutions.1.1", "deconvolutions.2.1"):
        state[f"{name}.running_mean"].uniform_(-1e-3, 1e-3)
        state[f"{name}.running_var"].uniform_(0.5, 2)
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        taps, (heatmaps,) = network(images)
        x = taps[-1]
        for k in range(3):
            weight = state[f"deconvolutions.{k}.0.weight"]
            assert weight.shape[1:] == (256, 4, 4)
            x = F.conv_transpose2d(x, weight, stride=2, padding=1)
            norm = [
                state[f"deconvolutions.{k}.1.{part}"]
                for part in ("running_mean", "running_var", "weight", "bias")
            ]
            x = F.batch_norm(x, *norm).relu()
        by_hand = F.conv2d(x, state["score.weight"], state["score.bias"])
    assert state["score.weight"].shape == (3, 256, 1, 1)
    torch.testing.assert_close(heatmaps, by_hand)
    assert heatmaps.abs().max() > 0


def test_taps_are_timms_own_features():
    with seeded(2):
        network = build("simple:resnet10t", 3, (32, 32)).eval()
    reference = timm.create_model("resnet10t", features_only=True).eval()
    reference.load_state_dict(network.backbone.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        taps, _ = network(images)
        expected = reference(images)[-4:]
    assert all(torch.equal(a, b) for a, b in zip(taps, expected, strict=True))


def test_new_layers_are_drawn_as_in_the_papers_code():
    with seeded(3):
        network = build("simple:resnet10t", 17, (32, 32))
    for layer in (network.deconvolutions[0][0], network.score):
        assert layer.weight.std().item() == pytest.approx(1e-3, rel=0.05)
    assert not network.score.bias.any()


def test_hrnets_heatmaps_are_of_timms_highest_resolution():
    with seeded(4):
        whole = timm.create_model("hrnet_w18_small", features_only=True, feature_location="")
        network = build("hrnet:hrnet_w18_small", 5, (64, 64)).eval()
    missing, _ = network.backbone.load_state_dict(whole.state_dict(), strict=False)
    assert not missing
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        highest = whole.eval()(images)[1]
        taps, (heatmaps,) = network(images)
        by_hand = F.conv2d(highest, network.score.weight, network.score.bias)
    assert torch.equal(taps[-1], highest)
    torch.testing.assert_close(heatmaps, by_hand)


@pytest.mark.parametrize("name", ["simple:resnet10t", "hrnet:hrnet_w18_small"])
def test_every_parameter_has_a_part_in_the_heatmaps(name: str):
    """So that training on several ranks, which wait for each gradient, does not stop."""
    network = build(name, 2, (32, 32)).train()
    network(torch.randn(2, 3, 32, 32))[1][0].square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("ssd", (64, 64), "network: expected 'hourglass', 'simple:.*but got 'ssd'"),
        ("simple:", (64, 64), "but got 'simple:'"),
        ("simple:resnet81", (64, 64), "name of timm .*got 'resnet81'; near it are .'resnet18'"),
        ("hrnet:resnet18", (64, 64), "'hrnet:' and a name of timm .*got 'resnet18'.*'hrnet_w18"),
        ("simple:hrnet_w18", (64, 64), "'simple:' and a name of timm .*got 'hrnet_w18'"),
        ("simple:resnet18.x", (64, 64), r"timm says: Invalid pretrained tag \(x\)"),
        ("simple:resnet10t", (48, 64), "multiples of 32, but got 48 x 64, with heatmaps of 16 x 1"),
        ("hrnet:hrnet_w18_small", (40, 64), "for images of 40 x 64 pixels, but got 'hrnet:hrnet"),
    ],
)
def test_what_timm_cannot_give_is_refused(name: str, size: tuple[int, int], message: str):
    with pytest.raises(ValueError, match=message):
        declare(name, size)


# ---------------------------------------------------------------- weights


def written(name: str, path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint of timm's model at `path`; its content."""
    with seeded(5):
        state = timm.create_model(name).state_dict()
    for value in state.values():  # statistics that no fresh network has
        if value.is_floating_point():
            value += 0.25
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if path.stem == "nested" else state, path)
    return state


@pytest.mark.parametrize("file", ["plain.pth", "nested.pth.tar", "model.safetensors"])
def test_a_file_of_timms_is_loaded_whole(file: str, tmp_path: Path):
    state = written("resnet10t", tmp_path / file)
    network = build("simple:resnet10t", 4, (32, 32), str(tmp_path / file))
    held = network.backbone.state_dict()
    assert len(held) > 50
    assert [name for name in held if not torch.equal(held[name], state[name])] == []


def test_a_file_of_hrnet_is_loaded_whole(tmp_path: Path):
    state = written("hrnet_w18_small", tmp_path / "hrnet.pth")
    network = build("hrnet:hrnet_w18_small", 4, (32, 32), str(tmp_path / "hrnet.pth"))
    held = network.backbone.state_dict()
    assert len(held) == 348
    assert [name for name in held if not torch.equal(held[name], state[name])] == []


REMEDIES = r"Put the file on this machine.*`task.pretrained=.*or train from random weights"


def test_files_that_are_no_such_weights_are_refused(tmp_path: Path):
    written("resnet18", tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    said = {
        "other.pth": "timm's weights of 'resnet10t' in .*other.pth, but it lacks [0-9]+ of [0-9]+",
        "text.pth": "weights of timm in .*text.pth, but it cannot be read",
        "list.pth": "weights of timm in .*list.pth, but it cannot be read",
        "nothing.pth": "the file .*nothing.pth, but there is no such file",
    }
    for name, message in said.items():
        with pytest.raises(WeightsError, match=f"{message}.*{REMEDIES}"):
            load("resnet10t", str(tmp_path / name), {"features_only": True})


def test_weights_that_cannot_be_reached_are_told_with_what_to_do(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to huggingface.co")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(WeightsError, match=f"'resnet10t': no route to huggingface.co.*{REMEDIES}"):
        build("simple:resnet10t", 4, (32, 32), pretrained=True)


def test_a_network_that_timm_has_no_weights_of_is_told():
    with pytest.raises(WeightsError, match=f"No pretrained weights exist for .*{REMEDIES}"):
        build("simple:seresnet18", 4, (32, 32), pretrained=True)


def test_true_takes_what_timm_downloads(monkeypatch, tmp_path: Path):
    state = written("resnet10t", tmp_path / "hub.pth")
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(state)
    )
    network = build("simple:resnet10t", 4, (32, 32), pretrained=True)
    assert isinstance(network, SimplePose)
    assert torch.equal(network.backbone.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
