"""A config is a Python file: it is run, and its public names that are data are the settings.

Modules, functions and classes that it imports or defines, and names that begin with an underscore,
are its own affair. Values are plain data afterwards: a path is text, NumPy's numbers are Python's,
and a class is its dotted name, as the config imported it.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeGuard

import numpy as np

from models.process.text import came


class Absent:
    """What a config imports and cannot be had: its dotted name, until somebody wants more of it."""

    def __init__(self, name: str, error: ImportError) -> None:
        self.name, self.error = name, error

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.name}.{name}", self.error)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raises the error that the import raised."""
        raise self.error


def settings(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """Run a config.

    Args:
        path: of the file.
        known: names of settings; whatever they hold is one.

    Returns:
        Plain data by name, classes as dotted names. What is no data stays as it is.
    """
    ran, known = run(path), set(known)
    own = {name for name, value in ran.names.items() if _is_data(value)} - ran.roots.keys()
    return {
        name: plain(ran.names[name], ran.dotted)
        for name in ran.names
        if name in known or name in own
    }


@dataclass(frozen=True)
class Ran:
    """A config after it was run.

    Args:
        names: its public names.
        roots: name -> dotted name of what it imported.
        dotted: names of the classes and functions that it uses, as it imported them, by `id`.
    """

    names: dict[str, Any]
    roots: dict[str, str]
    dotted: dict[int, str]


def run(path: Path) -> Ran:
    """Run a config and those that it is based on; YAML and JSON, which are data, are read."""
    if path.suffix != ".py":
        from mmengine.config import Config

        return Ran(Config.fromfile(path).to_dict(), {}, {})
    # with a BOM, too, and in the encoding that it names
    source = importlib.util.decode_source(path.read_bytes())
    tree = ast.parse(source, str(path))
    if any(
        isinstance(node, ast.Assign) and any(_is(t, "_base_") for t in node.targets)
        for node in tree.body
    ):
        from mmengine.config import Config

        names = Config.fromfile(path).to_dict()  # mmengine's older way to build on other configs
        return Ran(
            {name: value for name, value in names.items() if not name.startswith("_")}, {}, {}
        )
    module, dotted = types.ModuleType(path.stem), dict[int, str]()
    module.__file__ = str(path)
    module.__dict__.update(
        __absent__=Absent, __based__=partial(_based, path, module.__dict__, dotted)
    )
    roots = _roots(tree)
    tree.body = [part for node in tree.body for part in _lenient(node)]
    with _known(module):
        exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), module.__dict__)
    found = _dotted(tree, roots, vars(module))
    return Ran(
        {k: v for k, v in vars(module).items() if not k.startswith("_")}, roots, found | dotted
    )


@contextmanager
def _known(module: types.ModuleType) -> Iterator[None]:
    """While a config runs, and afterwards where it defines classes, it is a module: they
    have dotted names.
    """
    name, before = module.__name__, sys.modules.get(module.__name__)
    ours = before is None or hasattr(before, "__absent__")
    if ours:
        sys.modules[name] = module
    try:
        yield
    except BaseException:
        if ours:
            del sys.modules[name]
        raise
    own = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == name
    ]
    if own and not ours:
        other = getattr(before, "__file__", "Python itself")
        raise ImportError(
            f"{own[0]} cannot be found as {name}.{own[0]}, as {name} is {other}; rename the config"
        )
    if ours and not own:
        del sys.modules[name]


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _reads_bases(node: ast.AST) -> TypeGuard[ast.With]:
    """Whether it is mmengine's `with read_base(): from .base import *`."""
    call = node.items[0].context_expr if isinstance(node, ast.With) else None
    return isinstance(call, ast.Call) and _is(call.func, "read_base")


def _lenient(node: ast.stmt) -> list[ast.stmt]:
    """A statement as it is run: an import may fail, so that all that is wrong comes into
    one report.
    """
    if _reads_bases(node):
        return [
            ast.copy_location(_base(inner), inner)
            for inner in node.body
            if isinstance(inner, ast.ImportFrom)
        ]
    if not isinstance(node, ast.Import | ast.ImportFrom) or "*" in (
        alias.name for alias in node.names
    ):
        return [node]
    if isinstance(node, ast.ImportFrom) and (node.level or node.module == "__future__"):
        return [node]
    return [ast.copy_location(_tried(node, alias), node) for alias in node.names]


def _tried(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    """One import that, where it fails, gives the name of what is absent."""
    bound = alias.asname or alias.name.partition(".")[0]
    if isinstance(node, ast.ImportFrom):
        one, name = (
            f"from {node.module} import {alias.name} as {bound}",
            f"{node.module}.{alias.name}",
        )
    else:
        one, name = (
            f"import {alias.name}" + f" as {bound}" * bool(alias.asname),
            alias.name if alias.asname else bound,
        )
    lines = (
        f"try: {one}\nexcept ImportError as __error__: {bound} = __absent__({name!r}, __error__)"
    )
    (found,) = ast.parse(lines).body
    for part in ast.walk(found):
        if "lineno" in part._attributes:
            ast.copy_location(part, node)
    return found


def _base(node: ast.ImportFrom) -> ast.stmt:
    names = {alias.name: alias.asname or alias.name for alias in node.names}
    (found,) = ast.parse(f"__based__({node.level}, {node.module!r}, {names!r})").body
    return found


def _based(
    path: Path, into: dict[str, Any], dotted: dict[int, str], level: int, name: str, wanted: dict
) -> None:
    """Take over names of another config, which may be changed: they are copies, with
    attributes for keys.
    """
    if level:
        place = path.resolve().parents[level - 1].joinpath(*name.split("."))
    else:
        first, *rest = name.split(".")
        spec = importlib.util.find_spec(first)
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(f"No package {first!r} with configs")
        place = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    from mmengine.config import ConfigDict

    base = run(place.with_suffix(".py"))
    dotted.update(base.dotted)
    for key in base.names if "*" in wanted else wanted:
        value = base.names[key]
        if isinstance(value, dict):
            into[wanted.get(key, key)] = ConfigDict(copy.deepcopy(value))
        else:
            into[wanted.get(key, key)] = value


def _roots(tree: ast.Module) -> dict[str, str]:
    """Name -> dotted name of all that a config imports; what its bases give is its own."""
    roots: dict[str, str] = {}
    bases = {inner for node in tree.body if _reads_bases(node) for inner in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node not in bases:
            roots |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
        elif isinstance(node, ast.Import):
            firsts = {alias.name.partition(".")[0] for alias in node.names if not alias.asname}
            roots |= {first: first for first in firsts} | {
                a.asname: a.name for a in node.names if a.asname
            }
    return roots


def _dotted(tree: ast.Module, roots: Mapping[str, str], names: Mapping[str, Any]) -> dict[int, str]:
    """Dotted names of what modules have that a config uses, as it imported it, by `id`."""
    found: dict[int, str] = {}
    for node in ast.walk(tree):
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain, node = [node.attr, *chain], node.value
        if isinstance(node, ast.Name) and node.id in roots and node.id in names:
            parent, value = None, names[node.id]
            for part in chain:
                parent, value = value, getattr(value, part, None)
            # else it may be made for the moment, as a bound method
            if parent is None or inspect.ismodule(parent):
                found.setdefault(id(value), ".".join([roots[node.id], *chain]))
    return found


def _is_data(value: Any) -> bool:
    kinds = (
        str,
        int,
        float,
        complex,
        bytes,
        PurePath,
        np.generic,
        np.ndarray,
        dict,
        list,
        tuple,
        set,
        frozenset,
    )
    return value is None or isinstance(value, kinds)


def plain(value: Any, dotted: Mapping[int, str]) -> Any:
    """A value as plain data, as far as it is any.

    Args:
        value: of a config.
        dotted: names of classes and functions, by `id`.
    """
    if isinstance(value, dict):
        return {plain(key, dotted): plain(item, dotted) for key, item in dict.items(value)}
    if isinstance(value, list | tuple):
        items = [plain(item, dotted) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Absent):
        return value.name
    if id(value) in dotted and not _is_data(value):
        return dotted[id(value)]
    if inspect.isclass(value) and "<" not in value.__qualname__:
        return f"{value.__module__}.{value.__qualname__}"
    return value


def odd(value: Any, where: str = "") -> list[str]:
    """A line for every value, at any depth, that is no data: what a run folder could not keep."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        places = [
            (f"{where}.{k}".lstrip(".") if isinstance(value, dict) else f"{where}[{k}]", v)
            for k, v in items
        ]
        return [line for place, item in places for line in odd(item, place)]
    if value is None or isinstance(value, str | int | float):
        return []
    return [
        f"{where}: expected numbers, texts, lists, dicts or an imported class, but got "
        f"{came(value)}"
    ]
