"""The rooms of the house: each floor imports only from those below it, and only its own module names a task."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FLOORS = ("models", "tasks", "acquisition", "tools")
MMDET = ("models/networks/ssd.py", "tasks/detection/")  # the only places that may import mmdet
TASKS = ("detection", "classification", "pose")


def sources() -> list[Path]:
    return sorted(path for floor in FLOORS for path in (REPOSITORY / floor).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or "."}
    return found


def test_the_test_sees_the_whole_house():
    seen = {path.relative_to(REPOSITORY).parts[0] for path in sources()}
    assert seen == set(FLOORS)
    crossing = [name for path in sources() for name in imports(path) if name.split(".")[0] in FLOORS]
    assert len(crossing) > 60


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_file_imports_from_its_own_floor_and_below(path: Path):
    allowed = FLOORS[: FLOORS.index(path.relative_to(REPOSITORY).parts[0]) + 1]
    above = {name for name in imports(path) if name.split(".")[0] in FLOORS and name.split(".")[0] not in allowed}
    assert above == set()


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_mmdet_and_the_tasks_are_known_in_their_own_rooms_alone(path: Path):
    name = str(path.relative_to(REPOSITORY))
    if not name.startswith(MMDET):
        assert not {i for i in imports(path) if i.split(".")[0] == "mmdet"}
    if not name.startswith("tasks/"):
        assert not {i for i in imports(path) if i.startswith(tuple(f"tasks.{task}" for task in TASKS))}
