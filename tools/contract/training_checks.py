"""Checks of training and evaluation: a few samples can be learned, and the metric comes out."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator

from tasks.base import lower_is_better
from tasks.evaluation import metric_of
from tasks.measures import error_measure, share_measure
from tools.contract.subject import ContractError, SkippedError, Subject

STEPS = 80  # at most
LEARNED = 0.5  # share of the first loss that is to be reached
TESTED = 6  # samples of an evaluation


def few_samples_are_learned(subject: Subject) -> str:
    """Training on a few samples of the pool halves their mean loss.

    The learning rate grows until it does.
    """
    network = subject.copied()
    losses: list[float] = []
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    for step in range(STEPS):
        loss = subject.objective("pool", network)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise ContractError(
                "finite losses", f"{losses[-1]} after {step} steps", "see what the loss divides by"
            )
        if losses[0] == 0:
            raise SkippedError("because the samples' loss is 0 from the start")
        recent = sum(losses[-3:]) / 3
        if step >= 3 and recent < LEARNED * losses[0]:
            return f"{losses[0]:.4g} to {losses[-1]:.4g} in {step} steps"
        for group in optimizer.param_groups:
            group["lr"] = min(1e-2, 1e-4 * 1.1**step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    actual = f"{losses[0]:.4g} to {losses[-1]:.4g} in {STEPS} steps"
    raise ContractError(
        f"a mean loss below {LEARNED:.0%} of the first",
        actual,
        "see whether labels and inputs belong together",
    )


def direction_is_told(subject: Subject) -> str:
    """A metric with the name of an error declares that lower is better, and that of a share not."""
    task = subject.task
    lower = lower_is_better(task)
    error = error_measure(task.metric)
    share = share_measure(task.metric)
    if error and not hasattr(task, "lower_is_better"):
        actual = f"no `lower_is_better`, though {error!r} in {task.metric!r} means an error"
        remedy = "add `lower_is_better = True` to the class, or False where it is turned round"
        raise ContractError("a declared direction", actual, remedy)
    if share and lower:
        actual = (
            f"lower_is_better = True, though {share!r} in {task.metric!r} means that more is better"
        )
        raise ContractError(
            "a metric and its direction", actual, "take `lower_is_better` out, or rename the metric"
        )
    return "lower is better" if lower else "higher is better"


def predictions_are_one_a_sample(subject: Subject) -> None:
    """`predict` returns a list with one prediction for each sample."""
    for ids in ([0], list(range(min(2, subject.length("test"))))):
        values = _predicted(subject, ids)
        if not isinstance(values, list) or len(values) != len(ids):
            actual = f"{type(values).__name__} of {len(values)}"
            raise ContractError(
                f"a list of {len(ids)}", actual, "return one prediction a sample of the batch"
            )


def evaluation_gives_the_metric(subject: Subject) -> str:
    """A fresh `evaluator` gives numbers, and `metric` is one of them.

    In parts it gives the same as in one go.
    """
    task = subject.task
    ids = list(range(min(TESTED, subject.length("test"))))
    metrics = [metric_of(task), metric_of(task)]
    if metrics[0] is metrics[1] or not isinstance(metrics[0], BaseMetric):
        actual = "one for all" if metrics[0] is metrics[1] else type(metrics[0]).__name__
        raise ContractError("a new `BaseMetric` each time", actual, "construct it in `evaluator`")
    parts = [ids[k : k + 2] for k in range(0, len(ids), 2)]
    predictions = [_predicted(subject, part) for part in parts]
    at_once = _evaluated(subject, metrics[0], [ids], [[p for part in predictions for p in part]])
    in_parts = _evaluated(subject, metrics[1], parts, predictions)
    if task.metric not in at_once:
        raise ContractError(
            f"the metric {task.metric!r}", sorted(at_once), "return it, or mend `metric`"
        )
    if not math.isfinite(at_once[task.metric]):
        actual = f"{at_once[task.metric]} of {len(ids)} samples"
        raise ContractError(
            f"a finite {task.metric!r}", actual, "see that the first test samples can be scored"
        )
    differ = [key for key in at_once if not _equal(at_once[key], in_parts.get(key, math.inf))]
    if differ:
        pairs = {key: (at_once[key], in_parts.get(key)) for key in differ[:2]}
        raise ContractError(
            "the same from batches of any size", pairs, "keep counts a sample in `process`"
        )
    return f"{task.metric} {at_once[task.metric]:.4g} of {len(ids)} samples before training"


def _predicted(subject: Subject, ids: list[int]) -> list:
    with torch.no_grad():
        return subject.task.predict(subject.network, subject.batch("test", ids))


def _evaluated(
    subject: Subject, metric: BaseMetric, parts: list[list[int]], predictions: list[list]
) -> dict[str, float]:
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = getattr(subject.task.dataset("test"), "metainfo", None)
    for ids, predicted in zip(parts, predictions, strict=True):
        evaluator.process(predicted, subject.batch("test", ids))
    numbers = evaluator.evaluate(sum(map(len, parts)))
    return {key: _number(key, value) for key, value in numbers.items()}


def _number(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ContractError(f"a number as {key!r}", repr(value), "return plain floats") from error


def _equal(first: float, second: float) -> bool:
    both_nan = math.isnan(first) and math.isnan(second)
    return both_nan or math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)
