"""Classification networks: sizes, taps as declared, and torchvision's own outputs behind
the taps.
"""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from models.networks import resnet
from models.output import Tap
from models.process.seeding import seeded


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_resnet18_for_cifar_has_its_published_size():
    """11,173,962 parameters.

    The same number from torchvision's ResNet-18 with a 3x3 stem and ten classes.
    """
    network = resnet.build("resnet18_cifar", 10)
    reference = torchvision.models.resnet18(num_classes=10)
    stems = 64 * 3 * 7 * 7, 64 * 3 * 3 * 3
    assert count(network) == 11_173_962 == count(reference) - stems[0] + stems[1]
    assert count(resnet.build("resnet10_cifar_w8", 10)) == 78_002


def test_resnet18_for_cifar_computes_what_torchvisions_resnet_does():
    """Its weights in torchvision's ResNet, whose stem is replaced and whose pooling is
    taken out.
    """
    with seeded(0):
        network = resnet.build("resnet18_cifar", 10).eval()
    reference = torchvision.models.resnet18(num_classes=10).eval()
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    reference.load_state_dict(network.state_dict(), strict=True)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1], reference(images))


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18_cifar", [64, 128, 256, 512]), ("resnet10_cifar_w16", [16, 32, 64, 128])],
)
def test_taps_of_the_cifar_networks(name: str, channels: list[int]):
    taps, logits = resnet.build(name, 7)(torch.randn(2, 3, 32, 32))
    assert [tap.channels for tap in resnet.declare_taps(name, 32)] == channels
    assert [tuple(tap.shape) for tap in taps] == [
        (2, c, s, s) for c, s in zip(channels, (32, 16, 8, 4), strict=True)
    ]
    assert logits.shape == (2, 7)


def test_initial_weights_are_torchvisions():
    """Convolutions of variance 2 / (9 * channels out), batch norms that do nothing."""
    with seeded(0):
        network = resnet.build("resnet18_cifar", 10)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    weight = network.layer3[1].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


FAMILIES = [
    "resnet50",
    "vgg11_bn",
    "densenet121",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "regnet_y_400mf",
    "convnext_tiny",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "mnasnet0_5",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_declared_taps_equal_returned_ones(name: str):
    """For a network of each of torchvision's families, in training and at test time.

    On the meta device.
    """
    declared = resnet.declare_taps(name, 64)
    network = resnet.build(name, 5).to("meta")
    for train in (True, False):
        taps, logits = network.train(train)(torch.empty(2, 3, 64, 64, device="meta"))
        assert [tap.shape[1] for tap in taps] == [tap.channels for tap in declared]
        sides = [tap.shape[2] for tap in taps]
        assert len(taps) == 4 and sides == sorted(set(sides), reverse=True)
        assert logits.shape == (2, 5)


def test_taps_and_logits_are_those_of_torchvisions_network():
    assert resnet.declare_taps("resnet18", 64) == tuple(
        Tap(f"layer{k + 1}", 64 << k) for k in range(4)
    )
    with seeded(0):
        network = resnet.build("resnet18", 5).eval()
    with seeded(0):
        reference = torchvision.models.resnet18(num_classes=5).eval()
    images = torch.randn(2, 3, 64, 64)
    maps = {}
    for name in ("layer1", "layer2", "layer3", "layer4"):
        reference.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: maps.update({name: out})
        )
    expected = reference(images)
    taps, logits = network(images)
    torch.testing.assert_close(logits, expected)
    assert all(torch.equal(a, b) for a, b in zip(taps, maps.values(), strict=True))
    assert all(tap.requires_grad for tap in taps)


def test_dropout_and_batch_norm_follow_the_mode():
    """The traced graphs of training and of evaluation are two: the right one runs."""
    with seeded(0):
        network = resnet.build("mobilenet_v3_small", 5)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(network.train()(images)[1], network(images)[1])
        assert torch.equal(network.eval()(images)[1], network(images)[1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "network: 'resnet5' is unknown; did you mean 'resnet50'"),
        ("qqqq", "'qqqq' is unknown; expected one of resnet18_cifar, .* or torchvision's"),
        (
            "vit_b_16",
            r"expected one with 4 stages of maps \(B, C, H, W\), such as 'resnet50', but got 'vit_b_16'",
        ),
        ("swin_t", "but got 'swin_t'"),
        ("googlenet", "but got 'googlenet'"),
    ],
)
def test_a_network_without_four_stages_is_refused(name: str, message: str):
    with pytest.raises(ValueError, match=message):
        resnet.declare_taps(name, 224)


def test_an_input_too_small_for_the_network_is_refused():
    with pytest.raises(
        ValueError, match="input_size: expected one that 'alexnet' can take, but got 32"
    ):
        resnet.declare_taps("alexnet", 32)
