"""Run a config, a Python file: its public names that are data are the settings.

Modules, functions and classes that it imports or defines, and names that begin with an underscore,
are its own affair. Values are plain data afterwards: a path is text, NumPy's numbers are Python's,
and a class is its dotted name, as the config imported it.
"""

from __future__ import annotations

import ast
import builtins
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
from tools.experiment.imported import Copies
from tools.experiment.settings import items_of

DATA = (
    str, int, float, complex, bytes, PurePath, np.generic, np.ndarray,
    dict, list, tuple, set, frozenset,
)  # fmt: skip


class Absent:
    """Stands for what a config could not import: its dotted name, until it is called."""

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
    ran = run(path)
    own = {name for name, value in ran.names.items() if _is_data(value)} - ran.roots.keys()
    wanted = own.union(known)
    return {name: plain(ran.names[name], ran.dotted) for name in ran.names if name in wanted}


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
        return Ran(_read_by_mmengine(path), {}, {})
    # with a BOM, too, and in the encoding that it names
    source = importlib.util.decode_source(path.read_bytes())
    tree = ast.parse(source, str(path))
    if any(
        isinstance(node, ast.Assign) and any(_is(t, "_base_") for t in node.targets)
        for node in tree.body
    ):
        return Ran(_public(_read_by_mmengine(path)), {}, {})
    module = types.ModuleType(path.stem)
    dotted: dict[int, str] = {}
    module.__file__ = str(path)
    copies = Copies(path.resolve().parent)
    module.__dict__.update(
        __absent__=Absent,
        __based__=partial(_based, path, module.__dict__, dotted),
        __builtins__=vars(builtins) | {"__import__": copies.imported},
    )
    roots = _roots(tree)
    tree.body = [part for node in tree.body for part in _lenient(node)]
    with _known(module), copies:
        exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), module.__dict__)
    return Ran(_public(vars(module)), roots, _dotted(tree, roots, vars(module)) | dotted)


def _read_by_mmengine(path: Path) -> dict[str, Any]:
    """Read YAML, JSON, or a config on others by `_base_`, mmengine's older way."""
    from mmengine.config import Config

    try:
        return Config.fromfile(path).to_dict()
    except Exception as error:
        if "inheritance chain" not in str(error):
            raise
        raise ValueError(
            "bases by `_base_` import no classes, and a config does so only below its `_base_`: "
            "expected dotted texts such as type='torch.optim.SGD'; or build on a base by `from "
            "base import training`"
        ) from error


def _public(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if not name.startswith("_")}


@contextmanager
def _known(module: types.ModuleType) -> Iterator[None]:
    """List a config among the modules while it runs, and afterwards if it defines classes.

    The classes then have dotted names.
    """
    name = module.__name__
    before = sys.modules.get(name)
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
    if not isinstance(node, ast.With):
        return False
    call = node.items[0].context_expr
    return isinstance(call, ast.Call) and _is(call.func, "read_base")


def _lenient(node: ast.stmt) -> list[ast.stmt]:
    """Return a statement as it is run: an import may fail, so that one report has all problems."""
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
    """Return one import that, where it fails, binds the name of what is absent."""
    bound = alias.asname or alias.name.partition(".")[0]
    if isinstance(node, ast.ImportFrom):
        line = f"from {node.module} import {alias.name} as {bound}"
        name = f"{node.module}.{alias.name}"
    elif alias.asname:
        line = f"import {alias.name} as {bound}"
        name = alias.name
    else:
        line = f"import {alias.name}"
        name = bound
    lines = (
        f"try: {line}\nexcept ImportError as __error__: {bound} = __absent__({name!r}, __error__)"
    )
    (statement,) = ast.parse(lines).body
    for part in ast.walk(statement):
        if "lineno" in part._attributes:
            ast.copy_location(part, node)
    return statement


def _base(node: ast.ImportFrom) -> ast.stmt:
    names = {alias.name: alias.asname or alias.name for alias in node.names}
    (statement,) = ast.parse(f"__based__({node.level}, {node.module!r}, {names!r})").body
    return statement


def _based(
    path: Path, into: dict[str, Any], dotted: dict[int, str], level: int, name: str, wanted: dict
) -> None:
    """Take over names of another config, as copies that may be changed and have attributes."""
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
    if "*" in wanted:
        wanted = {key: key for key in base.names}
    for key, own in wanted.items():
        value = base.names[key]
        if isinstance(value, dict):
            value = ConfigDict(copy.deepcopy(value))
        into[own] = value


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
    """Return by `id` the dotted names of what a config uses of modules, as it imported it."""
    names_by_id: dict[int, str] = {}
    for node in ast.walk(tree):
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in roots and node.id in names:
            parent = None
            value = names[node.id]
            for part in chain:
                parent, value = value, getattr(value, part, None)
            # else it may be made for the moment, as a bound method
            if parent is None or inspect.ismodule(parent):
                names_by_id.setdefault(id(value), ".".join([roots[node.id], *chain]))
    return names_by_id


def _is_data(value: Any) -> bool:
    return value is None or isinstance(value, DATA)


def plain(value: Any, dotted: Mapping[int, str]) -> Any:
    """Return a value as plain data, as far as it is any.

    Args:
        value: of a config.
        dotted: names of classes and functions, by `id`.
    """
    if isinstance(value, dict):
        return {plain(key, dotted): plain(item, dotted) for key, item in dict.items(value)}
    if isinstance(value, list):
        return [plain(item, dotted) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item, dotted) for item in value)
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
    """Return a line for every value, at any depth, that a run folder could not keep."""
    if isinstance(value, dict | list | tuple):
        items = items_of(value, where)
        return [line for place, item in items for line in odd(item, place)]
    if value is None or isinstance(value, str | int | float):
        return []
    return [
        f"{where}: expected numbers, texts, lists, dicts or an imported class, but got "
        f"{came(value)}"
    ]
