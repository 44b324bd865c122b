"""The pass over the candidates: a score belongs to its id, however the pass is cut into
batches and workers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from acquisition import scoring, signals
from acquisition.canary import CANARIES, CanaryError
from acquisition.scoring import Samples, score, unchecked
from acquisition.settings import ScoringSettings
from acquisition.signals import SIGNALS, Evidence, Signal, fields, need_module
from models.output import Output
from models.training.joint import JointModel
from models.training.settings import ModuleSettings
from tests.toy import Toy, trained

NAMES = ("predicted_loss", "loss")
IDS = np.random.default_rng(3).permutation(61).tolist()  # 61 is a multiple of no batch size below
# float32: matrix products over other batch sizes add up in another order, which moves the last bits
# of values around 1
CLOSE = dict(rtol=1e-5, atol=1e-6)


@pytest.fixture
def toy() -> Toy:
    return Toy(size=61)


@pytest.fixture
def model(toy) -> JointModel:
    return trained(toy)


def settings(batch_size: int = 7, workers: int = 0) -> ScoringSettings:
    return ScoringSettings(batch_size=batch_size, workers=workers)


def by_hand(model: JointModel, toy: Toy, ids: list[int]) -> dict[str, np.ndarray]:
    """One sample at a time, without loader, collate or score."""
    model.eval()
    rows: dict[str, list[float]] = {name: [] for name in NAMES}
    with torch.no_grad():
        for i in ids:
            x = torch.from_numpy(toy.dataset("pool").x[i : i + 1])
            taps, found = model.network(x)
            rows["predicted_loss"].append(model.loss_prediction(taps).item())
            rows["loss"].append((found.item() - float(toy.dataset("pool").y[i])) ** 2)
    return {name: np.array(values) for name, values in rows.items()}


def test_shuffled_ids_score_as_one_by_one(model, toy):
    expected = by_hand(model, toy, IDS)
    model.train()
    found = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    assert list(found) == list(NAMES)
    for name in NAMES:
        assert found[name].shape == (61,) and found[name].dtype == np.float32
        assert len(np.unique(expected[name])) > 50  # otherwise a wrong order would not show
        np.testing.assert_allclose(found[name], expected[name], **CLOSE)


def test_a_part_of_the_pool_scores_as_in_the_whole(model, toy):
    part = [60, 3, 17, 0]
    found = score(model, Samples(toy.dataset("pool"), toy.collate, part), NAMES, settings())
    expected = by_hand(model, toy, part)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], **CLOSE)
    # the pass, the canaries, and nothing else was read
    assert sorted(toy.dataset("pool").reads) == sorted(2 * part)


@pytest.mark.parametrize("batch_size", [1, 7, 61, 64])
def test_the_batch_size_changes_nothing(model, toy, batch_size):
    expected = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings(13))
    found = score(
        model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings(batch_size)
    )
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], **CLOSE)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(model, toy, workers):
    expected = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    found = score(
        model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings(workers=workers)
    )
    for name in NAMES:
        # the same batches: not a bit differs
        np.testing.assert_array_equal(found[name], expected[name])
    # the second pass read in other processes
    assert len(toy.dataset("pool").reads) == 61 + 2 * CANARIES


def test_numpy_ids_are_ids(model, toy):
    expected = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    found = score(
        model, Samples(toy.dataset("pool"), toy.collate, np.array(IDS)), NAMES, settings()
    )
    np.testing.assert_array_equal(found["loss"], expected["loss"])


@pytest.mark.parametrize("ids", [[], [7]])
def test_no_and_one_sample(model, toy, ids):
    found = score(model, Samples(toy.dataset("pool"), toy.collate, ids), NAMES, settings())
    assert list(found) == list(NAMES)
    for name in NAMES:
        assert found[name].shape == (len(ids),) and found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], by_hand(model, toy, ids)[name], **CLOSE)


def test_the_model_scores_in_evaluation_mode_and_keeps_its_state(model, toy):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    assert not any(part.training for part in model.modules())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name  # batch norm's statistics among them


def test_no_gradient_is_kept(model, toy, monkeypatch):
    seen = []
    plain = SIGNALS["predicted_loss"]

    def rows(evidence):
        values, taps = plain.rows(evidence), evidence.output.taps
        seen.append(
            (torch.is_grad_enabled(), values.requires_grad, [tap.requires_grad for tap in taps])
        )
        return values

    monkeypatch.setitem(signals.SIGNALS, "predicted_loss", Signal(rows, module=True))
    score(model, Samples(toy.dataset("pool"), toy.collate, IDS), ("predicted_loss",), settings(31))
    assert seen == [(False, False, [False, False])] * (2 + CANARIES)
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())


def test_two_passes_are_equal_because_the_pool_is_seen_as_at_test_time(model, toy):
    first = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    again = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    for name in NAMES:
        np.testing.assert_array_equal(first[name], again[name])
    with pytest.raises(CanaryError, match="do not agree"):  # the training view would have shown
        score(model, Samples(toy.dataset("train"), toy.collate, IDS), NAMES, settings())


def test_labels_of_the_pool_do_not_reach_predicted_losses(model, toy):
    first = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    toy.dataset("pool").y[:] = np.random.default_rng(0).normal(size=61) * 100
    other = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    np.testing.assert_array_equal(first["predicted_loss"], other["predicted_loss"])
    assert (first["loss"] != other["loss"]).all()


def test_the_task_is_asked_for_no_loss_where_no_signal_needs_it(model, toy, monkeypatch):
    asked = []
    forward = model._task_forward
    monkeypatch.setattr(
        model, "_task_forward", lambda n, b, want: asked.append(want) or forward(n, b, want)
    )
    score(model, Samples(toy.dataset("pool"), toy.collate, [1, 2]), ("predicted_loss",), settings())
    score(model, Samples(toy.dataset("pool"), toy.collate, [1, 2]), NAMES, settings())
    # a batch, and two canaries one by one
    assert asked == [frozenset()] * 3 + [frozenset({"loss"})] * 3


def test_what_is_not_a_number_stays_so_at_its_place(model, toy):
    toy.dataset("pool").y[13], toy.dataset("pool").y[2] = np.nan, np.inf
    found = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    assert np.flatnonzero(np.isnan(found["loss"])).tolist() == [IDS.index(13)]
    assert np.flatnonzero(np.isinf(found["loss"])).tolist() == [IDS.index(2)]
    assert np.isfinite(found["predicted_loss"]).all()


def test_vectors_are_rows_too(model, toy):
    found = score(
        model, Samples(toy.dataset("pool"), toy.collate, IDS), ("embedding", "loss"), settings()
    )
    assert found["embedding"].shape == (61, 4) and found["embedding"].dtype == np.float32
    expected = [
        model.network(torch.from_numpy(toy.dataset("pool").x[i : i + 1]))[0][1].flatten()
        for i in IDS
    ]
    np.testing.assert_allclose(found["embedding"], torch.stack(expected).detach(), **CLOSE)


@pytest.mark.parametrize(
    "rows, shown",
    [
        (lambda loss: loss.mean(), r"\(\)"),
        (lambda loss: loss[:-1], r"\(6,\)"),
        (lambda loss: torch.cat([loss, loss]), r"\(14,\)"),
        (lambda loss: loss[:, None, None, None], r"\(7, 1, 1, 1\)"),
    ],
    ids=["scalar", "short", "long", "four dimensions"],
)
def test_a_signal_with_other_rows_is_refused(model, toy, monkeypatch, rows, shown):
    wrong = Signal(lambda evidence: rows(evidence.output.loss), frozenset({"loss"}))
    monkeypatch.setitem(signals.SIGNALS, "wrong", wrong)
    with pytest.raises(
        RuntimeError, match=rf"signal 'wrong' to have 7 rows, but got shape {shown}"
    ):
        score(model, Samples(toy.dataset("pool"), toy.collate, IDS), ("wrong",), settings(7))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda ids: ids[:-2], r"Expected 5 distinct scored samples, but got 3; lost: \[5, 9\]"),
        (lambda ids: [*ids, ids[0]], r"Expected 5 distinct scored samples, but got 6; lost: \[\]"),
        (
            lambda ids: [*ids[:-1], 33],
            r"Expected 5 distinct scored samples, but got 5; lost: \[9\]",
        ),
        (lambda ids: [], r"Expected 5 distinct scored samples, but got 0; lost: \[1, 5, 6, 8, 9\]"),
    ],
    ids=["loses two", "repeats one", "exchanges one", "loses all"],
)
def test_a_sampler_that_loses_or_repeats_samples_is_refused(
    model, toy, monkeypatch, change, message
):
    plain = scoring.loader
    monkeypatch.setattr(
        scoring, "loader", lambda d, sampler, *rest: plain(d, change(list(sampler)), *rest)
    )
    with pytest.raises(RuntimeError, match=message):
        score(model, Samples(toy.dataset("pool"), toy.collate, [8, 1, 6, 5, 9]), NAMES, settings())


def test_a_loader_in_another_order_does_not_move_scores(model, toy, monkeypatch):
    expected = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    plain = scoring.loader
    monkeypatch.setattr(
        scoring, "loader", lambda d, sampler, *rest: plain(d, sorted(sampler), *rest)
    )
    found = score(model, Samples(toy.dataset("pool"), toy.collate, IDS), NAMES, settings())
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], **CLOSE)


@pytest.mark.parametrize("empty", [False, True])
def test_shares_of_several_processes_are_put_together(model, toy, monkeypatch, empty):
    """Two processes played one after the other; the second may have had nothing to do."""
    ids = IDS[:1] if empty else IDS
    expected = score(model, Samples(toy.dataset("pool"), toy.collate, ids), NAMES, settings())
    shares: list = []
    monkeypatch.setattr(scoring, "get_world_size", lambda: 2)
    monkeypatch.setattr(scoring, "all_gather_object", lambda share: [*shares, share])
    monkeypatch.setattr(scoring, "get_rank", lambda: 1)

    def keep(ids, seen, rows, *rest):
        shares.append((seen, rows))
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_in_order", keep)
        score(model, Samples(toy.dataset("pool"), toy.collate, ids), NAMES, settings())
    assert len(shares[0][0]) == len(ids) // 2
    monkeypatch.setattr(scoring, "get_rank", lambda: 0)
    found = score(model, Samples(toy.dataset("pool"), toy.collate, ids), NAMES, settings())
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], **CLOSE)


def test_a_model_without_a_module_has_no_predicted_loss(toy):
    off = JointModel(toy.build(), toy.forward, toy.predict, toy.taps, ModuleSettings(), "off")
    with pytest.raises(RuntimeError, match="loss-prediction module, but its mode is 'off'"):
        score(off, Samples(toy.dataset("pool"), toy.collate, [1]), ("predicted_loss",), settings())


def test_a_task_that_returns_no_loss_is_named():
    with pytest.raises(ValueError, match="return the field 'loss', but got None"):
        SIGNALS["loss"].rows(Evidence(None, Output(taps=())))


def test_what_signals_need():
    assert fields(()) == frozenset()
    assert fields(["predicted_loss"]) == frozenset()
    assert fields(["predicted_loss", "loss"]) == {"loss"}
    assert need_module(["loss"]) is False
    assert need_module(["loss", "predicted_loss"]) is True
    assert need_module(()) is False


def test_an_unreadable_sample_is_an_error_and_not_a_hole(model, toy):
    class Broken(Dataset):
        def __getitem__(self, index):
            raise OSError(f"cannot read sample {index}")

    with pytest.raises(OSError, match="cannot read sample 4"):
        score(model, Samples(Broken(), toy.collate, [4]), NAMES, settings())


@pytest.mark.parametrize("parts", [[0, 61], [0, 7, 14, 61], [0, 56, 61]])
def test_parts_of_whole_batches_are_the_pass_bit_for_bit(model, toy, parts):
    data = toy.dataset("pool")
    expected = score(model, Samples(data, toy.collate, IDS), NAMES, settings(7))
    reads = len(data.reads)
    found = [
        unchecked(model, Samples(data, toy.collate, IDS[a:b]), NAMES, settings(7))
        for a, b in pairwise(parts)
    ]
    assert data.reads[reads:] == IDS, "nothing is read twice: the canaries come once, at the end"
    rows = {name: np.concatenate([part[name] for part in found]) for name in NAMES}
    for name in NAMES:
        assert rows[name].tobytes() == expected[name].tobytes()
    scoring.check(model, Samples(data, toy.collate, IDS), rows, settings(7))
    rows["loss"] += 1
    with pytest.raises(CanaryError, match="loss is .* in the pass, but .* alone"):
        scoring.check(model, Samples(data, toy.collate, IDS), rows, settings(7))


def test_no_samples_are_no_part_and_need_no_check(model, toy):
    none = Samples(toy.dataset("pool"), toy.collate, [])
    rows = unchecked(model, none, NAMES, settings())
    assert {name: part.shape for name, part in rows.items()} == dict.fromkeys(NAMES, (0,))
    scoring.check(model, none, rows, settings())
    assert toy.dataset("pool").reads == []
