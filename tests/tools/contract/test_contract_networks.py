"""Networks that are odd and right keep the contract.

Those with a gradient that is lost on its way do not.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from models.networks import mmcv_ops
from models.output import Output, Tap
from tests.contract import failures
from tests.faulty import ErrorToBeLow
from tests.toy import Toy, ToyNetwork
from tools.contract import Subject, verdicts
from tools.contract.gradient_checks import what_changes

mmcv_ops.install()

from mmdet.models.backbones import ResNet  # noqa: E402  # must follow `install`


class Network(ToyNetwork):
    """The toy's network; its parts are changed by subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.change()

    def change(self) -> None:
        pass


class Of(Toy):
    """The toy with another network.

    Args:
        kind: its class.
    """

    def __init__(self, kind: type[nn.Module], **settings) -> None:
        super().__init__(**settings)
        self.kind = kind

    def build(self) -> nn.Module:
        return self.kind()


# ---------------------------------------------------------------- odd and right


class ZeroGates(Network):
    """Residual blocks in each other whose factors begin at 0: the inner has no gradient
    until two opened.
    """

    def change(self) -> None:
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        b = self.second(a)
        b = b + self.gates[0] * (b + self.gates[1] * self.inner(b))
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class ZeroNorms(Network):
    """`zero_init_residual`: the last norm of a block multiplies by 0."""

    def change(self) -> None:
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        )
        nn.init.zeros_(self.block[-1].weight)

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        a = a + self.block(a)
        b = self.second(a)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class FrozenBackbone(Network):
    def change(self) -> None:
        self.first.requires_grad_(False)


class FrozenAndWithoutGraph(Network):
    """All that makes the taps is frozen and computed without a graph, as many do to save memory."""

    def change(self) -> None:
        self.first.requires_grad_(False)
        self.second.requires_grad_(False)
        self.deep = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        with torch.no_grad():
            a = self.first(x[:, :, None, None])
            b = self.second(a)
        return (a, b), self.deep(b.flatten(1)).squeeze(1)


class UnusedHead(Network):
    """An auxiliary head that the loss does not use, with most of the parameters."""

    def change(self) -> None:
        self.auxiliary = nn.Sequential(*[nn.Linear(4, 4) for _ in range(8)])


class CumulativeNorm(Network):
    def change(self) -> None:
        self.first[1] = nn.BatchNorm2d(8, momentum=None)


class Tied(Network):
    def change(self) -> None:
        self.again = nn.Linear(4, 1)
        self.again.weight = self.head.weight

    def forward(self, x):
        taps, found = super().forward(x)
        return taps, found + self.again(taps[1].flatten(1)).squeeze(1)


class OddBuffers(Network):
    """Complex, boolean, whole, half-precision and infinite buffers, and a state that is no
    tensor.
    """

    def change(self) -> None:
        self.register_buffer("phase", torch.exp(1j * torch.arange(4.0)))
        self.register_buffer("on", torch.tensor([True, True, False, True]))
        self.register_buffer("places", torch.arange(4))
        self.register_buffer("scale", torch.full((4,), 0.5, dtype=torch.float16))
        self.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))

    def get_extra_state(self):
        return {"version": "two", "sizes": [1, 2]}

    def set_extra_state(self, state) -> None:
        pass

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        b = (
            self.second(a)
            * (self.phase.abs() * self.scale * (1 + self.on) * (1 + self.places))[:, None, None]
        )
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class ComplexWeight(Network):
    """A filter in the Fourier domain."""

    def change(self) -> None:
        self.spectrum = nn.Parameter(torch.randn(5, dtype=torch.complex64))

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        turned = torch.fft.irfft(
            torch.fft.rfft(a, dim=1) * self.spectrum[:, None, None], n=8, dim=1
        )
        b = self.second(a + turned)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class SharedMemory(Network):
    """The second tap is a part of the first one's memory."""

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        return (a, a[:, :4]), self.head(self.second(a).flatten(1)).squeeze(1)


class Normed(Network):
    """Weights that are computed anew, or brought up to date, in every pass."""

    def change(self) -> None:
        self.second[1] = parametrizations.spectral_norm(self.second[1])
        self.head = parametrizations.weight_norm(self.head)


class OldWeightNorm(Network):
    """Torch's first way: after a pass, its weight is no leaf and cannot be copied."""

    def change(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.head = nn.utils.weight_norm(self.head)


class Recomputed(Network):
    """A part that is computed twice to save memory, torch's first way, which allows
    `backward` alone.
    """

    def forward(self, x):
        a = checkpoint(self.first, x[:, :, None, None].requires_grad_(), use_reentrant=True)
        b = self.second(a)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class MmdetResNet(nn.Module):
    """mmdet's ResNet as it is initialised: the last norm of every block multiplies by 0."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Linear(6, 3 * 32 * 32)
        self.body = ResNet(
            18, base_channels=8, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1)
        )
        self.body.init_weights()
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        a, b = self.body(self.widen(x).view(-1, 3, 32, 32))
        return (a, b), self.head(b.mean((2, 3))).squeeze(1)


class OfResNet(Of):
    taps = (Tap("layer1", 8), Tap("layer2", 16))


RIGHT = [
    ZeroGates,
    ZeroNorms,
    FrozenBackbone,
    FrozenAndWithoutGraph,
    UnusedHead,
    CumulativeNorm,
    Tied,
    OddBuffers,
    ComplexWeight,
    SharedMemory,
    Normed,
    OldWeightNorm,
    Recomputed,
    MmdetResNet,
]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("kind", RIGHT)
def test_a_network_that_is_odd_and_right_keeps_the_contract(kind):
    assert failures((OfResNet if kind is MmdetResNet else Of)(kind)) == {}


def test_its_zeros_are_really_zeros():
    task = OfResNet(MmdetResNet)
    norms = [
        module for module in Subject(task).network.body.modules() if hasattr(module, "norm2_name")
    ]
    assert len(norms) == 4 and all(
        not getattr(block, block.norm2_name).weight.any() for block in norms
    )


def test_what_gets_no_gradient_is_named():
    def said(task: Toy, check: str = "loss_reaches_the_network") -> str:
        return next(v.said for v in verdicts(Subject(task)) if v.name == check)

    assert said(Toy()) == said(Of(ZeroGates)) == ""
    told = "not in the loss: auxiliary.0.weight, auxiliary.0.bias, auxiliary.1.weight and 13 more"
    assert said(Of(UnusedHead)) == told
    assert (
        said(Of(FrozenBackbone))
        == "frozen: first.0.weight, first.0.bias, first.1.weight and 1 more"
    )
    frozen = Of(FrozenAndWithoutGraph)
    assert (
        said(frozen, "taps_are_the_declared_ones") == "first 8x1x1 (frozen), second 4x1x1 (frozen)"
    )
    assert (
        said(frozen, "gradients_stop_where_detached")
        == "because no tap depends on a parameter that is trained"
    )
    assert said(ErrorToBeLow(), "direction_is_told") == "lower is better"
    assert failures(ErrorToBeLow()) == {}


# ---------------------------------------------------------------- gradients that are lost


class HeadAlone(Network):
    """The loss takes the features detached: only the head learns."""

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        b = self.second(a)
        return (a, b), self.head(b.detach().flatten(1)).squeeze(1)


class ForgottenNoGrad(Network):
    """The first layers are not frozen, and computed without a graph."""

    def forward(self, x):
        with torch.no_grad():
            a = self.first(x[:, :, None, None])
        b = self.second(a)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class OneLayerAside(Network):
    """One of many layers is taken out of the graph by `.data`: a part of less than a fifth."""

    def change(self) -> None:
        self.more = nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(12)])
        self.lost = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x):
        a = self.first(x[:, :, None, None])
        b = self.second(a)
        for layer in self.more:
            b = b + 0.1 * layer(b)
        b = b + nn.functional.conv2d(b, self.lost.weight.data)
        return (a, b), self.head(b.flatten(1)).squeeze(1)


class Rounded(Network):
    """Connected, and flat everywhere: the derivative of rounding is 0."""

    def forward(self, x):
        taps, found = super().forward(x)
        return taps, (10 * found).round() / 10


class AllFrozen(Network):
    def change(self) -> None:
        self.requires_grad_(False)


class TimesZero(Toy):
    """A loss of the labels alone, to which the network is tied by a factor of 0."""

    def forward(self, network, batch, want) -> Output:
        taps, found = network(batch["x"])
        return Output(taps, loss=0 * found + batch["y"] if "loss" in want else None)


class TapOfAnotherNetwork(Toy):
    """A tap that is right in value and comes without its graph, behind a layer that is trained."""

    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        return Output((output.taps[0], output.taps[1].detach()), output.loss)


@pytest.mark.parametrize(
    ("task", "check", "said"),
    [
        (Of(HeadAlone), "loss_reaches_the_network", "none for 6 of 8, among them "),
        (Of(ForgottenNoGrad), "loss_reaches_the_network", "none for 4 of 8, among them 'first."),
        (Of(ForgottenNoGrad), "taps_are_the_declared_ones", "['first'] detached, though 'first.0.weight' changes them"),
        (Of(OneLayerAside), "loss_reaches_the_network", "none for 1 of 33, among them 'lost.weight', which"),
        (Of(Rounded), "loss_reaches_the_network", "0 in each of 5 steps for 8 of 8, such as ['first.0.weight',"),
        (Of(AllFrozen), "loss_reaches_the_network", "expected a parameter that can be trained, but got none;"),
        (TimesZero(), "loss_reaches_the_network", "gradients other than 0, but got 0 in each of 5 steps for 8"),
        (TapOfAnotherNetwork(), "taps_are_the_declared_ones", "['second'] detached, though 'first.0.weight' changes"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Toy) else None,
)  # fmt: skip
def test_a_gradient_that_is_lost_is_caught_and_named(task, check, said):
    assert said in failures(task)[check]


def test_the_parameter_that_changes_a_value_is_found_and_nothing_is_left_changed():
    network = Network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    names = [name for name, _ in network.named_parameters()]
    network.train()
    batch = torch.ones(4, 6)
    assert what_changes(lambda n: n.first(batch[:, :, None, None]), network, names[2:]) in (
        "first.1.weight",
        "first.1.bias",
    )
    assert what_changes(lambda n: n.first[0](batch[:, :, None, None]), network, names[2:]) == ""
    assert what_changes(lambda n: n.head(torch.ones(1, 4)), network, names) in (
        "head.weight",
        "head.bias",
    )
    assert (
        what_changes(lambda n: torch.rand(3), network, names)
        == ""
        == what_changes(lambda n: 1, network, [])
    )
    left = network.state_dict()
    assert all(
        torch.equal(before[key], left[key])
        for key in before
        if "running" not in key and "tracked" not in key
    )
