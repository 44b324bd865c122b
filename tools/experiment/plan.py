"""The plan of a run apart from its task: strategy, budget, and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acquisition import signals
from acquisition.pool import Budget, Pool
from acquisition.query import Query, Score, ask, needs
from acquisition.settings import ScoringSettings
from acquisition.signals import Signal, need_committee, need_module
from acquisition.steps import Step
from acquisition.strategies import Strategy, named_strategies, sampled
from models.process.seeding import stream
from models.process.text import came, told
from models.training.settings import CommitteeSettings, Kind, ModuleSettings, TrainingSettings
from tasks.twins import ALLOW
from tools.experiment.checks import SECTIONS
from tools.experiment.settings import arguments, unknown

Named = Callable[[str], Any]  # a dotted name -> what it stands for


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config without its task, checked and built.

    Args:
        strategy: name; `steps` is what it stands for.
        test_in_pool: whether test images may be images of the pool.
        subset: the strategies that score look at so many random candidates alone; None means at
            all.
        config: the whole config as plain data, types as dotted names.
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
    config: dict[str, Any]

    @property
    def module_mode(self) -> Any:
        """What the module's mode comes to for this strategy: "joint", "detached" or "off"."""
        return self.module.resolved(need_module(needs(self.steps)))

    @property
    def committee_kind(self) -> Kind | None:
        """Whom the strategy asks beside the model: the members of an ensemble, passes with
        dropout, or nobody.
        """
        return need_committee(needs(self.steps))

    @property
    def leg(self) -> str:
        """What people call the strategy with this module: "random-joint" where the
        module's mode is not "auto".
        """
        if self.module.mode == "auto":
            return self.strategy
        return f"{self.strategy}-{self.module.mode}"

    @property
    def code(self) -> tuple[str, ...]:
        """Dotted names of what the config names of the task, the strategy and its signals."""
        strategy = self.config["strategy"]
        own = (strategy["type"],) if isinstance(strategy, Mapping) else ()
        return (
            self.config["task"]["type"],
            *own,
            *(name for name in needs(self.steps) if "." in name),
        )


def asked(experiment: Plan, pool: Pool, signals: Score) -> Query:
    """What the strategy asks for in the pool's cycle, given signals: just computed, or
    saved and replayed.
    """
    rng, labeled = stream(experiment.seed, pool.cycle, "query"), np.array(pool.labeled)
    return ask(experiment.steps, pool.unlabeled, labeled, experiment.budget.query, rng, signals)


def strategy_of(values: Mapping[str, Any], named: Named) -> tuple[Strategy | None, list[str]]:
    """The steps that a checked `strategy` stands for; None if it, `subset` or `keep` is not
    right.

    Args:
        values: of the config.
        named: finds signals of one's own.
    """
    if not {"strategy", "subset", "keep"} <= values.keys():
        return None, []
    given, subset = values["strategy"], values["subset"]
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
    problems += (
        [f"strategy.labeled: expected signals that are in `needs`, too, but got {extra}"]
        if extra
        else []
    )
    try:
        need_committee(() if problems else step.needs)
    except ValueError as error:
        problems.append(f"strategy.needs: {error}")
    return Strategy(sampled(subset, [step])), problems


def _signal_problems(name: Any, named: Named) -> list[str]:
    """Make a signal of one's own known, and say what is wrong with its name."""
    if not isinstance(name, str) or "." not in name:
        if name in signals.SIGNALS:
            return []
        return [unknown(name, list(signals.SIGNALS), "strategy.needs")]
    try:
        found = named(name)
        signal = found() if inspect.isclass(found) else found  # a class is made without settings
    except (Exception, SystemExit) as error:  # signals are anybody's, too
        return [f"strategy.needs: the signal {name} cannot be had ({told(error, True)})"]
    if not isinstance(signal, Signal):
        return [
            f"strategy.needs: expected {name} to be an `acquisition.signals.Signal`, but got "
            f"{came(found)}"
        ]
    signals.add(name, signal)
    return []


def parts(values: Mapping[str, Any], strategy: Strategy, written: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a `Plan`."""
    built = {key: section(**values[key]) for key, section in SECTIONS.items()}
    if strategy.objective is not None:
        built["module"] = replace(built["module"], objective=strategy.objective)
        written = {
            **written,
            "module": {**written.get("module", {}), "objective": strategy.objective},
        }
    if isinstance(values["strategy"], str):
        called = values["strategy"]
    else:
        called = values["strategy"]["type"].__name__
    return dict(
        strategy=called, seed=values["seed"], test_in_pool=values[ALLOW], subset=values["subset"],
        steps=strategy.steps, config=written, **built,
    )  # fmt: skip
