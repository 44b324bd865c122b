"""The benchmark of large pools: images made from their numbers, and rows that are compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tools import bench
from tools.benchmarks import made, scale

pytestmark = pytest.mark.slow


def test_numbers_are_hashed_as_splitmix64_does():
    """Its first numbers from the state 0, of the reference code."""
    found = made.mixed(np.arange(3, dtype=np.uint64))
    assert [hex(word) for word in found.tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_an_image_is_a_function_of_its_number_alone():
    pool = made.Made(100)
    together = pool.__getitems__([41, 7, 99])
    for i, (image, label) in zip([41, 7, 99], together, strict=True):
        assert image.shape == (3, 16, 16) and image.dtype == np.uint8 and label == i % 10
        assert np.array_equal(image, pool[i][0])
        words = np.arange(i * 96, (i + 1) * 96, dtype=np.uint64)
        assert image.tobytes() == made.mixed(words).tobytes()
    assert len({image.tobytes() for image, _ in pool.__getitems__(range(100))}) == 100


def test_a_pool_is_scored_on_ray_as_in_one_process(tmp_path: Path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="Ray is not here: pip install -e '.[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(scale, "apart", scale.once)  # another process takes seconds to begin
    monkeypatch.setattr(scale, "keep_freed_memory", lambda: True)  # it would stay for other tests
    monkeypatch.setattr(scale, "EMPTY", 5)
    sizes = ["--images", "3000", "--shard", "500", "--batch-size", "100", "--workers", "1"]
    assert bench.main(["scale", *sizes, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["one process", "Ray, workers: 1"]
    sizes = {"images": 3000, "shards of": 500, "batches of": 100, "repeats": 1}
    assert found["settings"] == sizes
    for row in found["rows"]:
        [seconds] = row["seconds"]
        assert row["notes"]["images a second"] == pytest.approx(3000 / seconds, abs=1)
    assert "images a second" in capsys.readouterr().out


def test_the_work_of_children_and_of_theirs_is_counted():
    spin = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
    spin += "print('done', flush=True); time.sleep(60)"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    before = scale.busy()
    with subprocess.Popen(
        [sys.executable, "-c", nested], stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout.readline() == b"done\n"
        assert 0.5 <= scale.busy() - before < 5
        os.killpg(child.pid, signal.SIGKILL)
    assert scale.busy() - before < 0.5


def test_rows_that_differ_are_an_error(monkeypatch):
    once = scale.Once(1.0, 2.0, 1.5, 3, 0.1, {"entropy": "a"})
    found = [once, replace(once, rows={"entropy": "b"})]
    monkeypatch.setattr(scale, "apart", lambda *_: found.pop())
    with pytest.raises(ValueError, match="expected the same rows each time, but got .*'b'"):
        scale.measure(100, [1], 10, 10, 1)
