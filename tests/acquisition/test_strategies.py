"""Strategies in configs: names, classes of one's own, legs of the module, and runs that
ask a committee.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from acquisition.query import ask
from acquisition.signals import SIGNALS
from acquisition.step import QueryError
from acquisition.steps import RandomSubset, Seen, Step
from acquisition.strategies import named_strategies
from models.process.seeding import seeded
from tests import commands, contract, imagekit
from tests.conftest import REPOSITORY
from tools.contract.matrix import Silent
from tools.experiment import cost, preflight
from tools.experiment.config import Experiment, load
from tools.experiment.options import ConfigError
from tools.record.folder import RunFolder
from tools.record.plans import told
from tools.train import loop
from tools.train.cycle import Cycle

TOY = REPOSITORY / "tests" / "examples" / "toy_config.py"


class Smallest(Step):
    """A strategy of one's own: the candidates with the smallest predicted losses."""

    needs = ("predicted_loss",)

    def __init__(self, factor: float = 1.0) -> None:
        if factor <= 0:
            raise ValueError(f"factor: expected more than 0, but got {factor}")
        self.factor = factor

    def __call__(self, seen: Seen, budget: int, rng: np.random.Generator) -> np.ndarray:
        return np.argsort(self.factor * seen.rows["predicted_loss"])[:budget]


class Dreamer(Step):
    needs = ("predicted_los",)


class Both(Step):
    needs = ("ensemble_bald", "dropout_bald")


class Wavering(Step):
    needs = ("dynamics_entropy",)


class Torn(Step):
    needs = ("dynamics_entropy", "predicted_loss")


class Astray(Step):
    labeled = ("embedding",)


def written(folder: Path, strategy: str) -> Path:
    """The toy's config with another strategy, as a user writes it."""
    text = TOY.read_text().replace('strategy = "learning_loss"', f"strategy = {strategy}")
    path = folder / "mine.py"
    mine = "from tests.acquisition.test_strategies import Astray, Both, Dreamer, Smallest\n"
    path.write_text(text.replace("from tests.toy", mine + "from tests.toy"))
    return path


# ---------------------------------------------------------------- configs


def test_a_class_of_ones_own_is_a_strategy(tmp_path: Path, capsys):
    path = written(tmp_path, "dict(type=Smallest, factor=2.0)")
    experiment = load(path, options={"subset": 20})
    assert experiment.strategy == experiment.leg == "Smallest" and experiment.module_mode == "joint"
    assert experiment.steps[0] == RandomSubset(20) and experiment.steps[1].factor == 2.0
    folder = RunFolder(tmp_path / "run")
    folder.open(experiment.config, preflight.names(experiment.task), told=told(experiment))
    loop.run(Cycle.next_of(folder, experiment), Silent(), Silent())
    query = folder.query(0)
    scores = query.signals["predicted_loss"][np.isin(query.candidates, query.picked)]
    assert scores.max() <= np.sort(query.signals["predicted_loss"])[4]


def test_the_strategy_of_the_docs_runs_as_it_stands():
    text = (REPOSITORY / "docs/strategies.md").read_text()
    # `tests/whole/test_own_code.py` runs the others
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    names: dict = {}
    exec(code, names)
    rows = {
        "entropy": np.array([0.1, 0.9, 0.5, 0.2]),
        "predicted_loss": np.array([0.0, 3.0, 9.0, 1.0]),
    }
    step = names["Undecided"](share=0.3)
    assert isinstance(step, Step) and set(step.needs) <= set(SIGNALS)
    assert step(Seen(4, rows, {}), 2, np.random.default_rng(0)).tolist() == [2, 1]


def test_every_strategy_has_a_row_in_the_docs():
    text = (REPOSITORY / "docs/strategies.md").read_text().partition("**What is scored.**")[0]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(named_strategies())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "entropi"}, "strategy: entropi: unknown; did you mean 'entropy'?"),
        ({"keep": 0}, "keep: input should be greater than or equal to 1"),
        (
            {"scoring.embedding": "secnd"},
            "scoring.embedding.secnd: unknown; did you mean 'second'?",
        ),
        (
            {"scoring.aggregate": "median"},
            "scoring.aggregate: input should be 'mean', 'max' or 'sum'",
        ),
        (
            {"committee": {"members": 1}},
            "committee.members: input should be greater than or equal to 2",
        ),
        ({"committee": {"dropout": 1.0}}, "committee.dropout: input should be less than 1"),
    ],
)
def test_what_is_wrong_with_a_strategy_is_said(options, message):
    with pytest.raises(ConfigError) as error:
        load(TOY, options=options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            "dict(type='os.path')",
            "strategy.type: expected a class derived from `acquisition.steps.Step`, but got",
        ),
        (
            "dict(type=dict)",
            "strategy.type: expected a class derived from `acquisition.steps.Step`, but got dict",
        ),
        ("dict(type=Smallest, facto=1.0)", "strategy.facto: unknown; did you mean 'factor'?"),
        ("dict(type=Smallest, factor='x')", "strategy.factor: input should be a valid number"),
        (
            "dict(type=Smallest, factor=-1.0)",
            "strategy: factor: expected more than 0, but got -1.0",
        ),
        (
            "dict(type=Dreamer)",
            "strategy.needs.predicted_los: unknown; did you mean 'predicted_loss'?",
        ),
        (
            "dict(type=Both)",
            "strategy.needs: Expected signals of one committee, but got those of ['dropout', ",
        ),
        (
            "dict(type=Astray)",
            "strategy.labeled: expected signals that are in `needs`, too, but got ['embedding']",
        ),
        ("3", "strategy: input should be a valid"),
    ],
)
def test_what_is_wrong_with_a_class_of_ones_own_is_said(strategy, message, tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, strategy))
    assert message in str(error.value)


def test_objectives_are_the_strategys():
    for name, objective in (
        ("learning_loss", "ranking"),
        ("learning_loss_mse", "mse"),
        ("learning_loss_kl", "kl"),
        ("tidal", "dynamics"),
        ("tidal_margin", "dynamics"),
    ):
        assert load(TOY, options={"strategy": name}).module.objective == objective
    assert (
        load(TOY, options={"strategy": "random", "module.objective": "kl"}).module.objective == "kl"
    )


def test_the_objective_that_is_used_is_the_one_that_is_recorded():
    experiment = load(TOY, options={"strategy": "learning_loss_mse", "module.objective": "kl"})
    assert experiment.module.objective == experiment.config["module"]["objective"] == "mse"


def test_a_chain_that_would_keep_all_candidates_is_refused():
    options = {"strategy": "learning_loss_coreset", "subset": 20, "budget.query": 5}
    with pytest.raises(
        ConfigError, match="keep: expected less than subset / budget.query, as 20 of 20 candidates"
    ):
        load(TOY, options=options)
    assert load(TOY, options=options | {"keep": 3}).steps[1].keep == 3


def test_the_plan_counts_members_and_passes(image_folder: Path, tmp_path: Path):
    for strategy, trainings, times in (
        ("ensemble_bald", 4, 3),
        ("dropout_bald", 2, 3),
        ("random", 2, 1),
    ):
        plan = cost.plan(experiment_of(image_folder, strategy), tmp_path, 0)
        assert f"training {trainings} trainings of 1 epochs" in plan
        assert (f", {times} times each" in plan) == (times > 1)


def test_a_network_without_a_linear_layer_runs_and_has_no_gradient(tmp_path: Path):
    root = imagekit.make_folder(tmp_path, width=64, height=64)
    task = imagekit.classification(root, network="squeezenet1_1", input_size=64)
    batch = contract.a_batch(task, "pool", [0, 4])
    assert task.forward(task.build(), batch, frozenset({"loss"})).loss.shape == (2,)
    with pytest.raises(
        ValueError, match="network with a fully connected layer for gradient embeddings"
    ):
        task.forward(task.build(), batch, frozenset({"gradient"}))


def test_the_embedding_is_the_tap_that_is_named():
    assert load(TOY).tap == -1
    assert load(TOY, options={"scoring.embedding": "first"}).tap == 0


def test_a_task_without_probabilities_is_refused_by_name():
    problems = preflight.problems(load(TOY, options={"strategy": "entropy"}), full=False)
    assert problems == ["strategy 'entropy' needs ['probs'], but the task gives ['loss']"]


@pytest.mark.parametrize(
    ("strategy", "objective", "faults"),
    [
        ("learning_loss", "dynamics", 3),
        ("dict(type=Wavering)", "ranking", 1),
        ("dict(type=Wavering)", "dynamics", 2),
    ],
)
def test_a_strategy_of_losses_has_a_module_of_losses_and_one_of_dynamics_the_other(
    strategy, objective, faults, tmp_path
):
    given = strategy if strategy.startswith("dict") else repr(strategy)
    path = written(tmp_path, given)
    path.write_text(path.read_text().replace("import Astray", "import Wavering, Astray"))
    problems = preflight.problems(load(path, options={"module.objective": objective}), full=False)
    assert len(problems) == faults
    wanted = "'dynamics'" if "Wavering" in strategy else "'ranking', 'mse' or 'kl'"
    said = f"needs module.objective {wanted}, but got {objective!r}"
    wrong = any(said in problem for problem in problems)
    assert wrong == ((objective == "dynamics") != ("Wavering" in strategy))
    lacks = "needs a network that decides between classes once a sample (`classes_decided`, see"
    assert (lacks in problems[-1]) == (objective == "dynamics")


def test_one_module_does_not_learn_both(tmp_path):
    path = written(tmp_path, "dict(type=Torn)")
    path.write_text(path.read_text().replace("import Astray", "import Torn, Astray"))
    with pytest.raises(ConfigError, match="signals of one module, but got those of dynamics and"):
        load(path)


@pytest.mark.parametrize("name", ["tidal", "tidal_margin"])
@pytest.mark.parametrize("budget", [1, 3, 6])  # of one, of some, of all
def test_tidal_takes_the_highest_and_breaks_ties_by_chance(name, budget):
    ids = np.array([50, 7, 31, 4, 22, 9])
    values = np.array([0.5, 0.9, 0.5, 0.1, 0.5, 0.7], np.float32)

    def scored(asked, signals):
        order = [ids.tolist().index(i) for i in asked]
        return dict.fromkeys(signals, values[order])

    def query(seed):
        rng = np.random.default_rng(seed)
        steps = named_strategies()[name].steps
        return ask(steps, ids, np.zeros(0, int), budget, rng, scored).picked.tolist()

    picks = [query(seed) for seed in range(20)]
    assert picks[0] == query(0)
    assert all(pick[:2] == [7, 9][:budget] and len(set(pick)) == budget for pick in picks)
    if budget > 2:
        assert {pick[2] for pick in picks} == {50, 31, 22}
    only = ask(
        named_strategies()[name].steps, ids[:1], ids[1:], 1, np.random.default_rng(0), scored
    )
    assert only.picked.tolist() == [50]
    values[3] = np.nan
    with pytest.raises(QueryError, match=r"but 1 of 6 are not"):
        query(0)


# ---------------------------------------------------------------- legs of the module


@pytest.mark.parametrize(
    ("strategy", "module", "mode", "leg"),
    [
        ("random", None, "off", "random"),
        ("random", "joint", "joint", "random-joint"),
        ("learning_loss", "detached", "detached", "learning_loss-detached"),
        ("placebo", None, "joint", "placebo"),
    ],
)
def test_legs_have_folders_of_their_own(
    strategy, module, mode, leg, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    arguments = [
        str(TOY),
        "--strategy",
        strategy,
        "--dry-run",
        *(["--module", module] if module else []),
    ]
    assert commands.train(arguments, None) == 0
    said = capsys.readouterr().out
    assert f"module   {mode}" in said and f"work_dirs/toy_config/{leg}/seed0" in said


def test_learning_loss_without_its_module_is_refused(capsys):
    assert (
        commands.train(
            [str(TOY), "--strategy", "learning_loss", "--module", "off", "--dry-run"], None
        )
        == 2
    )
    assert "needs the loss-prediction module, but module.mode is 'off'" in capsys.readouterr().out


# ---------------------------------------------------------------- committees in the loop


def experiment_of(folder: Path, strategy: str, **options) -> Experiment:
    budget = {"budget.initial": 4, "budget.query": 2, "budget.cycles": 2, "training.epochs": 1}
    dropout = {"committee": {"members": 3, "passes": 3, "dropout": 0.3, "dropout_at": ["layer*"]}}
    loaded = load(
        TOY,
        options={"strategy": strategy, **budget, **dropout, "module.detach_epoch": 1, **options},
    )
    return replace(loaded, task=imagekit.classification(folder))


def run(experiment: Experiment, where: Path) -> RunFolder:
    there = RunFolder(where)
    there.open(experiment.config, preflight.names(experiment.task), told=told(experiment))
    loop.run(Cycle.next_of(there, experiment), Silent(), Silent())
    return there


@pytest.mark.parametrize("strategy", ["ensemble_bald", "dropout_bald"])
@pytest.mark.slow
def test_the_same_run_twice_is_the_same(strategy, image_folder: Path, tmp_path: Path):
    first, again = (run(experiment_of(image_folder, strategy), tmp_path / name) for name in "ab")
    assert (first.path / "state.json").read_bytes() == (again.path / "state.json").read_bytes()
    found, other = first.query(0), again.query(0)
    assert np.array_equal(found.signals[strategy], other.signals[strategy])
    assert len(np.unique(found.signals[strategy])) > 1 and found.signals[strategy].min() >= 0


@pytest.mark.slow
def test_members_are_trained_apart_and_the_first_is_every_strategys_network(
    image_folder: Path, tmp_path: Path
):
    ensemble, plain = (
        run(experiment_of(image_folder, name), tmp_path / name)
        for name in ("ensemble_bald", "random")
    )
    rows = [
        json.loads((there.path / "metrics.jsonl").read_text().splitlines()[0])
        for there in (ensemble, plain)
    ]
    assert rows[0]["accuracy"] == rows[1]["accuracy"]
    assert rows[0]["seconds/committee"] > 0 and "seconds/committee" not in rows[1]


@pytest.mark.slow
def test_a_run_killed_among_the_members_ends_as_if_it_had_not_been(
    image_folder: Path, tmp_path: Path, monkeypatch
):
    whole = run(experiment_of(image_folder, "ensemble_bald"), tmp_path / "whole")
    from tools.train import cycle

    start, calls = cycle.start, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:  # the third member of the first cycle
            raise KeyboardInterrupt
        return start(*arguments)

    experiment = experiment_of(image_folder, "ensemble_bald")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cycle, "start", killed)
        patch.setattr(loop, "start", killed)
        run(experiment, tmp_path / "killed")
    assert (tmp_path / "killed/cycles/00/member2").exists() and not (
        tmp_path / "killed/state.json"
    ).exists()
    resumed = run(experiment_of(image_folder, "ensemble_bald"), tmp_path / "killed")
    assert (resumed.path / "state.json").read_bytes() == (whole.path / "state.json").read_bytes()
    assert np.array_equal(
        resumed.query(0).signals["ensemble_bald"], whole.query(0).signals["ensemble_bald"]
    )


@pytest.mark.slow
def test_tod_compares_with_the_last_cycles_network(image_folder: Path, tmp_path: Path):
    experiment = experiment_of(image_folder, "tod", **{"budget.cycles": 3})
    there = run(experiment, tmp_path / "run")
    first, second = there.query(0), there.query(1)
    assert (first.signals["change"] == 0).all() and second.signals["change"].min() > 0
    receipts = [there.receipt(cycle) for cycle in range(2)]
    assert receipts[1]["weights/member2"] == receipts[0]["weights"]
    assert "weights/member2" not in receipts[0]
    best = np.argsort(-second.signals["change"], kind="stable")[:2]
    assert set(second.picked.tolist()) == set(second.candidates[best].tolist())
    assert ", 2 times each" in cost.plan(experiment, tmp_path, 0)


def test_dropout_needs_a_layer_to_drop_out_after(image_folder: Path):
    experiment = experiment_of(
        image_folder, "dropout_bald", **{"committee": {"dropout_at": ["stage*"]}}
    )
    (problem,) = preflight.problems(experiment, full=False)
    assert "strategy 'dropout_bald': committee.dropout_at: 'stage*' names no layer" in problem


# ---------------------------------------------------------------- gradient embeddings


@pytest.mark.parametrize("network", ["resnet10_cifar_w8", "mobilenet_v2"])
def test_gradient_factors_are_autograds(network: str, tmp_path: Path):
    """Of the cross-entropy with the likeliest class as label, by the last layer's weights,
    sample by sample.
    """
    root = imagekit.make_folder(tmp_path, width=64, height=64)
    task = imagekit.classification(root, network=network, input_size=64)
    with seeded(0):
        net = task.build().eval()
    batch = contract.a_batch(task, "pool", [0, 4, 9])
    output = task.forward(net, batch, frozenset({"gradient"}))
    assert output.probs is None and output.loss is None
    residual, feature = output.gradient
    *_, last = (module for module in net.modules() if isinstance(module, torch.nn.Linear))
    for k in range(3):
        one = {name: value[k : k + 1] for name, value in batch.items()}
        _, logits = net(task.pictures.normalised(one["images"]))
        (expected,) = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1)), last.weight)
        torch.testing.assert_close(
            torch.outer(residual[k], feature[k]), expected, rtol=1e-3, atol=1e-6
        )
