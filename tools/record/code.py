"""Import the code that a run folder names.

It is losstap's own code, or comes from folders that the user trusts.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from models.process.text import shown
from tools.record.files import RunFolderError

ROOT = Path(__file__).resolve().parents[2]
OWN = ("tasks", "acquisition", "models")  # packages whose classes any run may name


def named(name: str, trust: Sequence[Path], code: Mapping[str, str]) -> Any:
    """Import what a dotted name of a run folder stands for.

    Args:
        name: such as `tasks.detection.Detection`.
        trust: folders whose code the user allows to be run.
        code: folders where the run found code that is not losstap's own (see
            `tools.record.facts`).

    Raises:
        RunFolderError: if it is code that the user did not allow, or does not exist.
    """
    if not all(part.isidentifier() for part in name.split(".")) or "." not in name:
        raise RunFolderError(
            f"expected a dotted name such as tasks.detection.Detection, but got {shown(name)}"
        )
    first = name.partition(".")[0]
    if first in OWN:
        return _own(name)
    folder = _trusted(first, trust, code.get(name))
    if folder is None:
        where = code.get(name, f"FOLDER, the one that {first} is in")
        raise RunFolderError(
            f"its {name} is code that is not losstap's own, which is run only if you trust it: "
            f"look at it, then add --trust {where}"
        )
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    value = _imported(name)
    _check_place(first, folder)
    return value


def _own(name: str) -> Any:
    """Import a class of losstap's packages; what these import themselves, such as `os`, is none."""
    value = _imported(name)
    if not inspect.isclass(value) or value.__module__.partition(".")[0] not in OWN:
        raise RunFolderError(f"expected a class of losstap's, but {shown(name)} is {shown(value)}")
    return value


def _imported(name: str) -> Any:
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            value = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                continue  # a shorter name may be the module
            raise RunFolderError(f"{name} cannot be imported ({error})") from error
        except (Exception, SystemExit) as error:  # it runs the module
            raise RunFolderError(
                f"{name} cannot be imported ({type(error).__name__}: {error})"
            ) from error
        try:
            for part in parts[end:]:
                value = getattr(value, part)
        except AttributeError as error:
            raise RunFolderError(f"{name} is not there ({error})") from error
        return value
    raise RunFolderError(f"{name} cannot be imported (No module named {parts[0]!r})")


def _trusted(first: str, trust: Sequence[Path], recorded: str | None) -> Path | None:
    """Return the trusted folder that has the module; of several, the one that the run names."""
    having = [
        folder.resolve()
        for folder in trust
        if PathFinder.find_spec(first, [str(folder.resolve())]) is not None
    ]
    for folder in having:
        if str(folder) == recorded:
            return folder
    return next(iter(having), None)


def _check_place(first: str, folder: Path) -> None:
    """Check that the module that was imported is the one in a folder.

    If two folders have a module of one name, Python keeps the first that it imported.
    """
    places = [p for p in (getattr(sys.modules[first], "__file__", None), *_paths(first)) if p]
    if not any(folder in Path(place).resolve().parents for place in places):
        raise RunFolderError(
            f"expected {first} of {folder}, but {places[0]} is imported; read these runs apart"
        )


def origin(name: str) -> str | None:
    """Return the folder on Python's path from which code was imported.

    None for losstap's own, and for names of other things.
    """
    first = name.partition(".")[0]
    if first in OWN or first not in sys.modules or "." not in name:
        return None
    places = [getattr(sys.modules[first], "__file__", None), *_paths(first)]
    for place in (Path(name).resolve() for name in places if name):
        if place.name == "__init__.py":
            place = place.parent
        return str(place.parent)
    return None


def _paths(first: str) -> list[str]:
    return list(getattr(sys.modules[first], "__path__", []))
