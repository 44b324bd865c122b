"""The contract of `tasks.base.Task` as checks that run on every task; each raises AssertionError where it is broken."""

from __future__ import annotations

import torch

from models.seeding import seeded
from tasks.base import Task


def a_batch(task: Task, split: str, ids: list[int]):
    return task.collate([task.dataset(split)[i] for i in ids])


def check_build_is_seeded_and_finite(task: Task) -> None:
    states = []
    for _ in range(2):
        with seeded(3):
            states.append(task.build().state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert all(torch.isfinite(v).all() for v in states[0].values())


def check_taps_are_the_declared_ones(task: Task) -> None:
    with seeded(3):
        network = task.build().eval()
    output = task.forward(network, a_batch(task, "pool", [0, 1]), frozenset())
    assert [tap.shape[1] for tap in output.taps] == [tap.channels for tap in task.taps]
    assert all(tap.shape[0] == 2 and tap.dim() == 4 and tap.requires_grad for tap in output.taps)
    assert output.loss is None and output.probs is None


def check_loss_is_per_sample(task: Task, ids: list[int]) -> None:
    with seeded(3):
        network = task.build().eval()
    want = frozenset({"loss"})
    with torch.no_grad():
        together = task.forward(network, a_batch(task, "pool", ids), want).loss
        alone = torch.cat([task.forward(network, a_batch(task, "pool", [i]), want).loss for i in ids])
    assert together.shape == (len(ids),)
    torch.testing.assert_close(together, alone, rtol=2e-5, atol=1e-5)
    assert len(set(together.tolist())) > 1


def check_loss_reaches_the_network(task: Task, ids: list[int]) -> None:
    with seeded(3):
        network = task.build().train()
    task.forward(network, a_batch(task, "train", ids), frozenset({"loss"})).loss.sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert len(without) < 0.2 * len(list(network.parameters())), without


def check_views_hold_the_same_samples(task: Task) -> None:
    assert len(task.dataset("train")) == len(task.dataset("pool")) > 0
    first, again = a_batch(task, "pool", [0, 1]), a_batch(task, "pool", [0, 1])
    with seeded(3):
        network = task.build().eval()
    with torch.no_grad():
        taps = [task.forward(network, batch, frozenset()).taps for batch in (first, again)]
    assert all(torch.equal(a, b) for a, b in zip(*taps, strict=True))  # nothing random at test time


def check_evaluation_gives_the_metric(task: Task, count: int = 4) -> dict:
    with seeded(3):
        network = task.build().eval()
    evaluator = task.evaluator()
    evaluator.dataset_meta = getattr(task.dataset("test"), "metainfo", None)
    with torch.no_grad():
        predictions = task.predict(network, a_batch(task, "test", list(range(count))))
    assert len(predictions) == count
    evaluator.process({}, [p.to_dict() for p in predictions])
    metrics = evaluator.evaluate(count)
    assert task.metric in metrics
    return metrics


def check_names(task: Task) -> None:
    names = [task.name(i) for i in range(len(task.dataset("pool")))]
    assert len(set(names)) == len(names)
    assert all(name and len(name.splitlines()) == 1 for name in names)


def check_all(task: Task) -> dict:
    """Every check of this file, on the first samples; the metrics that the evaluation gave."""
    assert isinstance(task, Task)
    assert task.check(full=True) == []
    check_build_is_seeded_and_finite(task)
    check_taps_are_the_declared_ones(task)
    check_loss_is_per_sample(task, list(range(6)))
    check_loss_reaches_the_network(task, [0, 3, 4, 5])
    check_views_hold_the_same_samples(task)
    check_names(task)
    check_effort_and_thumbnail(task)
    return check_evaluation_gives_the_metric(task)


def check_effort_and_thumbnail(task: Task) -> None:
    assert all(isinstance(task.effort(i), int) and task.effort(i) >= 0 for i in range(5))
    assert max(task.thumbnail(0).size) <= 256
