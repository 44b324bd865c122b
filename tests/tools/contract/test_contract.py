"""The contract's checks: the toy keeps all of them, and each fails on an adapter with the
fault that it is for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.joint import JointModel
from tasks.base import Source
from tests.contract import check_all, failures
from tests.faulty import (
    AccuracyToBeLow,
    AlwaysLoss,
    AnswersAlone,
    AnswersTwice,
    ArrayThumbnail,
    BackwardLoss,
    BothLabelsInTap,
    Broken,
    CalledLikeAnError,
    ConstantLoss,
    DetachedLoss,
    DetachedTap,
    FlatAnswers,
    FlatProbs,
    FlatTaps,
    HalfAnswers,
    HalfLoss,
    InfiniteLoss,
    LabelInAnswers,
    LabelInProbs,
    LabelInTap,
    LargeThumbnail,
    ListBatch,
    Logits,
    LossOfTheBatch,
    MeanOfMeans,
    Metric,
    NamesOfTwoLines,
    NegativeEffort,
    NegativeProbs,
    NegativeWeight,
    NeverProbs,
    NoLabelOfItsOwn,
    NoNames,
    NoTestSamples,
    NotInitialised,
    NotPickled,
    NumpyEffort,
    OddField,
    OneAnswer,
    OneLoss,
    OneMetric,
    OneNetwork,
    OnePredictionLess,
    Ordered,
    OtherDecision,
    OtherInWorkers,
    OtherLengths,
    OtherMetric,
    OtherTaps,
    OtherWeight,
    OwnGenerator,
    PredictionsAsTensor,
    Raising,
    RandomPool,
    RandomTest,
    SameLosses,
    SameNames,
    TokenTaps,
    Told,
    Traits,
    UnlikelyAnswers,
    Unseeded,
    WithAnswers,
    WithProbs,
    Words,
    last_first,
    next_input,
    next_label,
    next_one,
)
from tests.toy import Toy
from tools.contract import CHECKS, Subject, verdicts
from tools.contract.report import judged
from tools.contract.subject import same

LOSS = {  # checks that read the loss of a sample
    "loss_is_per_sample", "losses_differ", "loss_reaches_the_network", "few_samples_are_learned",
}  # fmt: skip
FORWARD = LOSS | {  # and all others that call `forward`
    "taps_are_the_declared_ones",
    "fields_are_those_asked_for",
    "fields_stay_float32",
    "labels_count_for_the_loss_alone",
    "train_and_pool_are_in_one_order",
    "gradients_stop_where_detached",
}
RANDOM = {
    "scored_views_hold_no_chance",
    "workers_read_the_same",
    "loss_is_per_sample",
    "labels_count_for_the_loss_alone",
}
BATCHES = FORWARD | {
    "workers_read_the_same",
    "predictions_are_one_a_sample",
    "evaluation_gives_the_metric",
}


def test_traits_are_named_in_the_verdict_where_there_are_any():
    check = next(check for check in CHECKS if check.__name__ == "traits_are_words_or_numbers")
    assert judged(check, Subject(Toy())).said == "the task has no traits"
    verdict = judged(check, Subject(Traits([["cat", "dog"], []])))
    assert (verdict.status, verdict.said) == ("ok", "trait")


def test_sources_are_told_or_not_and_shared_ones_are_named():
    check = next(check for check in CHECKS if check.__name__ == "sources_are_one_a_sample")
    assert judged(check, Subject(Toy())).said == "the task has no sources"
    apart = Told(lambda split, i: Source(None, "", f"{split} {i}".encode()))
    assert (judged(check, Subject(apart)).status, judged(check, Subject(apart)).said) == ("ok", "")
    verdict = judged(check, Subject(Told(lambda split, i: Source(None, "", bytes([i])))))
    assert (verdict.status, verdict.said[:54]) == (
        "ok",
        "20 of 20 samples that are: test sample 0 = pool sample",
    )


@pytest.mark.parametrize("kind", [Toy, WithProbs, WithAnswers])
def test_the_toy_keeps_the_contract(kind):
    check_all(kind())


FAULTS = [
    (Toy(faults=["a.jpg: expected an image"]), {"data_is_whole"}),
    (Broken(), {"data_is_whole"}),
    (OtherLengths(), {"views_have_samples"}),
    (NoTestSamples(), {"views_have_samples"}),
    (SameNames(), {"names_tell_samples_apart"}),
    (NamesOfTwoLines(), {"names_tell_samples_apart"}),
    (NoNames(), {"names_tell_samples_apart"}),
    (NegativeEffort(), {"efforts_are_counts"}),
    (NumpyEffort(), {"efforts_are_counts"}),
    (Traits([["cat"], [0.5]]), {"traits_are_words_or_numbers"}),
    (Traits([[0.5], [float("nan")]]), {"traits_are_words_or_numbers"}),
    (Traits([["cat"], None]), {"traits_are_words_or_numbers"}),
    (Traits([{"one": []}, {"one": [], "other": []}]), {"traits_are_words_or_numbers"}),
    (Told(lambda split, i: Source(None, "", b""), pool=59), {"sources_are_one_a_sample"}),
    (Told(lambda split, i: Source(None, "", b""), test=21), {"sources_are_one_a_sample"}),
    (Told(lambda split, i: Source(None, {"class": i}, b"")), {"sources_are_one_a_sample"}),
    (Told(lambda split, i: f"{i}.jpg"), {"sources_are_one_a_sample"}),
    (Told(lambda split, i: Source(None, "")), {"sources_are_one_a_sample"}),
    (Told(lambda split, i: Source(Path("/nowhere/0.jpg"), "")), {"sources_are_one_a_sample"}),
    (LargeThumbnail(), {"thumbnails_are_small"}),
    (ArrayThumbnail(), {"thumbnails_are_small"}),
    (RandomTest(), {"scored_views_hold_no_chance"}),
    (RandomPool(), RANDOM),
    (OwnGenerator(), {"augmentation_follows_the_seed"}),
    (OtherInWorkers(), {"workers_read_the_same"}),
    (NotPickled(), {"workers_read_the_same"}),
    (Ordered(last_first), {"train_and_pool_are_in_one_order"}),
    (Ordered(next_one), {"train_and_pool_are_in_one_order"}),
    (Ordered(next_label), {"train_and_pool_are_in_one_order"}),
    (Ordered(next_input), {"train_and_pool_are_in_one_order"}),
    (Unseeded(), {"build_is_seeded"}),
    (OneNetwork(), {"build_is_seeded"}),
    (NotInitialised(), {"build_is_seeded"}),
    (OtherTaps(), {"taps_are_the_declared_ones", "gradients_stop_where_detached"}),
    (DetachedTap(), {"taps_are_the_declared_ones"}),
    (FlatTaps(), {"taps_are_the_declared_ones", "gradients_stop_where_detached"}),
    (AlwaysLoss(), {"fields_are_those_asked_for"}),
    (NeverProbs(), {"fields_are_those_asked_for", "probs_are_distributions"}),
    (OddField(), {"fields_are_those_asked_for"}),
    (LossOfTheBatch(), {"loss_is_per_sample"}),
    (SameLosses(), {"loss_is_per_sample", "losses_differ"}),
    (OneLoss(), LOSS | {"fields_are_those_asked_for", "gradients_stop_where_detached"}),
    (
        InfiniteLoss(),
        {
            "fields_are_those_asked_for",
            "loss_is_per_sample",
            "gradients_stop_where_detached",
            "few_samples_are_learned",
        },
    ),
    (HalfLoss(), {"fields_stay_float32"}),
    (FlatProbs(), {"fields_are_those_asked_for", "probs_are_distributions"}),
    (Logits(), {"probs_are_distributions"}),
    (NegativeProbs(), {"probs_are_distributions"}),
    (OtherWeight(), {"fields_are_those_asked_for", "probs_are_distributions"}),
    (NegativeWeight(), {"probs_are_distributions"}),
    (OtherDecision(), {"probs_are_distributions"}),
    (AnswersAlone(), {"fields_are_those_asked_for"}),
    (FlatAnswers(), {"fields_are_those_asked_for", "probs_are_distributions"}),
    (OneAnswer(), {"probs_are_distributions"}),
    (AnswersTwice(), {"probs_are_distributions"}),
    (UnlikelyAnswers(), {"probs_are_distributions"}),
    (HalfAnswers(), {"fields_stay_float32"}),
    (LabelInAnswers(), {"labels_count_for_the_loss_alone"}),
    (LabelInTap(), {"labels_count_for_the_loss_alone"}),
    (LabelInProbs(), {"labels_count_for_the_loss_alone"}),
    (BothLabelsInTap(), {"labels_count_for_the_loss_alone"}),
    (NoLabelOfItsOwn(), {"labels_count_for_the_loss_alone"}),
    (DetachedLoss(), {"loss_reaches_the_network", "few_samples_are_learned"}),
    (ConstantLoss(), {"loss_reaches_the_network", "few_samples_are_learned"}),
    (BackwardLoss(), {"few_samples_are_learned"}),
    (OnePredictionLess(), {"predictions_are_one_a_sample"}),
    (PredictionsAsTensor(), {"predictions_are_one_a_sample"}),
    (OtherMetric(), {"evaluation_gives_the_metric"}),
    (CalledLikeAnError(), {"direction_is_told"}),
    (AccuracyToBeLow(), {"direction_is_told", "evaluation_gives_the_metric"}),
    (Metric(Words), {"evaluation_gives_the_metric"}),
    (Metric(MeanOfMeans), {"evaluation_gives_the_metric"}),
    (Metric(dict), {"evaluation_gives_the_metric"}),
    (OneMetric(), {"evaluation_gives_the_metric"}),
    (Raising(), FORWARD),
    (ListBatch(), BATCHES),
]


@pytest.mark.parametrize(
    ("task", "expected"), FAULTS, ids=lambda x: type(x).__name__ if isinstance(x, Toy) else "fails"
)
def test_a_fault_is_caught_by_its_own_check_and_by_no_other(task, expected):
    assert failures(task).keys() == expected


def test_every_check_has_a_fault_that_it_catches():
    assert set().union(*(expected for _, expected in FAULTS)) == {
        check.__name__ for check in CHECKS
    }
    assert len(CHECKS) == 25


def test_a_gradient_that_does_not_stop_is_caught(monkeypatch):
    monkeypatch.setattr(JointModel, "start_epoch", lambda self, epoch: None)
    said = failures(Toy())
    assert said == {
        "gradients_stop_where_detached": "expected no gradient for the network where taps are "
        "detached, but got one; "
        "return tensors as taps"
    }


def test_without_data_the_rest_is_left_out():
    (verdict,) = verdicts(Subject(Toy(faults=["a.jpg: expected an image", "b.jpg"])))
    assert (
        verdict.said
        == "expected no faults, but got 2, the first: a.jpg: expected an image; mend the data or the settings"
    )
    (verdict,) = verdicts(Subject(Broken()))
    assert (
        verdict.said.startswith("check raised OSError: no such disk (")
        and "no such disk" in verdict.said
    )
    assert len(list(verdicts(Subject(OtherLengths())))) == 2


@pytest.mark.parametrize(
    ("task", "check", "said"),
    [
        (SameNames(), "names_tell_samples_apart", "of its own, but got 'vector 0' for samples 0 and 1;"),
        (NoNames(), "names_tell_samples_apart", "expected a name of one line, but got '' for sample 7;"),
        (NumpyEffort(), "efforts_are_counts", "expected Python's int, at least 0, but got np.int64(0);"),
        (LargeThumbnail(), "thumbnails_are_small", "at most 256 pixels a side, but got (8, 300);"),
        (OtherTaps(), "taps_are_the_declared_ones", "(4, 5, H, W) as 'second', but got [(4, 8, 1, 1), (4, 4, 1, 1)];"),
        (OneLoss(), "losses_differ", "expected losses (B,), one a sample, but got ();"),
        (HalfLoss(), "fields_stay_float32", "expected torch.float32, but got {'loss': torch.bfloat16};"),
        (LabelInTap(), "labels_count_for_the_loss_alone", "but got inputs ['x', 'y'] alone:"),
        (Ordered(next_label), "train_and_pool_are_in_one_order", "so equal 'y', but got others;"),
        (Ordered(next_input), "train_and_pool_are_in_one_order", "expected inputs of train to look most like those"),
        (CalledLikeAnError(), "direction_is_told", "but got no `lower_is_better`, though 'loss' in 'val_loss' means an error; "
         "add `lower_is_better = True` to the class, or False where it is turned round"),
        (AccuracyToBeLow(), "direction_is_told", "though 'accuracy' in 'accuracy' means that more is better; take"),
        (FlatTaps(), "taps_are_the_declared_ones", "of vectors (B, D) make maps of one cell: `vectors[:, :, None, N"),
        (TokenTaps(), "taps_are_the_declared_ones", "of tokens (B, N, D) make a map, `tokens.mT.unflatten(2, (h, w))` "
         "with N = h * w (leave class tokens out before that: `tokens[:, 1:]`), or pool them: "
         "`tokens.mean("),
        (DetachedTap(), "taps_are_the_declared_ones", "['first'] detached, though 'first.0.weight' changes them;"),
        (DetachedLoss(), "loss_reaches_the_network", "expected a loss attached to the graph, but got one that is"),
        (OtherMetric(), "evaluation_gives_the_metric", "expected the metric 'accuracy', but got ['score'];"),
        (Raising(), "losses_differ", "forward raised KeyError: 'boxes' ("),
        (Raising(), "losses_differ", 'faulty.py, line '),
        (Raising(), "losses_differ", ': return batch["boxes"])'),
        (NotPickled(), "workers_read_the_same", "pickle"),
    ],
    ids=lambda x: "" if isinstance(x, Toy) else None,
)  # fmt: skip
def test_a_failure_says_what_was_expected_and_what_came(task, check, said):
    (found,) = (candidate for candidate in CHECKS if candidate.__name__ == check)
    verdict = judged(found, Subject(task))
    assert verdict.status == "FAILED" and said in verdict.said


def test_what_is_right_is_told_too():
    found = {verdict.name: verdict.said for verdict in verdicts(Subject(WithProbs()))}
    assert found["labels_count_for_the_loss_alone"] == "taken for inputs: x; for labels: y"
    assert found["train_and_pool_are_in_one_order"] == "equal: y; alike: x"
    assert found["taps_are_the_declared_ones"] == "first 8x1x1, second 4x1x1"
    assert found["probs_are_distributions"] == "1 of 4 classes a sample"


def test_what_cannot_be_looked_at_is_skipped_with_the_reason():
    class NoLoss(WithProbs):
        fields = frozenset({"probs"})

    said = {v.name: v.said for v in verdicts(Subject(NoLoss())) if v.status != "ok"}
    lossless = LOSS | {"labels_count_for_the_loss_alone", "gradients_stop_where_detached"}
    assert said == dict.fromkeys(lossless, "because `fields` has no 'loss'")
    small = {v.name: v.said for v in verdicts(Subject(Toy(size=4))) if v.status == "skipped"}
    assert (
        small["train_and_pool_are_in_one_order"]
        == "because it takes 5 samples at least, and the pool has 4"
    )
    other = {v.name: v.said for v in verdicts(Subject(ListOfInputs())) if v.status == "skipped"}
    told = "because no input is a tensor of one shape in all samples: x list list"
    assert other["train_and_pool_are_in_one_order"] == told


class ListOfInputs(Toy):
    """Its inputs are lists of numbers."""

    def collate(self, samples):
        batch = super().collate(samples)
        return batch | {"x": batch["x"].tolist()}

    def forward(self, network, batch, want):
        return super().forward(network, batch | {"x": torch.tensor(batch["x"])}, want)

    def predict(self, network, batch) -> list:
        return super().predict(network, batch | {"x": torch.tensor(batch["x"])})


def test_a_check_leaves_the_callers_generators_alone():
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    list(verdicts(Subject(Toy())))
    assert np.array_equal(np.random.get_state()[1], state[0]) and torch.equal(
        torch.get_rng_state(), state[1]
    )


class Holder:
    def __init__(self, value) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ({"a": [torch.ones(2), "x"]}, {"a": [torch.ones(2), "x"]}, True),
        ({"a": [torch.ones(2)]}, {"a": [torch.ones(3)]}, False),
        ({"a": 1}, {"b": 1}, False),
        ([1, 2], [1, 2, 3], False),
        ([1], (1,), False),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), False),
        (np.zeros(2), np.zeros(2), True),
        (np.zeros(2), np.array([0, 1.0]), False),
        (Holder(torch.zeros(1)), Holder(torch.zeros(1)), True),
        (Holder(torch.zeros(1)), Holder(torch.ones(1)), False),
        (Image.new("L", (2, 2)), Image.new("L", (2, 2)), True),
        (Image.new("L", (2, 2)), Image.new("L", (2, 2), 9), False),
        (None, None, True),
        (None, torch.ones(1), False),
    ],
)
def test_same_looks_into_everything(first, second, equal):
    assert same(first, second) is equal
