"""A benchmark of signals: how well they rank a trained network's errors on the test set."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acquisition.ranking import spearman
from acquisition.scoring import Pass, Samples, score
from acquisition.signals import SIGNALS, need_committee
from models.process.text import error_line
from models.training import loading
from models.training.committee import Member
from models.training.hooks import unwrapped
from models.training.inference import inference
from models.training.joint import JointModel
from tasks.base import Task, lower_is_better
from tools.display.console import Plain
from tools.display.sheet import Column, Sheet
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.record.folder import RunFolder
from tools.train.cycle import Cycle, committee, start

# settings that decide how a network is trained, which no variant may change
FIXED = ("training", "budget", "module", "seed", "strategy", "committee")

# kind of committee -> a strategy that trains it
KINDS = {"ensemble": "ensemble_bald", "dropout": "dropout_bald", None: "random"}


@dataclass(frozen=True)
class Found:
    """The correlations of one seed, under one variant.

    Args:
        variant: settings over the config's, as given in the options.
        samples: number in the test set.
        counted: number of samples whose metric alone is a number; the others do not count.
        correlations: signal -> Spearman's with (the error by the metric, the loss).
    """

    variant: str
    samples: int
    counted: int
    correlations: Mapping[str, tuple[float | None, float | None]]


def main(args: argparse.Namespace) -> int:
    """Measure each seed, and show the table.

    Args:
        args: the options of `uncertainty.py`.

    Returns:
        The exit status of `uncertainty.py`.
    """
    torch.set_num_threads(args.threads)
    try:
        options = dict(args.cfg_options)
        found = [
            measure(args.config, options, args.variants, args.signals, args.labels, seed)
            for seed in args.seeds
        ]
    except (ConfigError, ValueError, OSError) as error:
        print(error_line(error), file=sys.stderr)
        return 1
    console = Plain()
    table(found, args.seeds).print(console)
    counts = ", ".join(f"{of_seed[0].counted} of {of_seed[0].samples}" for of_seed in found)
    console.print(f"test samples whose metric alone is a number: {counts}", highlight=False)
    return 0


def measure(
    path: str,
    options: Mapping[str, Any],
    variants: Sequence[tuple[str, Any]],
    names: Sequence[str],
    labels: int,
    seed: int,
) -> list[Found]:
    """Train once, and correlate under the config's own settings and under each variant.

    Raises:
        ConfigError, ValueError: if the config, its data or a signal does not fit.
    """
    given = {**options, "seed": seed, "strategy": KINDS[need_committee(names)],
             "budget.initial": labels, "budget.cycles": 1}  # fmt: skip
    experiment = load(path, options=given)
    problems = preflight.problems(experiment, full=False)
    fixed = [key for key, _ in variants if key.partition(".")[0] in FIXED]
    if fixed:
        problems.append(
            f"--variants: expected settings of how a trained network is scored, but got {fixed}"
        )
    lacking = [
        n for n in names if not SIGNALS[n].fields <= experiment.task.fields or SIGNALS[n].module
    ]
    if lacking:
        problems.append(
            f"--signals: expected signals of the task without the module, but got {lacking}"
        )
    if problems:
        raise ValueError("; ".join(problems))
    model, members = _trained(experiment)
    errors = _errors(experiment, model)
    plain = load(path, options=given)
    found = [_correlated(plain, model, members, names, errors, "as configured")]
    for key, value in variants:
        variant = f"{key}={value}"
        chosen = load(path, options={**given, key: value})
        _same_test_set(experiment.task, chosen.task, variant)
        found.append(_correlated(chosen, model, members, names, errors, variant))
    return found


def _same_test_set(task: Task, other: Task, variant: str) -> None:
    """Check that both tasks have as many test samples.

    Raises:
        ValueError: if they have not.
    """
    sizes = [loading.length(each.dataset("test")) for each in (task, other)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"--variants: expected the same {sizes[0]} test samples, but got {sizes[1]} by "
            f"{variant}"
        )


def _trained(experiment: Experiment) -> tuple[JointModel, list[Member]]:
    """The first model of a run, and the members of its strategy's committee."""
    with tempfile.TemporaryDirectory(prefix="losstap-uncertainty-") as folder:
        first = Cycle.next_of(RunFolder(Path(folder)), experiment)
        with start(first) as runner:
            runner.train()
            model = unwrapped(runner.model)
        members = []
        if experiment.committee_kind:
            members = committee(first, model)
    return model.eval(), members


def _errors(experiment: Experiment, model: JointModel) -> np.ndarray:
    """(N,) 1 minus the metric of each test sample alone; the metric itself if lower is better."""
    task = experiment.task
    test = task.dataset("test")
    metric = task.evaluator()
    found = []
    with inference([model.network]):
        for index in range(len(test)):  # type: ignore[arg-type]
            batch = model.data_preprocessor(task.collate([test[index]]))
            (prediction,) = task.predict(model.network, batch)
            metric.process({}, [prediction.to_dict()])
            found.append(metric.evaluate(1)[task.metric])
    values = np.array(found, dtype=float)
    return values if lower_is_better(task) else 1 - values


def _correlated(
    experiment: Experiment,
    model: JointModel,
    members: Sequence[Member],
    names: Sequence[str],
    errors: np.ndarray,
    variant: str,
) -> Found:
    task = experiment.task

    def under(trained: JointModel) -> JointModel:
        """Return the network without its module, in evaluation mode."""
        return JointModel(
            trained.network, task.forward, task.predict, task.taps, experiment.module, "off"
        ).eval()

    rows = score(
        under(model),
        Samples(task.dataset("test"), task.collate, np.arange(len(errors))),
        [*names, "loss"],
        experiment.scoring,
        Pass(committee=[replace(member, model=under(member.model)) for member in members]),
    )
    known = np.isfinite(errors)
    pairs = {
        name: (
            spearman(rows[name][known], errors[known]),
            spearman(rows[name][known], rows["loss"][known]),
        )
        for name in names
    }
    return Found(variant, len(errors), int(known.sum()), pairs)


def table(found: Sequence[Sequence[Found]], seeds: Sequence[int]) -> Sheet:
    """Return a table with a row for each variant and signal.

    It has means over the seeds, and each seed's correlation with the error.
    """
    each = [Column(f"seed {seed}", 1) for seed in seeds]
    sheet = Sheet(
        Column("settings"), Column("signal", 4), Column("error", 3), *each, Column("loss", 2)
    )
    for of_variant in zip(*found, strict=True):
        for name in of_variant[0].correlations:
            error, loss = zip(*(each.correlations[name] for each in of_variant), strict=True)
            each_seed = [_text(value) for value in error]
            sheet.add(of_variant[0].variant, name, _mean(error), *each_seed, _mean(loss))
    return sheet


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _mean(values: Sequence[float | None]) -> str:
    """The mean over all seeds; a dash if a seed has no correlation, as if all errors are equal."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return _text(None)
    return _text(sum(known) / len(known))
