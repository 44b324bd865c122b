"""The parts of a cycle: its training, its query, and the measure of the module's ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.dist import barrier, is_main_process

from acquisition import calibration
from acquisition.batch_size import fastest
from acquisition.pool import Pool
from acquisition.query import Query, needs
from acquisition.ranking import module_quality
from acquisition.scoring import Pass, Samples, score
from acquisition.signals import fields, need_temperature
from models.process.seeding import derive_seed, seeded, stream
from models.training.committee import Member, add_dropout, ensemble, passes
from models.training.hooks import unwrapped
from models.training.joint import JointModel
from models.training.loading import length, loader, train_loader
from models.training.runner import TrainingRunner
from models.training.trainer import Data, Judged, Place, evaluate, training, warm_start
from tasks.base import Read
from tasks.data import part
from tasks.evaluation import metric_of
from tasks.noise import Fallible
from tools.cluster.scoring import Scorer
from tools.experiment.config import Experiment
from tools.experiment.model import model_of
from tools.experiment.plan import asked
from tools.record.data import beside_pool
from tools.record.folder import RunFolder
from tools.record.rows import HELD, NOISE
from tools.train.first_model import FirstModels, key
from tools.train.first_set import first_pool
from tools.train.models import untrained


@dataclass(frozen=True)
class Cycle:
    """What the parts of one cycle work on.

    Args:
        experiment: with a number for `scoring.batch_size`, see `settled`.
        folder: of the run.
        pool: as it is when the cycle begins.
        launcher: mmengine's; "none" is one process.
        shared: where runs share their first trainings; None if they do not.
        scored: computes the signals of the pool; None is this process.
    """

    experiment: Experiment
    folder: RunFolder
    pool: Pool
    launcher: str = "none"
    shared: FirstModels | None = None
    scored: Scorer | None = None

    @classmethod
    def next_of(
        cls,
        folder: RunFolder,
        experiment: Experiment,
        launcher: str = "none",
        shared: FirstModels | None = None,
        resumed: Pool | None = None,
    ) -> Cycle:
        """The first cycle of a run that is not committed yet.

        `resumed` is what the folder has, where that is known.
        """
        size = length(experiment.task.dataset("pool"))
        pool = resumed or folder.resume(size)
        if pool is None:
            pool = first_pool(experiment, folder, size)
        return cls(experiment, folder, pool, launcher, shared)

    @property
    def last(self) -> bool:
        """Whether it is the last one, which queries nothing."""
        return self.pool.cycle + 1 == self.experiment.budget.cycles

    @property
    def title(self) -> str:
        """Of its progress bars."""
        return f"cycle {self.pool.cycle + 1}/{self.experiment.budget.cycles}"

    def before(self, member: int) -> Path | None:
        """The folder of the training whose weights a warm start takes; None for the first."""
        if self.pool.cycle == 0:
            return None
        return self.folder.training_folder(self.pool.cycle - 1, member)

    @property
    def held(self) -> tuple[Read, np.ndarray]:
        """A split, and ids of its labeled samples that nothing is trained on."""
        return "pool", np.array(self.pool.validation, dtype=np.int64)

    def ranked(self, query: Query | None) -> tuple[Read, dict[str, np.ndarray]]:
        """The split and the groups of its samples on which the module's ranking is measured.

        They are what was queried and a random control: the oracle may look at labels, no strategy
        does.
        """
        rng = stream(self.experiment.seed_of("query"), self.pool.cycle, "control")
        control = rng.permutation(self.pool.unlabeled)[: self.experiment.scoring.control]
        groups = {"control": control}
        if query is not None:
            groups["queried"] = query.picked
        return "pool", groups

    @property
    def spared(self) -> dict[str, float]:
        """Seconds of training that another run did for this one; the first row holds them."""
        if self.shared is None or self.pool.cycle > 0 or not self.shared.spared:
            return {}
        return {"seconds/spared": self.shared.spared}


def settled(experiment: Experiment, folder: RunFolder) -> Experiment:
    """Replace `scoring.batch_size` by a number.

    If it is "auto", the first start of the run measures it. The run folder keeps the number, as
    scores depend on it in their last digits.
    """
    task, settings = experiment.task, experiment.scoring
    if settings.batch_size != "auto":
        return experiment

    def measured() -> int:
        """Measure the fastest batch size on this machine."""
        want = fields(needs(experiment.steps))
        model = untrained(experiment, experiment.module_mode)
        pool_view = task.dataset("pool")
        return fastest(model, pool_view, task.collate, want, settings.amp, settings.channels_last)

    return replace(experiment, scoring=replace(settings, batch_size=folder.batch_size(measured)))


@contextmanager
def start(cycle: Cycle, member: int = 0) -> Iterator[TrainingRunner]:
    """A cycle's Runner over everything labeled; the strategy has no part in its randomness.

    Members of an ensemble differ in their seeds alone; the first is the network that every strategy
    trains. Where runs share their first trainings, it finds that of another run, or leaves its own.
    """
    folder, pool = cycle.folder, cycle.pool
    where = folder.training_folder(pool.cycle, member)
    shared = cycle.shared if pool.cycle == 0 else None
    if shared is not None:
        if is_main_process():
            first = key(
                cycle.experiment, pool, folder.sample_names(), member, beside_pool(folder.path)
            )
            shared.take(first, where)
        barrier()
    with _training(cycle, member) as runner:
        yield runner
    if shared is not None and runner.seconds > 0 and is_main_process():
        shared.keep(first, where, runner.seconds)


def validated(cycle: Cycle, runner: TrainingRunner) -> dict[str, float]:
    """The metrics of a cycle's model on the validation split, each key after `HELD`.

    Raises:
        ConfigError: if the task does not judge samples of its pool.
    """
    task, scoring = cycle.experiment.task, cycle.experiment.scoring
    samples = part(task.dataset("pool"), list(cycle.pool.validation))
    in_order = DefaultSampler(samples, shuffle=False)  # split over the processes
    judged = Judged(
        loader(samples, in_order, scoring.size, scoring.workers, task.collate),
        metric_of(task, "pool"),
    )
    found = evaluate(runner, task.metric, judged)
    return {f"{HELD}{key}": value for key, value in found.items()}


def _training(cycle: Cycle, member: int) -> AbstractContextManager[TrainingRunner]:
    experiment, pool = cycle.experiment, cycle.pool
    task, settings, scoring = experiment.task, experiment.training, experiment.scoring
    purpose = ("member", member) if member else ("training",)
    seed = derive_seed(experiment.seed_of("model"), pool.cycle, *purpose)
    with seeded(derive_seed(seed, "network")):
        network = task.build()
    if experiment.committee_kind == "dropout":
        add_dropout(network, experiment.committee)
    with seeded(derive_seed(seed, "module")):
        model = model_of(experiment, network)
    before = cycle.before(member)
    if settings.start == "warm" and before is not None:
        warm_start(model, before)
    augmented, test = task.dataset("train"), task.dataset("test")
    batch, ids = settings.batch_size, model.dynamics is not None
    train = train_loader(augmented, pool.labeled, batch, settings.workers, task.collate, seed, ids)
    in_order = DefaultSampler(test, shuffle=False)  # split over the processes
    evaluation = loader(test, in_order, scoring.size, scoring.workers, task.collate)
    title = cycle.title
    if member:
        title += f", member {member + 1}"
    where = Place(cycle.folder.training_folder(pool.cycle, member), seed, title, cycle.launcher)
    return training(model, Data(train, evaluation, metric_of(task)), settings, where)


def committee(cycle: Cycle, model: JointModel) -> list[Member]:
    """The committee: an ensemble's other networks, trained here, passes, or the cycle before's.

    In the first cycle, before which there is none, that is the model itself.
    """
    experiment, settings = cycle.experiment, cycle.experiment.committee
    if experiment.committee_kind == "previous":
        before = cycle.before(0)
        return ensemble([model, model if before is None else _as_before(cycle, before)])
    if experiment.committee_kind == "dropout":
        seed = derive_seed(experiment.seed_of("query"), cycle.pool.cycle, "dropout")
        return passes(model, settings.passes, seed)
    models = [model]
    for member in range(1, settings.members):
        with start(cycle, member) as runner:
            runner.train()
            models.append(unwrapped(runner.model))
    return ensemble(models)


def _as_before(cycle: Cycle, folder: Path) -> JointModel:
    """The model as another training left it in its folder."""
    model = untrained(cycle.experiment, cycle.experiment.module_mode)
    warm_start(model, folder)
    return model


def fitted_temperature(cycle: Cycle, model: JointModel) -> float | None:
    """The temperature that the strategy's signals read, fitted on what nothing is trained on.

    None where they read none, the task does not tell true outcomes, or no such samples are there:
    then it is 1.
    """
    experiment = cycle.experiment
    task = experiment.task
    split, ids = cycle.held
    read = (*needs(experiment.steps), *experiment.scoring.save)
    if not (need_temperature(read) and len(ids) and "truth" in task.fields):
        return None
    samples = Samples(task.dataset(split), task.collate, ids)
    how = Pass("temperature")
    rows = score(model, samples, calibration.NEEDS, experiment.scoring, how)
    return calibration.temperature(rows)


def next_query(
    experiment: Experiment,
    model: JointModel,
    members: Sequence[Member],
    pool: Pool,
    scratch: Path | None = None,
    scored: Scorer | None = None,
    temperature: float = 1.0,
) -> Query:
    """Ask the strategy which samples to label next.

    It sees ids and signals only. The signals are computed on the pool as seen at test time, with
    the weights just trained.

    Args:
        experiment: with a number for `scoring.batch_size`, see `settled`.
        model: just trained.
        members: of the strategy's committee.
        pool: as it is when the cycle begins.
        scratch: folder for vectors that are too many for memory.
        scored: computes the signals, as on a cluster (`tools.cluster.scoring`); None is here.
        temperature: that calibrated signals read.
    """
    task, settings = experiment.task, experiment.scoring
    how = Pass("scoring", members, experiment.tap, scratch, temperature)

    def signals(ids: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Compute the signals of some samples of the pool."""
        pool_view = task.dataset("pool")
        samples = Samples(pool_view, task.collate, ids)
        return (scored or score)(model, samples, names, settings, how)

    return asked(experiment, pool, signals)


def ranking_quality(cycle: Cycle, model: JointModel, query: Query | None) -> dict:
    """How the module ranks samples; empty where there is no module."""
    if model.loss_prediction is None:
        return {}
    split, groups = cycle.ranked(query)
    task, settings = cycle.experiment.task, cycle.experiment.scoring
    return module_quality(model, task.dataset(split), task.collate, groups, settings)


def noise_met(experiment: Experiment, labeled: Sequence[int]) -> dict[str, float]:
    """The share of the labeled samples in whose labels simulated people made a mistake."""
    task = experiment.task
    if experiment.oracle is None or not isinstance(task, Fallible):
        return {}
    return {NOISE: sum(task.altered(i) for i in labeled) / len(labeled)}
