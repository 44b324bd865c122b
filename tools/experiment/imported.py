"""What a config imports: copies of values that it may change, and the classes as they are."""

from __future__ import annotations

import builtins
import copy
import inspect
import types
from pathlib import Path
from typing import Any

import numpy as np


class Copies:
    """Import for a config while it runs: what it changes afterwards are copies of its own.

    Modules stay in the process, and the next config that is run imports the same ones.

    Args:
        folder: of the config; of modules in it the config gets copies, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = False
        self._done: dict[int, Any] = {}  # by `id`, as of `copy.deepcopy`
        self._modules: dict[int, types.ModuleType] = {}

    def __enter__(self) -> None:
        self._running = True

    def __exit__(self, *_: object) -> None:
        self._running = False

    def imported(self, name: str, *rest: Any, **named: Any) -> types.ModuleType:
        """Stand in for `__import__` in the config."""
        module = builtins.__import__(name, *rest, **named)
        if not self._running:  # in a function of the config that a run calls
            return module
        wanted = named.get("fromlist") or (rest[2] if len(rest) > 2 else ())
        if self._beside(module) or "*" in (wanted or ()):
            return self._module(module)
        values = {key: getattr(module, key, None) for key in wanted or ()}
        changed = {key: self._value(value) for key, value in values.items()}
        if all(changed[key] is values[key] for key in values):
            return module
        one = types.ModuleType(module.__name__)
        vars(one).update(vars(module) | changed)
        return one

    def _beside(self, value: Any) -> bool:
        file = getattr(value, "__file__", None) if inspect.ismodule(value) else None
        return file is not None and Path(file).resolve().parent == self.folder

    def _module(self, module: types.ModuleType) -> types.ModuleType:
        if id(module) not in self._modules:
            one = self._modules[id(module)] = types.ModuleType(module.__name__)
            own = {key: value for key, value in vars(module).items() if key[:2] != "__"}
            vars(one).update(vars(module) | {key: self._value(own[key]) for key in own})
        return self._modules[id(module)]

    def _value(self, value: Any) -> Any:
        if self._beside(value):
            return self._module(value)
        if not isinstance(value, dict | list | set | np.ndarray):
            return value
        try:
            return copy.deepcopy(value, self._done)
        except Exception:  # it holds what is no setting, as a lock
            return value
