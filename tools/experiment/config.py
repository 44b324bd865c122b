"""From a config file and a command line to a checked experiment.

Every error of a config in one report.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acquisition.pool import Budget
from models.process.text import came, one_line, told
from tasks.base import Task, lower_is_better
from tasks.noise import Fallible, Noisy
from tools.experiment import source
from tools.experiment.checks import KNOWN, check
from tools.experiment.options import ConfigError, require
from tools.experiment.plan import Named, Plan, parts, strategy_of
from tools.experiment.settings import imported, resolved, unknown

if TYPE_CHECKING:
    from mmengine.config import Config

Make = Callable[[type, dict[str, Any]], Task]  # an adapter's class and settings -> the adapter


def made(kind: type, settings: dict[str, Any]) -> Task:
    """A fresh adapter."""
    adapter: Any = kind(**settings)
    return adapter


@dataclass(frozen=True, kw_only=True)
class Experiment(Plan):
    """A config, checked and built.

    Args:
        name: of the config, with "-smoke" for its smoke variant.
        task: the adapter; it has read no data yet.
    """

    name: str
    task: Task

    @property
    def tap(self) -> int:
        """Number of the tap that is a sample's embedding."""
        if self.scoring.embedding is None:
            return -1
        return [tap.name for tap in self.task.taps].index(self.scoring.embedding)


def load(
    path: str | Path,
    *,
    smoke: bool = False,
    options: Mapping[str, Any] | None = None,
    further: Callable[[Task, Budget], list[str]] | None = None,
    make: Make = made,
    name: str | None = None,
) -> Experiment:
    """Read a config, check all of it, and build the experiment.

    The smoke variant and then `options` (dotted keys) override the config's settings.

    Args:
        path: of the config.
        smoke: whether to use its smoke variant.
        options: settings over the config's.
        further: finds further problems of a sound task and budget, for one report of all; called
            only where something else is wrong.
        make: of the task; runs in one process may share one.
        name: in place of the file's, under which runs are compared.

    Raises:
        ConfigError: with every problem, before anything is built.
    """
    if name is not None and not one_line(name):
        raise ConfigError("--name", [f"expected a name in one line, but got {came(name)}"])
    written, given = _read(path, smoke, options or {})
    own = Path(path).stem + ("-smoke" if smoke else "")
    return _built(str(path), name or own, written, given, further, make)


def rebuilt(name: str, written: Mapping[str, Any]) -> Experiment:
    """Build an experiment again, as in another process, of its name and its `config`.

    Raises:
        ConfigError: with every problem, as where a module cannot be imported there.
    """
    return _built(name, name, dict(written), resolved(dict(written)), None)


def _built(
    where: str,
    name: str,
    written: dict[str, Any],
    given: dict[str, Any],
    further: Callable[[Task, Budget], list[str]] | None,
    make: Make = made,
) -> Experiment:
    """Check settings, and build the experiment of them."""
    values, problems = check(given)
    if values.get("oracle") is not None:
        make = made  # an adapter keeps the mistakes of one seed
    task, task_problems = _adapter(values.get("task"), values.get("scoring", {}), make)
    strategy, strategy_problems = strategy_of(values, imported)
    problems += task_problems + strategy_problems
    if task is not None and {"oracle", "seed"} <= values.keys():
        problems += misled(task, values["oracle"], values["seed"])
    if problems or task is None or strategy is None:
        if further is not None and task is not None and "budget" in values:
            problems += further(task, Budget(**values["budget"]))
        raise ConfigError(where, problems)
    return Experiment(name=name, task=task, **parts(values, strategy, written))


def _read(
    path: str | Path, smoke: bool, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the config as plain data, with classes as dotted names and as themselves."""
    require(path)
    if str(Path(path).resolve().parent) not in sys.path:
        sys.path.append(str(Path(path).resolve().parent))  # an adapter may lie beside its config
    try:
        from mmengine.config import Config

        config = Config(source.settings(Path(path), {*KNOWN, "smoke"}))
        variant = config.pop("smoke", None)
        if smoke:
            if variant is None:
                raise LookupError(
                    "it has no smoke variant; add `smoke = dict(...)` with the settings that make "
                    "it small"
                )
            config = _merged(config, variant)
        config = _merged(config, _asked(options, config.get("strategy")))
        written = source.plain(config.to_dict(), {})
        if isinstance(written.get("strategy"), str) and "." in written["strategy"]:
            written["strategy"] = {"type": written["strategy"]}
        if odd := source.odd(written):
            raise ConfigError(str(path), odd)
        return written, resolved(written)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # a config is Python: anything can go wrong in it
        where = _line(error, path)
        raise ConfigError(
            str(path), [f"cannot be read: {type(error).__name__}: {error}{where}"]
        ) from error


def _merged(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a config with changes over it.

    mmengine merges dicts with dicts alone; here one replaces what is none, too, as settings of a
    network do the name of one.
    """
    settings = config.to_dict()
    _make_room(settings, changes)
    merged = type(config)(settings)
    merged.merge_from_dict(dict(changes))
    return merged


def _make_room(settings: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put an empty dict where one is to be put in the place of a value, or below None."""
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        below = {rest: value} if rest else value
        if first not in settings or not isinstance(below, Mapping):
            continue
        before = settings[first]
        if before is None or not (rest or isinstance(before, Mapping)):
            settings[first] = {}
        elif isinstance(before, dict):
            _make_room(before, below)


def _asked(options: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """Return the options that override a config's settings.

    If the strategy is the config's own by name, its settings in the config are kept.
    """
    name = options.get("strategy")
    if not isinstance(name, str):
        return dict(options)
    others = {key: value for key, value in options.items() if key != "strategy"}
    kind = own.get("type") if isinstance(own, Mapping) else None
    if isinstance(kind, str) and name in (kind, kind.rpartition(".")[2]):
        return others
    if "." in name:
        strategy: dict[str, Any] = {"type": name}
        if own is not None:
            strategy["_delete_"] = True  # mmengine merges dicts otherwise
        return {"strategy": strategy, **others}
    if settings := [key for key in others if key.startswith("strategy.")]:
        raise LookupError(
            f"{settings[0]} is for a strategy of one's own, but the strategy is {name!r}"
        )
    return {"strategy": name, **others}


def _line(error: BaseException, path: str | Path) -> str:
    """Return the line of the config itself that led to an error; empty if there is none."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if not lines:
        return ""
    return f"; line {lines[-1]}"


def _adapter(
    given: Mapping[str, Any] | None, scoring: Mapping[str, Any], make: Make
) -> tuple[Task | None, list[str]]:
    """Build the adapter of a checked section `task`, and return it with all problems.

    None in its place if there is no section or the adapter refuses its settings.
    """
    if given is None:
        return None, []
    settings = {key: value for key, value in given.items() if key != "type"}
    try:
        adapter = make(given["type"], settings)
    except ValueError as error:  # what types cannot say, an adapter checks in its constructor
        return None, [f"task: {error}"]
    except (Exception, SystemExit) as error:  # adapters are anybody's
        return None, [
            f"task: {given['type'].__name__} cannot be made of these settings ({told(error, True)})"
        ]
    members = sorted({*dir(Task), *Task.__annotations__})
    lacking = [m for m in members if not m.startswith("_") and not hasattr(adapter, m)]
    if lacking:  # not isinstance: what it takes for a member differs between Python 3.11 and 3.12
        return None, [f"task.type: {type(adapter).__name__} lacks {lacking}; see tasks/base.py"]
    try:
        lower_is_better(adapter)
    except ValueError as error:
        return None, [f"task: {error}"]
    taps = [tap.name for tap in adapter.taps]
    embedding = scoring.get("embedding")
    if embedding in (None, *taps):
        return adapter, []
    return adapter, [unknown(embedding, taps, "scoring.embedding")]


def misled(task: Task, rates: Mapping[str, Any] | None, seed: int) -> list[str]:
    """Let a task learn from the labels of simulated people, and return why it cannot.

    Args:
        task: it has read no data yet.
        rates: of their mistakes, checked; None if they make none.
        seed: of the experiment.
    """
    if rates is None:
        return []
    if not isinstance(task, Fallible):
        lacking = "which lacks `noisy` and `altered`; see tasks/noise.py"
        return [f"oracle: expected None for {type(task).__name__}, {lacking}"]
    task.noisy(Noisy(**rates), seed)
    return []


def planned(where: str, written: dict[str, Any], given: dict[str, Any], named: Named) -> Plan:
    """Build the plan of settings that a run kept.

    Of the classes that they name, only the strategy's is needed.

    Args:
        where: they were kept, for messages.
        written: the settings as plain data.
        given: the same with the strategy's class, where that is one's own.
        named: finds signals of one's own.

    Raises:
        ConfigError: with every problem.
    """
    values, problems = check(given, code=False)
    strategy, strategy_problems = strategy_of(values, named)
    problems += strategy_problems
    if problems or strategy is None:
        raise ConfigError(where, problems)
    return Plan(**parts(values, strategy, written))
