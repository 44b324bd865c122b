"""One training: exact to the bit through interrupts and workers, the module where it
belongs, and nothing printed.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import re
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import MultiStepLR, OneCycleLR
from torch import Tensor, nn
from torch.optim import SGD

from models.loss_prediction import LossPrediction
from models.output import Output
from models.process.seeding import derive_seed, seeded
from models.process.stopping import Stopped, listening
from models.training.checkpoint import CHECKPOINT, CheckpointError
from models.training.joint import JointModel, NonFiniteLoss
from models.training.loading import Augmented, LabeledSampler, loader, stop_workers, train_loader
from models.training.runner import NOT_FINITE
from models.training.settings import ModuleSettings, TrainingSettings
from models.training.trainer import Data, Place, evaluate, training, warm_start
from tests.toy import Toy, Vectors, model_of

EPOCHS = 4
LABELED = range(5, 15)  # 10 samples in batches of 4: the last one holds 2
PLAIN = TrainingSettings(
    epochs=EPOCHS,
    batch_size=4,
    optimizer={"type": SGD, "lr": 0.05, "momentum": 0.9},
    schedule=[{"type": MultiStepLR, "milestones": [2], "gamma": 0.1}],
    workers=0,
)
MODULE = ModuleSettings(width=8, detach_epoch=3)
State = dict[str, Tensor]


@dataclass
class Trained:
    """What a training leaves behind.

    `states[e]` are the weights after e epochs, as far as it came.
    """

    model: JointModel
    states: dict[int, State]

    @property
    def final(self) -> State:
        return self.model.state_dict()


class Recorder(Hook):
    """Copies the weights before and after every epoch, then does what the test asks for."""

    priority = "LOWEST"

    def __init__(self, then: Callable | None) -> None:
        self.states: dict[int, State] = {}
        self.then = then

    def copy(self, runner) -> None:
        self.states[runner.epoch] = {k: v.clone() for k, v in runner.model.state_dict().items()}

    def before_train(self, runner) -> None:
        self.copy(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.then is not None:
            self.then(runner)

    def after_train_epoch(self, runner) -> None:
        # the loop counts the epoch after this hook, so the epoch is the one that has just ended
        self.states[runner.epoch + 1] = {k: v.clone() for k, v in runner.model.state_dict().items()}


def build(task: Toy, module: ModuleSettings, mode: str, seed: int) -> JointModel:
    """As `al_train.start` does it."""
    with seeded(derive_seed(seed, "network")):
        network = task.build()
    with seeded(derive_seed(seed, "module")):
        return JointModel(network, task.forward, task.predict, task.taps, module, mode)


def train(
    folder: Path,
    settings: TrainingSettings = PLAIN,
    *,
    task: Toy | None = None,
    module: ModuleSettings = MODULE,
    mode: str = "joint",
    seed: int = 1,
    labeled=LABELED,
    then: Callable | None = None,
    hook: Hook | None = None,
) -> Trained:
    task = task or Toy()
    model = build(task, module, mode, seed)
    data = train_loader(
        task.dataset("train"), labeled, settings.batch_size, settings.workers, task.collate, seed
    )
    test = loader(task.dataset("test"), None, 8, settings.workers, task.collate)
    recorder = Recorder(then)
    with training(
        model, Data(data, test, task.evaluator()), settings, Place(folder, seed)
    ) as runner:
        runner.register_hook(recorder)
        if hook is not None:
            runner.register_hook(hook)
        runner.train()
    return Trained(model, recorder.states)


def equal(a: State, b: State, prefix: str = "") -> bool:
    keys = [key for key in a if key.startswith(prefix)]
    assert keys and a.keys() >= set(keys) <= b.keys()
    return all(torch.equal(a[key], b[key]) for key in keys)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*.pth"))


def saved(folder: Path) -> dict:
    return torch.load(folder / CHECKPOINT, weights_only=True)


def stood(folder: Path) -> tuple[int, int] | None:
    """Epochs and iterations that the checkpoint counts; None where there is none."""
    if not (folder / CHECKPOINT).exists():
        return None
    meta = saved(folder)["meta"]
    return meta["epoch"], meta["iter"]


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """Every training ends with a garbage collection, which need not look through all that
    is imported.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Trained:
    """A training that nothing interrupted, without workers."""
    return train(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def off(tmp_path_factory) -> Trained:
    """The same without the module."""
    return train(tmp_path_factory.mktemp("off"), mode="off")


# to the bit


def stop_at(iteration: int) -> Callable:
    def stop(runner) -> None:
        if runner.iter + 1 == iteration:  # mmengine counts the iteration after its hooks
            raise KeyboardInterrupt

    return stop


def interrupted(folder: Path, iteration: int, settings: TrainingSettings = PLAIN) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(folder, settings, then=stop_at(iteration))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_a_training_interrupted_in_any_epoch_goes_on_to_the_same_weights(
    tmp_path, whole, epoch, workers
):
    settings = replace(PLAIN, workers=workers)
    interrupted(tmp_path, 3 * epoch + 2, settings)  # in the midst of an epoch of 3 iterations
    assert stood(tmp_path) == ((epoch, 3 * epoch) if epoch else None)
    again = train(tmp_path, settings)
    assert min(again.states) == epoch, "it goes on and does not begin anew"
    assert equal(whole.states[epoch], again.states[epoch])
    assert equal(whole.final, again.final)


def test_a_training_interrupted_in_every_epoch(tmp_path, whole):
    for epoch in range(EPOCHS):
        interrupted(tmp_path, 3 * epoch + 1)
    assert equal(whole.final, train(tmp_path).final)


def test_a_finished_training_is_loaded_and_not_trained_again(tmp_path, whole):
    train(tmp_path)
    seen = []
    again = train(tmp_path, then=seen.append)
    assert seen == [] and min(again.states) == EPOCHS
    assert equal(whole.final, again.final)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_number_of_workers_does_not_count(tmp_path, whole, workers):
    found = train(tmp_path, replace(PLAIN, workers=workers))
    for epoch in range(EPOCHS + 1):
        assert equal(whole.states[epoch], found.states[epoch]), f"after {epoch} epochs"


def test_the_global_generators_do_not_count(tmp_path, whole):
    random.seed(9), np.random.seed(9), torch.manual_seed(9)
    assert equal(whole.final, train(tmp_path).final)


def test_checkpoints_further_apart(tmp_path):
    settings = replace(PLAIN, epochs=5, checkpoint_every=2)
    interrupted(tmp_path / "a", 3 * 3 + 2, settings)
    assert stood(tmp_path / "a") == (2, 6)
    again, straight = train(tmp_path / "a", settings), train(tmp_path / "b", settings)
    assert min(again.states) == 2 and equal(again.final, straight.final)
    assert stood(tmp_path / "a") == (5, 15)


def test_another_seed_gives_other_weights(tmp_path, whole):
    other = train(tmp_path, seed=2)
    assert not equal(whole.states[0], other.states[0])
    assert not equal(whole.final, other.final)


def test_the_seed_counts_beyond_the_first_weights(tmp_path, whole):
    task = Toy()
    model = build(task, MODULE, "joint", seed=1)
    data = train_loader(
        task.dataset("train"), LABELED, PLAIN.batch_size, PLAIN.workers, task.collate, seed=2
    )
    test = loader(task.dataset("test"), None, 8, 0, task.collate)
    with training(model, Data(data, test, task.evaluator()), PLAIN, Place(tmp_path, 2)) as runner:
        runner.train()
    assert not equal(whole.final, model.state_dict())


def test_only_labeled_samples_are_read_each_once_an_epoch(tmp_path):
    task = Toy()
    train(tmp_path, task=task)
    reads = task.dataset("train").reads
    epochs = [reads[i : i + 10] for i in range(0, len(reads), 10)]
    assert len(reads) == 10 * EPOCHS
    assert all(sorted(epoch) == list(LABELED) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == EPOCHS, "each epoch has its own order"
    assert task.dataset("test").reads == task.dataset("pool").reads == []


# augmentation and order


def test_augmentation_depends_on_seed_epoch_and_sample_alone():
    view = Augmented(Vectors(8, 0, augment=True), seed=3)
    assert len(view) == 8
    keys = [(epoch, index) for epoch in range(3) for index in range(8)]
    first = {key: view[key][0] for key in keys}
    backwards = {key: view[key][0] for key in reversed(keys)}
    other = Augmented(Vectors(8, 0, augment=True), seed=4)
    for key in keys:
        assert torch.equal(first[key], backwards[key])
        assert not torch.equal(first[key], other[key][0])
    noise = {
        key: tuple((value - torch.from_numpy(view.dataset.x[key[1]])).tolist())
        for key, value in first.items()
    }
    assert len(set(noise.values())) == len(keys), "each epoch and each sample has its own noise"


def test_augmentation_leaves_the_global_generators():
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    _ = Augmented(Vectors(8, 0, augment=True), seed=3)[1, 2]
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_sampler_gives_sample_ids_with_their_epoch():
    sampler, orders = LabeledSampler(np.array([40, 7, 19, 3]), seed=0), []
    for epoch in (0, 1, 2, 0):
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert {e for e, _ in pairs} == {epoch}
        assert sorted(i for _, i in pairs) == [3, 7, 19, 40]
        orders.append([i for _, i in pairs])
    assert len(sampler) == 4 and orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_over_a_loader_leaves_the_global_generator(workers):
    task = Toy(size=8)
    data = loader(task.dataset("pool"), None, 4, workers, task.collate)
    torch.manual_seed(0)
    expected = torch.rand(1).item()
    torch.manual_seed(0)
    assert [len(batch["y"]) for batch in data] == [4, 4]
    assert torch.rand(1).item() == expected
    stop_workers(data)


def test_workers_end_with_the_training(tmp_path):
    before = set(multiprocessing.active_children())  # of another test's pool
    train(tmp_path / "a", replace(PLAIN, workers=2))
    assert set(multiprocessing.active_children()) - before == set()
    interrupted(tmp_path / "b", 4, replace(PLAIN, workers=2))
    assert set(multiprocessing.active_children()) - before == set()


# checkpoints


def test_checkpoints_run_no_code_when_they_are_loaded(tmp_path, whole):
    train(tmp_path)
    assert equal(whole.final, saved(tmp_path)["state_dict"])
    task = Toy()
    model = build(task, MODULE, "joint", seed=5)
    warm_start(model, tmp_path)
    assert equal(whole.final, model.state_dict())


def test_weights_of_another_network_are_refused(tmp_path):
    train(tmp_path)
    unknown = r"Unexpected key\(s\) in state_dict: \"loss_prediction\.branches\.0"
    with pytest.raises(
        CheckpointError, match=rf"{re.escape(str(tmp_path / CHECKPOINT))}(?s:.*){unknown}"
    ):
        warm_start(build(Toy(), MODULE, "off", seed=5), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"cannot be gone on from .* unexpected key .* begins anew"
    ):
        train(tmp_path, mode="off")


def test_the_newest_checkpoint_alone_is_kept(tmp_path):
    kept: list[list[str]] = []
    interrupted(tmp_path, 3 * 3 + 1)
    assert names(tmp_path) == [CHECKPOINT] and stood(tmp_path) == (3, 9)
    train(tmp_path, replace(PLAIN, epochs=7), then=lambda runner: kept.append(names(tmp_path)))
    assert names(tmp_path) == [CHECKPOINT] and stood(tmp_path) == (7, 21)
    assert kept == [[CHECKPOINT]] * 3 * 4


def test_a_folder_that_was_moved(tmp_path, whole):
    interrupted(tmp_path / "old", 3 * 2 + 2)
    shutil.move(tmp_path / "old", tmp_path / "new")
    again = train(tmp_path / "new")
    assert min(again.states) == 2 and equal(whole.final, again.final)
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("left", [b"", b"PK", None])
def test_a_checkpoint_that_was_being_written_does_not_count(tmp_path, whole, left):
    interrupted(tmp_path, 3 * 2 + 2)
    written = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / ".checkpoint.tmp.pth").write_bytes(written[:-1] if left is None else left)
    again = train(tmp_path)
    assert min(again.states) == 2 and equal(whole.final, again.final)
    assert [p.name for p in tmp_path.glob(".*")] == [], "it is written over"


def test_samples_are_named_after_a_resume_within_the_epoch_too(tmp_path):
    def spoil(output: Output) -> Output:
        return replace(output, loss=output.loss * float("nan"))

    with listening(), pytest.raises(Stopped):
        train(tmp_path, hook=Told(7, signal.SIGTERM))
    batch = re.escape(str(list(order(epoch=2))[8:]))  # of two
    with pytest.raises(FloatingPointError, match=f"epoch 2, iteration 8, samples {batch} "):
        train(tmp_path, task=Broken(spoil, at=1))


def test_a_damaged_checkpoint_is_named(tmp_path, whole):
    interrupted(tmp_path, 3 * 2 + 2)
    written = (tmp_path / CHECKPOINT).read_bytes()
    for damaged in (b"", b"no zip", written[: len(written) // 2], written[:-1]):
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        with pytest.raises(
            CheckpointError, match=re.escape(f"{tmp_path / CHECKPOINT} cannot be gone on from")
        ):
            train(tmp_path)
        with pytest.raises(
            CheckpointError, match=re.escape(f"{tmp_path / CHECKPOINT}: expected the weights")
        ):
            warm_start(build(Toy(), MODULE, "joint", seed=5), tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    assert equal(whole.final, train(tmp_path).final), "without it the training begins anew"


def test_a_checkpoint_that_runs_code_is_refused_and_runs_none(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": {}, "meta": Evil()}, tmp_path / CHECKPOINT)
    with pytest.raises(CheckpointError, match="Weights only load failed"):
        train(tmp_path)
    with pytest.raises(CheckpointError, match="Weights only load failed"):
        warm_start(build(Toy(), MODULE, "joint", seed=5), tmp_path)
    assert not (tmp_path / "ran").exists()


# told to stop


def order(epoch: int) -> Iterator[int]:
    """Of the labeled samples in an epoch of `train`."""
    sampler = LabeledSampler(LABELED, derive_seed(1, "order"))
    sampler.set_epoch(epoch)
    return sampler.order()


class Told(Hook):
    """Signals the process while an iteration runs."""

    def __init__(self, iteration: int, *signals: int) -> None:
        self.iteration, self.signals = iteration, signals

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 == self.iteration:
            for number in self.signals:
                os.kill(os.getpid(), number)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("iteration", range(1, 3 * EPOCHS + 1))
def test_a_training_that_was_told_to_stop_goes_on_from_that_iteration(
    tmp_path, whole, iteration, workers
):
    settings, told = replace(PLAIN, workers=workers), [signal.SIGTERM, signal.SIGINT][iteration % 2]
    with (
        listening(),
        pytest.raises(Stopped, match=f"stopped by {told.name} after iteration {iteration} of 12"),
    ):
        train(tmp_path, settings, hook=Told(iteration, told))
    assert stood(tmp_path) == (iteration // 3, iteration)
    seen: list[int] = []
    again = train(tmp_path, settings, then=lambda runner: seen.append(runner.iter))
    assert seen == list(range(iteration, 12)), "no iteration twice, and none left out"
    assert equal(whole.final, again.final)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_a_schedule_that_holds_a_function_goes_on_and_can_be_started_from(tmp_path, strategy):
    schedule = {"type": OneCycleLR, "eta_max": 0.1, "total_steps": 3 * EPOCHS, "by_epoch": False}
    settings = replace(PLAIN, schedule=[dict(schedule, anneal_strategy=strategy)])
    with listening(), pytest.raises(Stopped):
        train(tmp_path / "a", settings, hook=Told(5, signal.SIGTERM))
    assert equal(train(tmp_path / "a", settings).final, train(tmp_path / "b", settings).final)
    warm_start(build(Toy(), MODULE, "joint", seed=5), tmp_path / "b")


def test_stopped_in_every_iteration(tmp_path, whole):
    for iteration in range(1, 13):
        with listening(), pytest.raises(Stopped):
            train(tmp_path, hook=Told(iteration, signal.SIGTERM))
    assert equal(whole.final, train(tmp_path).final)


def test_stopped_and_then_killed_in_the_same_epoch(tmp_path, whole):
    with listening(), pytest.raises(Stopped):
        train(tmp_path, hook=Told(4, signal.SIGTERM))
    interrupted(tmp_path, 5)
    assert stood(tmp_path) == (1, 4)
    assert equal(whole.final, train(tmp_path).final)


def test_a_warm_start_without_weights_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=f"{tmp_path / 'gone'}.*expected the weights to start from"
    ):
        warm_start(build(Toy(), MODULE, "off", seed=5), tmp_path / "gone")


def test_an_evaluator_without_the_tasks_metric_is_refused(tmp_path):
    class Other:
        def test(self):
            return {"accuracy": 0.5}

    with pytest.raises(KeyError, match=r"metric 'mAP', but got \['accuracy'\]"):
        evaluate(Other(), "mAP")


# the module


# batch norm, and a difference, cancel them
NO_GRADIENT = ("network.first.0.bias", "loss_prediction.head.bias")


def moved(trained: Trained, prefix: str, first: int, last: int) -> list[bool]:
    """For each weight that the losses depend on, whether the epochs changed it."""
    before, after = trained.states[first], trained.states[last]
    keys = [key for key in before if key.startswith(prefix) and key not in NO_GRADIENT]
    assert keys
    return [not torch.equal(before[key], after[key]) for key in keys]


def test_network_and_module_move(whole):
    assert all(moved(whole, "network.", 0, 1))
    assert all(moved(whole, "loss_prediction.", 0, EPOCHS))
    assert moved(whole, "loss_prediction.head.weight", 0, 1) == [True]


def test_the_module_trains_on_after_the_cut(whole):
    assert moved(whole, "loss_prediction.head.weight", 3, 4) == [True]


@pytest.fixture(scope="module")
def heavier(tmp_path_factory, whole) -> Callable[[int], Trained]:
    """Goes on from `whole`'s weights after an epoch with a module that weighs more,
    through that one epoch.
    """

    def go_on(epoch: int) -> Trained:
        folder = tmp_path_factory.mktemp("heavier")
        if epoch:
            with pytest.raises(KeyboardInterrupt):
                train(folder, then=stop_at(3 * epoch + 1))
        return train(folder, replace(PLAIN, epochs=epoch + 1), module=replace(MODULE, weight=50.0))

    return go_on


@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_the_network_gets_the_modules_gradient_until_the_cut_and_not_after_it(
    whole, heavier, epoch
):
    other = heavier(epoch)
    assert equal(whole.states[epoch], other.states[epoch])
    same = equal(whole.states[epoch + 1], other.states[epoch + 1], "network.")
    assert same is (epoch >= MODULE.detach_epoch)
    assert not equal(whole.states[epoch + 1], other.states[epoch + 1], "loss_prediction.")


def test_no_cut_without_a_detach_epoch(tmp_path, whole):
    found = train(tmp_path, module=replace(MODULE, detach_epoch=None))
    assert equal(whole.states[3], found.states[3])
    assert not equal(whole.states[4], found.states[4], "network.")


def test_a_detached_module_leaves_the_network_as_without_one(tmp_path, off):
    detached = train(tmp_path, mode="detached")
    assert not any(key.startswith("loss_prediction.") for key in off.final)
    for epoch in range(EPOCHS + 1):
        assert equal(off.states[epoch], detached.states[epoch], "network."), f"after {epoch} epochs"
    assert moved(detached, "loss_prediction.head.weight", 0, 4) == [True]


def test_a_joint_module_starts_from_the_same_network_and_changes_it(whole, off):
    assert equal(off.states[0], whole.states[0], "network.")
    assert not equal(off.states[1], whole.states[1], "network.")


def test_objectives_differ(tmp_path, whole):
    states = [
        train(tmp_path / name, module=replace(MODULE, objective=name)).final
        for name in ("mse", "kl")
    ]
    margin = train(tmp_path / "margin", module=replace(MODULE, margin=0.05)).final
    states += [margin, whole.final]
    assert not any(equal(states[i], states[j]) for i in range(4) for j in range(i))


def joint_loss(
    module: ModuleSettings, mode: str, epoch: int = 0
) -> tuple[dict[str, Tensor], JointModel, Output]:
    task = Toy()
    model = build(task, module, mode, seed=1)
    model.start_epoch(epoch)
    model.network.eval()  # no dropout: a second pass gives the same
    batch = task.collate([task.dataset("pool")[i] for i in range(5)])
    return model(mode="loss", **batch), model, model.output(batch, frozenset({"loss"}))


def test_the_two_losses_by_hand():
    losses, model, output = joint_loss(replace(MODULE, weight=0.5, margin=2.0), "joint")
    predicted, loss = model.predicted_loss(output.taps).tolist(), output.loss.tolist()
    pairs = [(0, 4), (1, 3)]
    hinges = [
        max(0, 2 - (1 if loss[i] > loss[j] else -1) * (predicted[i] - predicted[j]))
        for i, j in pairs
    ]
    assert list(losses) == ["loss_task", "loss_rank"]
    assert losses["loss_task"].item() == pytest.approx(np.mean(loss))
    assert losses["loss_rank"].item() == pytest.approx(0.5 * np.mean(hinges))


@pytest.mark.parametrize(
    ("mode", "epoch", "reaches"),
    [("joint", 0, True), ("joint", 2, True), ("joint", 3, False), ("detached", 0, False)],
)
def test_where_the_modules_gradient_goes(mode, epoch, reaches):
    losses, model, _ = joint_loss(MODULE, mode, epoch)
    losses["loss_rank"].backward()
    found = [
        p.grad is not None and bool((p.grad != 0).any()) for p in model.network.first.parameters()
    ]
    assert any(found) is reaches
    assert (model.loss_prediction.head.weight.grad != 0).any()
    assert model.network.head.weight.grad is None, "no gradient through the true loss"


class Halved(Toy):
    """A task that minimises half of its samples' mean loss."""

    fields = frozenset({"loss", "objective"})

    def forward(self, network, batch, want) -> Output:
        output = super().forward(network, batch, frozenset({"loss"}))
        halved = output.loss.mean() / 2
        return Output(
            output.taps,
            output.loss.detach() if "loss" in want else None,
            objective=halved if "objective" in want else None,
        )


@pytest.mark.parametrize("mode", ["joint", "off"])
def test_a_tasks_own_objective_is_what_is_minimised(mode):
    task = Halved()
    model = model_of(task, mode=mode)
    model.network.eval()
    batch = task.collate([task.dataset("pool")[i] for i in range(6)])
    losses = model(mode="loss", **batch)
    plain = Toy.forward(task, model.network, batch, frozenset({"loss"}))
    assert losses["loss_task"].item() == pytest.approx(plain.loss.mean().item() / 2)
    losses["loss_task"].backward()
    assert model.network.head.weight.grad.abs().sum() > 0
    assert ("loss_rank" in losses) is (mode == "joint")


@pytest.mark.parametrize("found", [None, torch.zeros(6)])
def test_an_objective_that_is_none_is_refused(found, monkeypatch):
    task = Halved()
    model = model_of(task, mode="off")
    monkeypatch.setattr(
        model, "_task_forward", lambda *_: Output((), objective=found), raising=True
    )
    batch = task.collate([task.dataset("pool")[i] for i in range(6)])
    with pytest.raises(ValueError, match=r"one objective \(\), but got"):
        model(mode="loss", **batch)


def test_a_loss_that_is_not_finite_is_found_without_the_samples_losses():
    class Infinite(Halved):
        def forward(self, network, batch, want) -> Output:
            output = super().forward(network, batch, want)
            return Output(output.taps, output.loss, objective=output.objective / 0)

    model = model_of(Infinite(), mode="off")
    batch = Infinite().collate([Infinite().dataset("pool")[i] for i in range(6)])
    with pytest.raises(NonFiniteLoss) as error:
        model(mode="loss", **batch)
    assert error.value.samples == []


def test_off_has_no_module_and_one_loss():
    losses, model, output = joint_loss(MODULE, "off")
    assert list(losses) == ["loss_task"] and model.loss_prediction is None
    with pytest.raises(RuntimeError, match="a loss-prediction module, but its mode is 'off'"):
        model.predicted_loss(output.taps)


@pytest.mark.parametrize(("mode", "needed", "expected"), [
    ("auto", True, "joint"), ("auto", False, "off"), ("joint", False, "joint"), ("detached", True, "detached"),
    ("off", True, "off"),
])  # fmt: skip
def test_resolved_mode(mode, needed, expected):
    assert ModuleSettings(mode=mode).resolved(needed) == expected


def test_an_unknown_mode_of_the_model_is_refused():
    with pytest.raises(ValueError, match="`mode` to be 'loss' or 'predict', but got 'tensor'"):
        build(Toy(), MODULE, "joint", 1)(mode="tensor")


# mixed precision


def test_mixed_precision_trains_on_a_cpu_with_the_module_in_float32(tmp_path, whole):
    seen: dict[str, set] = {"network": set(), "module in": set(), "module out": set()}

    class Watched(Toy):
        def build(self) -> nn.Module:
            network = super().build()
            network.head.register_forward_hook(
                lambda module, given, found: module.training and seen["network"].add(found.dtype)
            )
            return network

    def watch(module, given, found) -> None:
        seen["module in"] |= {tap.dtype for tap in given[0]}
        seen["module out"].add(found.dtype)

    handle = nn.modules.module.register_module_forward_hook(
        lambda module, given, found: (
            watch(module, given, found) if isinstance(module, LossPrediction) else None
        )
    )
    try:
        found = train(tmp_path, replace(PLAIN, amp=True), task=Watched())
    finally:
        handle.remove()
    assert seen == {
        "network": {torch.bfloat16},
        "module in": {torch.float32},
        "module out": {torch.float32},
    }
    assert all(
        value.dtype == torch.float32 for value in found.final.values() if value.is_floating_point()
    )
    assert all(moved(found, "network.", 0, EPOCHS))
    assert not equal(whole.final, found.final)


def test_one_step_in_mixed_precision_is_about_the_one_without(tmp_path):
    exact, mixed = (
        train(tmp_path / str(amp), replace(PLAIN, epochs=1, amp=amp), labeled=range(4))
        for amp in (0, 1)
    )
    for key, value in exact.final.items():
        torch.testing.assert_close(mixed.final[key], value, rtol=0.05, atol=0.02)


def test_mixed_precision_resumes_to_the_bit(tmp_path):
    settings = replace(PLAIN, amp=True)
    interrupted(tmp_path / "a", 5, settings)
    assert equal(train(tmp_path / "a", settings).final, train(tmp_path / "b", settings).final)


# what goes wrong


class Broken(Toy):
    """From its `at`-th training batch on, `spoil` changes what the task's forward returns."""

    def __init__(self, spoil: Callable[[Output], Output], at: int = 0) -> None:
        super().__init__()
        self.spoil, self.at, self.batches = spoil, at, 0

    def forward(self, network, batch, want) -> Output:
        self.batches += 1
        output = super().forward(network, batch, want)
        return self.spoil(output) if self.batches > self.at else output


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, whole, value):
    task = Broken(lambda output: replace(output, loss=output.loss * value), at=3 * 2 + 1)
    batch = list(order(epoch=2))[4:8]
    expected = (
        rf"but got {{'loss_task': {value}, .*}} in epoch 2, iteration 7, samples "
        rf"{re.escape(str(batch))} "
    )
    with pytest.raises(
        FloatingPointError, match=rf"{expected}\({re.escape(str(tmp_path / NOT_FINITE))} keeps"
    ):
        train(tmp_path, task=task)
    kept = torch.load(tmp_path / NOT_FINITE, weights_only=True)
    assert (kept["epoch"], kept["iter"], kept["batch"]) == (2, 7, batch)
    assert (
        kept["losses"]["loss_task"] == pytest.approx(value, nan_ok=True)
        and len(kept["samples"]) == 4
    )
    assert equal(whole.states[2], kept["state_dict"]) is False, "one step further"
    assert all(bool(torch.isfinite(v).all()) for v in kept["state_dict"].values()), (
        "no step was made with that loss"
    )
    state = saved(tmp_path)
    assert state["meta"]["epoch"] == 2
    assert all(bool(torch.isfinite(v).all()) for v in state["state_dict"].values())


def test_a_modules_loss_that_is_not_finite_is_named(tmp_path):
    task = Broken(
        lambda output: replace(output, taps=tuple(t * float("nan") for t in output.taps)), at=4
    )
    expected = r"but got {'loss_task': [\d.]+, 'loss_rank': nan} in epoch 1, iteration 4, samples \[\d+(, \d+){3}\] "
    with pytest.raises(FloatingPointError, match=expected):
        train(tmp_path, task=task)


def test_one_sample_that_is_not_finite_is_enough(tmp_path):
    def spoil(output: Output) -> Output:
        loss = output.loss.clone()
        loss[-1] = float("nan")
        return replace(output, loss=loss)

    last = list(order(epoch=0))[3]
    with pytest.raises(
        FloatingPointError,
        match=rf"'loss_task': nan.* in epoch 0, iteration 0, samples \[{last}\] ",
    ):
        train(tmp_path, task=Broken(spoil))
    assert stood(tmp_path) is None


@pytest.mark.parametrize(
    ("spoil", "came"),
    [
        (lambda loss: loss[:, None], r"\(4, 1\)"),
        (lambda loss: loss.mean(), r"\(\)"),
        (lambda loss: None, "None"),
    ],
)
@pytest.mark.parametrize("mode", ["joint", "off"])
def test_a_loss_that_is_not_one_number_a_sample_is_refused(tmp_path, spoil, came, mode):
    task = Broken(lambda output: replace(output, loss=spoil(output.loss)))
    with pytest.raises(
        ValueError, match=rf"`forward` to return one loss a sample \(B,\), but got {came}$"
    ):
        train(tmp_path, task=task, mode=mode)


@pytest.mark.parametrize("labeled", [range(7), range(2), range(3, 14)])
def test_an_odd_last_batch(tmp_path, labeled):
    assert len(labeled) % 4 != 1
    assert all(moved(train(tmp_path, labeled=labeled), "network.", 0, EPOCHS))


class Wide(Toy):
    """Maps of 2 x 2: batch norm works on one sample too."""

    def forward(self, network, batch, want) -> Output:
        a = network.first(batch["x"][:, :, None, None].expand(-1, -1, 2, 2))
        b = network.second(a)
        found = network.head(b.mean((2, 3))).squeeze(1)
        return Output((a, b), loss=(found - batch["y"]) ** 2)


def test_a_last_batch_of_one_sample(tmp_path):
    found = train(tmp_path, task=Wide(), labeled=range(9))
    assert found.states.keys() == set(range(EPOCHS + 1))
    assert all(bool(torch.isfinite(v).all()) for v in found.final.values())


def test_a_single_labeled_sample(tmp_path):
    found = train(tmp_path, task=Wide(), labeled=[3])
    assert any(moved(found, "network.", 0, EPOCHS))
    assert equal(found.states[0], found.final, "loss_prediction."), "there is no pair to learn from"


# on the terminal


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_printed(tmp_path, capfd, workers):
    settings = replace(PLAIN, workers=workers)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        # of mmengine and of fork, from Python 3.12 on
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        interrupted(tmp_path, 5, settings)
        task = Toy()
        data = train_loader(
            task.dataset("train"), LABELED, settings.batch_size, settings.workers, task.collate, 1
        )
        test = loader(task.dataset("test"), None, 8, workers, task.collate)
        model = build(task, MODULE, "joint", 1)
        with training(
            model, Data(data, test, task.evaluator()), settings, Place(tmp_path, 1)
        ) as runner:
            runner.train()
            metrics = evaluate(runner, task.metric)
    assert capfd.readouterr() == ("", "")
    assert [str(w.message) for w in warned] == []
    errors = [((found - truth) ** 2) for found, truth in scored(model, task)]
    assert metrics == {"score": pytest.approx(-np.mean(errors), rel=1e-5)}
    assert "Epoch(train)" in (tmp_path / "train.log").read_text()


def scored(model: JointModel, task: Toy) -> list[tuple[float, float]]:
    model.eval()
    with torch.no_grad():
        batch = task.collate([task.dataset("test")[i] for i in range(20)])
        _, found = model.network(batch["x"])
    return list(zip(found.tolist(), batch["y"].tolist(), strict=True))


def test_clipping_does_not_couple_the_network_to_a_detached_module(tmp_path):
    """One norm over both would scale the network's gradient by the module's."""
    clipped = replace(PLAIN, clip_grad=dict(max_norm=0.05))
    off = train(tmp_path / "off", clipped, mode="off").final
    detached = train(tmp_path / "detached", clipped, mode="detached").final
    assert equal(off, detached, "network.")
    free = train(tmp_path / "free", mode="off").final
    assert not equal(off, free, "network.")  # it did clip
