"""The build backend: setuptools' for an editable install, and a refusal of wheels and archives.

losstap runs from its clone: commands, configs and tests are files side by side. Its
packages are called `models`, `tasks`, `tools` and `acquisition`, as others are. A wheel
would put them side by side with theirs into site-packages.
"""

from __future__ import annotations

from typing import Any, NoReturn

from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
)

SENTENCE = (
    "losstap has no wheel: run it from the clone. `make setup` there, or `pip install -e .`, "
    "installs what it needs and leaves its packages (acquisition, models, tasks, tools) there."
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise SystemExit(SENTENCE)


# asked first, so before anything is downloaded
get_requires_for_build_wheel = get_requires_for_build_sdist = _refuse
# asked first where pip is told `--no-build-isolation`
prepare_metadata_for_build_wheel = build_wheel = build_sdist = _refuse
