"""A task's metric as mmengine wants it, without mmengine's warning about keys."""

from __future__ import annotations

import logging

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from tasks.base import Read, Task, Validated

UNSET = "The prefix is not set in metric class"


def metric_of(task: Task, split: Read = "test") -> BaseMetric:
    """A fresh `task.evaluator()`, or `task.pool_evaluator()` for samples of the pool.

    A metric without a prefix is right: `task.metric` is the key as the metric returns it. mmengine
    warns of it for runs with several metrics, whose keys could be equal; here there is one.

    Raises:
        ValueError: if the task has none for the pool, with the reason.
    """
    logger = MMLogger.get_current_instance()
    logger.addFilter(_but_of_prefixes)
    try:
        if split == "test":
            return task.evaluator()
        if isinstance(task, Validated):
            return task.pool_evaluator()
        raise ValueError(f"{type(task).__name__} lacks `pool_evaluator`; see tasks/base.py")
    finally:
        logger.removeFilter(_but_of_prefixes)


def _but_of_prefixes(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(UNSET)
