"""Canaries: a pass whose rows are not those of the samples alone is stopped, and rounding
stops none.
"""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from acquisition import canary, signals
from acquisition.canary import CANARIES, CanaryError, agree, check, chosen, spread
from acquisition.ranking import module_quality
from acquisition.scoring import Pass, Samples, score
from acquisition.settings import ScoringSettings
from acquisition.signals import SIGNALS, Evidence, Signal
from models.output import Output
from models.training.committee import ensemble, passes
from models.training.joint import JointModel
from tests.conftest import REPOSITORY
from tests.toy import Toy, trained
from tools import al_train

SETTINGS = ScoringSettings(batch_size=7, workers=0)
IDS = np.random.default_rng(3).permutation(60).tolist()


def scored(
    task: Toy, model: JointModel, names=("predicted_loss",), view: str = "pool", **more
) -> dict:
    return score(
        model, Samples(task.dataset(view), task.collate, IDS), names, SETTINGS, Pass(**more)
    )


class Chances(Toy):
    """The toy with probabilities, with weights where `weighted`."""

    fields = frozenset({"loss", "probs"})

    def forward(self, network, batch, want) -> Output:
        taps, found = network(batch["x"])
        chance = torch.sigmoid(found)
        probs = torch.stack([chance, 1 - chance], dim=-1)[:, None]
        return Output(
            taps, loss=(found - batch["y"]) ** 2, probs=probs, weight=self.weight(batch["x"])
        )

    def weight(self, x: torch.Tensor) -> torch.Tensor | None:
        return None


# ---------------------------------------------------------------- what agrees


@pytest.mark.parametrize(
    ("passed", "alone", "spread", "expected"),
    [
        (1.0, 1.0, 0.0, True),
        (1.0009, 1.0, 0.0, True),  # 1e-3 of its own size
        (1.0012, 1.0, 0.0, False),
        (0.9988, 1.0, 0.0, False),
        (1.1, 1.0, 10.5, True),  # 1e-2 of the spread, beside the size
        (1.11, 1.0, 10.5, False),
        (1e-5, 0.0, 0.0, True),  # no size, no spread: rounding alone
        (1.1e-5, 0.0, 0.0, False),
        (np.nan, np.nan, 0.0, True),  # a training that went astray is for the strategy to say
        (np.nan, 1.0, 1.0, False),
        (1.0, np.nan, 1.0, False),
        (np.inf, np.inf, 0.0, True),
        (np.inf, 1.0, 1.0, False),
        (-np.inf, np.inf, 1.0, False),
        ([3.0, 4.0], [3.0, 4.0049], 0.0, True),  # norm 5: at most 0.005
        ([3.0, 4.0], [3.0, 4.0052], 0.0, False),
        ([np.nan, 4.0], [np.nan, 4.0], 0.0, True),
        ([3.0, 4.0], [4.0, 3.0], 0.0, False),
        ([3.0, 4.0, 0.0], [3.0, 4.0], 9e9, False),
    ],
)
def test_rows_agree_but_for_rounding(passed, alone, spread, expected):
    assert agree(np.array(passed), np.array(alone), spread) is expected


def test_spread_is_the_standard_deviation_and_of_vectors_that_of_their_places():
    values = np.random.default_rng(0).normal(size=(50, 3))
    assert spread(values[:, 0]) == pytest.approx(np.std(values[:, 0]))
    assert spread(values) == pytest.approx(np.sqrt(np.trace(np.cov(values.T, bias=True))))
    assert spread(np.full(9, 7.0)) == 0.0
    assert spread(np.array([1.0, np.nan, 3.0, np.inf])) == 1.0
    assert spread(np.array([np.nan])) == 0.0
    # of every fifth
    assert spread(np.arange(40_000.0)) == pytest.approx(40_000 / 12**0.5, rel=1e-3)


def test_canaries_are_chosen_by_chance_and_always_the_same():
    assert chosen(IDS) == chosen(np.array(IDS)) and sorted(chosen(IDS)) == sorted(IDS)
    assert chosen(IDS) != IDS
    state = np.random.get_state()[1].tolist()
    chosen(range(9))
    assert np.random.get_state()[1].tolist() == state
    assert chosen([]) == [] and chosen([7]) == [7]


# ---------------------------------------------------------------- passes that are right


@pytest.mark.parametrize("names", [("predicted_loss", "loss"), ("embedding",), ()])
def test_a_right_pass_costs_a_forward_pass_a_canary(names, monkeypatch):
    task = Toy()
    model, sizes = trained(task), []
    forward = model._task_forward
    monkeypatch.setattr(
        model, "_task_forward", lambda n, b, w: sizes.append(len(b["x"])) or forward(n, b, w)
    )
    assert list(scored(task, model, names)) == list(names)
    assert sizes == ([7] * 8 + [4] + [1] * CANARIES if names else [])


@pytest.mark.parametrize("kind", ["ensemble", "dropout"])
def test_committees_agree_and_each_member_is_asked_once_a_canary(kind, monkeypatch):
    task = Chances()
    models = [trained(task) for _ in range(3)]
    members = ensemble(models) if kind == "ensemble" else passes(models[0], 3, seed=9)
    calls = []
    output = JointModel.output
    monkeypatch.setattr(
        JointModel, "output", lambda self, b, w: calls.append(len(b["x"])) or output(self, b, w)
    )
    found = scored(task, models[0], (f"{kind}_bald",), committee=members)
    assert np.isfinite(found[f"{kind}_bald"]).all()
    assert calls.count(1) == 3 * CANARIES and len(calls) == 3 * (9 + CANARIES)


def test_scores_that_are_not_numbers_are_not_the_canaries_business():
    task = Toy()
    model = trained(task)
    with torch.no_grad():
        model.loss_prediction.head.bias.fill_(torch.nan)
    assert np.isnan(scored(task, model)["predicted_loss"]).all()


def test_fewer_samples_than_canaries_are_all_asked():
    task = Toy()
    score(
        trained(task), Samples(task.dataset("pool"), task.collate, [4, 9, 2]), ("loss",), SETTINGS
    )
    assert sorted(task.dataset("pool").reads) == [2, 2, 4, 4, 9, 9]


# ---------------------------------------------------------------- faults


class Centered(nn.Module):
    """Looks at the other samples of its batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0)


class Padded(Toy):
    """Sample i is a series of 1 + i % 6 numbers, padded to the longest of the batch.

    The network takes means.
    """

    def collate(self, samples):
        batch = super().collate(samples)
        return batch | {"x": batch["x"] / (1 + batch["index"] % 6).max()}


def test_rows_permuted_within_a_batch_stop_the_pass(monkeypatch):
    plain = SIGNALS["predicted_loss"]
    monkeypatch.setitem(
        signals.SIGNALS, "predicted_loss", Signal(lambda e: plain.rows(e).flip(0), module=True)
    )
    task = Toy()
    model = trained(task)
    with pytest.raises(CanaryError, match="scoring: samples do not agree") as caught:
        scored(task, model)
    lines = str(caught.value).split("\n  ")
    asked = set(chosen(IDS)[:CANARIES])
    named = [int(line.split()[1].rstrip(":")) for line in lines[1:-1]]
    middles = {IDS[p] for p in range(60) if (p < 56 and p % 7 == 3)}
    assert set(named) == asked - middles and len(named) >= 6
    assert "rows that came to wrong ids" in lines[-1]


def test_the_message_has_ids_signals_and_both_values(monkeypatch):
    """Of numbers the values, of vectors the norms; signals that agree are not in it."""
    task = Toy()
    model, first = trained(task), chosen(IDS)[0]
    right = scored(task, model, ("predicted_loss", "embedding"))
    value, vector = (float(np.linalg.norm(right[name][IDS.index(first)])) for name in right)
    plain, plain_vector = SIGNALS["predicted_loss"], SIGNALS["embedding"]
    negative = Signal(
        lambda e: plain.rows(e).abs() * (-1 if len(e.output.taps[0]) > 1 else 1), module=True
    )
    double = Signal(lambda e: plain_vector.rows(e) * (2 if len(e.output.taps[0]) > 1 else 1))
    number = r"(-?\d+\.\d+)"
    monkeypatch.setitem(signals.SIGNALS, "predicted_loss", negative)
    told = rf"sample {first}: predicted_loss is {number} in the pass, but {number} alone \(spread {number}\)\n"
    with pytest.raises(CanaryError, match=told) as caught:
        scored(task, model, ("predicted_loss", "embedding"))
    assert "embedding" not in str(caught.value)
    assert [float(x) for x in re.search(told, str(caught.value)).groups()[:2]] == pytest.approx(
        [-value, value], rel=1e-5
    )
    monkeypatch.setitem(signals.SIGNALS, "embedding", double)
    told = (
        rf"sample {first}: embedding is a vector of norm {number} in the pass, but a vector of "
        rf"norm {number} alone"
    )
    with pytest.raises(CanaryError, match=told) as caught:
        scored(task, model, ("embedding",))
    assert [float(x) for x in re.search(told, str(caught.value)).groups()] == pytest.approx(
        [2 * vector, vector], rel=1e-5
    )


def test_batch_norm_in_training_mode_stops_the_pass():
    task = Toy()
    model = trained(task)
    norm = model.network.first[1]
    norm.train = lambda mode=True: norm  # stays as it is, whatever it is told
    with pytest.raises(
        CanaryError, match=r"cannot be computed alone \(Expected more than 1 value per channel"
    ):
        scored(task, model)


def test_a_layer_that_looks_at_the_batch_stops_the_pass():
    task = Toy()
    model = trained(task)
    model.network.first[1] = Centered()
    with pytest.raises(CanaryError, match="looks at the other samples of a batch"):
        scored(task, model)


def test_a_random_pool_view_stops_the_pass():
    task = Toy()
    with pytest.raises(CanaryError, match="view is random"):
        scored(task, trained(task), view="train")


def test_padding_by_the_batch_stops_the_pass():
    task = Padded()
    with pytest.raises(CanaryError, match="pads by the batch"):
        scored(task, trained(task))


def test_the_ranking_pass_has_canaries_too():
    task = Padded()
    groups = {"control": np.array(IDS[:30])}
    with pytest.raises(CanaryError, match="ranking quality: samples do not agree"):
        module_quality(trained(task), task.dataset("pool"), task.collate, groups, SETTINGS)


def test_a_run_with_a_fault_ends_with_status_2_and_commits_nothing(tmp_path: Path, capsys):
    config = tmp_path / "padded.py"
    text = (REPOSITORY / "tests/examples/toy_config.py").read_text()
    config.write_text(
        text.replace(
            "from tests.toy import Toy", "from tests.acquisition.test_canary import Padded as Toy"
        )
    )
    where = tmp_path / "run"
    assert al_train.main([str(config), "--wandb", "disabled", "--work-dir", str(where)]) == 2
    said = capsys.readouterr().out
    assert "error: scoring: samples do not agree with themselves alone\n  sample " in said
    assert not (where / "state.json").exists() and not (where / "queries").exists()


# ------------------------------------------------------- boxes that rounding moves over a threshold


def check_with(wrong: set[int], weighted: bool) -> list[int]:
    """Check a pass in which some samples disagree; the ids that were asked."""
    rows, asked = {"entropy": np.arange(60.0)}, []

    def alone(i: int):
        asked.append(i)
        return {"entropy": np.float64(IDS.index(i) + 9.0 * (i in wrong))}, weighted

    check(IDS, rows, IDS, alone, "scoring")
    return asked


def test_a_lone_jump_has_others_asked_and_goes_on():
    order = chosen(IDS)
    assert check_with(set(), True) == check_with(set(), False) == order[:CANARIES]
    assert check_with({order[2]}, True) == order[: 2 * CANARIES]
    # the other was not asked
    assert check_with({order[2], order[2 * CANARIES]}, True) == order[: 2 * CANARIES]


def test_two_jumps_stop_the_pass():
    order = chosen(IDS)
    for second in (order[5], order[CANARIES], order[2 * CANARIES - 1]):
        with pytest.raises(CanaryError) as caught:
            check_with({order[2], second}, True)
        assert f"sample {order[2]}: entropy" in str(
            caught.value
        ) and f"sample {second}: entropy" in str(caught.value)


def test_without_weights_one_stops_the_pass():
    order = chosen(IDS)
    for place in (0, CANARIES - 1):
        with pytest.raises(CanaryError, match=f"sample {order[place]}: entropy is"):
            check_with({order[place]}, False)
    assert check_with({order[CANARIES]}, False) == order[:CANARIES]


class Boxed(Chances):
    """Weights as of boxes: the first sample in `jumps` has another one in a batch than alone."""

    jumps: tuple[int, ...] = ()

    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, want)
        chances = output.probs.expand(-1, 2, -1).clone()
        chances[:, 1] = torch.tensor([0.5, 0.5])
        jumped = torch.tensor(
            [len(batch["x"]) > 1 and int(i) in self.jumps for i in batch["index"]]
        )
        weight = torch.stack([torch.ones(len(jumped)), jumped.float()], dim=1)
        return Output(output.taps, output.loss, chances, weight)


@pytest.mark.parametrize(("count", "stops"), [(0, False), (1, False), (2, True)])
def test_a_task_with_weights_is_known_by_its_output(count, stops):
    task = Boxed()
    task.jumps = tuple(chosen(IDS)[:count])
    model = trained(task)
    if stops:
        with pytest.raises(CanaryError, match="entropy is"):
            scored(task, model, ("entropy",))
    else:
        assert len(scored(task, model, ("entropy",))["entropy"]) == 60
    assert len(set(task.dataset("pool").reads[60:])) == (2 * CANARIES if count == 1 else CANARIES)


def test_evidence_is_weighted_by_the_output_or_by_the_votes():
    bare, weight = Output(taps=()), torch.ones(1, 1)
    votes = signals.Votes(weight, weight, weight, None)
    assert not Evidence(None, bare).weighted and not Evidence(None, None, votes).weighted
    assert Evidence(None, Output(taps=(), weight=weight)).weighted
    assert Evidence(None, None, signals.Votes(weight, weight, weight, weight)).weighted


# ---------------------------------------------------------------- several processes


def one_of_two(rank: int, folder: Path) -> None:
    """Score in one of two processes, without a fault and then with one in the second's canaries."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2
    )
    task, plain, asked, fault = Toy(), canary.check, [], set()

    def noted(ids, rows, share, alone, title, **more):
        def told(i):
            asked.append(i)
            found, weighted = alone(i)
            return {name: values + 9 * (i in fault) for name, values in found.items()}, weighted

        plain(ids, rows, share, told, title, **more)

    canary.check = noted
    scored(task, trained(task))
    said = [f"asked {len(asked)} {set(asked) <= set(IDS[rank::2])}"]
    fault |= set(IDS[1::2])
    try:
        scored(task, trained(task))
    except CanaryError as error:
        said.append(f"stopped {str(error).count('predicted_loss is')}")
    (folder / str(rank)).write_text(" ".join(said))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_each_of_two_processes_checks_its_share_and_all_stop_for_one(tmp_path: Path):
    """Forked, as torch is imported here already: `test_processes` has them from `torchrun`."""
    start = multiprocessing.get_context("fork").Process
    two = [start(target=one_of_two, args=(rank, tmp_path), daemon=True) for rank in range(2)]
    for process in two:
        process.start()
    for process in two:
        process.join(120)
    assert [process.exitcode for process in two] == [0, 0]
    said = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    # the second's canaries alone disagree
    assert said == [f"asked {CANARIES} True stopped {CANARIES}"] * 2


def test_a_check_is_part_of_every_pass(monkeypatch):
    monkeypatch.setattr(canary, "check", lambda *given, **more: 1 / 0)
    task = Toy()
    with pytest.raises(ZeroDivisionError):
        scored(task, trained(task))
