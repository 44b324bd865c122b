"""Scores of probabilities and votes against SciPy, NumPy and hand computations, ties and
empty cases included.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from acquisition import signals
from acquisition.signals import SIGNALS, Evidence, Votes, aggregated, need_committee, vote
from models.output import Output


def distributions(*shape: int, seed: int = 0, alpha: float = 0.5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.dirichlet(np.full(shape[-1], alpha), shape[:-1]))


def rows(name: str, aggregate: str = "mean", **evidence) -> torch.Tensor:
    given = {"output": None, "votes": None} | evidence
    return SIGNALS[name].rows(Evidence(None, given["output"], given["votes"], aggregate))


# ---------------------------------------------------------------- one distribution


def test_entropy_is_scipys_in_nats():
    probs = distributions(20, 3, 7)
    np.testing.assert_allclose(
        signals.entropy(probs), stats.entropy(probs.numpy(), axis=-1), rtol=1e-12
    )


def test_margin_and_confidence_by_sorting():
    probs = distributions(20, 3, 7)
    ordered = np.sort(probs.numpy(), axis=-1)
    np.testing.assert_allclose(signals.margin(probs), 1 - (ordered[..., -1] - ordered[..., -2]))
    np.testing.assert_allclose(signals.least_confident(probs), 1 - ordered[..., -1])


def test_a_calibrated_margin_is_that_of_tempered_probabilities():
    probs, weight = distributions(20, 3, 7), torch.rand(20, 3)
    given = Output((), probs=probs.float(), weight=weight)
    plain = SIGNALS["calibrated_margin"].rows(Evidence(None, given))
    assert plain.equal(SIGNALS["margin"].rows(Evidence(None, given)))
    for temperature in (0.5, 3.0):
        powers = probs.numpy() ** (1 / temperature)
        ordered = np.sort(powers / powers.sum(axis=-1, keepdims=True), axis=-1)
        expected = np.average(1 - (ordered[..., -1] - ordered[..., -2]), axis=1, weights=weight)
        found = SIGNALS["calibrated_margin"].rows(Evidence(None, given, temperature=temperature))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    certain = Output((), probs=torch.tensor([[[1.0, 0.0, 0.0]], [[0.5, 0.5, 0.0]]]))
    found = SIGNALS["calibrated_margin"].rows(Evidence(None, certain, temperature=2.0))
    np.testing.assert_allclose(found, [0, 1], atol=1e-6)
    assert signals.need_temperature(["entropy", "calibrated_margin"])
    assert not signals.need_temperature(["margin", "embedding"])


@pytest.mark.parametrize(
    ("probs", "entropy", "margin", "least"),
    [
        ([1.0, 0.0, 0.0], 0.0, 0.0, 0.0),
        ([0.25] * 4, math.log(4), 1.0, 0.75),
        ([0.5, 0.5, 0.0], math.log(2), 1.0, 0.5),  # a tie of the first two
        ([0.5, 0.25, 0.25], 1.5 * math.log(2), 0.75, 0.5),
    ],
)
def test_by_hand(probs, entropy, margin, least):
    output = Output((), probs=torch.tensor(probs)[None, None])
    for name, value in (("entropy", entropy), ("margin", margin), ("least_confident", least)):
        assert rows(name, output=output).tolist() == pytest.approx([value], abs=1e-6)


# ---------------------------------------------------------------- several distributions a sample


VALUES = torch.tensor([[1.0, 3.0, 8.0], [1.0, 3.0, 8.0], [5.0, 5.0, 5.0]])
WEIGHT = torch.tensor([[1.0, 1.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("how", "plain", "weighted"),
    [
        ("mean", [4.0, 4.0, 5.0], [2.0, 3.75, 0.0]),
        ("sum", [12.0, 12.0, 15.0], [4.0, 7.5, 0.0]),
        ("max", [8.0, 8.0, 5.0], [3.0, 8.0, 0.0]),
    ],
)
def test_aggregation_by_hand_and_without_any_weight(how, plain, weighted):
    assert aggregated(VALUES, None, how).tolist() == plain
    assert aggregated(VALUES, WEIGHT, how).tolist() == weighted


def test_the_maximum_of_negative_values_is_no_zero():
    assert aggregated(torch.tensor([[-2.0, -3.0]]), torch.tensor([[0.0, 1.0]]), "max").tolist() == [
        -3.0
    ]


def test_what_has_no_weight_counts_for_nothing():
    probs, weight = distributions(4, 5, 3).float(), torch.ones(4, 5)
    weight[:, 3:] = 0
    for aggregate in ("mean", "sum", "max"):
        found = rows("entropy", aggregate, output=Output((), probs=probs, weight=weight))
        alone = rows("entropy", aggregate, output=Output((), probs=probs[:, :3]))
        torch.testing.assert_close(found, alone)


# ---------------------------------------------------------------- votes


def members(count: int = 4) -> torch.Tensor:
    # members, samples, distributions, outcomes
    return distributions(count, 6, 3, 5, seed=3).float()


def votes_of(probs: torch.Tensor, weight: torch.Tensor | None = None) -> Votes:
    return vote(
        Output((), probs=p, weight=None if weight is None else weight[m])
        for m, p in enumerate(probs)
    )


def test_variance_and_mutual_information_are_numpys_and_scipys():
    probs = members()
    votes = votes_of(probs)
    array = probs.numpy().astype(float)
    np.testing.assert_allclose(
        signals.variance(votes), array.var(axis=0).mean(axis=-1), rtol=1e-4, atol=1e-7
    )
    mean, each = (
        stats.entropy(array.mean(axis=0), axis=-1),
        stats.entropy(array, axis=-1).mean(axis=0),
    )
    np.testing.assert_allclose(signals.mutual_information(votes), mean - each, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rows("dropout_entropy", votes=votes), mean.mean(axis=1), rtol=1e-5)
    for committee in ("ensemble", "dropout"):
        np.testing.assert_allclose(
            rows(f"{committee}_bald", votes=votes), (mean - each).mean(axis=1), rtol=1e-4
        )


def test_members_of_one_mind_have_no_variance_and_no_information():
    probs = members(1).expand(3, -1, -1, -1)
    votes = votes_of(probs)
    assert signals.variance(votes).abs().max() < 1e-7 and signals.variance(votes).min() >= 0
    assert (
        signals.mutual_information(votes).abs().max() < 1e-6
        and signals.mutual_information(votes).min() >= 0
    )
    assert rows("dropout_entropy", votes=votes).min() > 0.1


def test_two_members_that_contradict_each_other_by_hand():
    probs = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    votes = votes_of(probs)
    assert rows("ensemble_bald", votes=votes).tolist() == pytest.approx([math.log(2)])
    assert rows("ensemble_variance", votes=votes).tolist() == pytest.approx([0.25])


def test_weights_of_members_are_averaged():
    weight = torch.tensor([[[1.0, 0.0, 1.0]] * 6, [[1.0, 0.0, 0.0]] * 6])
    assert votes_of(members(2), weight).weight[0].tolist() == [1.0, 0.0, 0.5]


def test_one_committee_is_asked():
    assert need_committee(["entropy", "embedding"]) is None
    assert need_committee(["entropy", "dropout_bald"]) == "dropout"
    with pytest.raises(
        ValueError, match="one committee, but got those of \\['dropout', 'ensemble'\\]"
    ):
        need_committee(["ensemble_bald", "dropout_bald"])


@pytest.mark.parametrize("name", ["entropy", "margin", "residual", "feature", "loss"])
def test_a_field_that_is_lacking_is_named(name):
    field = next(iter(SIGNALS[name].fields))
    with pytest.raises(ValueError, match=f"return the field '{field}', but got None"):
        rows(name, output=Output(()))


def test_an_embedding_is_the_mean_of_its_tap():
    taps = (torch.rand(2, 3, 4, 4), torch.rand(2, 5, 2, 3))
    for tap in (0, 1, -1):
        found = SIGNALS["embedding"].rows(Evidence(None, Output(taps), tap=tap))
        np.testing.assert_allclose(found, taps[tap].numpy().mean(axis=(2, 3)), rtol=1e-6)


# ---------------------------------------------------------------- change, flips, peaks, counts


def test_change_is_half_the_squared_difference_of_two_models():
    probs = members(2)
    now, before = probs.numpy().astype(float)
    expected = (((now - before) ** 2).sum(axis=-1) / 2).mean(axis=1)
    np.testing.assert_allclose(rows("change", votes=votes_of(probs)), expected, rtol=1e-5)
    same = rows("change", votes=votes_of(probs[:1].expand(2, -1, -1, -1)))
    assert same.abs().max() < 1e-12


def test_flips_are_counted_against_the_model_without_dropout():
    own = torch.tensor([[[0.6, 0.4]], [[0.1, 0.9]]])
    passes = torch.tensor(
        [[[[0.7, 0.3]], [[0.2, 0.8]]], [[[0.4, 0.6]], [[0.3, 0.7]]], [[[0.1, 0.9]], [[0.4, 0.6]]]]
    )
    found = rows("dropout_flips", output=Output((), probs=own), votes=votes_of(passes))
    assert found.tolist() == pytest.approx([2 / 3, 0.0])
    assert need_committee(["dropout_flips", "embedding"]) == "dropout"
    with pytest.raises(ValueError, match=r"got those of \['dropout', 'previous'\]"):
        need_committee(["dropout_flips", "change"])


def test_the_entropy_of_peaks_is_summed_over_joints_whatever_the_aggregate():
    peaks = distributions(4, 3, 5)
    expected = stats.entropy(peaks.numpy(), axis=-1).sum(axis=1)
    for aggregate in ("mean", "max"):
        found = rows("peak_entropy", aggregate, output=Output((), peaks=peaks.float()))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_counts_are_as_the_task_says_and_may_jump_by_rounding():
    output = Output((), counts=torch.tensor([[0.0, 2.0]]))
    assert rows("predicted_counts", output=output).tolist() == [[0.0, 2.0]]
    assert Evidence(None, output).weighted and not Evidence(None, Output(())).weighted
