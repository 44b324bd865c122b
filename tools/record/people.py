"""The curve of a labeling project, in a file that reports read beside run folders."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.process.text import shown
from tools.experiment.settings import flat
from tools.record import facts, files, samples
from tools.record.files import RunFolderError
from tools.record.reading import Run, is_name, strategy_and_mode
from tools.record.writing import write_whole

FILE = "curve.json"


@dataclass(frozen=True)
class About:
    """What a project's curve is about.

    Args:
        name: of the config that the project was made with.
        config: its settings, as plain data.
        metric: key of the metric that the curve plots.
        lower: whether less of it is better.
        names: of the pool's images, as they are now.
    """

    name: str
    config: Mapping[str, Any]
    metric: str
    lower: bool
    names: Sequence[str]


def write(folder: Path, about: About, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the curve so far: a row for each round that trained."""
    samples.write(folder, about.names)
    content = {
        "name": about.name,
        "config": json.loads(facts.as_json(about.config)),
        "metric": about.metric,
        "lower_is_better": about.lower,
        "rows": [dict(row) for row in rows],
    }
    write_whole(folder / FILE, (json.dumps(content, indent=1) + "\n").encode())


def there(folder: Path) -> bool:
    """Whether a folder is a labeling project with a curve."""
    return (folder / FILE).exists()


def read(path: Path) -> Run:
    """Read a project as a run whose cycles are its rounds; nothing in it is run.

    Raises:
        RunFolderError: if its file is damaged.
    """
    source = files.text(path / FILE, files.ROWS)
    try:
        values = files.parsed(source)
        config = facts.plain(values["config"])
        rows = [files.row(json.dumps(row)) for row in values["rows"]]
        strategy, mode = strategy_and_mode(config)
        names = [config["task"]["type"], strategy, mode, values["metric"], values["name"]]
        if not all(map(is_name, names)):
            raise ValueError(f"expected names, but got {shown(names)}")
        listed = files.text(path / samples.FILE, files.NAMES)
        return Run(
            Path(os.path.abspath(path)),
            f"{values['name']} (people)",
            config["task"]["type"],
            values["metric"],
            strategy,
            mode,
            int(config.get("seed", 0)),
            {**flat(config), "people": True},
            hashlib.sha256(listed.encode()).hexdigest(),
            tuple(rows),
            bool(rows),
            bool(values["lower_is_better"]),
            people=True,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"{path / FILE} is damaged ({type(error).__name__}: {error}); `al_label.py next` "
            "writes it anew"
        ) from error
