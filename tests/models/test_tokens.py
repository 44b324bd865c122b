"""Taps that are tokens (B, N, C): pooled as the map of their places would be, in the module, in the
embedding, and in the contract.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acquisition.signals import pooled
from models.loss_prediction import LossPrediction
from models.output import Tap
from models.process.seeding import seeded
from models.training.joint import JointModel
from models.training.settings import ModuleSettings
from tests import faulty
from tests.contract import failures
from tests.toy import Toy


def a_map() -> torch.Tensor:
    return torch.randn(3, 8, 4, 5, generator=torch.Generator().manual_seed(0))


def as_tokens(tap: torch.Tensor) -> torch.Tensor:
    return tap.flatten(2).mT


def test_tokens_are_pooled_as_the_map_of_their_places():
    with seeded(0):
        module = LossPrediction((8, 8), width=6)
    mixed = module([a_map(), as_tokens(a_map())])
    torch.testing.assert_close(mixed, module([a_map(), a_map()]))
    torch.testing.assert_close(pooled(as_tokens(a_map())), pooled(a_map()))


def test_one_token_is_itself():
    vectors = torch.randn(4, 8)
    assert torch.equal(pooled(vectors[:, None]), vectors)
    with seeded(0):
        module = LossPrediction((8,), width=6)
    by_hand = module.head(torch.relu(module.branches[0][-2](vectors))).squeeze(1)
    torch.testing.assert_close(module([vectors[:, None]]), by_hand)


def test_the_order_of_tokens_does_not_matter_and_gradients_flow():
    tokens = torch.randn(2, 6, 8, requires_grad=True)
    with seeded(0):
        module = LossPrediction((8,), width=6)
    torch.testing.assert_close(module([tokens]), module([tokens.flip(1)]))
    module([tokens]).sum().backward()
    assert bool((tokens.grad != 0).any())


def test_tokens_of_other_channels_are_refused_with_their_shape():
    with pytest.raises(ValueError, match=r"with channels \(8,\), but got \(\(2, 8, 6\),\)$"):
        LossPrediction((8,), width=6)([torch.zeros(2, 8, 6)])


def test_tokens_are_not_convolved():
    with pytest.raises(ValueError, match=r"'conv_gap', .*but got tokens \(B, N, C\); set module.p"):
        LossPrediction((8,), width=6, pooling="conv_gap")([torch.zeros(2, 5, 8)])


@pytest.mark.parametrize("mode", ["joint", "detached"])
def test_declared_tokens_and_a_convolution_are_refused_when_the_model_is_made(mode):
    taps, settings = (
        (Tap("map", 8), Tap("tokens", 8, tokens=True)),
        ModuleSettings(pooling="conv_gap"),
    )
    with pytest.raises(ValueError, match="Expected taps that are maps"):
        JointModel(nn.Linear(1, 1), None, None, taps, settings, mode)
    assert JointModel(nn.Linear(1, 1), None, None, taps[:1], settings, mode).loss_prediction


class Tokens(faulty.TokenTaps):
    """The toy with its maps as tokens, and declared so."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = tuple(Tap(tap.name, tap.channels, tokens=True) for tap in self.taps)


class DeclaredTokens(Toy):
    """Declares tokens and returns maps."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = tuple(Tap(tap.name, tap.channels, tokens=True) for tap in self.taps)


def test_the_contract_takes_declared_tokens():
    assert failures(Tokens()) == {}


def test_the_contract_refuses_maps_where_tokens_are_declared():
    found = failures(DeclaredTokens())
    assert "expected the taps (4, N, " in found["taps_are_the_declared_ones"]
