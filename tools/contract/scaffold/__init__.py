"""`check_task.py --new mytask.py`: a task and its config to begin with, which work as they are."""

from __future__ import annotations

import keyword
import os
from importlib.util import find_spec
from pathlib import Path

ADAPTER, CONFIG = (Path(__file__).with_name(name) for name in ("mytask.py", "mytask_config.py"))
INSIDE = "tools.contract.scaffold.mytask"  # the task's module in the config here


class ScaffoldError(Exception):
    """Files that cannot be written; the message says what to do."""


def write(path: Path) -> tuple[Path, Path]:
    """Write a task to `path` and its config beside it, NAME_config.py.

    Returns:
        Both paths.

    Raises:
        ScaffoldError: if the name is no module's or that of an installed one, if one of the files
            exists already, or if they cannot be written.
    """
    name = path.stem
    files = (path, path.with_name(f"{name}_config.py"))
    if path.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name):
        raise ScaffoldError(
            f"{path}: expected a file that Python can import, such as mytask.py; give another name"
        )
    taken = [file for file in files if os.path.lexists(file)]
    if taken:
        raise ScaffoldError(
            f"{taken[0]} is there already, and nothing was written; give another name, or move it "
            "away"
        )
    if find_spec(name) is not None:
        raise ScaffoldError(
            f"{path}: a module {name!r} is installed already, which would be found in its place or "
            "be hidden; give another name"
        )
    written: list[Path] = []
    texts = [file.read_text(encoding="utf-8") for file in (ADAPTER, CONFIG)]
    try:
        for file, text in zip(files, texts, strict=True):
            own = text.replace(INSIDE, name).replace("mytask_config.py", files[1].name)
            with file.open("x", encoding="utf-8") as opened:  # "x" writes over nothing
                written.append(file)
                opened.write(own)
    except OSError as error:
        for file in written:
            file.unlink()
        raise ScaffoldError(f"{error}; give a place that can be written to") from error
    return files
