"""Active learning, from a config to a curve:  python tools/al_train.py configs/det_ssd_voc.py --strategy learning_loss

The same command resumes a run that was stopped or killed. The parts of a cycle are in `tools/train/cycle.py`, what happens
around the loop is in `tools/train/session.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: its folder is first on the path, where its names would hide others
    HERE = Path(__file__).resolve().parent
    sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place).resolve() != HERE)]

from rich.console import Console

from acquisition.pool import Pool
from acquisition.query import Query
from models.training.hooks import unwrapped
from models.process.stopping import stop_if_asked
from models.training.trainer import evaluate
from tools.train import session, showing
from tools.experiment.config import Experiment
from tools.train.cycle import committee, next_query, ranking_quality, settled, start
from tools.record.receipt import Receipt, receipt_of
from tools.record.data import receipt_part
from tools.record.plans import digests
from tools.record.folder import RunFolder
from tools.display.streams import command
from tools.mirror.tracking import Tracker


def run(experiment: Experiment, folder: RunFolder, tracker: Tracker, console: Console, launcher: str = "none") -> None:
    """All cycles that are not committed yet."""
    experiment = settled(experiment, folder)
    task, budget = experiment.task, experiment.budget
    size = len(task.dataset("pool"))  # type: ignore[arg-type]  # torch's Dataset declares no length
    pool = folder.resume(size) or Pool.initial(size, budget.initial, experiment.seed)
    while pool.cycle < budget.cycles:
        stop_if_asked()
        row, query, pool, receipt = run_cycle(experiment, folder, pool, launcher)
        row = folder.commit(row, query, pool, receipt)  # 4. commit: the last act of a cycle
        tracker.cycle(row)
        console.print(showing.line(row, task.metric, budget.cycles), highlight=False)


def run_cycle(
    experiment: Experiment, folder: RunFolder, pool: Pool, launcher: str
) -> tuple[dict, Query | None, Pool, Receipt]:
    """One cycle: its row, its query (none in the last), the pool of the next, and the receipt."""
    task, clock = experiment.task, showing.Clock()
    with start(experiment, folder, pool, launcher) as runner:
        with clock("train"):  # 1. train on everything labeled
            runner.train()
        with clock("evaluate"):  # 2. evaluate on the test set, to report and for nothing else
            metrics = evaluate(runner, task.metric)
        model = unwrapped(runner.model)
    last, members = pool.cycle + 1 == experiment.budget.cycles, []
    if experiment.committee_kind and not last:
        with clock("committee"):  # whom some strategies ask beside the model
            members = committee(experiment, folder, pool, model, launcher)
    with clock("score"):  # 3. score the candidates and query
        query = None if last else next_query(experiment, model, members, pool, folder.path)
    with clock("ranking"):  # no part of the method: how well the module ranks, measured with labels
        ranking = ranking_quality(experiment, model, pool, query)
    receipt = receipt_of(task, pool, model, members, query) | digests(experiment) | receipt_part(folder.path)
    if query is not None and not experiment.scoring.keep_vectors:
        query = query.without_vectors()
    effort = sum(task.effort(i) for i in pool.labeled)
    seconds = clock.seconds | folder.spared(pool.cycle)
    row = {"cycle": pool.cycle, "labeled": len(pool.labeled), "effort": effort, **metrics, **seconds, **ranking}
    return row, query, pool.label([] if query is None else query.picked.tolist()), receipt


if __name__ == "__main__":
    command(lambda given: session.main(given, run))
