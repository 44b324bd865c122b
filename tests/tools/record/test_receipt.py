"""Receipts: hashes by hand.

They depend on weights and data, and neither on batches nor on where a run was killed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from acquisition.canary import CANARIES
from acquisition.pool import Pool
from acquisition.query import Query
from models.output import Tap
from models.training.committee import ensemble, passes
from tests.conftest import REPOSITORY
from tests.toy import Toy, model_of
from tools.contract.matrix import Silent
from tools.experiment.config import load
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.record.receipt import digest, packed, receipt_of, taps_digest, unpacked, weights_digest
from tools.train import loop
from tools.train.cycle import Cycle

pytestmark = pytest.mark.slow

TOY = REPOSITORY / "tests" / "examples" / "toy_config.py"
POOL = Pool(60, (4, 17, 2))


def query() -> Query:
    scores = {"s": np.array([0.5, 0.25], np.float32), "v": np.eye(2, dtype=np.float32)}
    return Query(np.array([9, 1]), scores, np.array([1]), {"v": np.ones((3, 2), np.float32)})


# ---------------------------------------------------------------- hashes


def test_a_digest_is_the_sha256_of_type_shape_and_bytes():
    expected = hashlib.sha256(b"<i8 (2,)\n" + bytes([3, *[0] * 7, 1, *[0] * 7])).hexdigest()
    assert digest(np.array([3, 1])) == expected
    others = [
        np.array([1, 3]),
        np.array([[3, 1]]),
        np.array([3, 1], np.int32),
        np.array([3.0, 1.0]),
        np.array([3]),
    ]
    assert len({digest(other) for other in others} | {expected}) == 6
    assert digest(np.array([[3, 9], [1, 9]])[:, 0]) == expected  # however it lies in memory
    assert digest(np.zeros((0, 4))) != digest(np.zeros((0, 5)))


def test_a_digest_of_weights_is_of_names_types_shapes_bytes_and_their_order():
    one, two = torch.tensor([1.5]), torch.tensor(7)
    expected = hashlib.sha256(
        b"a torch.float32 (1,)\n" + one.numpy().tobytes() + b"b torch.int64 ()\n\x07" + bytes(7)
    )
    assert weights_digest({"a": one, "b": two}) == expected.hexdigest()
    others = [
        {"b": two, "a": one},
        {"a": one},
        {"c": one, "b": two},
        {"a": one + 1e-7, "b": two},
        {"a": one, "b": two + 1},
        {"a": one.bfloat16(), "b": two},
        {"a": one[None], "b": two},
    ]
    assert len({weights_digest(other) for other in others} | {expected.hexdigest()}) == 8


def test_weights_are_all_of_the_state_buffers_too():
    model = model_of(Toy(), width=8)
    before = weights_digest(model.state_dict())
    model.network.first[1].running_mean += 1e-6
    after = weights_digest(model.state_dict())
    with torch.no_grad():
        model.loss_prediction.head.bias += 1
    assert len({before, after, weights_digest(model.state_dict())}) == 3


def test_taps_are_those_of_weights_and_data():
    task, model = Toy(), model_of(Toy(), width=8)
    model.train()
    first = taps_digest(task, model)
    assert len(task.dataset("pool").reads) == CANARIES
    found = [first, taps_digest(task, model_of(task, seed=6, width=8))]
    task.dataset("pool").x += 1e-3
    found.append(taps_digest(task, model))
    other = Toy()
    other.taps = (Tap("first", 8), Tap("last", 4))
    found.append(taps_digest(other, model))
    assert len(set(found)) == 4
    assert taps_digest(Toy(), model) == first


# ---------------------------------------------------------------- the receipt of a cycle


def test_a_receipt_names_everything_a_query_came_from():
    task, model = Toy(), model_of(Toy(), width=8)
    found = receipt_of(task, POOL, model, [], query())
    assert sorted(found) == [
        "candidates",
        "device",
        "labeled",
        "labeled/v",
        "made",
        "picked",
        "signal/s",
        "signal/v",
        "taps",
        "weights",
    ]
    assert found["device"] == "cpu"
    assert found["labeled"] == digest(np.array([4, 17, 2])) and found["picked"] == digest(
        np.array([1])
    )
    assert found["weights"] == weights_digest(model.state_dict()) and found["taps"] == taps_digest(
        task, model
    )
    last = receipt_of(task, POOL, model, [], None)
    assert sorted(last) == ["device", "labeled", "made", "taps", "weights"]
    assert last.items() <= found.items()


def test_members_have_hashes_of_their_own_and_passes_are_the_model():
    models = [model_of(Toy(), seed, width=8) for seed in (5, 6, 7)]
    found = receipt_of(Toy(), POOL, models[0], ensemble(models), None)
    assert {name: value for name, value in found.items() if "weights" in name} == {
        "weights": weights_digest(models[0].state_dict()),
        "weights/member2": weights_digest(models[1].state_dict()),
        "weights/member3": weights_digest(models[2].state_dict()),
    }
    assert receipt_of(Toy(), POOL, models[0], passes(models[0], 3, 1), None).keys() == {
        "labeled", "weights", "taps", "device", "made"
    }  # fmt: skip


@pytest.mark.parametrize("asked", [query(), None])
def test_what_is_packed_comes_back(asked):
    again, receipt = unpacked(packed(asked, {"weights": "ab", "signal/s": "cd"}))
    assert receipt == {"weights": "ab", "signal/s": "cd"}
    if asked is None:
        assert again is None
        return
    assert again.candidates.tolist() == [9, 1] and again.picked.tolist() == [1]
    for part in ("signals", "labeled"):
        there, expected = getattr(again, part), getattr(asked, part)
        assert there.keys() == expected.keys() and all(
            np.array_equal(there[n], v) for n, v in expected.items()
        )


# ---------------------------------------------------------------- runs


def run(where: Path, until: int | None = None, **options) -> RunFolder:
    """A run, or one that is stopped in cycle `until` after its training and before its commit."""
    experiment, folder = load(TOY, options=options), RunFolder(where)
    folder.open(experiment.config, [f"vector {i}" for i in range(60)], told=told(experiment))
    commit = folder.commit

    def stopping(row, *rest):
        if row["cycle"] == until:
            raise KeyboardInterrupt
        return commit(row, *rest)

    folder.commit = stopping
    loop.run(Cycle.next_of(folder, experiment), Silent(), Silent())
    return folder


def saved(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder.path / "queries").iterdir())}


def test_a_run_leaves_a_receipt_a_cycle_and_the_same_bytes_when_it_was_killed(tmp_path: Path):
    calm = run(tmp_path / "calm", strategy="coreset")
    assert sorted(saved(calm)) == ["00.npz", "01.npz", "02.npz"]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", until=1, strategy="coreset")
    assert sorted(saved(RunFolder(tmp_path / "killed"))) == ["00.npz"]
    assert saved(run(tmp_path / "killed", strategy="coreset")) == saved(calm)
    assert calm.query(2) is None and sorted(calm.saved(2)[1]) == [
        "before", "device", "facts", "labeled", "made", "row", "settings", "taps", "weights"
    ]  # fmt: skip
    asked, receipt = calm.saved(1)
    assert asked.signals["embedding"].shape == (45, 4) and asked.labeled["embedding"].shape == (
        15,
        4,
    )
    assert receipt["labeled"] == digest(np.array(calm.resume(60).labeled[:15]))


def test_without_vectors_their_hashes_stay(tmp_path: Path):
    with_them, without = (
        run(
            tmp_path / str(keep),
            **{"strategy": "learning_loss_coreset", "scoring.keep_vectors": keep, "keep": 2},
        )
        for keep in (True, False)
    )
    for cycle in (0, 1):
        (asked, receipt), (bare, same) = with_them.saved(cycle), without.saved(cycle)
        for name in ("settings", "before") if cycle else ("settings",):
            assert receipt.pop(name) != same.pop(name)
        assert receipt == same and "signal/embedding" in same and "labeled/embedding" in same
        assert list(bare.signals) == ["predicted_loss"] and bare.labeled == {}
        assert replace(bare, signals={}, labeled={}).picked.tolist() == asked.picked.tolist()
    assert without.resume(60) == with_them.resume(60)


def test_weights_of_one_number_with_any_stride():
    one = torch.full((1,), 7)
    for strange in (
        one.expand(1),
        torch.as_strided(one, (1,), (0,)),
        torch.as_strided(one, (1,), (5,)),
    ):
        assert weights_digest({"a": strange}) == weights_digest({"a": one})
