"""What a run folder's settings stand for: the plan of its run, and its task where somebody
wants to see the data.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.base import Task, lower_is_better
from tools.experiment.config import Experiment, Plan, planned
from tools.experiment.options import ConfigError
from tools.experiment.settings import arguments
from tools.record import code, facts
from tools.record.facts import Facts
from tools.record.files import RunFolderError

Trust = Sequence[Path]


def told(experiment: Experiment) -> Facts:
    """What an experiment's run folder keeps of its code."""
    places = {name: code.origin(name) for name in experiment.code}
    own = {name: place for name, place in places.items() if place is not None}
    return Facts(experiment.task.metric, lower_is_better(experiment.task), own)


def digests(experiment: Experiment) -> dict[str, str]:
    """The hashes of settings and facts, as parts of a receipt."""
    return {"settings": facts.digest(experiment.config), "facts": told(experiment).digest}


def plan(folder: Path, trust: Trust = ()) -> Plan:
    """The plan of a run, whose task is not imported.

    Args:
        folder: of the run.
        trust: folders whose code the user allows to be run, for a strategy or signals of one's own.

    Raises:
        RunFolderError: if a file is damaged, or code is needed that nobody allowed.
        ConfigError: if settings are not right.
    """
    written, about = facts.settings(folder), facts.facts(folder)
    places, strategy, given = (
        {} if about is None else about.code,
        written.get("strategy"),
        dict(written),
    )
    if isinstance(strategy, Mapping) and isinstance(strategy.get("type"), str):
        given["strategy"] = {**strategy, "type": code.named(strategy["type"], trust, places)}
    if not (
        isinstance(written.get("task"), Mapping) and isinstance(written["task"].get("type"), str)
    ):
        raise RunFolderError(
            f"{folder / facts.CONFIG}: expected the class of a task as task.type; restore it"
        )
    return planned(
        str(folder / facts.CONFIG), written, given, lambda name: code.named(name, trust, places)
    )


def task(folder: Path, trust: Trust = (), options: Mapping[str, Any] | None = None) -> Task:
    """The task of a run, which may have been made by older code: no other section is looked at.

    Args:
        folder: of the run.
        trust: as of `plan`.
        options: settings over the run's own, with dotted keys, where the data have moved.

    Raises:
        RunFolderError: as `plan`.
        ConfigError: if its settings are not right.
    """
    about, config = facts.facts(folder), facts.settings(folder)
    if options:
        from mmengine.config import Config

        moved = Config(config)
        moved.merge_from_dict(dict(options))
        config = moved.to_dict()
    given = config.get("task")
    if not isinstance(given, dict) or not isinstance(given.get("type"), str):
        raise RunFolderError(
            f"{folder / facts.CONFIG}: expected the class of a task as task.type; restore it"
        )
    given = dict(given)
    kind = code.named(given.pop("type"), trust, {} if about is None else about.code)
    if not inspect.isclass(kind) or not all(
        hasattr(kind, part) for part in ("check", "dataset", "build", "evaluator")
    ):
        raise RunFolderError(
            f"{folder / facts.CONFIG}: expected the class of a task as task.type, but got {kind!r}"
        )
    values, problems = arguments(kind, given, "task")
    if problems:
        raise ConfigError(str(folder / facts.CONFIG), problems)
    adapter: Any = kind(**values)
    return adapter


def about(folder: Path, trust: Trust = ()) -> Facts:
    """What tools must know of a run's code; of an earlier version, which did not keep it, the task
    itself says it.

    Raises:
        RunFolderError: as `plan`.
        ConfigError: if the task's settings are not right.
    """
    kept = facts.facts(folder)
    if kept is not None:
        return kept
    adapter = task(folder, trust)  # its constructor reads no data
    return Facts(adapter.metric, lower_is_better(adapter))
