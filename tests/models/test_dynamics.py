"""Training dynamics: means and divergence by hand, exact through resumes, new in each cycle."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from scipy import stats
from torch.optim import SGD

from acquisition.ranking import module_quality, ordered_pairs
from acquisition.scoring import Samples, score
from acquisition.settings import ScoringSettings
from models.loss_prediction import dynamics_loss
from models.output import Output
from models.process.seeding import seeded
from models.process.stopping import Stopped, listening
from models.training import dynamics as dynamics_module
from models.training.dynamics import Dynamics
from models.training.joint import JointModel
from models.training.loading import loader, train_loader
from models.training.numbered import IDS
from models.training.settings import ModuleSettings, TrainingSettings
from models.training.trainer import Data, Place, training, warm_start
from tests.toy import Toy

CLASSES = 3
LABELED = [3, 8, 11, 20, 21, 30, 44, 50]  # in batches of 3: the last one holds two
SETTINGS = TrainingSettings(
    epochs=4, batch_size=3, optimizer={"type": SGD, "lr": 0.1, "momentum": 0.9}, workers=0
)


class Deciding(Toy):
    """The toy's network decides between three classes: how far its answer is from 0, 1 and 2."""

    fields = frozenset({"loss", "probs"})

    def classes_decided(self) -> int:
        return CLASSES

    def forward(self, network, batch, want) -> Output:
        taps, found = network(batch["x"])
        logits = -((found[:, None] - torch.arange(CLASSES)) ** 2)
        return Output(taps, (found - batch["y"]) ** 2, logits.softmax(dim=1).unsqueeze(1))


def model_of(**settings) -> JointModel:
    task = Deciding()
    with seeded(5):
        return JointModel(
            task.build(),
            task.forward,
            task.predict,
            task.taps,
            ModuleSettings(**{"width": 4, "objective": "dynamics", **settings}),
            "joint",
            task.fields,
            CLASSES,
        )


class Watch(Hook):
    """Notes what the network thinks in each iteration, and stops after one of them."""

    priority = "LOWEST"

    def __init__(self, model: JointModel, stop: int | None) -> None:
        self.model, self.stop, self.seen = model, stop, []
        forward = model._task_forward

        def watched(network, batch, want) -> Output:
            output = forward(network, batch, want)
            self.seen.append((batch["index"].tolist(), output.probs[:, 0].detach().numpy()))
            return output

        model._task_forward = watched

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)


def trained(folder: Path, stop: int | None = None) -> tuple[JointModel, list]:
    task, model = Deciding(), model_of()
    batches = train_loader(task.dataset("train"), LABELED, 3, 0, task.collate, seed=1, ids=True)
    test = loader(task.dataset("test"), None, 8, 0, task.collate)
    watch = Watch(model, stop)
    with training(
        model, Data(batches, test, task.evaluator()), SETTINGS, Place(folder, 1)
    ) as runner:
        runner.register_hook(watch)
        runner.train()
    return model, watch.seen


def by_hand(seen: list) -> dict[int, np.ndarray]:
    """The paper's running mean: (mean * passes + p) / (passes + 1), sample by sample."""
    means: dict[int, np.ndarray] = {}
    passes = dict.fromkeys(LABELED, 0)
    for ids, probs in seen:
        for i, p in zip(ids, probs.astype(np.float64), strict=True):
            means[i] = (means.get(i, 0) * passes[i] + p) / (passes[i] + 1)
            passes[i] += 1
    return means


def means_of(dynamics: Dynamics) -> dict[int, np.ndarray]:
    return {
        i: (dynamics.sums[row] / dynamics.passes[row]).numpy() for i, row in dynamics.rows.items()
    }


# the state


def test_means_by_hand():
    dynamics = Dynamics(classes=2)
    first = dynamics.add([4, 9], torch.tensor([[0.2, 0.8], [1.0, 0.0]]))
    assert first.tolist() == [[pytest.approx(0.2), pytest.approx(0.8)], [1.0, 0.0]]
    later = dynamics.add([9, 2], torch.tensor([[0.5, 0.5], [0.3, 0.7]]))
    np.testing.assert_allclose(later, [[0.75, 0.25], [0.3, 0.7]], rtol=1e-6)
    # processes repeat samples to have equally many: each repetition is a pass
    again = dynamics.add([2, 2], torch.tensor([[0.6, 0.4], [0.9, 0.1]]))
    np.testing.assert_allclose(again, [[0.6, 0.4]] * 2, rtol=1e-6)
    np.testing.assert_allclose(means_of(dynamics)[4], [0.2, 0.8], rtol=1e-6)


def test_means_hold_no_graph():
    probs = torch.tensor([[0.2, 0.8]], requires_grad=True)
    assert not Dynamics(2).add([0], probs).requires_grad


def test_the_means_are_those_of_all_processes(monkeypatch):
    """As if another process had samples 9 and 4 in the same iteration."""
    others = torch.tensor([[0.0, 1.0], [0.4, 0.6]])
    monkeypatch.setattr(dynamics_module, "all_gather_object", lambda own: [[9, 4], own])
    monkeypatch.setattr(dynamics_module, "all_gather", lambda own: [others, own])
    dynamics = Dynamics(2)
    own = dynamics.add([4, 2], torch.tensor([[0.8, 0.2], [1.0, 0.0]]))
    np.testing.assert_allclose(own, [[0.6, 0.4], [1.0, 0.0]], rtol=1e-6)
    assert dict(zip(dynamics.rows, dynamics.passes.tolist(), strict=True)) == {9: 1, 4: 2, 2: 1}


def test_shapes_that_do_not_fit_are_said():
    with pytest.raises(ValueError, match=r"Expected probabilities \(1, 3\), but got \(1, 2\)"):
        Dynamics(3).add([0], torch.ones(1, 2))


# the objective


def test_divergence_against_scipy():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(6, 4))).requires_grad_()
    means = rng.dirichlet([0.3] * 4, size=6)
    means[0] = [0, 1, 0, 0]  # 0 log 0 is 0
    expected = stats.entropy(means, logits.detach().softmax(dim=1).numpy(), axis=1).mean()
    loss = dynamics_loss(logits, torch.from_numpy(means))
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    # of the divergence by the logits: softmax less target, a mean over the batch
    gradient = (logits.detach().softmax(dim=1).numpy() - means) / 6
    np.testing.assert_allclose(logits.grad, gradient, atol=1e-12)


def test_divergence_of_itself_is_zero():
    means = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
    assert dynamics_loss(means.log(), means).item() == pytest.approx(0, abs=1e-12)


def test_divergence_refuses_losses():
    with pytest.raises(ValueError, match=r"mean probabilities \(B, C\), but got \(3,\) and \(3,\)"):
        dynamics_loss(torch.zeros(3), torch.zeros(3))


def test_the_module_learns_the_mean_with_this_pass():
    model = model_of(weight=0.5).eval()
    task = Deciding()
    batch = task.collate([task.dataset("pool")[i] for i in (5, 2)])
    output = task.forward(model.network, batch, frozenset({"probs"}))
    earlier = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    model.dynamics.add([5, 2], earlier)
    losses = model(**batch, **{IDS: [5, 2]}, mode="loss")
    target = ((output.probs[:, 0] + earlier) / 2).detach().numpy()
    predicted = model.predicted_dynamics(output.taps).detach().numpy()
    expected = 0.5 * stats.entropy(target, predicted, axis=1).mean()
    assert losses["loss_rank"].item() == pytest.approx(expected, rel=1e-5)


def test_ids_are_needed():
    model = model_of()
    task = Deciding()
    batch = task.collate([task.dataset("pool")[i] for i in (5, 2)])
    with pytest.raises(ValueError, match="Expected the ids of the samples and probabilities"):
        model(**batch, mode="loss")


def test_a_module_of_losses_predicts_no_dynamics_and_the_other_way_round():
    taps = torch.ones(1, 8, 1, 1), torch.ones(1, 4, 1, 1)
    with pytest.raises(RuntimeError, match="learns losses, but it learns dynamics"):
        model_of().predicted_loss(taps)
    with pytest.raises(RuntimeError, match="learns dynamics, but it learns losses"):
        model_of(objective="ranking").predicted_dynamics(taps)


def test_a_task_that_does_not_decide_is_refused():
    task = Toy()
    with pytest.raises(ValueError, match="decides once a sample for the objective 'dynamics'"):
        JointModel(
            task.build(), task.forward, task.predict, task.taps,
            ModuleSettings(objective="dynamics"), "joint",
        )  # fmt: skip


# a training


def test_means_of_a_training_by_hand(tmp_path):
    model, seen = trained(tmp_path)
    found, expected = means_of(model.dynamics), by_hand(seen)
    assert found.keys() == expected.keys() == set(LABELED)
    assert model.dynamics.passes.tolist() == [4] * 8
    for i in LABELED:
        np.testing.assert_allclose(found[i], expected[i], atol=1e-6)


@pytest.mark.parametrize("stop", [4, 5, 8])  # within an epoch of three iterations, and at its end
def test_a_resume_goes_on_with_the_same_means(tmp_path, stop):
    whole, _ = trained(tmp_path / "whole")
    with listening(), pytest.raises(Stopped):
        trained(tmp_path / "halves", stop)
    resumed, seen = trained(tmp_path / "halves")
    assert len(seen) == 12 - stop - 1
    assert resumed.dynamics.rows == whole.dynamics.rows
    assert torch.equal(resumed.dynamics.sums, whole.dynamics.sums)
    assert torch.equal(resumed.dynamics.passes, whole.dynamics.passes)
    pairs = zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_warm_start_takes_the_weights_and_no_means(tmp_path):
    before, _ = trained(tmp_path)
    model = model_of()
    warm_start(model, tmp_path)
    assert torch.equal(model.loss_prediction.head.weight, before.loss_prediction.head.weight)
    assert model.dynamics.rows == {}


# signals


def test_signals_by_hand(tmp_path):
    model, _ = trained(tmp_path)
    task = Deciding()
    model.eval()
    pool = Samples(task.dataset("pool"), task.collate, np.arange(60))
    names = ("dynamics_entropy", "dynamics_margin", "loss")
    rows = score(model, pool, names, ScoringSettings(16, workers=0))
    with torch.no_grad():
        batch = task.collate([task.dataset("pool")[i] for i in range(60)])
        output = task.forward(model.network, batch, task.fields)
        means = model.predicted(output.taps).softmax(dim=1).numpy().astype(np.float64)
    np.testing.assert_allclose(rows["dynamics_entropy"], stats.entropy(means, axis=1), atol=1e-5)
    taken = output.probs[:, 0].argmax(dim=1).numpy()
    for i in range(60):
        others = np.delete(means[i], taken[i])
        margin = others.max() - means[i][taken[i]]
        assert rows["dynamics_margin"][i] == pytest.approx(margin, abs=1e-5)
    # what reports show of the module's ranking is the order of these entropies
    groups = {"control": np.arange(60)}
    settings = ScoringSettings(16, workers=0)
    found = module_quality(model, task.dataset("pool"), task.collate, groups, settings)
    expected = ordered_pairs(rows["dynamics_entropy"], rows["loss"])
    assert found["ranking/control/pairs"] == pytest.approx(expected)


# the taps that are read


def test_the_module_reads_the_named_taps_alone():
    model = model_of(objective="ranking", taps=("second",))
    first, second = torch.rand(2, 8, 1, 1, requires_grad=True), torch.rand(2, 4, 1, 1)
    found = model.predicted_loss((first, second))
    assert torch.equal(found, model.predicted_loss((first + 1, second)))
    assert model.loss_prediction.channels == (4,)
    with pytest.raises(ValueError, match=r"with channels \(4,\), but got \(\)"):
        model.predicted_loss((first,))
    with pytest.raises(ValueError, match=r"with channels \(8, 4\), but got \(8, 4, 4\)"):
        model_of(objective="ranking").predicted_loss((first, second, second))
    both = model_of(objective="ranking", taps=("second", "first"))
    assert both.loss_prediction.channels == (8, 4), "in the order of the network"


@pytest.mark.parametrize("taps", [("third",), ("first", "first")])
def test_taps_that_are_not_there_or_twice_are_refused(taps):
    match = r"`module.taps` to be some of \['first', 'second'\], each once, but got \["
    with pytest.raises(ValueError, match=match):
        model_of(taps=taps)


def test_the_loader_tells_ids_where_it_is_asked():
    task = Deciding()
    plain, numbered = (
        list(train_loader(task.dataset("train"), LABELED, 3, 0, task.collate, 1, ids=ids))
        for ids in (False, True)
    )
    assert [batch[IDS] for batch in numbered] == [batch["index"].tolist() for batch in plain]
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(plain, numbered, strict=True))
    assert IDS not in plain[0]
