"""Every strategy on every task: scores and picks of an untrained network on tiny data, or
a refusal with its reason.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acquisition import calibration
from acquisition.pool import Pool
from acquisition.signals import SIGNALS
from acquisition.strategies import named_strategies
from models.process.seeding import seeded
from models.training.committee import add_dropout, ensemble, passes
from models.training.joint import JointModel
from tests import devkit, imagekit, posekit
from tests.conftest import REPOSITORY
from tools import matrix
from tools.data.sandbox.classification import make_classification
from tools.experiment import preflight
from tools.experiment.config import Experiment, load
from tools.experiment.model import model_of as joined
from tools.train import loop
from tools.train.cycle import next_query

TASKS = {  # and the layers after which dropout is put
    "classification": (lambda root: imagekit.classification(imagekit.make_folder(root)), "layer*"),
    "detection": (lambda root: devkit.detection(devkit.make_voc(root)), "backbone.stages.*"),
    "pose": (lambda root: posekit.pose(posekit.make_mpii(root)), "hourglasses.*"),
}
LACKING = {
    **{(task, "badge"): ["gradient"] for task in ("detection", "pose")},
    **{(task, "mpe"): ["peaks"] for task in ("classification", "detection")},
    **{(task, one): ["bag"] for task in ("classification", "pose") for one in ("enms", "hua")},
    **{(task, "localisation"): ["bag", "stability"] for task in ("classification", "pose")},
    **{
        (task, strategy): ["bag", "quality"]
        for task in ("classification", "pose")
        for strategy in ("divproto", "ppal")
    },
}
UNDECIDED = (
    "strategy {!r}: module.objective 'dynamics' needs a network that decides between classes once "
    "a sample (`classes_decided`, see tasks/base.py), but that of {} does not"
)


@pytest.fixture(scope="module", params=TASKS)
def task(request, tmp_path_factory):
    make, layers = TASKS[request.param]
    return request.param, make(tmp_path_factory.mktemp(request.param) / "data"), layers


def experiment_of(task, layers: str, strategy: str) -> Experiment:
    options = {
        "strategy": strategy,
        "budget.initial": 3,
        "budget.query": 2,
        "budget.cycles": 2,
        "keep": 2,
    }
    options |= {"test_in_pool": True}  # the devkit's lists share their images
    options |= {"committee": {"members": 2, "passes": 2, "dropout_at": [layers]}}
    return replace(load(REPOSITORY / "tests/examples/toy_config.py", options=options), task=task)


def model_of(experiment: Experiment, seed: int) -> JointModel:
    task = experiment.task
    with seeded(seed):
        network = task.build()
        if experiment.committee_kind == "dropout":
            add_dropout(network, experiment.committee)
        return joined(experiment, network).eval()


@pytest.mark.parametrize("strategy", named_strategies())
def test_a_cell_scores_and_picks_or_is_refused_with_the_reason(task, strategy: str):
    name, adapter, layers = task
    experiment = experiment_of(adapter, layers, strategy)
    problems = preflight.problems(experiment, full=False)
    if lacking := LACKING.get((name, strategy)):
        given = sorted(adapter.fields)
        assert problems == [f"strategy {strategy!r} needs {lacking}, but the task gives {given}"]
        return
    if experiment.module.objective == "dynamics" and name != "classification":
        assert problems == [UNDECIDED.format(strategy, name.title())]
        return
    assert problems == []
    size = len(adapter.dataset("pool"))
    pool = Pool(size, (0, size - 1, 1))
    model, kind = model_of(experiment, 0), experiment.committee_kind
    members = {
        None: [],
        "dropout": passes(model, 2, 5),
        "ensemble": ensemble([model, model_of(experiment, 1)]),
        "previous": ensemble([model, model_of(experiment, 1)]),
    }[kind]
    queries = [next_query(experiment, model, members, pool) for _ in range(2)]
    assert queries[0].picked.tolist() == queries[1].picked.tolist()
    assert len(set(queries[0].picked.tolist())) == 2 and not set(queries[0].picked.tolist()) & set(
        pool.labeled
    )
    for signal, values in queries[0].signals.items():
        assert len(values) == size - 3 and np.isfinite(values).all(), signal
        assert np.array_equal(values, queries[1].signals[signal])
        # of so few passes and samples the answers may all stay
        few = values.ndim > 1 or signal == "dropout_flips"
        assert few or len(np.unique(values)) > 1, signal


def test_every_signal_is_used_by_a_strategy():
    used = {
        name
        for strategy in named_strategies().values()
        for step in strategy.steps
        for name in (*step.needs, *step.labeled)
    }
    assert used | set(calibration.NEEDS) == set(SIGNALS) and not used & set(calibration.NEEDS)


def test_the_command_runs_cells_and_says_what_came_of_them(tmp_path: Path, capsys):
    make_classification(tmp_path, pool=40, test=18, seed=0, hard=0.3)
    arguments = [
        "--root",
        str(tmp_path),
        "--configs",
        "cls_sandbox",
        "--strategies",
        "random",
        "margin",
    ]
    assert matrix.main(arguments) == 0
    said = capsys.readouterr().out
    assert (
        "cls_sandbox random: ok" in said
        and "margin 0." in said
        and "2 cells: 2 ok, 0 refused, 0 FAILED" in said
    )


def test_a_cell_that_fails_is_told_and_the_others_run(tmp_path: Path, capsys, monkeypatch):
    make_classification(tmp_path, pool=40, test=18, seed=0, hard=0.3)
    monkeypatch.setattr(loop, "run", lambda *_: 1 / 0)
    assert (
        matrix.main(
            [
                "--root",
                str(tmp_path),
                "--configs",
                "cls_sandbox",
                "--strategies",
                "random",
                "margin",
            ]
        )
        == 1
    )
    assert "2 cells: 0 ok, 0 refused, 2 FAILED" in capsys.readouterr().out
