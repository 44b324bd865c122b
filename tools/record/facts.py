"""The settings of a run and facts about its code, as data in the run folder."""

from __future__ import annotations

import hashlib
import json
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.experiment.settings import flat
from tools.record import literals
from tools.record.comparable import LOAD, MISSING, differing
from tools.record.files import SMALL, RunFolderError, parsed, shallow, text
from tools.record.writing import write_whole

CONFIG, SHOWN, FACTS = "config.json", "config.py", "facts.json"
PAIRS = "(pairs)"  # the key under which a dict lies as pairs, where not all of its keys are texts


@dataclass(frozen=True)
class Facts:
    """Facts about a run's code, which tools need without running it.

    Args:
        metric: key of the metric that the curve plots.
        lower_is_better: whether a lower value of it is.
        code: dotted name -> the folder on Python's path where it was found, of task, strategy and
            signals that are not losstap's own.
        labels: names of the task's classes or joints in the network's order, by which its
            predictions are told; empty if the task is not `tasks.deployable.Deployable`.
    """

    metric: str
    lower_is_better: bool = False
    code: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """The hash of what is the same wherever the code lies.

        It leaves out the labels, which earlier versions did not keep.
        """
        about = asdict(self) | {"code": sorted(self.code)}
        del about["labels"]
        return hashlib.sha256(_json(about)).hexdigest()


def as_json(config: Mapping[str, Any]) -> bytes:
    """Return settings in the form in which they are kept, compared and hashed; tuples are lists."""
    return _json(_written(dict(config)))


def digest(config: Mapping[str, Any]) -> str:
    """Return the hash of the settings, apart from those that cannot change results (`LOAD`)."""
    values = _written(dict(config))
    for key in LOAD:
        section, _, name = key.partition(".")
        if isinstance(values.get(section), dict):
            values[section] = {k: v for k, v in values[section].items() if k != name}
    return hashlib.sha256(_json(values)).hexdigest()


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they come back from `config.json`."""
    return _read(json.loads(as_json(config)))


def facts_json(about: Facts) -> bytes:
    """Return the content of `facts.json`."""
    values = asdict(about) | {"code": dict(about.code)}
    if not values.pop("labels"):
        return _json(values)
    return _json(values | {"labels": list(about.labels)})


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode("ascii") + b"\n"


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _written(item) for key, item in value.items()}
        return {PAIRS: [[_written(key), _written(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {PAIRS}:
            return {key: _read(item) for key, item in value[PAIRS]}
        return {key: _read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read(item) for item in value]
    return value


def there(folder: Path) -> bool:
    """Whether a folder has settings: `config.json` or, of an earlier version, only `config.py`."""
    return (folder / CONFIG).exists() or (folder / SHOWN).exists()


def settings(folder: Path) -> dict[str, Any]:
    """Read the settings of a run from `config.json`.

    Those of an earlier version are in `config.py`, which is read and not run.

    Raises:
        RunFolderError: if there is no such file, or it is damaged.
    """
    path = folder / CONFIG
    parse = parsed
    if not path.exists():
        path = folder / SHOWN
        parse = literals.settings
    source = text(path, SMALL)
    try:
        values = parse(source)
        if not isinstance(values, dict):
            raise ValueError(f"expected settings by name, but got {type(values).__name__}")
        shallow(values)
        return plain(_read(values))
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


def describe(folder: Path, config: Mapping[str, Any], about: Facts | None) -> None:
    """Write the settings, for tools and for people, and the facts about the run's code.

    Raises:
        RunFolderError: if the run was made with another task, or the folder cannot be written
            to.
    """
    before = facts(folder)
    if before is not None and about is not None and before.digest != about.digest:
        raise RunFolderError(
            f"{folder} was made with other code: {before} there, {about} now; take another "
            "--work-dir"
        )
    if not (folder / SHOWN).exists():
        from mmengine.config import Config

        write_whole(folder / SHOWN, Config(dict(config)).pretty_text.encode())
    if not (folder / CONFIG).exists():
        write_whole(folder / CONFIG, as_json(config))
    if about is not None and before != about:  # the code may lie elsewhere now
        write_whole(folder / FACTS, facts_json(about))


def check(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that a folder with settings was made with the same ones.

    Raises:
        RunFolderError: if it was made with others, naming what differs.
    """
    if not there(folder):
        return
    before = flat(settings(folder))
    now = flat(plain(config))
    keys = differing(before, now)
    if keys:
        lines = [
            f"{k}: {before.get(k, MISSING)!r} there, {now.get(k, MISSING)!r} now" for k in keys
        ]
        what = f"{folder} was made with another config; take its settings, or another --work-dir:"
        raise RunFolderError("\n  ".join([what, *lines]))


def shown_differs(folder: Path) -> str:
    """Return what is wrong with `config.py`, the copy of `config.json` for people.

    Empty if nothing.
    """
    if not ((folder / CONFIG).exists() and (folder / SHOWN).exists()):
        return ""
    try:
        shown = plain(literals.settings(text(folder / SHOWN, SMALL)))
    except Exception as error:  # it may hold anything
        return f"{SHOWN} is damaged ({type(error).__name__}: {error}); {CONFIG} counts"
    if shown == settings(folder):
        return ""
    return f"{SHOWN} has other settings than {CONFIG}, which counts"


def facts(folder: Path) -> Facts | None:
    """Read the facts about a run's code; None in a folder of an earlier version.

    Raises:
        RunFolderError: if the file is damaged.
    """
    path = folder / FACTS
    if not path.exists():
        return None
    source = text(path, SMALL)
    try:
        values = parsed(source)
        metric = values["metric"]
        lower = bool(values["lower_is_better"])
        code = dict(values["code"])
        labels = tuple(values.get("labels", ()))
        names = [metric, *code, *code.values()]
        if not all(isinstance(name, str) and name.isprintable() for name in names):
            raise ValueError("expected names that can be printed")
        if not all(isinstance(name, str) for name in labels):
            raise ValueError("expected texts as labels")
        return Facts(metric, lower, code, labels)
    except (ValueError, TypeError, KeyError) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error
