"""Rows that are kept in files: made once, made anew where they are damaged or foreign, and by one
of several processes.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import pytest

from tasks.classification import features
from tasks.classification.features import digest_of, kept_rows, size_of, there

SHAPE = (5, 3)


class Filling:
    """Fills rows with what a seed draws, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, rows: np.ndarray) -> None:
        self.asked += 1
        rows[:] = np.random.default_rng(0).normal(size=rows.shape)


def test_rows_are_made_once_and_are_what_was_put_in(tmp_path: Path):
    fill = Filling()
    first = kept_rows(tmp_path / "new" / "folder", "key", SHAPE, fill)
    second = kept_rows(tmp_path / "new" / "folder", "key", SHAPE, fill)
    expected = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    assert fill.asked == 1 and first.dtype == np.float32
    assert np.array_equal(first, expected) and np.array_equal(second, expected)
    assert there(tmp_path / "new" / "folder", "key") and not there(tmp_path, "key")
    assert size_of(SHAPE) == expected.nbytes


def test_another_key_is_another_file(tmp_path: Path):
    fill = Filling()
    for key in ("a", "b", "a"):
        kept_rows(tmp_path, key, SHAPE, fill)
    assert fill.asked == 2


def damage(path: Path, how: str) -> None:
    about = path.with_suffix(".json")
    if how == "a byte":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-4])
    elif how == "no hash":
        about.unlink()
    elif how == "no json":
        about.write_text("{")
    elif how == "another json":
        about.write_text(json.dumps([1]))
    elif how == "another shape":
        other = path.with_name("other.npy")
        kept_rows(path.parent, "other", (2, 2), Filling())
        other.rename(path)
        other.with_suffix(".json").rename(about)
    else:  # objects, which would run code
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "how",
    ["a byte", "cut off", "no hash", "no json", "another json", "another shape", "objects"],
)
def test_damaged_and_foreign_files_are_made_anew(tmp_path: Path, how: str):
    fill = Filling()
    good = np.array(kept_rows(tmp_path, "key", SHAPE, fill))
    damage(tmp_path / "key.npy", how)
    assert np.array_equal(kept_rows(tmp_path, "key", SHAPE, fill), good)
    assert fill.asked == 2
    assert np.array_equal(kept_rows(tmp_path, "key", SHAPE, fill), good) and fill.asked == 2


def test_what_fails_while_it_is_made_leaves_nothing(tmp_path: Path):
    def fails(rows: np.ndarray) -> None:
        rows[:] = 1
        raise OSError("no image")

    with pytest.raises(OSError, match="no image"):
        kept_rows(tmp_path, "key", SHAPE, fails)
    assert not list(tmp_path.glob("*.npy")) and not list(tmp_path.glob(".key.tmp*"))


def test_a_disk_that_gives_back_other_bytes_is_an_error(tmp_path: Path, monkeypatch):
    digests = iter("abcdefgh")
    monkeypatch.setattr(features, "sha256", lambda _: next(digests))
    with pytest.raises(OSError, match="key.npy: expected the rows that were just written, but got"):
        kept_rows(tmp_path, "key", SHAPE, Filling())


def test_what_is_written_to_rows_stays_in_the_process(tmp_path: Path):
    rows = kept_rows(tmp_path, "key", SHAPE, Filling())
    rows[:] = 0
    fill = Filling()
    assert kept_rows(tmp_path, "key", SHAPE, fill).any() and fill.asked == 0


def one_of_many(folder: Path, said: SimpleQueue) -> None:
    def fill(rows: np.ndarray) -> None:
        said.put("computed")
        time.sleep(1)
        rows[:] = 7

    said.put(float(kept_rows(folder, "key", (4, 2), fill).sum()))


def test_of_processes_at_once_one_makes_the_rows_and_the_others_wait(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()
    processes = [context.Process(target=one_of_many, args=(tmp_path, said)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [said.get() for _ in range(4)] == ["computed", 56.0, 56.0, 56.0]


def test_a_digest_tells_parts_apart():
    assert digest_of(1, "a") == digest_of(1, "a") != digest_of("1", "a")
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(["a", "b"]) != digest_of("a", "b") and len(digest_of()) == 32
