"""The standard error of a metric, against the formula for a mean and against a bootstrap."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric

from tools.label import spread
from tools.label.labels import LabelError
from tools.label.spread import Halves, difference


class Of(BaseMetric):
    """A function of the kept results."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def process(self, data_batch, data_samples) -> None:
        raise AssertionError("not called here")

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {"m": self.function(np.array(results))}


def halves(monkeypatch, results, function=np.mean, size: int | None = None) -> Halves:
    """Of results that a network might have had."""
    size = len(results) if size is None else size
    task = SimpleNamespace(metric="m", dataset=lambda split: range(size))
    experiment = SimpleNamespace(task=task, scoring=SimpleNamespace(workers=0))
    monkeypatch.setattr(spread, "HALVES", 2000)
    monkeypatch.setattr(spread, "judged", lambda *a: (list(results), Of(function)))
    return spread.halves(experiment, None, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [2, 3, 7, 40])
def test_of_a_mean_it_is_the_formula(monkeypatch, size: int):
    right = (np.random.default_rng(0).random(size) < 0.6).astype(float)
    right[:2] = 0, 1
    found = halves(monkeypatch, right).error
    assert found == pytest.approx(right.std(ddof=1) / math.sqrt(size), rel=0.06)


def test_of_a_ratio_it_is_near_the_bootstrap(monkeypatch):
    rng = np.random.default_rng(1)
    hits = rng.integers(0, 5, 60)
    pairs = np.stack([hits, hits + rng.integers(0, 5, 60) + 1], axis=1)  # right ones of all

    def ratio(rows: np.ndarray) -> float:
        return float(rows[:, 0].sum() / rows[:, 1].sum())

    found = halves(monkeypatch, pairs, ratio).error
    again = [ratio(pairs[rng.integers(0, 60, 60)]) for _ in range(2000)]
    assert found == pytest.approx(np.std(again), rel=0.1)


def test_networks_that_are_right_on_the_same_samples_differ_surely(monkeypatch):
    rng = np.random.default_rng(2)
    old = (rng.random(50) < 0.5).astype(float)
    new = old.copy()
    new[np.flatnonzero(old == 0)[:5]] = 1
    one, other = halves(monkeypatch, new), halves(monkeypatch, old)
    paired = (new - old).std(ddof=1) / math.sqrt(50)
    assert difference(one, other) == pytest.approx(paired, rel=0.06)
    fewer = halves(monkeypatch, old[:40])
    apart = math.hypot(one.error, fewer.error)
    assert difference(one, fewer) == pytest.approx(apart) and apart > 2 * paired


def test_what_cannot_be_told_is_no_number(monkeypatch):
    assert math.isnan(halves(monkeypatch, [1.0]).error), "one sample has no spread"
    assert math.isnan(halves(monkeypatch, []).error)
    assert halves(monkeypatch, [0.0, 1.0], size=3) == Halves(2), "not one result a sample"
    some = halves(monkeypatch, [0.0, 1.0] * 20, lambda x: math.nan if x[0] else float(x.mean()))
    assert 0 < np.isnan(some.values).sum() < 2000 and math.isfinite(some.error)


def test_kept_halves_read_back_and_damaged_ones_are_named(tmp_path: Path):
    assert spread.read(tmp_path) is None
    spread.write(tmp_path, Halves(3, (0.5, math.nan)))
    found = spread.read(tmp_path)
    assert found is not None and found.samples == 3
    assert found.values[0] == 0.5 and math.isnan(found.values[1])
    (tmp_path / spread.FILE).write_text("{}")
    with pytest.raises(LabelError, match=r"halves.json is damaged \(KeyError: 'values'\); remove"):
        spread.read(tmp_path)
