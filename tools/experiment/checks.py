"""Check the settings of a config, each alone and together, without building anything."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from acquisition.pool import Budget
from acquisition.settings import ScoringSettings
from acquisition.signals import SIGNALS
from acquisition.steps import Step
from acquisition.strategies import named_strategies
from models.process.text import came
from models.training.settings import CommitteeSettings, ModuleSettings, TrainingSettings
from tasks.noise import Noisy
from tasks.twins import ALLOW
from tools.experiment.people import LabelSettings
from tools.experiment.seeds import Seeds
from tools.experiment.settings import (
    arguments,
    not_a_class,
    odd_numbers,
    parameters_of,
    typed,
    unknown,
)

SECTIONS = {
    "budget": Budget,
    "training": TrainingSettings,
    "module": ModuleSettings,
    "scoring": ScoringSettings,
    "committee": CommitteeSettings,
    "label": LabelSettings,
    "seeds": Seeds,
}
PLAIN = {
    "strategy": str | dict, "subset": int | None, "keep": Annotated[int, Ge(1)], "seed": int,
    ALLOW: bool,  # test images may be images of the pool
    "processes": Annotated[int, Ge(1)],  # set by `al_train.py` where there are several
    "people": bool,  # set by `al_label.py`: people gave the first labels, no seed drew them
}  # fmt: skip
ORACLE = f"{Noisy.__module__}.{Noisy.__name__}"
KNOWN = ("task", *SECTIONS, "oracle", *PLAIN)
WORKERS = 1024  # processes that load data: each is a copy of this one
NOT_SETTINGS = {"params", "optimizer"}  # what mmengine gives to optimisers and schedules itself


def check(given: dict[str, Any], code: bool = True) -> tuple[dict[str, Any], list[str]]:
    """Return the checked values of every section without problems, and all problems.

    Args:
        given: the settings, with classes as themselves.
        code: whether they are to be trained with. Otherwise the classes of task, optimiser and
            schedules are dotted names, and these sections stay as they are.
    """
    problems = [_no_setting(key) for key in given if key not in KNOWN]
    problems += [
        f"{key}: missing"
        for key in ("task", "budget", "training", "scoring", "strategy")
        if key not in given
    ]
    values: dict[str, Any] = {
        "subset": None,
        "keep": 4,
        "seed": 0,
        "module": {},
        "committee": {},
        "label": {},
        "seeds": {},
        "oracle": None,
        ALLOW: False,
    }
    for key in [key for key in KNOWN if code or key != "task"]:
        if key not in given and key != "task":
            continue
        values[key], faults = _check_part(key, given.get(key, {}), code)
        if faults:
            del values[key]
        problems += faults
    return values, problems + _check_together(values)


def _no_setting(key: Any) -> str:
    """Return the line for an unknown setting: a typo, or a name that the config has for itself."""
    line = unknown(key, KNOWN)
    if "did you mean" in line:
        return line
    return f"{line}; a name of the config's own begins with _"


def _check_part(key: str, given: Any, code: bool) -> tuple[Any, list[str]]:
    value: Any
    if key == "task":
        value, problems = _check_task(given)
    elif key == "oracle":
        value, problems = oracle(given)
    elif key in SECTIONS:
        value, problems = arguments(SECTIONS[key], given, key)
        if key == "training" and code:
            problems += _check_types(given)
    else:
        value, problems = typed(PLAIN[key], given, key)
        if key == "strategy" and not problems:
            problems += _check_strategy(value)
    finite = value
    if key == "training":
        finite = {**value, "clip_grad": None}  # the order of a norm may be infinite
    return value, problems or odd_numbers(finite, key)


def _check_task(given: Any) -> tuple[dict[str, Any], list[str]]:
    if not _has_class(given):
        return {}, [
            "task.type: expected a task class, such as `tasks.detection.Detection`, but got "
            f"{_instead_of_class(given)}"
        ]
    settings = {key: value for key, value in given.items() if key != "type"}
    values, problems = arguments(given["type"], settings, "task")
    return {"type": given["type"], **values}, problems


def oracle(given: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """The rates of people's mistakes, without the class; None where nobody makes any."""
    if given is None:
        return None, []
    kind = given.get("type") if isinstance(given, dict) else given
    if kind not in (Noisy, ORACLE):
        came_from = kind.__name__ if inspect.isclass(kind) else not_a_class(kind)
        return None, [f"oracle.type: expected `{ORACLE}`, but got {came_from}"]
    return arguments(Noisy, {key: v for key, v in given.items() if key != "type"}, "oracle")


def _has_class(section: Any) -> bool:
    return isinstance(section, dict) and inspect.isclass(section.get("type"))


def _instead_of_class(section: Any) -> str:
    """Return what a section has in the place of its class, for a message."""
    return not_a_class(section.get("type") if isinstance(section, dict) else section)


def _check_types(training: Any) -> list[str]:
    """Problems of the optimiser and the schedules: their keys are parameters of a class."""
    if not isinstance(training, dict):
        return []
    parts = []
    if "optimizer" in training:
        parts.append(("training.optimizer", training["optimizer"]))
    schedule = training.get("schedule")
    if isinstance(schedule, list):
        parts += [(f"training.schedule[{i}]", part) for i, part in enumerate(schedule)]
    problems = []
    for where, part in parts:
        if not _has_class(part):
            problems.append(
                f"{where}.type: expected a class, such as `torch.optim.SGD`, but got "
                f"{_instead_of_class(part)}"
            )
            continue
        known = parameters_of(part["type"]) - NOT_SETTINGS | {"convert_to_iter_based"}
        problems += [
            unknown(key, sorted(known), where) for key in part if key not in known | {"type"}
        ]
    return problems


def _check_strategy(given: str | dict) -> list[str]:
    """Return what is wrong with a strategy: a name, or a class of the user's with its settings.

    The class is a step that narrows the candidates to the query.
    """
    if isinstance(given, str):
        known = named_strategies()
        if given in known:
            return []
        return [f"strategy: {unknown(given, list(known))}"]
    kind = given.get("type")
    if not inspect.isclass(kind) or not issubclass(kind, Step):
        other = kind.__name__ if inspect.isclass(kind) else not_a_class(kind)
        return [
            "strategy.type: expected a class derived from `acquisition.steps.Step`, but got "
            f"{other}"
        ]
    return arguments(
        kind, {key: value for key, value in given.items() if key != "type"}, "strategy"
    )[1]


def _check_together(values: Mapping[str, Any]) -> list[str]:
    """Return the combinations that make no sense, each valid alone.

    Only sections with which nothing else is wrong are looked at.
    """
    problems = []
    if "training" in values and "module" in values:
        detach = values["module"].get("detach_epoch")
        epochs = values["training"]["epochs"]
        if detach is not None and detach > epochs:
            problems.append(
                f"module.detach_epoch: expected at most training.epochs ({epochs}), but got "
                f"{detach}"
            )
    if "training" in values:
        problems += _check_milestones(values["training"])
    for name in values.get("scoring", {}).get("save", ()):
        if name not in SIGNALS:
            problems.append(unknown(name, list(SIGNALS), "scoring.save"))
    for key in [key for key in ("training", "scoring") if key in values]:
        if values[key].get("workers", 0) > WORKERS:
            many = values[key]["workers"]
            problems.append(f"{key}.workers: expected at most {WORKERS} processes, but got {many}")
    if {"budget", "strategy", "subset", "keep"} <= values.keys() and values["subset"] is not None:
        problems += _check_subset(
            values["subset"], values["budget"]["query"], values["keep"], values["strategy"]
        )
    return problems


def _check_milestones(training: Mapping[str, Any]) -> list[str]:
    problems = []
    epochs = training["epochs"]
    for place, schedule in enumerate(training.get("schedule", ())):
        where = f"training.schedule[{place}].milestones"
        milestones = schedule.get("milestones", ())
        if not isinstance(milestones, list | tuple) or not all(
            isinstance(m, int) and not isinstance(m, bool) for m in milestones
        ):
            problems.append(
                f"{where}: expected a list of whole numbers, but got {came(milestones)}"
            )
            continue
        late = [m for m in milestones if schedule.get("by_epoch", True) and m >= epochs]
        if late:
            problems.append(
                f"{where}: expected epochs before the last (training.epochs is {epochs}), but got "
                f"{late}"
            )
    return problems


def _check_subset(subset: int, query: int, keep: int, strategy: str | dict) -> list[str]:
    if subset < query:
        return [f"subset: expected at least budget.query ({query}), but got {subset}"]
    steps = named_strategies(keep=2)[strategy].steps if isinstance(strategy, str) else ()
    chain = any(getattr(step, "keep", 1) > 1 for step in steps)
    if chain and keep * query >= subset:
        return [
            f"keep: expected less than subset / budget.query, as {keep * query} of {subset} "
            f"candidates would be kept by score, but got {keep}"
        ]
    return []
