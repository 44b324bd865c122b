"""Build the plan of a run from the settings of its folder, and its task if data are needed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.process.text import shown
from tasks.base import Task, lower_is_better
from tasks.deployable import Deployable
from tools.experiment.checks import oracle
from tools.experiment.config import Experiment, Plan, misled, planned
from tools.experiment.options import ConfigError
from tools.experiment.settings import arguments
from tools.record import code, facts
from tools.record.facts import Facts
from tools.record.files import RunFolderError

Trust = Sequence[Path]
SETTINGS = (".py", ".json", ".yml", ".yaml")  # of mmengine's configs, all of which may import
OF_MMDET = r"mmdet\.[A-Z]\w*"  # how its registry's classes may be called


def told(experiment: Experiment) -> Facts:
    """Return the facts about an experiment's code that its run folder keeps."""
    places = {name: code.origin(name) for name in experiment.code}
    own = {name: place for name, place in places.items() if place is not None}
    task = experiment.task
    labels: tuple[str, ...] = ()
    if isinstance(task, Deployable):
        labels = tuple(task.labels())
    return Facts(task.metric, lower_is_better(task), own, labels)


def digests(experiment: Experiment) -> dict[str, str]:
    """Return the hashes of settings and facts, as parts of a receipt."""
    return {"settings": facts.digest(experiment.config), "facts": told(experiment).digest}


def plan(folder: Path, trust: Trust = ()) -> Plan:
    """Build the plan of a run; its task is not imported.

    Args:
        folder: of the run.
        trust: folders whose code the user allows to be run, for a strategy or signals of one's own.

    Raises:
        RunFolderError: if a file is damaged, or code is needed that the user did not allow.
        ConfigError: if settings are not right.
    """
    written = facts.settings(folder)
    places = _places(folder)
    given = dict(written)
    strategy = written.get("strategy")
    if isinstance(strategy, Mapping) and isinstance(strategy.get("type"), str):
        given["strategy"] = {**strategy, "type": code.named(strategy["type"], trust, places)}
    _check_task(folder, written)
    return planned(
        str(folder / facts.CONFIG), written, given, lambda name: code.named(name, trust, places)
    )


def _places(folder: Path) -> Mapping[str, str]:
    """Return the folders in which a run found code that is not losstap's own, by dotted name."""
    kept = facts.facts(folder)
    return {} if kept is None else kept.code


def _check_task(folder: Path, config: Mapping[str, Any]) -> None:
    section = config.get("task")
    if not isinstance(section, Mapping) or not isinstance(section.get("type"), str):
        raise RunFolderError(
            f"{folder / facts.CONFIG}: expected the class of a task as task.type; restore it"
        )


def _check_parts(where: str, value: Any, trust: Trust, places: Mapping[str, str]) -> None:
    """Refuse code that settings inside a task's lead to, unless the user trusts it.

    A network given as a dict may name a file of settings, which is run where it is Python, and
    classes by dotted names, which mmengine's registries import.

    Raises:
        RunFolderError: with the setting, and what to allow.
    """
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        _check_parts(f"{where}.{key}", item, trust, places)
        if not isinstance(item, str):
            continue
        if key == "type" and "." in item and not re.fullmatch(OF_MMDET, item):
            code.named(item, trust, places)
        path = Path(item).expanduser()
        if path.suffix in SETTINGS and _is_file(path) and not _inside(path, trust):
            raise RunFolderError(
                f"its {where}.{key} is the file {shown(item)}, which may be code: look at it, "
                f"then add --trust {path.parent}"
            )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a null byte
        return False


def _inside(path: Path, trust: Trust) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in trust)


def task(folder: Path, trust: Trust = (), options: Mapping[str, Any] | None = None) -> Task:
    """Build the task of a run, which may have been made by older code.

    Of the other sections `oracle` and `seed` alone are read.

    Args:
        folder: of the run.
        trust: as of `plan`.
        options: settings over the run's own, with dotted keys, where the data have moved.

    Raises:
        RunFolderError: as `plan`.
        ConfigError: if its settings are not right.
    """
    config = facts.settings(folder)
    if options:
        from mmengine.config import Config

        moved = Config(config)
        moved.merge_from_dict(dict(options))
        config = moved.to_dict()
    _check_task(folder, config)
    given = dict(config["task"])
    for key, value in given.items():
        if isinstance(value, Mapping):
            _check_parts(f"task.{key}", value, trust, _places(folder))
    kind = code.named(given.pop("type"), trust, _places(folder))
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
    rates, problems = oracle(config.get("oracle"))
    if problems := problems or misled(adapter, rates, config.get("seed", 0)):
        raise ConfigError(str(folder / facts.CONFIG), problems)
    return adapter


def about(folder: Path, trust: Trust = ()) -> Facts:
    """Read the facts about a run's code.

    The folder of an earlier version has none; they come from the task then.

    Raises:
        RunFolderError: as `plan`.
        ConfigError: if the task's settings are not right.
    """
    kept = facts.facts(folder)
    if kept is not None:
        return kept
    adapter = task(folder, trust)  # its constructor reads no data
    return Facts(adapter.metric, lower_is_better(adapter))
