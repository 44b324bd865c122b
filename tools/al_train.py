"""Active learning, from a config to a curve:  python tools/al_train.py configs/det_ssd_voc.py --strategy learning_loss

The same command resumes a run that was stopped or killed. `run` is the whole loop; read it first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from rich.console import Console

from acquisition.pool import Pool
from acquisition.query import Query, ask
from acquisition.ranking import quality
from acquisition.scoring import score
from models.joint import JointModel
from models.seeding import derive_seed, seeded, stream
from models.training import load_weights, loader, metrics_of, newest_checkpoint, train_loader, training, unwrapped
from tools import cli, summary
from tools.config import Experiment
from tools.rundir import RunFolder
from tools.tracking import Tracker

SHOWN = 4  # thumbnails of the first and of the last queried samples


def run(experiment: Experiment, folder: RunFolder, tracker: Tracker, console: Console, launcher: str = "none") -> None:
    """All cycles that are not committed yet: train, evaluate, score and query, commit."""
    task, budget, seed = experiment.task, experiment.budget, experiment.seed
    size = len(task.dataset("pool"))  # type: ignore[arg-type]  # torch's Dataset declares no length
    pool = folder.resume(size) or Pool.initial(size, budget.initial, seed)
    while pool.cycle < budget.cycles:
        cycle, clock = pool.cycle, Clock()
        with start(experiment, folder, pool, launcher) as runner:
            with clock("train"):
                runner.train()
            with clock("evaluate"):
                metrics = metrics_of(runner)
            model = unwrapped(runner.model)
            with clock("score"):
                query = next_query(experiment, model, pool) if cycle + 1 < budget.cycles else None
            ranking = ranking_quality(experiment, model, pool, query)
        effort = sum(task.effort(i) for i in pool.labeled)
        row = {"cycle": cycle, "labeled": len(pool.labeled), "effort": effort, **metrics, **clock.seconds, **ranking}
        pool = pool.label(() if query is None else query.picked.tolist())
        rows = folder.commit(row, query, pool)
        tracker.cycle(rows[-1], thumbnails(experiment, query) if is_main_process() else ())
        console.print(summary.line(rows[-1], task.metric, budget.cycles), highlight=False)


@contextmanager
def start(experiment: Experiment, folder: RunFolder, pool: Pool, launcher: str) -> Iterator[Any]:
    """A cycle's Runner over everything labeled; the strategy has no part in its randomness."""
    task, settings, scoring = experiment.task, experiment.training, experiment.scoring
    seed = derive_seed(experiment.seed, pool.cycle, "training")
    with seeded(derive_seed(seed, "network")):
        network = task.build()
    with seeded(derive_seed(seed, "module")):
        model = JointModel(network, task.forward, task.predict, task.taps, experiment.module, experiment.module_mode)
    before = newest_checkpoint(folder.cycle_folder(pool.cycle - 1)) if settings.start == "warm" else None
    if before is not None:
        load_weights(model, before)
    train = train_loader(task.dataset("train"), pool.labeled, settings, task.collate, seed)
    test = loader(task.dataset("test"), None, scoring.batch_size, scoring.workers, task.collate)
    title = f"cycle {pool.cycle + 1}/{experiment.budget.cycles}"
    where = folder.cycle_folder(pool.cycle)
    with training(model, train, test, task.evaluator(), settings, where, seed, title, launcher) as runner:
        yield runner


def next_query(experiment: Experiment, model: JointModel, pool: Pool) -> Query:
    """Ask the strategy; it sees ids and signals, and the pool as at test time through the weights just trained."""
    task = experiment.task

    def signals(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        return score(model, task.dataset("pool"), task.collate, ids.tolist(), names, experiment.scoring)

    rng = stream(experiment.seed, pool.cycle, "query")
    return ask(experiment.steps, pool.unlabeled, experiment.budget.query, rng, signals)


def ranking_quality(experiment: Experiment, model: JointModel, pool: Pool, query: Query | None) -> dict[str, Any]:
    """How the module ranks the samples just queried, and a random control of all that were unlabeled.

    The oracle may look at the true losses of the control; nothing of it reaches the strategy.
    """
    if model.loss_prediction is None:
        return {}
    rng, unlabeled = stream(experiment.seed, pool.cycle, "control"), pool.unlabeled
    control = rng.permutation(unlabeled)[: experiment.scoring.control]
    groups = {"queried": np.array([], dtype=int) if query is None else query.picked, "control": control}
    ids = np.unique(np.concatenate(list(groups.values()))).astype(int)
    if not len(ids):
        return {}
    task, names = experiment.task, ("predicted_loss", "loss")
    rows = score(model, task.dataset("pool"), task.collate, ids.tolist(), names, experiment.scoring, "ranking quality")
    found: dict[str, Any] = {}
    for group, members in groups.items():
        at = np.searchsorted(ids, members)
        measured = quality(rows["predicted_loss"][at], rows["loss"][at])
        found |= {f"ranking/{group}/{key}": value for key, value in measured.items()}
    return found


def thumbnails(experiment: Experiment, query: Query | None) -> list[tuple[Any, str]]:
    """Pictures of the first and the last queried samples with their annotations, and captions with their scores."""
    if query is None:
        return []
    picked = query.picked.tolist()
    places = sorted({*range(min(SHOWN, len(picked))), *range(max(0, len(picked) - SHOWN), len(picked))})
    position = {int(i): p for p, i in enumerate(query.candidates)}
    captions = []
    for place in places:
        rows = {name: values[position[picked[place]]] for name, values in query.signals.items() if values.ndim == 1}
        scores = "".join(f"  {name} {value:.3g}" for name, value in rows.items())
        captions.append(f"choice {place + 1}: sample {picked[place]}{scores}")
    return [(experiment.task.thumbnail(picked[p]), caption) for p, caption in zip(places, captions, strict=True)]


class Clock:
    """Seconds of each step, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[f"seconds/{step}"] = time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], run))
