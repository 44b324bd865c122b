"""Temperature scaling, beside a closed form and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from acquisition.calibration import HIGHEST, LOWEST, temperature
from acquisition.step import QueryError
from models.process.seeding import stream


def rows(logs: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    return {"log_probs": logs.astype(np.float32), "truth": truth.astype(np.float32)}


@pytest.mark.parametrize("right", [13, 14, 19])
@pytest.mark.parametrize("sure", [0.7, 0.99])
def test_two_classes_become_as_sure_as_they_are_right(right: int, sure: float):
    """By hand: sigmoid(logit(p) / T) is the share of right answers."""
    logs = np.log(np.tile([[[sure, 1 - sure]]], (20, 1, 1)))
    truth = (np.arange(20) >= right)[:, None]
    assert temperature(rows(logs, truth)) == pytest.approx(
        logit(sure) / logit(right / 20), rel=1e-4
    )


class Given(ClassifierMixin, BaseEstimator):
    """Its input is what it says."""

    def fit(self, inputs, labels):
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, inputs):
        return inputs

    def predict(self, inputs):
        return inputs.argmax(axis=1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_it_is_scikit_learns(scale: float):
    rng = stream(7)
    logits = rng.normal(size=(300, 5)) * 2
    truth = np.array([rng.choice(5, p=np.exp(row)) for row in log_softmax(logits, axis=1)])
    given = Given().fit(logits, truth)
    fitted = CalibratedClassifierCV(FrozenEstimator(given), method="temperature").fit(
        logits * scale, truth
    )
    (theirs,) = (1 / one.calibrators[0].beta_ for one in fitted.calibrated_classifiers_)
    ours = temperature(rows(log_softmax(logits * scale, axis=1)[:, None], truth[:, None]))
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert ours == pytest.approx(scale, rel=0.2), "the logits were true before they were scaled"


def test_distributions_of_a_sample_count_each_and_unknown_outcomes_do_not():
    rng = stream(3)
    logs = log_softmax(rng.normal(size=(40, 3, 4)) * 3, axis=2)
    truth = rng.integers(0, 4, size=(40, 3))
    known = rng.random((40, 3)) < 0.5
    one_each = rows(logs[known][:, None], truth[known][:, None])
    assert temperature(rows(logs, np.where(known, truth, -1))) == temperature(one_each)
    assert temperature(rows(logs, np.full((40, 3), -1))) == 1
    assert temperature(rows(logs[:0], truth[:0])) == 1


def test_where_all_are_right_or_wrong_it_ends_at_its_limits():
    logs = np.log(np.tile([[[0.7, 0.2, 0.1]]], (5, 1, 1)))
    assert temperature(rows(logs, np.zeros((5, 1)))) == pytest.approx(LOWEST, rel=1e-3)
    assert temperature(rows(logs, np.full((5, 1), 2))) == pytest.approx(HIGHEST, rel=1e-3)


@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_where_all_temperatures_are_equally_likely_it_is_1(classes: int):
    truth = np.arange(6)[:, None] % classes
    even = np.zeros((6, 1, classes))
    assert temperature(rows(log_softmax(even, axis=2), truth)) == 1
    # equal up to float32
    noise = stream(9).normal(size=even.shape) * 1e-7
    assert temperature(rows(log_softmax(even + noise, axis=2), truth)) == 1


def test_one_sample_that_is_not_even_is_enough():
    """By hand: p of 20 even ones is 1/2 at any T, so the 4 others are right in 3 of 4."""
    logs = np.log(np.array([[[0.5, 0.5]]] * 20 + [[[0.9, 0.1]]] * 4))
    truth = np.array([0, 1] * 10 + [0, 0, 0, 1])[:, None]
    assert temperature(rows(logs, truth)) == pytest.approx(2, rel=1e-4)


def test_the_order_of_samples_does_not_matter():
    rng = stream(5)
    logs, truth = log_softmax(rng.normal(size=(50, 1, 3)), axis=2), rng.integers(0, 3, (50, 1))
    order = rng.permutation(50)
    found = temperature(rows(logs[order], truth[order]))
    assert found == pytest.approx(temperature(rows(logs, truth)), rel=1e-5)


def test_what_is_not_finite_is_refused():
    logs = np.zeros((4, 1, 2))
    logs[2] = np.nan
    with pytest.raises(QueryError, match="finite scores 'log_probs', but 1 of 4 are not"):
        temperature(rows(logs, np.zeros((4, 1))))
