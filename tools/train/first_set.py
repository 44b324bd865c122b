"""The first samples by features of the network as the config builds it, before any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from mmengine.dist import barrier, is_main_process

from acquisition.first import first_steps
from acquisition.pool import First, Pool, drawn_slice
from acquisition.query import Query, ask
from acquisition.scoring import Pass, Samples, score
from models.process.seeding import stream
from models.training.loading import length
from tools.cluster.scoring import Scorer
from tools.experiment.config import Experiment
from tools.record import first_set
from tools.record.folder import RunFolder
from tools.train.models import untrained

BATCH = 16  # images, where the batch size is still to be measured


def first_pool(experiment: Experiment, folder: RunFolder, size: int) -> Pool:
    """The pool of a run that begins.

    Where features choose, the folder keeps what was chosen, and by what.

    Args:
        experiment: of the run.
        folder: of the run.
        size: of the pool.
    """
    budget, seed = experiment.budget, experiment.seed_of("set")
    held = drawn_slice(size, budget.held(size), seed)
    if budget.first == "random":
        return Pool.initial(size, budget.initial, seed, held)
    query = first_set.kept(folder.path)
    barrier()
    if query is None:
        rng = stream(seed, 0, "initial set")
        query = first_query(experiment, budget.first, budget.initial, score, rng, held=held)
        if is_main_process():
            vectors = experiment.scoring.keep_vectors
            first_set.keep(folder.path, query if vectors else query.without_vectors())
        barrier()
    return Pool(size, tuple(query.picked.tolist()), validation=held)


def first_query(
    experiment: Experiment,
    first: First,
    count: int,
    scored: Scorer,
    rng: np.random.Generator,
    labeled: Sequence[int] = (),
    held: Sequence[int] = (),
) -> Query:
    """Choose samples of a pool of which too little is labeled to train on.

    Args:
        experiment: whose network's features count.
        first: how they are chosen.
        count: of them.
        scored: computes the features.
        rng: decides what is left to chance.
        labeled: ids, if there are any.
        held: ids that validate, and are not chosen.
    """
    task = experiment.task

    def signals(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Compute the signals of some samples of the pool."""
        samples = Samples(task.dataset("pool"), task.collate, ids)
        settings = experiment.scoring
        if settings.batch_size == "auto":
            settings = replace(settings, batch_size=BATCH)
        model = untrained(experiment, "off")
        return scored(model, samples, names, settings, Pass("features", tap=experiment.tap))

    known = np.array(labeled, dtype=int)
    rest = np.setdiff1d(np.arange(length(task.dataset("pool"))), [*labeled, *held])
    return ask(first_steps(first), rest, known, count, rng, signals)
