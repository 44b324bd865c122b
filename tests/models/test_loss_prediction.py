"""The loss-prediction module and its objectives, against worked values and independent
implementations.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import mean_squared_error
from torch import Tensor, nn

from models.loss_prediction import LossPrediction, kl_loss, mse_loss, ranking_loss

OBJECTIVES = {"ranking": ranking_loss, "mse": mse_loss, "kl": kl_loss}
SSD_CHANNELS = (512, 1024, 512, 256, 256, 256)


def numbers(size: int, seed: int = 0, positive: bool = False) -> Tensor:
    values = np.random.default_rng(seed).normal(size=size)
    return torch.tensor(np.abs(values) if positive else values, dtype=torch.float64)


def ranking_reference(predicted: list[float], target: list[float], margin: float = 1.0) -> float:
    size, hinges = len(predicted), []
    for i in range(size // 2):
        j = size - 1 - i
        sign = 1 if target[i] > target[j] else -1
        hinges.append(max(0.0, -sign * (predicted[i] - predicted[j]) + margin))
    return sum(hinges) / len(hinges)


def kl_reference(predicted: list[float], target: list[float]) -> float:
    size, divergences = len(predicted), []
    for i in range(size // 2):
        j = size - 1 - i
        odds = math.exp(predicted[i] - predicted[j])
        # it normalises
        divergences.append(entropy([target[i], target[j]], [odds / (1 + odds), 1 / (1 + odds)]))
    return float(np.mean(divergences))


# the ranking loss


@pytest.mark.parametrize(
    ("predicted", "expected"), [((0.5, 0.4), 0.9), ((0.6, 0.3), 0.7), ((0.4, 0.5), 1.1)]
)
def test_ranking_loss_worked_values(predicted, expected):
    assert ranking_loss(torch.tensor(predicted), torch.tensor([0.7, 0.5])).item() == pytest.approx(
        expected
    )


def test_ranking_loss_is_the_same_with_both_samples_swapped():
    p, t = numbers(8), numbers(8, 1)
    assert ranking_loss(p.flip(0), t.flip(0)).item() == pytest.approx(
        ranking_loss(p, t).item(), abs=1e-12
    )


@pytest.mark.parametrize("size", [2, 3, 4, 7, 32, 33])
@pytest.mark.parametrize("margin", [1.0, 0.25, 3.0])
def test_ranking_loss_against_a_plain_loop(size, margin):
    p, t = numbers(size), numbers(size, 1)
    expected = ranking_reference(p.tolist(), t.tolist(), margin)
    assert ranking_loss(p, t, margin).item() == pytest.approx(expected, rel=1e-12)


def test_pairs_are_first_with_last():
    # pairs (0, 3) and (1, 2) cost 1 + 2 and 0; any other pairing of these four costs something else
    p, t = torch.tensor([0.0, 5.0, 1.0, 2.0]), torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert ranking_loss(p, t).item() == pytest.approx((3 + 0) / 2)
    p.requires_grad_()
    ranking_loss(p, t).backward()
    assert p.grad.tolist() == [-0.5, 0.0, 0.0, 0.5]


@pytest.mark.parametrize("objective", [ranking_loss, kl_loss])
def test_odd_batch_leaves_its_middle_sample_out(objective):
    p, t = numbers(5), numbers(5, 1, positive=True)
    before = objective(p, t)
    even = objective(p[[0, 1, 3, 4]], t[[0, 1, 3, 4]])
    p[2], t[2] = 1e6, 1e6
    p.requires_grad_()
    after = objective(p, t)
    after.backward()
    assert before.item() == even.item() == after.item() > 0
    assert p.grad[2].item() == 0
    assert (p.grad[[0, 1, 3, 4]] != 0).any()


def test_margin_is_in_units_of_the_prediction():
    p, t = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0])  # rightly ordered, 2 apart
    assert [ranking_loss(p, t, m).item() for m in (1.0, 2.0, 2.5)] == [0.0, 0.0, 0.5]
    assert ranking_loss(p.flip(0), t, 2.5).item() == 4.5


def test_tie_in_the_target_counts_as_the_first_being_smaller():
    p, t = torch.tensor([0.75, 0.5]), torch.tensor([1.0, 1.0])
    assert ranking_loss(p, t).item() == 1.25
    assert ranking_loss(p.flip(0), t).item() == 0.75


def test_tie_in_the_prediction_costs_the_margin():
    p = torch.zeros(4, requires_grad=True)
    loss = ranking_loss(p, torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
    loss.backward()
    assert loss.item() == 0.5
    assert p.grad.tolist() == [0.5, 0.5, -0.5, -0.5]  # the larger losses' predictions are pushed up


# all objectives


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("objective", [ranking_loss, kl_loss])
def test_no_pair_is_zero_with_zero_gradient(objective, size):
    p = torch.full((size,), 3.0, requires_grad=True)
    loss = objective(p, torch.full((size,), 7.0))
    loss.backward()
    assert loss.shape == () and loss.item() == 0
    assert p.grad.tolist() == [0.0] * size


def test_mse_of_an_empty_batch_is_zero_with_a_gradient():
    p = torch.zeros(0, requires_grad=True)
    loss = mse_loss(p, torch.zeros(0))
    loss.backward()
    assert loss.item() == 0 and p.grad.shape == (0,)


def test_mse_uses_a_single_sample():
    assert mse_loss(torch.tensor([3.0]), torch.tensor([7.0])).item() == 16


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_no_gradient_into_the_target(objective):
    p, t = numbers(6).requires_grad_(), numbers(6, 1, positive=True).requires_grad_()
    objective(p, t).backward()
    assert t.grad is None
    assert p.grad.abs().sum() > 0


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize(
    ("predicted", "target", "shapes"),
    [
        ((4, 1), (4,), r"\(4, 1\) and \(4,\)"),
        ((4,), (4, 1), r"\(4,\) and \(4, 1\)"),
        ((4, 1), (4, 1), r"\(4, 1\) and \(4, 1\)"),
        ((4,), (3,), r"\(4,\) and \(3,\)"),
        ((4,), (), r"\(4,\) and \(\)"),
        ((), (), r"\(\) and \(\)"),
    ],
)
def test_shapes_that_would_broadcast_are_refused(objective, predicted, target, shapes):
    with pytest.raises(ValueError, match=rf"one shape \(B,\), but got {shapes}$"):
        objective(torch.ones(predicted), torch.ones(target))


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("size", [2, 5, 8])
def test_gradient_against_finite_differences(objective, size):
    p, t = numbers(size, 3).requires_grad_(), numbers(size, 4, positive=True)
    assert torch.autograd.gradcheck(lambda x: objective(x, t), (p,))


@pytest.mark.parametrize("size", [1, 2, 9, 64])
def test_mse_against_sklearn(size):
    p, t = numbers(size), numbers(size, 1)
    assert mse_loss(p, t).item() == pytest.approx(
        mean_squared_error(t.numpy(), p.numpy()), rel=1e-12
    )


# the KL objective of LL++


@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        ((0.3, -1.2), (3.0, 1.0)),
        ((2.0, 2.0), (1.0, 1.0)),
        ((-4.0, 5.0), (0.2, 0.1)),
        ((1.0, 0.0), (0.0, 2.0)),
    ],
)
def test_kl_of_a_pair_against_scipy(predicted, target):
    expected = kl_reference(list(predicted), list(target))
    p, t = torch.tensor(predicted, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    assert kl_loss(p, t).item() == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_kl_hand_computed():
    # t = (3/4, 1/4), q = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl_loss(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 1.0])).item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize("size", [4, 9, 20])
def test_kl_of_a_batch_against_scipy(size):
    p, t = numbers(size), numbers(size, 1, positive=True)
    assert kl_loss(p, t).item() == pytest.approx(kl_reference(p.tolist(), t.tolist()), rel=1e-12)


def test_kl_counts_a_pair_of_zeros_as_halves():
    p = torch.tensor([1.0, 0.0], requires_grad=True)
    loss = kl_loss(p, torch.zeros(2))
    loss.backward()
    assert loss.item() == pytest.approx(entropy([0.5, 0.5], np.array([math.e, 1]) / (math.e + 1)))
    assert p.grad.tolist() == pytest.approx(
        [math.e / (math.e + 1) - 0.5, 0.5 - math.e / (math.e + 1)]
    )


def test_kl_keeps_finite_where_one_loss_is_zero_and_predictions_are_far_apart():
    p = torch.tensor([200.0, -200.0], requires_grad=True)
    loss = kl_loss(p, torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(400)
    assert p.grad.tolist() == pytest.approx([1, -1])


def test_kl_is_zero_where_the_softmax_is_the_share():
    t = numbers(8, positive=True)
    assert kl_loss(t.log(), t).item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_kl_refuses_negative_losses(place):
    t = torch.ones(3)
    t[place] = -0.5
    with pytest.raises(ValueError, match=r"losses of at least 0, but got -0\.5"):
        kl_loss(torch.zeros(3), t)


# the module


def module_and_taps(pooling: str, size: int = 5) -> tuple[LossPrediction, list[Tensor]]:
    torch.manual_seed(0)
    module = LossPrediction((3, 7), width=4, pooling=pooling).double()
    return module, [torch.randn(size, 3, 6, 5).double(), torch.randn(size, 7, 1, 1).double()]


@pytest.mark.parametrize("pooling", ["gap", "conv_gap"])
@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_module_returns_one_number_a_sample(pooling, size):
    module, taps = module_and_taps(pooling, size)
    assert module(taps).shape == (size,)


@pytest.mark.parametrize("pooling", ["gap", "conv_gap"])
@pytest.mark.parametrize(("channels", "width"), [(SSD_CHANNELS, 128), ((3, 7), 4), ((1,), 1)])
def test_module_parameter_count(channels, width, pooling):
    expected = sum(c * width + width for c in channels) + width * len(channels) + 1
    if pooling == "conv_gap":
        expected += sum(9 * c * c + c for c in channels)
    module = LossPrediction(channels, width, pooling)
    assert sum(p.numel() for p in module.parameters()) == expected


def test_module_of_ssd300_by_hand():
    # 128 * (512 + 1024 + 512 + 256 + 256 + 256) + 6 * 128 + 6 * 128 + 1
    assert sum(p.numel() for p in LossPrediction(SSD_CHANNELS).parameters()) == 361_985
    assert LossPrediction(SSD_CHANNELS).branches[0][-2].out_features == 128


def test_module_has_no_dropout_no_norm_and_no_last_activation():
    module, taps = module_and_taps("gap")
    kinds = [type(m) for m in module.modules()]
    assert kinds.count(nn.Linear) == 3 and kinds.count(nn.ReLU) == 2
    assert not any(
        issubclass(kind, nn.modules.dropout._DropoutNd | nn.modules.batchnorm._NormBase)
        for kind in kinds
    )
    with torch.no_grad():
        module.head.weight.zero_()
        module.head.bias.fill_(-2.0)
    assert module(taps).tolist() == [-2.0] * 5


def test_module_gap_against_numpy():
    module, taps = module_and_taps("gap")
    kept = []
    for branch, tap in zip(module.branches, taps, strict=True):
        weight, bias = (p.detach().numpy() for p in branch.parameters())
        kept.append(np.maximum(tap.numpy().mean(axis=(2, 3)) @ weight.T + bias, 0))
    weight, bias = (p.detach().numpy() for p in module.head.parameters())
    expected = np.concatenate(kept, axis=1) @ weight[0] + bias[0]
    np.testing.assert_allclose(module(taps).detach().numpy(), expected, rtol=1e-12)
    assert np.ptp(expected) > 1e-3


def test_module_conv_gap_against_numpy():
    module, taps = module_and_taps("conv_gap")
    kept = []
    for branch, tap in zip(module.branches, taps, strict=True):
        kernel, offset, weight, bias = (p.detach().numpy() for p in branch.parameters())
        x = np.pad(tap.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
        height, width = tap.shape[2:]
        shifted = [
            (i, j, x[:, :, i : i + height, j : j + width]) for i in range(3) for j in range(3)
        ]
        y = sum(np.einsum("oc,bchw->bohw", kernel[:, :, i, j], part) for i, j, part in shifted)
        pooled = np.maximum(y + offset[None, :, None, None], 0).mean(axis=(2, 3))
        kept.append(np.maximum(pooled @ weight.T + bias, 0))
    weight, bias = (p.detach().numpy() for p in module.head.parameters())
    expected = np.concatenate(kept, axis=1) @ weight[0] + bias[0]
    np.testing.assert_allclose(module(taps).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("pooling", ["gap", "conv_gap"])
def test_module_sees_each_sample_alone(pooling):
    module, taps = module_and_taps(pooling)
    together = module(taps)
    for i in range(5):
        alone = module([tap[i : i + 1] for tap in taps])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-12, atol=1e-14)
    changed = [tap.clone() for tap in taps]
    for tap in changed:
        tap[3] = 1e3
    assert (module(changed) != together).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("pooling", ["gap", "conv_gap"])
def test_module_gradient_reaches_every_tap_and_every_parameter(pooling):
    module, taps = module_and_taps(pooling)
    taps = [tap.requires_grad_() for tap in taps]
    module(taps).sum().backward()
    assert all(tap.grad.abs().sum() > 0 for tap in taps)
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize(
    ("shapes", "came"),
    [
        ([(2, 3, 4, 4), (2, 6, 2, 2)], r"\(3, 6\)"),
        ([(2, 7, 4, 4), (2, 3, 2, 2)], r"\(7, 3\)"),
        ([(2, 3, 4, 4)], r"\(3,\)"),
        ([(2, 3, 4, 4), (2, 7, 2, 2), (2, 7, 1, 1)], r"\(3, 7, 7\)"),
        ([], r"\(\)"),
        ([(2, 3, 4, 4), (2, 7)], r"\(3, \(2, 7\)\)"),
        ([(3, 4, 4), (2, 7, 2, 2)], r"\(\(3, 4, 4\), 7\)"),
    ],
)
def test_module_refuses_taps_that_are_not_the_declared_ones(shapes, came):
    module = LossPrediction((3, 7), width=4)
    with pytest.raises(ValueError, match=rf"with channels \(3, 7\), but got {came}$"):
        module([torch.zeros(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": ()}, r"`channels` to hold a positive number for each tap, but got \(\)"),
        ({"channels": (3, 0)}, r"`channels` .* but got \(3, 0\)"),
        ({"channels": (3,), "width": 0}, r"`width` to be at least 1, but got 0"),
        (
            {"channels": (3,), "pooling": "max"},
            r"`pooling` to be one of \('gap', 'conv_gap'\), but got 'max'",
        ),
    ],
)
def test_module_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LossPrediction(**arguments)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_module_learns_to_rank(objective):
    torch.manual_seed(0)
    module, tap = LossPrediction((3,), width=16), torch.randn(64, 3, 2, 2)
    target = tap.mean(dim=(1, 2, 3)).abs()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        OBJECTIVES[objective](module([tap]), target).backward()
        optimizer.step()
    order = module([tap]).detach().argsort().argsort().double()
    truth = target.argsort().argsort().double()
    assert np.corrcoef(order, truth)[0, 1] > 0.8
