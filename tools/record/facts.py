"""The settings of a run and facts about its code, as data in the run folder."""

from __future__ import annotations

import hashlib
import json
import tokenize
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.record import literals
from tools.record.comparable import LOAD
from tools.record.files import SMALL, RunFolderError, parsed, shallow, text
from tools.record.writing import write_whole

CONFIG, SHOWN, FACTS = "config.json", "config.py", "facts.json"
PAIRS = "(pairs)"  # the key under which a dict lies as pairs, where not all of its keys are texts


@dataclass(frozen=True)
class Facts:
    """What tools must know of a run's code without running it.

    Args:
        metric: key of the metric that the curve plots.
        lower_is_better: whether a lower value of it is.
        code: dotted name -> the folder on Python's path where it was found, of task, strategy and
            signals that are not losstap's own.
    """

    metric: str
    lower_is_better: bool = False
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of what is the same wherever the code lies."""
        about = asdict(self) | {"code": sorted(self.code)}
        return hashlib.sha256(_json(about)).hexdigest()


def as_json(config: Mapping[str, Any]) -> bytes:
    """Settings in the one form in which they are kept, compared and hashed; tuples are lists."""
    return _json(_written(dict(config)))


def digest(config: Mapping[str, Any]) -> str:
    """Of the settings, but for those that change nothing of what comes out (`LOAD`)."""
    found = _written(dict(config))
    for key in LOAD:
        section, _, name = key.partition(".")
        if isinstance(found.get(section), dict):
            found[section] = {k: v for k, v in found[section].items() if k != name}
    return hashlib.sha256(_json(found)).hexdigest()


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from `config.json`."""
    return _read(json.loads(as_json(config)))


def facts_json(about: Facts) -> bytes:
    """`facts.json`."""
    return _json(asdict(about) | {"code": dict(about.code)})


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode("ascii") + b"\n"


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _written(item) for key, item in value.items()}
        return {PAIRS: [[_written(key), _written(item)] for key, item in value.items()]}
    return [_written(item) for item in value] if isinstance(value, list | tuple) else value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {PAIRS}:
            return {key: _read(item) for key, item in value[PAIRS]}
        return {key: _read(item) for key, item in value.items()}
    return [_read(item) for item in value] if isinstance(value, list) else value


def there(folder: Path) -> bool:
    """Whether a folder has settings: in `config.json` or, of an earlier version, in
    `config.py` alone.
    """
    return (folder / CONFIG).exists() or (folder / SHOWN).exists()


def settings(folder: Path) -> dict[str, Any]:
    """The settings of a run, from `config.json`; of an earlier version, from `config.py`, which is
    read and not run.

    Raises:
        RunFolderError: if there is no such file, or it is damaged.
    """
    path = folder / (CONFIG if (folder / CONFIG).exists() else SHOWN)
    source = text(path, SMALL)
    try:
        found = parsed(source) if path.name == CONFIG else literals.settings(source)
        if not isinstance(found, dict):
            raise ValueError(f"expected settings by name, but got {type(found).__name__}")
        shallow(found)
        return plain(_read(found))
    except (
        ValueError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,
    ) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error


def describe(folder: Path, config: Mapping[str, Any], told: Facts | None) -> None:
    """Write the settings, for tools and for people, and what tools must know of the run's code.

    Raises:
        RunFolderError: if the run was made with another task, or the folder cannot be written
            to.
    """
    before = facts(folder)
    if before is not None and told is not None and before.digest != told.digest:
        raise RunFolderError(
            f"{folder} was made with other code: {before} there, {told} now; take another "
            "--work-dir"
        )
    if not (folder / SHOWN).exists():
        from mmengine.config import Config

        write_whole(folder / SHOWN, Config(dict(config)).pretty_text.encode())
    if not (folder / CONFIG).exists():
        write_whole(folder / CONFIG, as_json(config))
    if told is not None and before != told:  # the code may lie elsewhere now
        write_whole(folder / FACTS, facts_json(told))


def shown_differs(folder: Path) -> str:
    """What is wrong with `config.py`, which is there for people beside `config.json`.

    Empty if nothing.
    """
    if not ((folder / CONFIG).exists() and (folder / SHOWN).exists()):
        return ""
    try:
        found = plain(literals.settings(text(folder / SHOWN, SMALL)))
    except Exception as error:  # it may hold anything
        return f"{SHOWN} is damaged ({type(error).__name__}: {error}); {CONFIG} counts"
    if found == settings(folder):
        return ""
    return f"{SHOWN} has other settings than {CONFIG}, which counts"


def facts(folder: Path) -> Facts | None:
    """What a run says of its code; None in a folder of an earlier version.

    Raises:
        RunFolderError: if the file is damaged.
    """
    path = folder / FACTS
    if not path.exists():
        return None
    source = text(path, SMALL)
    try:
        found = parsed(source)
        better, code = found["lower_is_better"], dict(found["code"])
        names = [found["metric"], *code, *code.values()]
        if not all(isinstance(name, str) and name.isprintable() for name in names):
            raise ValueError("expected names that can be printed")
        return Facts(found["metric"], bool(better), code)
    except (ValueError, TypeError, KeyError) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error
