"""Planted samples: hard ones are counted by name, and copies are avoided by a cover and
not by a score.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acquisition.query import Query, ask
from acquisition.strategies import named_strategies
from models.process.seeding import stream
from tools import planted
from tools.compare.planted import hard_share
from tools.record.folder import RunFolder


def run_folder(root: Path, names: list[str], picks: list[list[int]]) -> Path:
    (root / "queries").mkdir(parents=True)
    (root / "samples.txt").write_text("".join(f"{name}\n" for name in names))
    (root / "metrics.jsonl").write_text("{}\n" * (len(picks) + 1))
    for cycle, picked in enumerate(picks):
        query = Query(np.arange(len(names)), {}, np.array(picked))
        np.savez(
            root / f"queries/{cycle:02d}.npz", candidates=query.candidates, picked=query.picked
        )
    return root


@pytest.mark.parametrize(
    ("names", "hard"),
    [
        (
            ["images/1.jpg person 1", "images/2.jpg person 1", "b", "c", "d"],
            "images/2.jpg person 1\nc\n",
        ),
        (
            ["VOC2007/JPEGImages/000001.jpg", "VOC2007/JPEGImages/000002.jpg", "b", "c", "d"],
            "000002\nc\n",
        ),
    ],
)
def test_hard_samples_are_counted_by_name(names, hard, tmp_path: Path, capsys):
    run = run_folder(tmp_path / "run", names, [[1, 2], [3, 0]])
    share = hard_share(run, frozenset(hard.splitlines()))
    assert (share.hard, share.queried, share.pool) == (2, 4, 0.4)
    (tmp_path / "hard.txt").write_text(hard)
    assert planted.main([str(run), "--hard", str(tmp_path / "hard.txt")]) == 0
    assert "0.500" in capsys.readouterr().out
    assert RunFolder(run).query(1).picked.tolist() == [3, 0]


@pytest.mark.parametrize(("hard", "picks"), [("nobody\n", [[1]]), ("b\n", [])])
def test_a_folder_without_them_is_told(hard, picks, tmp_path: Path, capsys):
    run = run_folder(tmp_path / "run", ["a", "b"], picks)
    (tmp_path / "hard.txt").write_text(hard)
    assert planted.main([str(run), "--hard", str(tmp_path / "hard.txt")]) == 1
    assert (
        f"error: {run}: expected queries on a pool with samples of hard.txt"
        in capsys.readouterr().err
    )


def test_a_cover_takes_fewer_planted_copies_than_entropy():
    """40 samples, the 10 most uncertain ones copied three times each: what is uncertain is
    so in every copy.
    """
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 8)).astype(np.float32)
    entropy = rng.random(40)
    original = np.concatenate([np.arange(40), np.repeat(np.argsort(-entropy)[:10], 3)])
    rows = {"entropy": entropy[original], "embedding": features[original]}
    labeled = rng.normal(size=(5, 8)).astype(np.float32)

    def score(ids, names):
        return {name: rows[name][ids] if len(ids) == 70 else labeled for name in names}

    def copies(strategy: str) -> int:
        steps = named_strategies(None, keep=4)[strategy].steps
        found = ask(steps, np.arange(70), np.arange(100, 105), 12, stream(0), score).picked
        return 12 - len(set(original[found].tolist()))

    assert copies("entropy") == 9 and copies("coreset") == 0 and copies("entropy_coreset") == 0
