"""The loop of active learning: train, evaluate, score and query, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from rich.console import Console

from acquisition.pool import Pool
from acquisition.query import Query
from models.process.stopping import stop_if_asked
from models.training.checkpoint import save
from models.training.hooks import unwrapped
from models.training.trainer import evaluate
from tasks.per_image import per_image
from tools.mirror.tracking import Tracker
from tools.record import first_set
from tools.record.data import receipt_part
from tools.record.plans import digests
from tools.record.receipt import Receipt, receipt_of
from tools.record.rows import TEMPERATURE
from tools.train import showing
from tools.train.cycle import (
    Cycle,
    committee,
    fitted_temperature,
    next_query,
    noise_met,
    ranking_quality,
    settled,
    start,
    validated,
)


class Clock:
    """Seconds of each step, as ``seconds/<step>``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a block."""
        began = time.perf_counter()
        yield
        self.seconds[f"seconds/{step}"] = time.perf_counter() - began


def run(cycle: Cycle, tracker: Tracker, console: Console) -> None:
    """Run this cycle and all that follow.

    Args:
        cycle: the first one that is not committed.
        tracker: gets each committed row.
        console: gets a line a cycle.
    """
    cycle = replace(cycle, experiment=settled(cycle.experiment, cycle.folder))
    metric, cycles = cycle.experiment.task.metric, cycle.experiment.budget.cycles
    while cycle.pool.cycle < cycles:
        stop_if_asked()
        row, query, pool, receipt = run_cycle(cycle)
        row = cycle.folder.commit(row, query, pool, receipt)  # 4. commit: the last act of a cycle
        tracker.cycle(row)
        console.print(showing.line(row, metric, cycles))
        cycle = replace(cycle, pool=pool)


def run_cycle(cycle: Cycle) -> tuple[dict, Query | None, Pool, Receipt]:
    """One cycle: its row, its query (none in the last), the pool of the next, and the receipt."""
    experiment, folder, pool = cycle.experiment, cycle.folder, cycle.pool
    task, clock = experiment.task, Clock()
    with start(cycle) as runner:
        with clock("train"):  # 1. train on everything labeled
            runner.train()
        with clock("evaluate"):  # 2. evaluate on the test set, to report and for nothing else
            metrics = evaluate(runner, task.metric)
        judged = folder.keep_judged(pool.cycle, per_image(runner.test_evaluator.metrics[0]))
        if pool.validation:
            with clock("validate"):  # and on labeled samples that nothing is trained on
                metrics |= validated(cycle, runner)
        model = unwrapped(runner.model)
    members = []
    if experiment.committee_kind and not cycle.last:
        with clock("committee"):  # networks or passes that some strategies ask, beside the model
            members = committee(cycle, model)
    with clock("score"):  # 3. score the candidates and query
        query = fitted = None
        if not cycle.last:
            fitted = fitted_temperature(cycle, model)
            query = next_query(
                experiment, model, members, pool, folder.path, cycle.scored, fitted or 1.0
            )
    with clock("ranking"):  # no part of the method: how well the module ranks, measured with labels
        ranking = ranking_quality(cycle, model, query)
    if experiment.training.keep_weights == "all":
        folder.keep_weights(pool.cycle, partial(save, model))
    receipt = (
        receipt_of(task, pool, model, members, query)
        | judged
        | digests(experiment)
        | receipt_part(folder.path)
        | first_set.receipt_part(folder.path)
    )
    if query is not None and not experiment.scoring.keep_vectors:
        query = query.without_vectors()
    effort = sum(task.effort(i) for i in (*pool.labeled, *pool.validation))
    seconds = clock.seconds | cycle.spared
    row = {
        "cycle": pool.cycle,
        "labeled": len(pool.labeled),
        "effort": effort,
        **metrics,
        **seconds,
        **ranking,
        **noise_met(experiment, pool.labeled),
        **({} if fitted is None else {TEMPERATURE: fitted}),
    }
    return row, query, pool.label([] if query is None else query.picked.tolist()), receipt
