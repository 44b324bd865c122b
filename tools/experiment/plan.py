"""The plan of a run apart from its task: strategy, budget, and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acquisition import signals
from acquisition.pool import Budget, Pool
from acquisition.query import Query, Score, When, ask, needs
from acquisition.settings import ScoringSettings
from acquisition.signals import Signal, need_committee, need_dynamics, need_module
from acquisition.step import Step
from acquisition.strategies import Strategy, named_strategies, sampled
from models.process.seeding import stream
from models.process.text import came, told
from models.training.settings import CommitteeSettings, Kind, ModuleSettings, TrainingSettings
from tasks.noise import Noisy
from tasks.twins import ALLOW
from tools.experiment.checks import SECTIONS
from tools.experiment.people import LabelSettings
from tools.experiment.seeds import Part, Seeds
from tools.experiment.settings import arguments, unknown

Named = Callable[[str], Any]  # a dotted name -> what it stands for


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config without its task, checked and built.

    Args:
        strategy: name; `steps` is what it stands for.
        test_in_pool: whether test images may be images of the pool.
        subset: number of random candidates among which strategies that score choose; None means
            all candidates.
        config: the whole config as plain data, types as dotted names.
        oracle: the mistakes of simulated people; None where labels are the truth.
    """

    strategy: str
    steps: tuple[Step, ...]
    seed: int
    test_in_pool: bool
    subset: int | None
    budget: Budget
    training: TrainingSettings
    module: ModuleSettings
    scoring: ScoringSettings
    committee: CommitteeSettings
    label: LabelSettings
    seeds: Seeds
    config: dict[str, Any]
    oracle: Noisy | None = None

    def seed_of(self, part: Part) -> int:
        """The seed of a part of the run: the first labeled set, the models, or the queries."""
        return self.seeds.of(part, self.seed)

    @property
    def module_mode(self) -> Any:
        """The module's mode for this strategy: "joint", "detached" or "off"."""
        return self.module.resolved(need_module(needs(self.steps)))

    @property
    def committee_kind(self) -> Kind | None:
        """The kind of committee that the strategy needs; None if it needs none."""
        return need_committee(needs(self.steps))

    @property
    def leg(self) -> str:
        """The strategy's name, followed by the module's mode unless that is "auto".

        For example "random-joint".
        """
        return leg(self.strategy, self.module.mode)

    @property
    def code(self) -> tuple[str, ...]:
        """Dotted names of the code that the config names: task, strategy and signals."""
        names = [self.config["task"]["type"]]
        strategy = self.config["strategy"]
        if isinstance(strategy, Mapping):
            names.append(strategy["type"])
        names += [name for name in needs(self.steps) if "." in name]
        return tuple(names)


def leg(strategy: str, mode: str) -> str:
    """Return the name of a strategy with a mode of the module, as reports show it.

    >>> leg("random", "auto"), leg("random", "joint")
    ('random', 'random-joint')
    """
    return strategy if mode == "auto" else f"{strategy}-{mode}"


def asked(experiment: Plan, pool: Pool, signals: Score) -> Query:
    """Return the strategy's query in the pool's cycle, given the signals.

    The signals are just computed, or saved and replayed.
    """
    rng = stream(experiment.seed_of("query"), pool.cycle, "query")
    labeled = np.array(pool.labeled)
    budget = experiment.budget
    when = When(pool.cycle, max(budget.cycles - 1, 1))
    return ask(
        experiment.steps,
        pool.unlabeled,
        labeled,
        budget.query,
        rng,
        signals,
        when,
        experiment.scoring.save,
    )


def strategy_of(values: Mapping[str, Any], named: Named) -> tuple[Strategy | None, list[str]]:
    """Return the steps that a checked `strategy` stands for, and all problems.

    None in place of the steps if `strategy`, `subset` or `keep` is wrong.

    Args:
        values: of the config.
        named: finds signals of one's own.
    """
    if not {"strategy", "subset", "keep"} <= values.keys():
        return None, []
    given = values["strategy"]
    subset = values["subset"]
    if isinstance(given, str):
        return named_strategies(subset, values["keep"])[given], []
    settings = {key: value for key, value in given.items() if key != "type"}
    try:
        step = given["type"](**arguments(given["type"], settings, "strategy")[0])
    except ValueError as error:
        return None, [f"strategy: {error}"]
    except (Exception, SystemExit) as error:  # steps are anybody's, too
        return None, [
            f"strategy: {given['type'].__name__} cannot be made of these settings "
            f"({told(error, True)})"
        ]
    problems = [line for signal in step.needs for line in _signal_problems(signal, named)]
    extra = [signal for signal in step.labeled if signal not in step.needs]
    if extra:
        problems.append(
            f"strategy.labeled: expected signals that are in `needs`, too, but got {extra}"
        )
    if not problems:
        try:
            need_committee(step.needs)
            need_dynamics(step.needs)
        except ValueError as error:
            problems.append(f"strategy.needs: {error}")
    return Strategy(sampled(subset, [step])), problems


def _signal_problems(name: Any, named: Named) -> list[str]:
    """Register a signal of the user's, and return what is wrong with its name."""
    if not isinstance(name, str) or "." not in name:
        if name in signals.SIGNALS:
            return []
        return [unknown(name, list(signals.SIGNALS), "strategy.needs")]
    try:
        value = named(name)
        signal = value() if inspect.isclass(value) else value  # a class is made without settings
    except (Exception, SystemExit) as error:  # signals are anybody's, too
        return [f"strategy.needs: the signal {name} cannot be loaded ({told(error, True)})"]
    if not isinstance(signal, Signal):
        return [
            f"strategy.needs: expected {name} to be an `acquisition.signals.Signal`, but got "
            f"{came(value)}"
        ]
    signals.add(name, signal)
    return []


def parts(values: Mapping[str, Any], strategy: Strategy, written: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Plan`."""
    built = {key: section(**values[key]) for key, section in SECTIONS.items()}
    if strategy.objective is not None:
        built["module"] = replace(built["module"], objective=strategy.objective)
        written = {
            **written,
            "module": {**written.get("module", {}), "objective": strategy.objective},
        }
    name = values["strategy"]
    if not isinstance(name, str):
        name = name["type"].__name__
    if values.get("oracle") is not None:
        built["oracle"] = Noisy(**values["oracle"])
    return dict(
        strategy=name, seed=values["seed"], test_in_pool=values[ALLOW], subset=values["subset"],
        steps=strategy.steps, config=written, **built,
    )  # fmt: skip
