"""The checks of `tools.contract` as tests use them."""

from __future__ import annotations

from tasks.base import Task
from tools.contract import CHECKS, Subject, verdicts


def a_batch(task: Task, split: str, ids: list[int]):
    return task.collate([task.dataset(split)[i] for i in ids])


def failures(task: Task) -> dict[str, str]:
    """The checks that fail on a task, with what they say."""
    return {verdict.name: verdict.said for verdict in verdicts(Subject(task, full=True)) if verdict.status == "FAILED"}


def check_all(task: Task) -> None:
    """Every check holds, and those that need no probabilities found something to look at."""
    found = list(verdicts(Subject(task, full=True)))
    assert [str(verdict) for verdict in found if verdict.status == "FAILED"] == []
    assert len(found) == len(CHECKS)
    skipped = {verdict.name for verdict in found if verdict.status == "skipped"}
    assert skipped == (set() if "probs" in task.fields else {"probs_are_distributions"})
