"""The checks of `tools.contract` as tests use them."""

from __future__ import annotations

import torch

from tasks.base import Task
from tools.contract import CHECKS, Subject, verdicts


def a_batch(task: Task, split: str, ids: list[int]):
    return task.collate([task.dataset(split)[i] for i in ids])


def evaluated(task: Task, count: int = 4) -> dict[str, float]:
    """What the evaluator says of a network that has learned nothing, on the first test samples."""
    metric = task.evaluator()
    metric.dataset_meta = getattr(task.dataset("test"), "metainfo", None)
    with torch.no_grad():
        predictions = task.predict(Subject(task).network, a_batch(task, "test", list(range(count))))
    metric.process({}, [prediction.to_dict() for prediction in predictions])
    return metric.evaluate(count)


def failures(task: Task) -> dict[str, str]:
    """The checks that fail on a task, with what they say."""
    return {
        verdict.name: verdict.said
        for verdict in verdicts(Subject(task, full=True))
        if verdict.status == "FAILED"
    }


def check_all(task: Task) -> None:
    """Every check holds, and none is skipped but that of probabilities where the task
    gives none.
    """
    found = list(verdicts(Subject(task, full=True)))
    assert [str(verdict) for verdict in found if verdict.status == "FAILED"] == []
    assert len(found) == len(CHECKS)
    skipped = {verdict.name for verdict in found if verdict.status == "skipped"}
    assert skipped == (set() if "probs" in task.fields else {"probs_are_distributions"})
