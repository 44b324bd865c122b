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
    hints = _hints(target.__init__ if inspect.isclass(target) else target)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    values, problems = {}, []
    for key, value in given.items():
        if not isinstance(key, str) or (key not in parameters and not takes_any):
            problems.append(unknown(key, list(parameters), where))
            continue
        values[key], found = typed(hints.get(key, Any), value, f"{where}.{key}")
        problems += found
    for key, parameter in parameters.items():
        rest = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not rest and key not in given:
            problems.append(f"{where}.{key}: missing")
    return values, problems


def typed(hint: Any, value: Any, where: str) -> tuple[Any, list[str]]:
    """A value as its type wants it, and a line for each of its items that cannot be.

    Of a union such as ``int | Literal["auto"]`` pydantic names an error for each alternative: the
    first one is told.
    """
    try:
        return TypeAdapter(hint).validate_python(value), []
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


def _hints(target: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(target, include_extras=True)
    # a type that is imported for type checkers alone: the adapter must check its arguments itself
    except NameError:
        return {}


def parameters_of(kind: type) -> set[str]:
    """Names that a class's constructors take.

    Mmengine's schedules hand most of theirs on to a parent.
    """
    inits = [vars(c)["__init__"] for c in kind.__mro__[:-1] if "__init__" in vars(c)]
    return {name for init in inits for name in inspect.signature(init).parameters} - {
        "self",
        "args",
        "kwargs",
    }


def not_a_class(given: Any) -> str:
    """What was given for a class and, where it is a dotted name, why that leads to none."""
    module, _, name = given.rpartition(".") if isinstance(given, str) else ("", "", "")
    if not module:
        return came(given)
    try:
        known = dir(import_module(module))
    except (Exception, SystemExit) as error:  # it runs the module
        first = module.partition(".")[0]
        # and not what it imports
        itself = isinstance(error, ModuleNotFoundError) and error.name == first
        if itself:
            hint = f"; where {first}.py lies beside its config, put its folder on PYTHONPATH"
        else:
            hint = ""
        hidden = reason(getattr(error, "name", None) or "")
        return f"{given!r} ({error}){hidden or hint}"
    return f"{given!r} ({unknown(name, [n for n in known if n[0] != '_'], module)})"


def unknown(key: Any, known: Sequence[str], where: str = "") -> str:
    """A line that names an unknown key and the nearest known one."""
    key = str(key)[:LONGEST]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
    return f"{where + '.' if where else ''}{key}: unknown; {hint}"


def odd_numbers(value: Any, where: str = "") -> list[str]:
    """A line for every number, at any depth, that is not finite or has more than 64 bits:
    no setting takes either.
    """
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        places = [
            (f"{where}[{k}]" if not isinstance(value, dict) else f"{where}.{k}".lstrip("."), v)
            for k, v in items
        ]
        return [line for place, item in places for line in odd_numbers(item, place)]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{where}: expected a finite number, but got {value}"]
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return [f"{where}: expected a number of at most 64 bits, but got {came(value)}"]
    return []


def resolved(value: Any) -> Any:
    """A config as plain data, with classes where it holds their dotted names under the key
    `type`.
    """
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
    """What a dotted name stands for; the module is run.

    Raises:
        ImportError: if it stands for nothing.
    """
    from mmengine.utils import get_object_from_string

    found = get_object_from_string(name)
    if found is None:
        raise ImportError(not_a_class(name))
    return found


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted keys; lists stay values."""
    rows: dict[str, Any] = {}
    for key, value in config.items():
        rows |= (
            flat(value, f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{key}": value}
        )
    return rows
