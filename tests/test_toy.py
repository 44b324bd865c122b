"""The toy task keeps the contract that it stands in for; and the contract's checks can fail."""

from __future__ import annotations

import pytest
import torch

from models.output import Output, Tap
from tests import contract
from tests.toy import Toy


def test_the_toy_keeps_the_contract():
    assert contract.check_all(Toy()).keys() == {"score"}


class OtherTaps(Toy):
    taps = (Tap("first", 8), Tap("second", 5))


class LossOfTheBatch(Toy):
    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        return output if output.loss is None else Output(output.taps, loss=output.loss / output.loss.mean())


class DetachedLoss(Toy):
    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        return Output(output.taps, loss=output.loss.detach().requires_grad_()) if "loss" in want else output


class RandomPool(Toy):
    def dataset(self, split):
        return super().dataset("train" if split == "pool" else split)


class SameNames(Toy):
    def name(self, index: int) -> str:
        return f"vector {index // 2}"


class Unseeded(Toy):
    def build(self):
        network = super().build()
        torch.nn.init.constant_(network.head.bias, float(torch.Generator().seed() % 1000))
        return network


@pytest.mark.parametrize(
    ("task", "check"),
    [
        (OtherTaps(), contract.check_taps_are_the_declared_ones),
        (LossOfTheBatch(), lambda task: contract.check_loss_is_per_sample(task, [0, 1, 2])),
        (DetachedLoss(), lambda task: contract.check_loss_reaches_the_network(task, [0, 1, 2, 3])),
        (RandomPool(), contract.check_views_hold_the_same_samples),
        (SameNames(), contract.check_names),
        (Unseeded(), contract.check_build_is_seeded_and_finite),
    ],
    ids=lambda x: type(x).__name__,
)
def test_each_check_catches_its_fault(task, check):
    with pytest.raises(AssertionError):
        check(task)
