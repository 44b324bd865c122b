"""A run keeps its tests image by image where the evaluator has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.per_image import Ratio
from tests.conftest import REPOSITORY
from tests.toy import NegativeError
from tools import al_train
from tools.record.folder import RunFolder


def test_a_run_keeps_what_its_evaluator_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def shares(self, results: list) -> dict[str, float]:
        """The share of the samples whose squared error is below 1."""
        right = np.array(results) < 1
        self.each = Ratio(right, np.ones(len(right), dtype=bool))
        return {"score": float(right.mean())}

    monkeypatch.setattr(NegativeError, "compute_metrics", shares)
    toy = str(REPOSITORY / "tests/examples/toy_config.py")
    arguments = ["--work-dir", str(tmp_path / "run"), "--wandb", "disabled"]
    assert al_train.main([toy, "--strategy", "random", *arguments]) == 0
    folder = RunFolder(tmp_path / "run")
    rows = folder.rows(folder.committed)
    for row in rows:
        found = folder.judged(row["cycle"])
        assert found.metric(np.ones((1, found.images)))[0] == pytest.approx(row["score"])
    assert len(list((tmp_path / "run/judged").iterdir())) == len(rows) > 1
    assert folder.judged(len(rows)) is None
