"""From a config file and a command line to a checked experiment; every error of a config in one report."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from mmengine.config import Config

from acquisition.pool import Budget
from acquisition.query import needs
from acquisition.scoring import ScoringSettings
from acquisition.signals import SIGNALS, need_committee, need_module
from acquisition.steps import Highest, Step
from acquisition.strategies import Strategy, named_strategies, sampled
from models.committee import CommitteeSettings, Kind
from models.joint import ModuleSettings
from models.training import TrainingSettings
from tasks.base import Task
from tools.settings import arguments, not_a_class, parameters_of, resolved, typed, unknown

SECTIONS = {
    "budget": Budget, "training": TrainingSettings, "module": ModuleSettings, "scoring": ScoringSettings,
    "committee": CommitteeSettings,
}  # fmt: skip
PLAIN = {"strategy": str | dict, "subset": int | None, "keep": Annotated[int, Ge(1)], "seed": int}
NOT_SETTINGS = {"params", "optimizer"}  # what mmengine gives to optimisers and schedules itself


class ConfigError(Exception):
    """Everything wrong with a config or what it names, a line each: the first `FULL` in full, the others cut short."""

    FULL, SHORT = 20, 110

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        short = [p if len(p) <= self.SHORT else p[: self.SHORT - 3] + "..." for p in self.problems[self.FULL :]]
        lines = [f"{where}: {len(self.problems)} problem(s)", *self.problems[: self.FULL], *short]
        super().__init__("\n  ".join(lines))


@dataclass(frozen=True)
class Experiment:
    """A config, checked and built.

    Args:
        name: of the config, with "-smoke" for its smoke variant.
        task: the adapter; it has read no data yet.
        strategy: name; `steps` is what it stands for.
        subset: the strategies that score look at so many random candidates alone; None means at all.
        config: the whole config as plain data, types as dotted names.
    """

    name: str
    task: Task
    strategy: str
    steps: tuple[Step, ...]
    seed: int
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
        """Whom the strategy asks beside the model: the members of an ensemble, passes with dropout, or nobody."""
        return need_committee(needs(self.steps))

    @property
    def leg(self) -> str:
        """What people call the strategy with this module: "random-joint" where the module's mode is not "auto"."""
        return self.strategy if self.module.mode == "auto" else f"{self.strategy}-{self.module.mode}"

    @property
    def tap(self) -> int:
        """Number of the tap that is a sample's embedding."""
        names = [tap.name for tap in self.task.taps]
        return -1 if self.scoring.embedding is None else names.index(self.scoring.embedding)


def load(path: str | Path, *, smoke: bool = False, options: Mapping[str, Any] | None = None) -> Experiment:
    """Read a config, lay its smoke variant and then `options` (dotted keys) over it, check all of it, and build.

    Raises:
        ConfigError: with every problem, before anything is built.
    """
    if not Path(path).is_file():
        raise ConfigError(str(path), [f"no such file; expected a config such as configs/det_ssd_voc.py{_beside(path)}"])
    if str(Path(path).resolve().parent) not in sys.path:
        sys.path.append(str(Path(path).resolve().parent))  # an adapter may lie beside its config
    try:
        config = Config.fromfile(path)
        variant = config.pop("smoke", None)
        if smoke and variant is None:
            raise LookupError("it has no smoke variant; add `smoke = dict(...)` with the settings that make it small")
        config.merge_from_dict(dict(variant) if smoke else {})
        config.merge_from_dict(dict(options or {}))
        written = config.to_dict()  # classes as dotted names
        given = resolved(written)
    except Exception as error:  # a config is Python: anything can go wrong in it
        raise ConfigError(str(path), [f"cannot be read: {type(error).__name__}: {error}"]) from error
    values, problems = _check(given)
    if problems:
        raise ConfigError(str(path), problems)
    return _build(Path(path).stem + ("-smoke" if smoke else ""), values, written)


def _check(given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Checked values of every section, and all problems."""
    known = ["task", *SECTIONS, *PLAIN]
    problems = [unknown(key, known) for key in given if key not in known]
    problems += [f"{key}: missing" for key in ("task", "budget", "training", "scoring", "strategy") if key not in given]
    values: dict[str, Any] = {"subset": None, "keep": 4, "seed": 0, "module": {}, "committee": {}}
    for key, section in SECTIONS.items():
        values[key], found = arguments(section, given.get(key, {}), key) if key in given else ({}, [])
        problems += found
    for key in PLAIN.keys() & given.keys():
        values[key], found = typed(PLAIN[key], given[key], key)
        problems += found
    values["task"], found = _check_task(given.get("task", {}))
    problems += found + _check_types(given.get("training", {})) + _check_strategy(values)
    if not problems:
        problems = _check_together(values)
    return values, problems


def _check_task(given: Any) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(given, dict) or not inspect.isclass(given.get("type")):
        came = not_a_class(given.get("type") if isinstance(given, dict) else given)
        return {}, [f"task.type: expected a task class, such as `tasks.detection.Detection`, but got {came}"]
    settings = {key: value for key, value in given.items() if key != "type"}
    values, problems = arguments(given["type"], settings, "task")
    return {"type": given["type"], **values}, problems


def _check_types(training: Any) -> list[str]:
    """Problems of the optimiser and the schedules: their keys are parameters of a class."""
    problems = []
    sections = training if isinstance(training, dict) else {}
    schedule = sections.get("schedule", ())
    parts = [("training.optimizer", sections.get("optimizer"))] if "optimizer" in sections else []
    parts += [(f"training.schedule[{i}]", s) for i, s in enumerate(schedule if isinstance(schedule, list) else ())]
    for where, part in parts:
        if not isinstance(part, dict) or not inspect.isclass(part.get("type")):
            came = not_a_class(part.get("type") if isinstance(part, dict) else part)
            problems.append(f"{where}.type: expected a class, such as `torch.optim.SGD`, but got {came}")
            continue
        known = parameters_of(part["type"]) - NOT_SETTINGS | {"convert_to_iter_based"}
        problems += [unknown(key, sorted(known), where) for key in part if key not in known | {"type"}]
    return problems


def _check_strategy(values: Mapping[str, Any]) -> list[str]:
    """A name, or a class of one's own: a step that narrows the candidates to the query, with its settings."""
    given = values.get("strategy")
    if isinstance(given, str):
        known = named_strategies()
        return [] if given in known else [f"strategy: {unknown(given, list(known))}"]
    if not isinstance(given, dict):
        return []  # missing or of another type: said elsewhere
    kind = given.get("type")
    if not inspect.isclass(kind) or not issubclass(kind, Step):
        came = kind.__name__ if inspect.isclass(kind) else not_a_class(kind)
        return [f"strategy.type: expected a class derived from `acquisition.steps.Step`, but got {came}"]
    return arguments(kind, {key: value for key, value in given.items() if key != "type"}, "strategy")[1]


def _check_together(values: Mapping[str, Any]) -> list[str]:
    """Combinations that make no sense, each valid alone."""
    problems = []
    detach, epochs = values["module"].get("detach_epoch"), values["training"]["epochs"]
    if detach is not None and detach > epochs:
        problems.append(f"module.detach_epoch: expected at most training.epochs ({epochs}), but got {detach}")
    for place, schedule in enumerate(values["training"].get("schedule", ())):
        late = [m for m in schedule.get("milestones", ()) if schedule.get("by_epoch", True) and m >= epochs]
        if late:
            where = f"training.schedule[{place}].milestones"
            problems.append(f"{where}: expected epochs before the last (training.epochs is {epochs}), but got {late}")
    if values["subset"] is not None and values["subset"] < values["budget"]["query"]:
        query = values["budget"]["query"]
        problems.append(f"subset: expected at least budget.query ({query}), but got {values['subset']}")
    kept = values["keep"] * values["budget"]["query"]
    steps = named_strategies(keep=2)[values["strategy"]].steps if isinstance(values["strategy"], str) else ()
    chain = any(isinstance(step, Highest) and step.keep > 1 for step in steps)
    if chain and values["subset"] is not None and kept >= values["subset"]:
        problems.append(f"keep: expected less than subset / budget.query, as {kept} of {values['subset']} candidates "
                        f"would be kept by score, but got {values['keep']}")  # fmt: skip
    return problems


def _build(name: str, values: dict[str, Any], written: dict[str, Any]) -> Experiment:
    task = dict(values["task"])
    built = {key: section(**values[key]) for key, section in SECTIONS.items()}
    strategy = _strategy(name, values)
    if strategy.objective is not None:
        built["module"] = replace(built["module"], objective=strategy.objective)
        written = {**written, "module": {**written.get("module", {}), "objective": strategy.objective}}
    try:
        adapter = task.pop("type")(**task)
    except ValueError as error:  # what types cannot say, an adapter checks in its constructor
        raise ConfigError(name, [f"task: {error}"]) from error
    members = sorted({*dir(Task), *Task.__annotations__})
    lacking = [m for m in members if not m.startswith("_") and not hasattr(adapter, m)]
    if lacking:  # not isinstance: what it takes for a member differs between Python 3.11 and 3.12
        raise ConfigError(name, [f"task.type: {type(adapter).__name__} lacks {lacking}; see tasks/base.py"])
    taps = [tap.name for tap in adapter.taps]
    if built["scoring"].embedding not in (None, *taps):
        raise ConfigError(name, [unknown(built["scoring"].embedding, taps, "scoring.embedding")])
    called = values["strategy"] if isinstance(values["strategy"], str) else values["strategy"]["type"].__name__
    return Experiment(
        name=name, task=adapter, strategy=called, seed=values["seed"], subset=values["subset"], steps=strategy.steps,
        config=written, **built,
    )  # fmt: skip


def _strategy(name: str, values: dict[str, Any]) -> Strategy:
    given, subset = values["strategy"], values["subset"]
    if isinstance(given, str):
        return named_strategies(subset, values["keep"])[given]
    settings = {key: value for key, value in given.items() if key != "type"}
    try:
        step = given["type"](**arguments(given["type"], settings, "strategy")[0])
    except ValueError as error:
        raise ConfigError(name, [f"strategy: {error}"]) from error
    problems = [unknown(signal, list(SIGNALS), "strategy.needs") for signal in step.needs if signal not in SIGNALS]
    extra = [signal for signal in step.labeled if signal not in step.needs]
    problems += [f"strategy.labeled: expected signals that are in `needs`, too, but got {extra}"] if extra else []
    try:
        need_committee(() if problems else step.needs)
    except ValueError as error:
        problems.append(f"strategy.needs: {error}")
    if problems:
        raise ConfigError(name, problems)
    return Strategy(sampled(subset, [step]))


def _beside(path: str | Path) -> str:
    folder = Path(path).parent
    near = difflib.get_close_matches(Path(path).name, [p.name for p in folder.glob("*.py")], n=1)
    return f"; did you mean {folder / near[0]}?" if near else ""
