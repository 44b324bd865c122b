"""Check settings against the parameters of the class or function that takes them."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from models.process.text import LONGEST, came
from tools.experiment.clashes import reason


def arguments(target: Callable, given: Any, where: str) -> tuple[dict[str, Any], list[str]]:
    """Check the arguments of a call against the parameters' names and types.

    Returns:
        The arguments as their types want them, and a line for every problem.
    """
    if not isinstance(given, dict):
        return {}, [f"{where}: expected a dict, but got {came(given)}"]
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # of classes written in C
        return {}, [f"{where}.type: expected a class with named parameters, but got {came(target)}"]
    hints = _hints(target)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given.items():
        if not isinstance(key, str) or (key not in parameters and not takes_any):
            problems.append(unknown(key, list(parameters), where))
            continue
        values[key], faults = typed(hints.get(key, Any), value, f"{where}.{key}")
        problems += faults
    for key, parameter in parameters.items():
        rest = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not rest and key not in given:
            problems.append(f"{where}.{key}: missing")
    return values, problems


def typed(hint: Any, value: Any, where: str) -> tuple[Any, list[str]]:
    """Return a value as its type wants it, and a line for each of its items that cannot be.

    For a union such as ``int | Literal["auto"]`` pydantic reports an error for each alternative:
    the first one is kept.
    """
    try:
        wanted = TypeAdapter(hint).validate_python(value)
        return wanted, _counted(value, wanted, where)
    # a type that pydantic does not know: the adapter must check it itself
    except PydanticSchemaGenerationError:
        return value, []
    except ValidationError as error:
        lines: dict[str, str] = {}
        for one in error.errors():
            place = where + "".join(f"[{i}]" for i in one["loc"] if isinstance(i, int))
            message = f"{one['msg'][0].lower()}{one['msg'][1:]}, but got {came(one['input'])}"
            lines.setdefault(place, f"{place}: {message}")
        return value, list(lines.values())


def _counted(given: Any, wanted: Any, where: str) -> list[str]:
    """Return a line for every boolean, at any depth, that was taken for a number, as by pydantic.

    Args:
        given: value.
        wanted: the same as its type wants it.
        where: it stands.
    """
    if isinstance(given, bool) and not isinstance(wanted, bool):
        return [f"{where}: expected a number, but got {given}"]
    pairs = zip(items_of(given, where), items_of(wanted, where), strict=False)
    return [line for (place, one), (_, other) in pairs for line in _counted(one, other, place)]


def _hints(target: Callable) -> dict[str, Any]:
    if inspect.isclass(target):
        target = target.__init__
    try:
        return get_type_hints(target, include_extras=True)
    # a type that is imported for type checkers alone: the adapter must check its arguments itself
    except NameError:
        return {}


def parameters_of(kind: type) -> set[str]:
    """Return the names that the constructors of a class and of its parents take.

    Mmengine's schedules hand most of theirs on to a parent.
    """
    inits = [vars(c)["__init__"] for c in kind.__mro__[:-1] if "__init__" in vars(c)]
    names = {name for init in inits for name in inspect.signature(init).parameters}
    return names - {"self", "args", "kwargs"}


def not_a_class(given: Any) -> str:
    """Return what was given for a class and, if it is a dotted name, why that leads to none."""
    if not isinstance(given, str) or not given.rpartition(".")[0]:
        return came(given)
    module, _, name = given.rpartition(".")
    try:
        known = dir(import_module(module))
    except (Exception, SystemExit) as error:  # it runs the module
        hint = reason(getattr(error, "name", None) or "")
        first = module.partition(".")[0]
        itself_missing = isinstance(error, ModuleNotFoundError) and error.name == first
        if not hint and itself_missing:  # and not a module that it imports
            hint = f"; where {first}.py lies beside its config, put its folder on PYTHONPATH"
        return f"{given!r} ({error}){hint}"
    return f"{given!r} ({unknown(name, [n for n in known if n[0] != '_'], module)})"


def unknown(key: Any, known: Sequence[str], where: str = "") -> str:
    """Return a line that names an unknown key and the nearest known one."""
    key = str(key)[:LONGEST]
    hint = f"expected one of {', '.join(known)}"
    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.5):
        hint = f"did you mean {near[0]!r}?"
    place = f"{where}.{key}" if where else key
    return f"{place}: unknown; {hint}"


def items_of(value: Any, where: str = "") -> list[tuple[str, Any]]:
    """Return the name and value of each item of a dict or list; none of another value.

    >>> items_of({"cycles": 2}, "budget"), items_of([7], "milestones")
    ([('budget.cycles', 2)], [('milestones[0]', 7)])
    """
    if isinstance(value, dict):
        return [(f"{where}.{key}".lstrip("."), item) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{where}[{i}]", item) for i, item in enumerate(value)]
    return []


def odd_numbers(value: Any, where: str = "") -> list[str]:
    """Return a line for every number, at any depth, that no setting takes.

    Those are not finite, or have more than 64 bits.
    """
    if isinstance(value, dict | list | tuple):
        items = items_of(value, where)
        return [line for place, item in items for line in odd_numbers(item, place)]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{where}: expected a finite number, but got {value}"]
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return [f"{where}: expected a number of at most 64 bits, but got {came(value)}"]
    return []


def resolved(value: Any) -> Any:
    """Return a config with each dotted name under the key `type` replaced by its class."""
    if isinstance(value, dict):
        items = {key: resolved(item) for key, item in value.items()}
        if isinstance(items.get("type"), str) and "." in items["type"]:
            from mmengine.utils import get_object_from_string

            items["type"] = get_object_from_string(items["type"]) or items["type"]
        return items
    if isinstance(value, list | tuple):
        return [resolved(item) for item in value]
    return value


def imported(name: str) -> Any:
    """Import what a dotted name stands for; the module is run.

    Raises:
        ImportError: if it stands for nothing.
    """
    from mmengine.utils import get_object_from_string

    value = get_object_from_string(name)
    if value is None:
        raise ImportError(not_a_class(name))
    return value


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted keys; lists stay values."""
    rows: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows |= flat(value, f"{prefix}{key}.")
        else:
            rows[f"{prefix}{key}"] = value
    return rows
