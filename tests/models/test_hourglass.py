"""The stacked hourglass: size and layers of the published one, taps, and that every part learns."""

from __future__ import annotations

import pytest
import torch

from models.networks.hourglass import Hourglass, Residual, StackedHourglass, declare_taps
from models.process.seeding import seeded

# pytorch-stacked-hourglass 1.0.0a9 on PyPI: hg1, hg2, hg8
PUBLISHED = {1: 3_586_960, 2: 6_730_912, 8: 25_594_624}


@pytest.mark.parametrize("stacks", PUBLISHED)
def test_parameters_are_as_many_as_in_the_published_network(stacks: int):
    with torch.device("meta"):
        network = StackedHourglass(16, stacks)
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[stacks]


@pytest.mark.parametrize("settings", [{}, {"stacks": 3, "features": 32, "blocks": 2, "depth": 2}])
def test_declared_taps_are_the_last_maps_and_heatmaps_follow_from_them(settings: dict):
    network = StackedHourglass(5, **settings).eval()
    taps = declare_taps(settings.get("stacks", 2), settings.get("features", 256))
    with torch.no_grad():
        maps, heatmaps = network(torch.randn(2, 3, 64, 128))
        again = [score(one) for score, one in zip(network.scores, maps, strict=True)]
    assert [m.shape for m in maps] == [(2, tap.channels, 16, 32) for tap in taps]
    assert [h.shape for h in heatmaps] == [(2, 5, 16, 32)] * len(taps)
    assert all(torch.equal(a, b) for a, b in zip(again, heatmaps, strict=True))


def test_a_later_loss_does_not_overwrite_an_earlier_tap():
    """A ReLU in place on a returned map would: the map is read again after the whole
    forward pass.
    """
    network = StackedHourglass(4, features=16, depth=2).eval()
    kept = []
    handles = [
        h.register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
        for h in network.hourglasses
    ]
    with torch.no_grad():
        maps, _ = network(torch.randn(1, 3, 32, 32))
    assert len(handles) == len(kept) == 2
    assert all(torch.equal(a, b) for a, b in zip(kept, maps, strict=True))


def test_intermediate_supervision_reaches_every_parameter_and_the_last_heatmaps_alone_do_not():
    with seeded(0):
        network = StackedHourglass(4, features=16, depth=2)
    _, heatmaps = network(torch.randn(2, 3, 32, 32))
    heatmaps[-1].square().sum().backward(retain_graph=True)
    # the first stack's heatmaps go into the second
    assert network.scores[0].weight.grad is not None
    network.zero_grad()
    sum(h.square().sum() for h in heatmaps).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0
        for n, p in network.named_parameters()
        if _counts(n)
    )


def _counts(name: str) -> bool:
    """Not the bias before a batch norm: its gradient is zero but for rounding."""
    return not name.endswith("bias")


def test_an_hourglass_of_zero_residuals_is_pooling_and_unpooling():
    """By hand: with residuals that change nothing, x + up(x pooled), and twice as deep x +
    up(pooled + up(...)).
    """
    x = torch.randn(1, 8, 8, 8)
    for depth in (1, 2):
        hourglass = Hourglass(depth, 8, 1)
        for part in hourglass.modules():
            if isinstance(part, Residual):
                torch.nn.init.zeros_(part.body[-1].weight)
                torch.nn.init.zeros_(part.body[-1].bias)
        up = torch.nn.Upsample(scale_factor=2, mode="nearest")
        pooled = torch.nn.functional.max_pool2d(x, 2)
        inner = pooled if depth == 1 else pooled + up(torch.nn.functional.max_pool2d(pooled, 2))
        torch.testing.assert_close(hourglass(x), x + up(inner))
