"""The bugs seen in public implementations (each a row of the protocol): a guard for each, and proof
that it can fail.

`GUARDS` holds on the code as it is. `BUGS` puts each bug into the code, and the guard of its row
must then fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import OPTIMIZERS
from torch import nn

from acquisition import query, scoring
from acquisition.canary import CanaryError
from acquisition.pool import Pool
from acquisition.query import ask
from acquisition.scoring import Samples
from acquisition.steps import Highest, RandomSubset, Seen
from models import loss_prediction
from models.process.seeding import stream
from models.training import trainer
from models.training.joint import JointModel
from models.training.loading import LabeledSampler
from tasks.base import DataError
from tasks.detection import pipelines, views
from tests import devkit
from tests.conftest import REPOSITORY
from tests.devkit import detection
from tests.toy import Toy, model_of
from tools.contract.matrix import Silent
from tools.experiment.config import Experiment, load
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.train import cycle as cycle_parts
from tools.train import loop
from tools.train.cycle import Cycle

CONFIG = REPOSITORY / "tests/examples/toy_config.py"
SETTINGS = scoring.ScoringSettings(batch_size=4, workers=0, control=5)


def experiment(**options: Any) -> Experiment:
    return load(CONFIG, options=options)


class Observed:
    """One run of the toy experiment: what was trained on, scored, read and committed."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.experiment = experiment(**options)
        self.folder, self.task = RunFolder(folder), self.experiment.task
        self.folder.open(
            self.experiment.config, [f"vector {i}" for i in range(60)], told=told(self.experiment)
        )
        self.initial: list[dict] = []
        self.weights: list[dict] = []
        self.scored: list[dict] = []
        self.test_reads: list[int] = []
        self.iterations: list[int] = []

    def run(self, monkeypatch: pytest.MonkeyPatch) -> Observed:
        start, ask_next = loop.start, loop.next_query

        def watched(*args: Any) -> Any:
            return self._watch(start(*args))

        def asked(
            e: Experiment, model: JointModel, members: list, pool: Pool, *rest: Any
        ) -> query.Query:
            before = len(self.task.dataset("test").reads)
            found = ask_next(e, model, members, pool, *rest)
            self.test_reads.append(len(self.task.dataset("test").reads) - before)
            return found

        def scored(model: JointModel, *args: Any, **kwargs: Any) -> dict:
            self.scored.append({k: v.clone() for k, v in model.state_dict().items()})
            return scoring.score(model, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "start", watched)
            patch.setattr(loop, "next_query", asked)
            patch.setattr(cycle_parts, "score", scored)
            loop.run(Cycle.next_of(self.folder, self.experiment), Silent(), Silent())
        return self

    def _watch(self, context: Any) -> Any:
        observed = self

        class Watched:
            def __enter__(self) -> Any:
                runner = context.__enter__()
                train, test = runner.train, runner.test

                def trained() -> None:
                    observed.task.dataset("test").reads.clear()
                    observed.initial.append(
                        {k: v.clone() for k, v in runner.model.state_dict().items()}
                    )
                    train()
                    # read to report, and for nothing else
                    assert observed.task.dataset("test").reads == []
                    observed.iterations.append(runner.iter)
                    observed.weights.append(
                        {k: v.clone() for k, v in runner.model.state_dict().items()}
                    )

                runner.train, runner.test = trained, test
                return runner

            def __exit__(self, *error: Any) -> Any:
                return context.__exit__(*error)

        return Watched()


Guard = Callable[[pytest.MonkeyPatch, Path], None]


def scores_belong_to_their_samples(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Shuffled ids of a part of the pool, in batches: each row is that of its sample alone."""
    task, ids = Toy(), [41, 3, 17, 58, 0, 22, 9]
    model = model_of(task)
    together = cycle_parts.score(
        model, Samples(task.dataset("pool"), task.collate, ids), ["predicted_loss"], SETTINGS
    )
    model.eval()
    with torch.no_grad():
        alone = [
            model.predicted_loss(
                model.output(task.collate([task.dataset("pool")[i]]), frozenset()).taps
            )
            for i in ids
        ]
    np.testing.assert_allclose(together["predicted_loss"], torch.cat(alone).numpy(), rtol=1e-5)


def picks_are_ids_of_the_pool(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Ids that are no positions: the highest of a random subset are found by their own scores."""
    unlabeled = np.arange(100, 200)
    steps, rows = [RandomSubset(30), Highest("s")], lambda ids, names: {"s": ids.astype(float)}
    found = ask(steps, unlabeled, np.arange(100), 5, stream(0), rows)
    assert sorted(found.picked, reverse=True) == sorted(found.candidates, reverse=True)[:5]
    assert set(found.candidates) <= set(unlabeled)


def the_pool_is_seen_as_at_test_time(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    task = detection(devkit.make_voc(folder / "voc"), augmentation="mmdet")
    pool, test = task.dataset("pool"), task.dataset("test")
    for i in range(4):
        views_of_one = [pool[i]["inputs"], pool[i]["inputs"], test[i]["inputs"]]
        assert all(torch.equal(views_of_one[0], other) for other in views_of_one)


def scoring_uses_the_weights_just_trained(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    seen = Observed(folder / "run").run(monkeypatch)
    assert len(seen.weights) == 3 and len(seen.scored) == 2
    for trained, scored in zip(seen.weights[:2], seen.scored, strict=True):
        assert all(torch.equal(trained[k], scored[k]) for k in trained)


def the_module_learns(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """(B, 1) against (B,) and a batch's scalar are refused.

    The module's and the network's weights move in training.
    """
    for shape in ((4, 1), ()):
        with pytest.raises(ValueError, match="one shape"):
            loss_prediction.ranking_loss(torch.zeros(4), torch.zeros(shape))
    seen = Observed(folder / "run").run(monkeypatch)
    first, trained = seen.initial[0], seen.weights[0]
    assert all(not torch.equal(trained[k], first[k]) for k in first if k.endswith("weight"))


def after_the_cut_the_module_trains_on_and_the_network_without_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    task = Toy()
    for detached in (False, True):
        model = model_of(task).train()
        model.start_epoch(0)
        model.detached = detached
        losses = model(mode="loss", **task.collate([task.dataset("train")[i] for i in range(8)]))
        losses["loss_rank"].backward()
        parts = (model.network, model.loss_prediction)
        network, module = (
            sum(p.grad.abs().sum().item() for p in part.parameters() if p.grad is not None)
            for part in parts
        )
        assert module > 0
        assert (network == 0) == detached
    model = model_of(task, detach_epoch=3)
    cut = [(model.start_epoch(epoch), model.detached)[1] for epoch in range(5)]
    assert cut == [False, False, False, True, True]


def taps_are_the_same_in_training_and_scoring(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    task = Toy()
    model = model_of(task).eval()
    batch = task.collate([task.dataset("pool")[i] for i in range(4)])
    seen: list[list[torch.Tensor]] = []
    inner = model.loss_prediction.forward
    monkeypatch.setattr(
        model.loss_prediction, "forward", lambda taps: (seen.append(list(taps)), inner(taps))[1]
    )
    model(mode="loss", **batch)
    scoring.score(
        model,
        scoring.Samples(task.dataset("pool"), task.collate, [0, 1, 2, 3]),
        ["predicted_loss"],
        SETTINGS,
    )
    assert len(seen) == 2 + 4  # the two, and the canaries of the second
    assert all(torch.equal(a, b) for a, b in zip(*seen[:2], strict=True))


def nothing_is_labeled_twice(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    everything = ask(
        [RandomSubset()], np.arange(8), np.arange(0), 8, stream(0), lambda ids, names: {}
    )
    assert sorted(everything.picked.tolist()) == list(range(8))
    for name in ("random", "learning_loss"):
        seen = Observed(folder / name, strategy=name).run(monkeypatch)
        pool = seen.folder.resume(60)
        assert [len(pool.labeled), len(set(pool.labeled)), len(pool.unlabeled)] == [20, 20, 40]
        assert set(pool.labeled) | set(pool.unlabeled.tolist()) == set(range(60))
        for cycle in range(2):
            saved = np.load(seen.folder.path / f"queries/{cycle:02d}.npz")
            assert len(set(saved["picked"].tolist())) == 5


def the_test_set_is_read_only_to_report(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No test sample is read in training or querying (`Observed` looks).

    The last epoch's weights are what counts.
    """
    seen = Observed(folder / "run").run(monkeypatch)
    assert seen.test_reads == [0, 0]
    last = torch.load(seen.folder.cycle_folder(2) / "checkpoint.pth", weights_only=True)[
        "state_dict"
    ]
    assert all(torch.equal(last[k], v) for k, v in seen.weights[2].items())


def the_highest_predicted_losses_are_picked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    found = ask(
        [Highest("s")],
        np.arange(10),
        np.arange(0),
        3,
        stream(1),
        lambda ids, names: {"s": np.sin(ids)},
    )
    assert sorted(found.picked.tolist()) == sorted(np.argsort(np.sin(np.arange(10)))[-3:].tolist())


def an_odd_batch_leaves_out_its_middle_sample_alone(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    predicted, target = torch.tensor([0.6, 9.0, 0.3]), torch.tensor([0.7, 5.0, 0.5])
    assert loss_prediction.ranking_loss(predicted, target).item() == pytest.approx(0.7)
    sampler = LabeledSampler(range(7), seed=0)  # and no sample is left out of the training for it
    assert sorted(i for _, i in sampler) == list(range(7))


def every_strategy_trains_the_same(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Same initial set, same number of iterations, and with the same module mode the same
    first model, bit for bit.
    """
    runs = [
        Observed(folder / name, **{"strategy": name, "module.mode": "joint"}).run(monkeypatch)
        for name in ("random", "learning_loss")
    ]
    pools = [run.folder.resume(60) for run in runs]
    assert pools[0].labeled[:10] == pools[1].labeled[:10]
    assert pools[0].labeled[10:] != pools[1].labeled[10:]
    assert runs[0].iterations == runs[1].iterations == [4 * 3, 4 * 4, 4 * 5]
    assert all(torch.equal(runs[0].weights[0][k], v) for k, v in runs[1].weights[0].items())


def no_image_is_dropped(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Images without objects, tiny ones and ones with difficult objects alone stay.

    An unreadable one is named.
    """
    root = devkit.make_voc(folder / "voc")
    task = detection(root)
    names = [
        task.dataset("train").get_data_info(i)["img_id"] for i in range(len(task.dataset("train")))
    ]
    assert tuple(names) == devkit.ORDER
    broken = root / "VOC2007/JPEGImages/000003.jpg"
    broken.write_bytes(b"no image")
    assert [str(broken) in fault for fault in task.check()] == [True]
    with pytest.raises(Exception, match="000003"):
        task.dataset("train")[3]


GUARDS: list[Guard] = [
    scores_belong_to_their_samples,
    picks_are_ids_of_the_pool,
    the_pool_is_seen_as_at_test_time,
    scoring_uses_the_weights_just_trained,
    the_module_learns,
    after_the_cut_the_module_trains_on_and_the_network_without_it,
    taps_are_the_same_in_training_and_scoring,
    nothing_is_labeled_twice,
    the_test_set_is_read_only_to_report,
    the_highest_predicted_losses_are_picked,
    an_odd_batch_leaves_out_its_middle_sample_alone,
    every_strategy_trains_the_same,
    no_image_is_dropped,
]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda g: g.__name__)
def test_guard_holds(guard: Guard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    guard(monkeypatch, tmp_path)


def rows_in_the_order_of_reading(patch: pytest.MonkeyPatch) -> None:
    def unordered(ids: list[int], seen: list[int], rows: dict) -> dict:
        order = np.argsort(seen)
        return {name: values[order] for name, values in rows.items()}

    patch.setattr(scoring, "_in_order", unordered)


def positions_for_ids(patch: pytest.MonkeyPatch) -> None:
    def narrow(steps, ids, rows, labeled, budget, rng, when):
        for step in steps:
            ids = np.arange(len(ids))[step(Seen(len(ids), rows, labeled, *when), budget, rng)]
        return ids

    patch.setattr(query, "_narrow", narrow)


def a_random_test_view(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        pipelines,
        "test_pipeline",
        lambda size, difficult: pipelines.train_pipeline("mmdet", size, difficult),
    )


def a_fresh_network_for_scoring(patch: pytest.MonkeyPatch) -> None:
    inner = loop.next_query

    def fresh(
        e: Experiment, model: JointModel, members: list, pool: Pool, *rest: Any
    ) -> query.Query:
        model.network = e.task.build()
        return inner(e, model, members, pool, *rest)

    patch.setattr(loop, "next_query", fresh)


def losses_as_columns(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loss_prediction, "_check", lambda predicted, target: None)


def an_optimiser_for_one_part_alone(patch: pytest.MonkeyPatch) -> None:
    """As mmengine itself would build it for a model with an attribute `module`, which it
    takes for a wrapper.
    """

    class OfTheModule:
        def build(self, config: dict) -> torch.optim.Optimizer:
            return OPTIMIZERS.build(config | {"params": config["params"][1:]})

    patch.setattr(trainer, "OPTIMIZERS", OfTheModule())


def a_module_that_is_frozen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        JointModel,
        "_objective",
        lambda self, taps, *_: self.predicted(taps).detach().sum().requires_grad_(),
    )


def a_module_dropped_after_the_cut(patch: pytest.MonkeyPatch) -> None:
    inner = JointModel._losses

    def dropped(self, output, ids):
        losses = inner(self, output, ids)
        return losses | (
            {"loss_rank": losses["loss_rank"].detach().requires_grad_()} if self.detached else {}
        )

    patch.setattr(JointModel, "_losses", dropped)


def taps_never_detached(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.Tensor, "detach", lambda self: self)


def a_cut_that_toggles(patch: pytest.MonkeyPatch) -> None:
    def toggle(self: JointModel, epoch: int) -> None:
        self.detached = epoch == self.detach_from

    patch.setattr(JointModel, "start_epoch", toggle)


def other_taps_at_scoring(patch: pytest.MonkeyPatch) -> None:
    inner = JointModel.output

    def pooled(self, batch, want):
        output = inner(self, batch, want)
        return replace(output, taps=tuple(nn.functional.relu(tap - 0.1) for tap in output.taps))

    patch.setattr(JointModel, "output", pooled)


def drawn_with_replacement(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        RandomSubset,
        "__call__",
        lambda self, seen, budget, rng: rng.integers(0, seen.count, self.size or budget),
    )


def labeled_samples_asked_for_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pool, "unlabeled", property(lambda self: np.arange(self.size)))


def a_look_at_the_test_set(patch: pytest.MonkeyPatch) -> None:
    inner = loop.next_query

    def peek(
        e: Experiment, model: JointModel, members: list, pool: Pool, *rest: Any
    ) -> query.Query:
        e.task.dataset("test")[0]
        return inner(e, model, members, pool, *rest)

    patch.setattr(loop, "next_query", peek)


def the_smallest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Highest,
        "__call__",
        lambda self, seen, budget, rng: np.argsort(seen.rows[self.signal])[: self.keep * budget],
    )


def a_pairing_that_wraps_around(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loss_prediction, "_pairs", lambda p, t: (p, p.roll(1), t, t.roll(1)))


def last_batch_dropped(patch: pytest.MonkeyPatch) -> None:
    inner = LabeledSampler.__iter__
    patch.setattr(
        LabeledSampler, "__iter__", lambda self: iter(list(inner(self))[: len(self) // 2 * 2])
    )


def randomness_of_the_strategy(patch: pytest.MonkeyPatch) -> None:
    inner = loop.start

    def start(cycle: Cycle, *rest: Any) -> Any:
        e = cycle.experiment
        return inner(replace(cycle, experiment=replace(e, seed=e.seed + len(e.strategy))), *rest)

    patch.setattr(loop, "start", start)


def extra_epochs(patch: pytest.MonkeyPatch) -> None:
    inner = loop.start

    def start(cycle: Cycle, *rest: Any) -> Any:
        e = cycle.experiment
        more = e.training.epochs + (e.strategy == "learning_loss")
        longer = replace(e, training=replace(e.training, epochs=more))
        return inner(replace(cycle, experiment=longer), *rest)

    patch.setattr(loop, "start", start)


def empty_images_filtered(patch: pytest.MonkeyPatch) -> None:
    inner = views.VocBoxes
    filtered = {"filter_cfg": dict(filter_empty_gt=True, min_size=32)}
    patch.setattr(views, "VocBoxes", lambda pairs, **k: inner(pairs, **(k | filtered)))


def unreadable_images_replaced(patch: pytest.MonkeyPatch) -> None:
    inner = views.VocBoxes.__getitem__

    def lenient(self, index):
        try:
            return inner(self, index)
        except DataError:
            return inner(self, 0)

    patch.setattr(views.VocBoxes, "__getitem__", lenient)


BUGS: list[tuple[Guard, Callable[[pytest.MonkeyPatch], None]]] = [
    (scores_belong_to_their_samples, rows_in_the_order_of_reading),
    (picks_are_ids_of_the_pool, positions_for_ids),
    (the_pool_is_seen_as_at_test_time, a_random_test_view),
    (scoring_uses_the_weights_just_trained, a_fresh_network_for_scoring),
    (the_module_learns, losses_as_columns),
    (the_module_learns, an_optimiser_for_one_part_alone),
    (the_module_learns, a_module_that_is_frozen),
    (after_the_cut_the_module_trains_on_and_the_network_without_it, a_module_dropped_after_the_cut),
    (after_the_cut_the_module_trains_on_and_the_network_without_it, taps_never_detached),
    (after_the_cut_the_module_trains_on_and_the_network_without_it, a_cut_that_toggles),
    (taps_are_the_same_in_training_and_scoring, other_taps_at_scoring),
    (nothing_is_labeled_twice, drawn_with_replacement),
    (nothing_is_labeled_twice, labeled_samples_asked_for_again),
    (the_test_set_is_read_only_to_report, a_look_at_the_test_set),
    (the_highest_predicted_losses_are_picked, the_smallest),
    (an_odd_batch_leaves_out_its_middle_sample_alone, a_pairing_that_wraps_around),
    (an_odd_batch_leaves_out_its_middle_sample_alone, last_batch_dropped),
    (every_strategy_trains_the_same, randomness_of_the_strategy),
    (every_strategy_trains_the_same, extra_epochs),
    (no_image_is_dropped, empty_images_filtered),
    (no_image_is_dropped, unreadable_images_replaced),
]


def test_every_guard_has_a_bug():
    assert {guard for guard, _ in BUGS} == set(GUARDS)


@pytest.mark.parametrize(("guard", "bug"), BUGS, ids=lambda f: f.__name__)
def test_guard_fails_with_the_bug_in(
    guard: Guard, bug: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    bug(monkeypatch)
    failures = (
        AssertionError,
        ValueError,
        RuntimeError,
        query.QueryError,
        CanaryError,
        pytest.fail.Exception,
    )
    with pytest.raises(failures):
        guard(monkeypatch, tmp_path)


def test_the_joint_model_is_no_wrapper_to_mmengine():
    assert not hasattr(model_of(Toy()), "module")
