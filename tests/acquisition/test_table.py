"""Rows of a pass: memory for as many as are expected, on disk where that is much."""

from __future__ import annotations

import os

import numpy as np
import pytest

from acquisition import table
from acquisition.scoring import Pass, Samples, score
from acquisition.settings import ScoringSettings
from acquisition.table import Table, empty
from tests.toy import Toy, trained


def test_rows_stand_in_the_order_in_which_they_came():
    found = Table(5)
    found.add([7, 2], {"a": np.array([1, 2], np.float32), "b": np.ones((2, 3), np.float32)})
    found.add([9, 0, 4], {"a": np.array([3, 4, 5], np.float32), "b": np.zeros((3, 3), np.float32)})
    assert found.ids.tolist() == [7, 2, 9, 0, 4]
    assert (
        found.rows["a"].tolist() == [1, 2, 3, 4, 5]
        and found.rows["b"].tolist() == [[1] * 3] * 2 + [[0] * 3] * 3
    )


def test_rows_beyond_what_was_expected_are_known_by_their_ids():
    found = Table(2)
    found.add([7, 2, 9], {"a": np.array([1, 2, 3], np.float32)})
    found.add([1], {"a": np.array([4], np.float32)})
    assert found.ids.tolist() == [7, 2, 9, 1] and found.rows["a"].tolist() == [1, 2]


def test_parts_of_a_pass_may_come_in_any_order():
    found = Table(5)
    found.put(3, {"a": np.array([3, 4], np.float32), "b": np.full((2, 2), 9, np.float32)})
    found.put(0, {"a": np.array([0, 1, 2], np.float32), "b": np.zeros((3, 2), np.float32)})
    assert found.rows["a"].tolist() == [0, 1, 2, 3, 4]
    assert found.rows["b"].tolist() == [[0, 0]] * 3 + [[9, 9]] * 2


def test_nothing_came():
    assert Table(3).ids.tolist() == [] and Table(3).rows == {}


def test_much_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MAPPED", 4 * 60 * 4)
    task = Toy()
    ids, settings = np.random.default_rng(0).permutation(60), ScoringSettings(7, workers=0)

    def scored(**more) -> dict:
        names = ("embedding", "predicted_loss")
        return score(
            trained(task),
            Samples(task.dataset("pool"), task.collate, ids),
            names,
            settings,
            Pass(**more),
        )

    found = scored(scratch=tmp_path)
    assert type(found["embedding"]) is np.memmap and type(found["predicted_loss"]) is np.ndarray
    assert list(tmp_path.iterdir()) == [], "gone with the process, however that ends"
    monkeypatch.setattr(table, "MAPPED", 1 << 30)
    expected = scored()
    assert type(expected["embedding"]) is np.ndarray
    np.testing.assert_array_equal(found["embedding"], expected["embedding"])


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(table, "MAPPED", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device"):
        empty((3, 2), tmp_path)
