"""Active learning, from a config to a curve:  python tools/al_train.py configs/det_ssd_voc.py --strategy learning_loss

The same command resumes a run that was stopped or killed. What happens around the loop is in `tools/cli.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from mmengine.runner import Runner
from rich.console import Console

from acquisition.pool import Pool
from acquisition.query import Query, ask
from acquisition.ranking import module_quality
from acquisition.scoring import score
from models.hooks import unwrapped
from models.joint import JointModel
from models.loading import loader, train_loader
from models.seeding import derive_seed, seeded, stream
from models.training import evaluate, training, warm_start
from tools import cli, summary
from tools.config import Experiment
from tools.rundir import RunFolder
from tools.tracking import Tracker


def run(experiment: Experiment, folder: RunFolder, tracker: Tracker, console: Console, launcher: str = "none") -> None:
    """All cycles that are not committed yet."""
    task, budget = experiment.task, experiment.budget
    size = len(task.dataset("pool"))  # type: ignore[arg-type]  # torch's Dataset declares no length
    pool = folder.resume(size) or Pool.initial(size, budget.initial, experiment.seed)
    while pool.cycle < budget.cycles:
        row, query, pool = run_cycle(experiment, folder, pool, launcher)
        row = folder.commit(row, query, pool)  # 4. the last act of a cycle
        tracker.cycle(row, summary.thumbnails(task, query))
        console.print(summary.line(row, task.metric, budget.cycles), highlight=False)


def run_cycle(experiment: Experiment, folder: RunFolder, pool: Pool, launcher: str) -> tuple[dict, Query | None, Pool]:
    """One cycle: its row, its query (none in the last), and the pool of the next."""
    task, clock = experiment.task, summary.Clock()
    with start(experiment, folder, pool, launcher) as runner:
        with clock("train"):  # 1. on everything labeled
            runner.train()
        with clock("evaluate"):  # 2. on the test set, to report and for nothing else
            metrics = evaluate(runner, task.metric)
        model = unwrapped(runner.model)
        with clock("score"):  # 3. score the candidates and query
            last = pool.cycle + 1 == experiment.budget.cycles
            query = None if last else next_query(experiment, model, pool)
        ranking = ranking_quality(experiment, model, pool, query)
    effort = sum(task.effort(i) for i in pool.labeled)
    row = {"cycle": pool.cycle, "labeled": len(pool.labeled), "effort": effort, **metrics, **clock.seconds, **ranking}
    return row, query, pool.label([] if query is None else query.picked.tolist())


def start(experiment: Experiment, folder: RunFolder, pool: Pool, launcher: str) -> AbstractContextManager[Runner]:
    """A cycle's Runner over everything labeled; the strategy has no part in its randomness."""
    task, settings, scoring = experiment.task, experiment.training, experiment.scoring
    seed = derive_seed(experiment.seed, pool.cycle, "training")
    with seeded(derive_seed(seed, "network")):
        network = task.build()
    with seeded(derive_seed(seed, "module")):
        model = JointModel(network, task.forward, task.predict, task.taps, experiment.module, experiment.module_mode)
    if settings.start == "warm" and pool.cycle > 0:
        warm_start(model, folder.cycle_folder(pool.cycle - 1))
    augmented, size = task.dataset("train"), settings.batch_size
    train = train_loader(augmented, pool.labeled, size, settings.workers, task.collate, seed)
    test = loader(task.dataset("test"), None, scoring.batch_size, scoring.workers, task.collate)
    title = f"cycle {pool.cycle + 1}/{experiment.budget.cycles}"
    where = folder.cycle_folder(pool.cycle)
    return training(model, train, test, task.evaluator(), settings, where, seed, title, launcher)


def next_query(experiment: Experiment, model: JointModel, pool: Pool) -> Query:
    """Ask the strategy; it sees ids and signals, and the pool as at test time through the weights just trained."""
    task = experiment.task

    def signals(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        return score(model, task.dataset("pool"), task.collate, ids, names, experiment.scoring)

    rng = stream(experiment.seed, pool.cycle, "query")
    return ask(experiment.steps, pool.unlabeled, experiment.budget.query, rng, signals)


def ranking_quality(experiment: Experiment, model: JointModel, pool: Pool, query: Query | None) -> dict:
    """How the module ranks what was queried and a random control; the oracle may look at labels, no strategy does."""
    if model.loss_prediction is None:
        return {}
    rng = stream(experiment.seed, pool.cycle, "control")
    groups = {"control": rng.permutation(pool.unlabeled)[: experiment.scoring.control]}
    groups |= {} if query is None else {"queried": query.picked}
    task = experiment.task
    return module_quality(model, task.dataset("pool"), task.collate, groups, experiment.scoring)


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], run))
